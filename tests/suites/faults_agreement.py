"""Faults of a device that ``suites/agreement`` must notice: see ``faults``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fault import FEW_OPERATORS, Fault, Install

if TYPE_CHECKING:
    import pytest

LAYOUT = "agreement/test_layouts.py::test_layout"
LAYOUT_GRADIENT = "agreement/test_layouts.py::test_layout_gradient"
LAYOUT_INPLACE = "agreement/test_layouts.py::test_layout_inplace"
SHAPE = "agreement/test_shapes.py::test_shape"
SHAPE_GRADIENT = "agreement/test_shapes.py::test_shape_gradient"
REPEATED = "agreement/test_repeated.py::test_repeated"
EDGE = "agreement/test_edge_values.py::test_edge_values"
MIXED = "agreement/test_mixed_dtypes.py::test_mixed_dtypes"
SCALAR = "agreement/test_mixed_dtypes.py::test_scalar"
MODULE = "agreement/test_modules.py::test_module"
TRAJECTORY = "agreement/test_optimizers.py::test_trajectory"

WRONG = "times what is allowed"

#: The layouts in which a tensor is not contiguous.
STRIDED = ("transposed", "strided", "channels_last", "channels_last_3d", "reversed_dims")

DTYPES = ("bool", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32")

#: What ``-k`` chooses of the files that take long, with a fault and without.
FEW_SCALARS = "test_scalar and (cpu-add or cpu-mul)"
FEW_PAIRS = "test_mixed_dtypes[cpu-add-int32"
FEW_MODULES = "test_module and (Softplus or Tanhshrink)"
FEW_OPTIMIZERS = "test_trajectory and cpu-SGD"


def inputs(change: Callable[[Any], Any]) -> Install:
    """The device reads other inputs in the tests of layouts and shapes."""

    def install(patch: pytest.MonkeyPatch) -> None:
        import torch

        from pytest_applesilicon.agreement import sample_runs, walking

        original = sample_runs.Run._moved

        def moved(self: Any, value: Any) -> Any:
            return walking.mapped(
                original(self, value),
                lambda one: change(one) if isinstance(one, torch.Tensor) else one,
            )

        patch.setattr(sample_runs.Run, "_moved", moved)

    return install


def _from_the_start(tensor: Any) -> Any:
    import torch

    return torch.as_strided(tensor, tensor.shape, tensor.stride(), 0)


def _strides_forgotten(tensor: Any) -> Any:
    import torch

    dense = torch.empty(tensor.shape).stride()
    if 0 in tensor.stride() or tensor.stride() == dense:
        return tensor
    return torch.as_strided(tensor, tensor.shape, dense, tensor.storage_offset())


def _five_dimensions_off(tensor: Any) -> Any:
    return tensor * 2 if tensor.dim() == 5 else tensor


def _views_stay(patch: pytest.MonkeyPatch) -> None:
    """What is written into a view that is not contiguous is lost."""
    from pytest_applesilicon.agreement import sample_runs

    original = sample_runs.Run._on_device

    def on_device(self: Any, call: Any, args: Any, kwargs: Any, ran_on_cpu: Any) -> Any:
        found = original(self, call, args, kwargs, ran_on_cpu)
        lost = self.direction == "inplace" and self.layout in STRIDED
        return args[0].clone() if lost else found

    patch.setattr(sample_runs.Run, "_on_device", on_device)


Call = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


def device(change: Callable[[Call, Any, Any, Any], Any]) -> Install:
    """A call on the device is changed: ``change(right, call, args, kwargs)``."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from pytest_applesilicon.agreement import calls

        right = calls.on_device
        patch.setattr(
            calls, "on_device", lambda call, args, kwargs: change(right, call, args, kwargs)
        )

    return install


def results(change: Callable[[Any], Any]) -> Install:
    """Every tensor that a call on the device gives is changed."""

    def changed(right: Call, call: Any, args: Any, kwargs: Any) -> Any:
        import torch

        from pytest_applesilicon.agreement import walking

        return walking.mapped(
            right(call, args, kwargs),
            lambda one: change(one) if isinstance(one, torch.Tensor) else one,
        )

    return device(changed)


def graphs_are_constant(patch: pytest.MonkeyPatch) -> None:
    """A test gets for each shape what it got first: the graph keeps the values as constants."""
    kept: dict[Any, Any] = {}

    def first(right: Call, call: Any, args: Any, kwargs: Any) -> Any:
        shapes = tuple(getattr(one, "shape", None) for one in args)
        key = os.environ["PYTEST_CURRENT_TEST"], shapes
        if key not in kept:
            kept[key] = right(call, args, kwargs)
        return kept[key]

    device(first)(patch)


def nothing_works_without_cache(patch: pytest.MonkeyPatch) -> None:
    """After its cache was emptied, the device gives zeros for the rest of the test."""
    from pytest_applesilicon.frameworks.pytorch import TorchAdapter

    emptied: list[str] = []

    def zeros(right: Call, call: Any, args: Any, kwargs: Any) -> Any:
        found = right(call, args, kwargs)
        return found * 0 if os.environ["PYTEST_CURRENT_TEST"] in emptied else found

    patch.setattr(
        TorchAdapter,
        "empty_cache",
        lambda self, spec: emptied.append(os.environ["PYTEST_CURRENT_TEST"]),
    )
    device(zeros)(patch)


def _nan_is_zero(tensor: Any) -> Any:
    return tensor.masked_fill(tensor.isnan(), 0)


