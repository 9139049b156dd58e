"""Faults that ``suites/benchmarks`` must notice, beside those of ``faults``: a benchmark of a
wrong result fails.

They change float32 alone: what the suite judges by is computed in float64.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from fault import Fault, Install

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

COPY = "benchmarks/test_bandwidth.py::test_copy"
TRANSFER = "benchmarks/test_transfer.py::test_transfer"
DISPATCH = "benchmarks/test_dispatch.py::test_dispatch"
DOT_LOOP = "benchmarks/test_dot_loop.py::test_dot_loop"
START = "benchmarks/test_starting.py::test_interpreter_start"
IMPORT = "benchmarks/test_starting.py::test_import"
RESNET50 = "benchmarks/test_inference.py::test_resnet50"
LSTM = "benchmarks/test_inference.py::test_lstm"
BERT = "benchmarks/test_inference.py::test_bert"
IMAGENET = "benchmarks/test_imagenet_epoch.py::test_imagenet_epoch"
LOADER = "benchmarks/test_dataloader.py::test_dataloader"
FED = "benchmarks/test_dataloader.py::test_training_fed_by_dataloader"
COMPILED = "benchmarks/test_compile.py::test_compiled"
CHECKPOINTS = "benchmarks/test_training_memory.py::test_checkpointing"
SEARCH = "benchmarks/test_training_memory.py::test_batch_size_search"
VARYING = "benchmarks/test_training_memory.py::test_varying_batches"

#: What ``-k`` leaves out of the run without a fault: what takes long, and no run under a fault
#: has beside the tests that must fail.
SLOW = (
    "not test_imagenet_epoch and not test_resnet50 and not test_bert and not test_batch_size"
    " and not (test_import and torch) and not test_training_fed and not test_compiled"
    " and not (test_training_epoch and (mlp or cnn))"
    " and not (test_dataloader and (2 or 4)) and not test_varying"
)

#: The tests of models that are installed apart.
MODELS = ("benchmarks/test_imagenet_epoch.py", "benchmarks/test_inference.py")


def _in_half(value: Any) -> Any:
    """A float32 tensor, or the first of a tuple, rounded to bfloat16 and back."""
    import torch

    if isinstance(value, tuple):
        return (_in_half(value[0]), *value[1:])
    if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
        return value.to(torch.bfloat16).to(torch.float32)
    return value


def layers(kind: str) -> Install:
    """Every layer of a kind is rounded to bfloat16."""

    def install(patch: pytest.MonkeyPatch) -> None:
        import torch

        layer = getattr(torch.nn, kind)
        original = layer.forward
        patch.setattr(
            layer,
            "forward",
            lambda self, *args, **kwargs: _in_half(original(self, *args, **kwargs)),
        )

    return install


def tensors(method: str, change: Callable[..., Any]) -> Install:
    """A method of tensors is changed: ``change(original, tensor, *args, **kwargs)``."""

    def install(patch: pytest.MonkeyPatch) -> None:
        import torch

        original = getattr(torch.Tensor, method)
        patch.setattr(
            torch.Tensor,
            method,
            lambda tensor, *args, **kwargs: change(original, tensor, *args, **kwargs),
        )

    return install


def _end_is_not_copied(original: Any, tensor: Any, source: Any, *args: Any) -> Any:
    if tensor.dim() != 1 or len(tensor) < 1000:
        return original(tensor, source, *args)
    original(tensor[:-16], source[:-16], *args)
    return tensor


def _last_is_lost(original: Any, tensor: Any, *args: Any, **kwargs: Any) -> Any:
    found = original(tensor, *args, **kwargs)
    if kwargs.get("copy"):
        found.view(-1)[-1] = -1
    return found


def _every_fiftieth_add_is_lost() -> Callable[..., Any]:
    numbers = itertools.count(1)

    def change(original: Any, tensor: Any, other: Any) -> Any:
        alone = tensor.numel() == 1 and isinstance(other, int)
        return tensor.clone() if alone and not next(numbers) % 50 else original(tensor, other)

    return change


def _memory_leaks() -> Callable[..., Any]:
    kept: list[Any] = []

    def change(original: Any, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        import torch

        kept.append(torch.ones(500_000))
        return original(tensor, *args, **kwargs)

    return change


def products_in_float32(patch: pytest.MonkeyPatch) -> None:
    """A BLAS that multiplies float64 in float32."""
    import numpy as np

    original = np.dot

    def dot(left: Any, right: Any) -> Any:
        return original(left.astype(np.float32), right.astype(np.float32)).astype(np.float64)

    patch.setattr(np, "dot", dot)


def loader_is_reversed(patch: pytest.MonkeyPatch) -> None:
    from torch.utils.data import DataLoader

    original = DataLoader.__iter__
    patch.setattr(DataLoader, "__iter__", lambda self: reversed(list(original(self))))


def steps_do_nothing(patch: pytest.MonkeyPatch) -> None:
    import torch

    patch.setattr(torch.optim.Adam, "step", lambda self, closure=None: None)


def compiled_rounds(patch: pytest.MonkeyPatch) -> None:
    import torch

    original = torch.compile

    def compiled(network: Any) -> Any:
        run = original(network, backend="eager")
        return lambda *args: _in_half(run(*args))

    patch.setattr(torch, "compile", compiled)


def checkpoints_keep_everything(patch: pytest.MonkeyPatch) -> None:
    from torch.utils import checkpoint

    patch.setattr(checkpoint, "checkpoint", lambda block, value, use_reentrant: block(value))


def more_is_kept_each_time(patch: pytest.MonkeyPatch) -> None:
    """What is kept for the backward pass grows with every forward pass."""
    import torch

    hooks = torch.autograd.graph.saved_tensors_hooks
    more = itertools.count(1)

    class Leaking(hooks):  # type: ignore[misc, valid-type]
        def __init__(self, pack: Any, unpack: Any) -> None:
            self._extra = torch.empty(500_000 * next(more))
            pack(self._extra)
            super().__init__(pack, unpack)

    patch.setattr(torch.autograd.graph, "saved_tensors_hooks", Leaking)


OFF = "is off by"

FAULTS = (
    Fault(
        "copy-lacks-its-end",
        "the last values of a copy on the device are not written",
        {f"{COPY}[cpu-64]": "copied values differ"},
        tensors("copy_", _end_is_not_copied),
        only="cpu-64",
    ),
    Fault(
        "transfer-loses-the-last",
        "the last number of a copy to or from the device is lost",
        {TRANSFER: "values changed on the way"},
        tensors("to", _last_is_lost),
    ),
    Fault(
        "additions-are-lost",
        "every fiftieth of many small operations is not carried out",
        {DISPATCH: "ones is"},
        tensors("__add__", _every_fiftieth_add_is_lost()),
    ),
    Fault(
        "blas-in-float32",
        "the BLAS multiplies float64 in float32",
        {DOT_LOOP: "the lengths and angles of the rows"},
        products_in_float32,
    ),
    Fault(
        "resnet-in-bfloat16",
        "convolutions are rounded to bfloat16",
        {RESNET50: f"output {OFF}"},
        layers("Conv2d"),
        only="resnet50",
    ),
    Fault(
        "lstm-in-bfloat16",
        "an LSTM is rounded to bfloat16",
        {LSTM: f"output {OFF}"},
        layers("LSTM"),
        only="lstm",
    ),
    Fault(
        "bert-in-bfloat16",
        "linear layers are rounded to bfloat16",
        {BERT: f"output {OFF}"},
        layers("Linear"),
        only="bert",
    ),
    Fault(
        "imagenet-in-bfloat16",
        "convolutions are rounded to bfloat16 in training",
        {IMAGENET: OFF},
        layers("Conv2d"),
        only="alexnet-4 or resnet18-4",
    ),
    Fault(
        "imagenet-is-not-trained",
        "the optimizer does nothing",
        {IMAGENET: "was not changed by training", FED: "the loss does not fall"},
        steps_do_nothing,
        only="resnet18-4 or test_training_fed_by_dataloader[cpu-0",
    ),
    Fault(
        "batches-in-another-order",
        "a DataLoader gives the batches in another order than it was told",
        {LOADER: "labels differ"},
        loader_is_reversed,
        only="test_dataloader[0",
    ),
    Fault(
        "compiled-in-bfloat16",
        "compiled code rounds to bfloat16",
        {COMPILED: f"output {OFF}"},
        compiled_rounds,
    ),
    Fault(
        "steps-in-bfloat16",
        "linear layers are rounded to bfloat16 in training",
        {CHECKPOINTS: OFF},
        layers("Linear"),
        only="checkpointing",
    ),
    Fault(
        "checkpoints-keep-everything",
        "a checkpointed layer keeps what it was to compute again",
        {f"{CHECKPOINTS}[cpu-checkpointed]": "bytes are kept for the backward pass"},
        checkpoints_keep_everything,
        only="checkpointing",
    ),
    Fault(
        "more-is-kept-each-time",
        "memory that a forward pass took is not given back",
        {SEARCH: "batch"},
        more_is_kept_each_time,
        only="search",
    ),
    Fault(
        "memory-leaks",
        "each backward pass keeps two megabytes for ever",
        {VARYING: "memory grew by"},
        tensors("backward", _memory_leaks()),
        only="varying",
    ),
)


def other_version() -> None:
    """In a child process: Python tells another version, and NumPy too."""
    import sys

    import numpy as np

    np.__version__ = "1.0"
    sys.version = "3.9 (another interpreter)"


#: What is installed in a process that the suite starts, by the name of the fault.
CHILD: dict[str, Callable[[], None]] = {"another-interpreter": other_version}


def child_faults(in_child: Install) -> tuple[Fault, ...]:
    """The faults that are installed in processes which the suite starts."""
    return (
        Fault(
            "another-interpreter",
            "the new process is another Python with another NumPy",
            {START: "the new process is", f"{IMPORT}[numpy]": "imported numpy 1.0"},
            in_child,
            only="interpreter or numpy",
        ),
    )
