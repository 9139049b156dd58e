"""What is called forward, for the gradients, in place and into ``out``, and in which dtypes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import gradients, layouts, walking

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.opinfo import Operator, Sample

DIRECTIONS = ("forward", "gradient", "inplace", "out")

#: Directions that torch's database claims for an operator and torch does not have on the CPU.
REFUSED = {
    ("inplace", "float_power"): "the result is float64",
    ("out", "equal"): "its result is a Python bool",
    ("out", "_batch_norm_with_update"): "out takes four tensors by name only",
    ("out", "histogramdd"): "its result is nested",
    ("out", "fft.ihfft2"): "torch leaves out unwritten where one dimension is transformed",
    ("out", "fft.ihfftn"): "torch leaves out unwritten where one dimension is transformed",
}


_AT_POLES = (
    "negative integers are poles, where torch gives a finite 1 / sin(pi * x)**2 of a rounded pi"
)
#: Operators whose results in integers nobody defines, with the reason.
_UNDEFINED_IN_INTEGERS = {
    **{f"polygamma.polygamma_n_{order}": _AT_POLES for order in range(5)},
    "special.polygamma.special_polygamma_n_0": _AT_POLES,
    "masked.logsumexp": "where everything is masked it casts a float32 near -2**31 to an integer",
}


def dtypes_of(operator: Operator, direction: str) -> frozenset[str]:
    """The dtypes in which a direction of the operator has samples on the CPU."""
    if direction == "gradient":
        return operator.gradient_dtypes
    if (direction, operator.name) in REFUSED or not {
        "inplace": operator.inplace,
        "out": operator.out,
    }.get(direction, True):
        return frozenset()
    if operator.name in _UNDEFINED_IN_INTEGERS:
        return operator.dtypes & {"float32", "float16", "bfloat16", "complex64"}
    return operator.dtypes


def call_of(
    operator: Operator, sample: Sample, direction: str, layout: str = ""
) -> Callable[..., Any]:
    """What is called in a direction, as a function of the sample's arguments."""
    if direction == "gradient":
        return partial(_gradients, operator, sample, layout)
    if direction == "inplace":
        return partial(_inplace, operator, sample, layout)
    return partial(_forward, operator.function)


def is_refused(direction: str, sample: Sample) -> bool:
    """Whether torch refuses this sample in this direction on every device."""
    if direction == "inplace":
        return sample.broadcasts
    # nonzero(as_tuple=True) returns a tuple of any length, and out= is a single tensor.
    return direction == "out" and bool(sample.kwargs.get("as_tuple"))


def _forward(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    import torch

    if not torch.is_grad_enabled():
        return function(*args, **kwargs)
    with torch.no_grad():
        return function(*args, **kwargs)


def _inplace(operator: Operator, sample: Sample, layout: str, *args: Any, **kwargs: Any) -> Any:
    """The first argument after the call in place, which must be what the call returns."""
    import torch

    with torch.no_grad():
        first = layouts.variant(args[0], layout) if layout else None
        first = args[0].clone() if first is None else first
        operator.call_inplace(sample, args=(first, *args[1:]), kwargs=kwargs)
        return first


def into_out(operator: Operator, sample: Sample, *args: Any, **kwargs: Any) -> Any:
    """What the call writes into ``out``, which is filled with other values before."""
    import torch

    with torch.no_grad():
        shaped = operator.call(sample, args=args, kwargs=kwargs)
        outs = tuple([torch.full_like(one, 1) for one in walking.leaves(shaped)])
        single = isinstance(shaped, torch.Tensor)
        operator.call_out(sample, outs[0] if single else outs, args=args, kwargs=kwargs)
        return outs


def _gradients(operator: Operator, sample: Sample, layout: str, *args: Any, **kwargs: Any) -> Any:
    """The gradients of the inputs, for an upstream gradient that is exact in every dtype."""
    import torch

    given = args, dict(kwargs)
    watch = gradients.differentiable(given, required=False)
    with torch.enable_grad():
        (moved, named), sources = gradients.watched(given, watch)
        result = operator.call(sample, args=moved, kwargs=named)
        result = sample.process(gradients.in_any_order(operator.name, result))
        inputs = [source for _, source in sources]
        return gradients.backward(result, inputs, layout or "contiguous")