def _integers_through_float32(right: Call, call: Any, args: Any, kwargs: Any) -> Any:
    import torch

    def rounded(one: Any) -> Any:
        whole = isinstance(one, torch.Tensor) and one.dtype is torch.int64
        return one.float().long() if whole else one

    return right(call, tuple(rounded(one) for one in args), kwargs)


def _dtype_of_the_first(right: Call, call: Any, args: Any, kwargs: Any) -> Any:
    return right(call, args, kwargs).to(args[0].dtype)


def _scalars_are_whole(right: Call, call: Any, args: Any, kwargs: Any) -> Any:
    whole = [int(one) if type(one) is float else one for one in args]
    return right(call, tuple(whole), kwargs)


def module_gradients_fall_short(patch: pytest.MonkeyPatch) -> None:
    from pytest_applesilicon.agreement import functions, walking

    original = functions._run

    def run(case: Any, call: Any, args: Any) -> Any:
        found = original(case, call, args)
        if case.direction != "backward":
            return found
        return walking.mapped(found, lambda gradient: gradient * 0.99)

    patch.setattr(functions, "_run", run)


FAULTS = (
    Fault(
        "storage-offset-is-ignored",
        "the device reads every tensor from the start of its storage",
        {
            f"{LAYOUT}[cpu-offset-": WRONG,
            # What sub is given does not matter to its gradient.
            f"{LAYOUT_GRADIENT}[cpu-offset-exp]": WRONG,
            f"{LAYOUT_INPLACE}[cpu-offset-": WRONG,
        },
        inputs(_from_the_start),
        options=FEW_OPERATORS,
    ),
    Fault(
        "strides-are-ignored",
        "the device reads every tensor as if it were contiguous",
        {
            **{f"{LAYOUT}[cpu-{layout}-": WRONG for layout in STRIDED},
            **{f"{LAYOUT_GRADIENT}[cpu-{layout}-exp]": WRONG for layout in STRIDED},
            **{f"{LAYOUT_INPLACE}[cpu-{layout}-": WRONG for layout in STRIDED},
        },
        inputs(_strides_forgotten),
        options=FEW_OPERATORS,
    ),
    Fault(
        "write-into-a-view-is-lost",
        "what is written into a view in place is lost",
        {f"{LAYOUT_INPLACE}[cpu-{layout}-": WRONG for layout in STRIDED},
        _views_stay,
        options=FEW_OPERATORS,
    ),
    Fault(
        "five-dimensions-are-wrong",
        "the device has no kernel for five dimensions and computes something else",
        {f"{SHAPE}[cpu-five_dim-": WRONG, f"{SHAPE_GRADIENT}[cpu-five_dim-exp]": WRONG},
        inputs(_five_dimensions_off),
        options=FEW_OPERATORS,
    ),
    Fault(
        "nothing-becomes-one-element",
        "the device makes one element of a tensor that has none",
        {f"{SHAPE}[cpu-zero_size-": "shape of result 0 differs"},
        # The shape of a gradient is that of the input, whatever the device computes.
        inputs(lambda tensor: tensor if tensor.numel() else tensor.new_ones(1)),
        only="test_shape and not gradient",
        options=FEW_OPERATORS,
    ),
    Fault(
        "graphs-keep-their-first-values",
        "a second call gives the values of the first",
        {REPEATED: WRONG},
        graphs_are_constant,
        options=FEW_OPERATORS,
    ),
    Fault(
        "emptied-cache-breaks-calls",
        "calls give zeros once the cache was emptied",
        {REPEATED: WRONG},
        nothing_works_without_cache,
        options=FEW_OPERATORS,
    ),
    Fault(
        "nan-becomes-zero",
        "the device gives zero where the result is NaN",
        {f"{EDGE}[cpu-float32-": WRONG, f"{EDGE}[cpu-float16-": WRONG},
        results(_nan_is_zero),
        options=FEW_OPERATORS,
    ),
    Fault(
        "integers-go-through-float32",
        "integers are computed in float32",
        {f"{EDGE}[cpu-int64-": WRONG},
        device(_integers_through_float32),
        options=FEW_OPERATORS,
    ),
    Fault(
        "first-dtype-wins",
        "the sum of two dtypes has the first one's",
        {
            f"{MIXED}[cpu-add-int32-{right}]": "dtype of result 0 differs: int32"
            for right in ("int64", "float16", "bfloat16", "float32")
        },
        device(_dtype_of_the_first),
        only=FEW_PAIRS,
    ),
    Fault(
        "scalars-are-rounded",
        "a Python float beside a tensor is taken for a whole number",
        {
            f"{SCALAR}[cpu-{name}-{dtype}-float]": "result 0"
            for name in ("add", "mul")
            for dtype in DTYPES
        },
        device(_scalars_are_whole),
        only=FEW_SCALARS,
    ),
    Fault(
        "modules-in-half",
        "results of modules are rounded to float16",
        {MODULE: "forward in float32"},
        results(lambda tensor: tensor.half().to(tensor.dtype)),
        only=f"{FEW_MODULES} and not train",
    ),
    Fault(
        "module-gradients-fall-short",
        "gradients of modules are one percent short",
        {MODULE: "backward in float32"},
        module_gradients_fall_short,
        only=f"{FEW_MODULES} and not train",
    ),
    Fault(
        "optimizers-fall-short",
        "the parameters after each step are a thousandth short",
        {TRAJECTORY: WRONG},
        results(lambda tensor: tensor * 0.999),
        only=FEW_OPTIMIZERS,
    ),
)
