"""What the host is off in the sample's own dtype, on another path than the device's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import envelope
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
    from collections.abc import Callable

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
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What the host is off in the same dtype with other strides, and its values there.

    Both empty where the host cannot make that call, or where even its float64 result is another
    one there: ``as_strided`` reads the storage itself.
    """
    try:
        result = [to_host(leaf) for leaf in leaves(call(*other_path(args), **other_path(kwargs)))]
    except (RuntimeError, ValueError, TypeError, IndexError):
        return (), ()
    errors = _errors(result, exact)
    if any(map(_is_large, errors, exact)) and not _any_path(call, args, kwargs, exact):
        return (), ()
    return tuple(errors), tuple(result)


def every_path(
    errors: tuple[Any, ...],
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    exact: tuple[Any, ...],
    *,
    splits: bool = False,
) -> tuple[Any, ...]:
    """The largest error of each element on the first path and on those that cost more.

    They are another number of threads, for large tensors, and with ``splits`` a batch in two
    halves. ``errors`` are those of ``first_path``.
    """
    import numpy as np

    for wanted, path in ((splits, split_batch), (_is_big(args), other_threads)):
        more = path(call, args, kwargs) if errors and wanted else None
        if more is not None:
            errors = tuple(map(np.fmax, errors, _errors([to_host(leaf) for leaf in more], exact)))
    return errors


def _errors(result: list[Any], exact: tuple[Any, ...]) -> list[Any]:
    """How far each leaf lies from the oracle; 0.0 where it has none to lie from."""
    import numpy as np

    errors = []
    with np.errstate(all="ignore"):
        for one, wide in zip(result, exact, strict=False):
            comparable = moves(wide) and getattr(one, "shape", None) == wide.shape
            errors.append(np.abs(one - wide) if comparable else 0.0)
    return errors


def _is_big(args: tuple[Any, ...]) -> bool:
    """Whether torch gives parts of a tensor to several threads: its grain size is 32768."""
    import torch

    tensors = [one for one in leaves(args) if isinstance(one, torch.Tensor)]
    return any(one.numel() > GRAIN_SIZE for one in tensors)


def _is_large(error: Any, exact: Any) -> bool:
    """Whether an error is so large that rounding alone hardly explains it."""
    import numpy as np

    if not np.ndim(exact) or not np.ndim(error):
        return bool(np.any(error))
    return bool(np.nanmax(error, initial=0.0) > LARGE_ERROR * envelope.largest(exact))


def _any_path(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], exact: tuple[Any, ...]
) -> bool:
    """Whether the float64 result is the same one on the other path."""
    import numpy as np

    with float64_by_default(), np.errstate(all="ignore"):
        wide = other_path(widen(args)), other_path(widen_named(kwargs))
        result = [to_host(leaf) for leaf in leaves(call(*wide[0], **wide[1]))]
        return not any(
            _is_large(np.nan_to_num(np.abs(one - wide)), wide)
            for one, wide in zip(result, exact, strict=True)
            if moves(wide)
        )
