"""Samples of an operator with other shapes: no elements, no dimensions, five dimensions.

torch's samples have few of these, and kernels that were written for matrices and images fail
at them. The new arguments are made from those of a sample; which of them an operator takes,
the host tells, in float64.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import walking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_applesilicon.opinfo import Sample

#: The names of the shapes.
SHAPES = ("zero_size", "zero_dim", "five_dim")

#: Shapes in which a tensor can be stored in a layout that torch's samples, many of them
#: vectors, do not take.
FOR_LAYOUTS = {
    "transposed": "two_dim",
    "reversed_dims": "three_dim",
    "channels_last": "four_dim",
    "channels_last_3d": "five_dim",
    "expanded": "repeated",
}

#: Operators whose kernel does not check that its arguments fit the shape of its input, so that
#: trying a shape reads past the end of a tensor and may end the process (torch 2.13, CPU).
UNCHECKED = frozenset(
    {
        "_batch_norm_with_update",
        "_chunk_cat",
        "_native_batch_norm_legit",
        "_segment_reduce.lengths",
        "_segment_reduce.offsets",
        "lu_unpack",
        "native_batch_norm",
        "native_group_norm",
        "nn.functional.pdist",
    }
)


def taken(call_of: Callable[[Sample], Callable[..., Any]], sample: Sample, shape: str) -> Any:
    """The first of the sample's ``reshaped`` forms which the host takes in float64, or ``None``.

    ``call_of`` makes the call of a sample.
    """
    return next((one for one in reshaped(sample, shape) if _takes(call_of(one), one)), None)


def _takes(call: Callable[..., Any], sample: Sample) -> bool:
    args, kwargs = walking.widen(sample.args), walking.widen(dict(sample.kwargs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(*args, **kwargs)
        except Exception:  # whatever a kernel raises, it does not take this
            return False
    return True


def reshaped(sample: Sample, shape: str) -> Iterator[Sample]:
    """The sample with every tensor in this shape, then with its first tensor alone.

    Raises:
        ValueError: the shape is none of ``SHAPES`` and ``FOR_LAYOUTS``.
    """
    if shape not in _BUILDERS:
        raise ValueError(f"shape {shape!r}: choose from {', '.join(_BUILDERS)}")
    for build in _BUILDERS[shape]:
        for alone in (False, True):
            args, kwargs = _mapped((sample.args, dict(sample.kwargs)), build, alone)
            if _has(args, shape):
                yield replace(sample, args=args, kwargs=kwargs)


def _mapped(value: Any, build: Callable[[Any], Any], alone: bool) -> Any:
    import torch

    done = False

    def leaf(one: Any) -> Any:
        nonlocal done
        if not isinstance(one, torch.Tensor) or one.layout is not torch.strided:
            return one
        if alone and done:
            return one.detach()
        done = True
        return build(one.detach())

    return walking.mapped(value, leaf)


def _has(args: Any, shape: str) -> bool:
    """Whether the first tensor has this shape."""
    import torch

    first = next((one for one in walking.leaves(args) if isinstance(one, torch.Tensor)), None)
    if first is None:
        return False
    if shape == "zero_size":
        return bool(first.numel() == 0)
    dims = _DIMS.get(shape)
    return dims is None or bool(first.dim() == dims)


_DIMS = {"zero_dim": 0, "two_dim": 2, "three_dim": 3, "four_dim": 4, "five_dim": 5}


def _without_rows(tensor: Any) -> Any:
    return tensor[:0] if tensor.dim() else tensor


def _without_columns(tensor: Any) -> Any:
    return tensor[..., :0] if tensor.dim() else tensor


def _one_element(tensor: Any) -> Any:
    return tensor.reshape(-1)[0] if tensor.numel() else tensor


def _batches(dims: int, tensor: Any) -> Any:
    """Dimensions of two elements before those of the tensor, up to ``dims``.

    The values of each copy are those of the tensor, rolled: a kernel that takes one batch for
    another is seen, and every value stays in the operator's domain.
    """
    import torch

    lacking = dims - tensor.dim()
    if lacking <= 0:
        return tensor
    copies = [tensor.roll(number) for number in range(2**lacking)]
    return torch.stack(copies).reshape((2,) * lacking + tuple(tensor.shape))


def _same_batches(dims: int, tensor: Any) -> Any:
    """The same with the same matrix in every batch, for those that must be of a kind."""
    lacking = dims - tensor.dim()
    return tensor if lacking <= 0 else tensor.expand((2,) * lacking + tuple(tensor.shape)).clone()


def _ones_before(dims: int, tensor: Any) -> Any:
    """Dimensions of one element before those of the tensor, up to ``dims``."""
    lacking = dims - tensor.dim()
    return tensor if lacking <= 0 else tensor.reshape((1,) * lacking + tuple(tensor.shape))


def _repeated(tensor: Any) -> Any:
    """The tensor twice, in a dimension before its own."""
    return tensor.expand((2, *tensor.shape)).clone()


def _of_dims(dims: int) -> tuple[Callable[[Any], Any], ...]:
    return tuple(partial(build, dims) for build in (_batches, _same_batches, _ones_before))


_BUILDERS: dict[str, tuple[Callable[[Any], Any], ...]] = {
    "zero_size": (_without_rows, _without_columns),
    "zero_dim": (_one_element,),
    "repeated": (_repeated,),
    **{name: _of_dims(dims) for name, dims in _DIMS.items() if dims},
}
