"""What the host is off in the sample's own dtype, on another path than the device's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import blocks, envelope
from pytest_applesilicon.agreement.paths import other_threads, split_batch
from pytest_applesilicon.agreement.perturbing import float64_by_default
from pytest_applesilicon.agreement.walking import (
    leaves,
    mapped,
    moves,
    to_host,
    widen,
    widen_named,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Elements below which torch's CPU kernels use one thread (at::internal::GRAIN_SIZE in
#: aten/src/ATen/Parallel.h).
GRAIN_SIZE = 2**15

#: An error of this share of the largest element is hardly one of rounding, in any dtype; and
#: two float64 results that differ by it are not of the same computation.
LARGE_ERROR = 2.0**-10


def other_path(value: Any) -> Any:
    """Arguments in which every tensor is stored with other strides, with the same values."""
    import torch

    def leaf(one: Any) -> Any:
        if not isinstance(one, torch.Tensor):
            return torch.device("cpu") if isinstance(one, torch.device) else one
        one = one.detach().cpu()
        if one.layout is not torch.strided or one.is_quantized:
            return one.clone()
        if one.dim() == 0:
            return torch.stack([one, one])[1]
        spread = torch.empty((*one.shape, 2), dtype=one.dtype).select(-1, 0)
        return spread.copy_(one)

    return mapped(value, leaf)


def first_path(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    exact: tuple[Any, ...],
) -> tuple[Any, ...]:
    """What the host gives in the same dtype with other strides, leaf by leaf.

    Empty where the host cannot make that call, or where even its float64 result is another
    one there: ``as_strided`` reads the storage itself.
    """
    try:
        given = leaves(call(*other_path(args), **other_path(kwargs)))
        result = [to_host(leaf, widened=False) for leaf in given]
    except (RuntimeError, ValueError, TypeError, IndexError):
        return ()
    far = any(_is_far(one, wide) for one, wide in zip(result, exact, strict=False))
    if far and not _any_path(call, args, kwargs, exact):
        return ()
    return tuple(result)


def every_path(
    values: tuple[Any, ...],
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    exact: tuple[Any, ...],
    *,
    splits: bool = False,
) -> tuple[Any, ...]:
    """The largest error of each element on the first path and on those that cost more.

    They are another number of threads, for large tensors, and with ``splits`` a batch in two
    halves. ``values`` are what ``first_path`` gave. An error is 0.0 where a leaf has no oracle
    to lie from.
    """
    import numpy as np

    errors = _errors(values, exact)
    for wanted, path in ((splits, split_batch), (_is_big(args), other_threads)):
        more = path(call, args, kwargs) if errors and wanted else None
        if more is not None:
            errors = tuple(map(np.fmax, errors, _errors([to_host(leaf) for leaf in more], exact)))
    return errors


def is_comparable(one: Any, wide: Any) -> bool:
    """Whether a leaf may lie off its oracle: both are floating arrays of one shape."""
    return moves(wide) and getattr(one, "shape", None) == wide.shape


def _errors(result: Sequence[Any], exact: tuple[Any, ...]) -> tuple[Any, ...]:
    """How far each leaf lies from the oracle; 0.0 where it has none to lie from."""
    import numpy as np

    with np.errstate(all="ignore"):
        return tuple(
            blocks.distance(one, wide) if is_comparable(one, wide) else 0.0
            for one, wide in zip(result, exact, strict=False)
        )


def _is_big(args: tuple[Any, ...]) -> bool:
    """Whether torch gives parts of a tensor to several threads: its grain size is 32768."""
    import torch

    tensors = [one for one in leaves(args) if isinstance(one, torch.Tensor)]
    return any(one.numel() > GRAIN_SIZE for one in tensors)


def _is_far(one: Any, wide: Any) -> bool:
    """Whether a leaf lies so far from its oracle that rounding alone hardly explains it."""
    if not is_comparable(one, wide):
        return False
    return blocks.largest_distance(one, wide) > LARGE_ERROR * envelope.largest(wide)


def _any_path(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], exact: tuple[Any, ...]
) -> bool:
    """Whether the float64 result is the same one on the other path."""
    with float64_by_default():
        wide = other_path(widen(args)), other_path(widen_named(kwargs))
        result = [to_host(leaf) for leaf in leaves(call(*wide[0], **wide[1]))]
    return not any(_is_far(one, other) for one, other in zip(result, exact, strict=True))
