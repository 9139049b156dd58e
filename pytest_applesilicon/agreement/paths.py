"""The same call on another path of the host: in two halves of a batch, on other threads.

A result in a dtype is one of many that its rounding allows. What another path of the same
dtype gives tells how far these lie apart, without asking the device that is judged.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import walking
from pytest_applesilicon.agreement.perturbing import float64_by_default

if TYPE_CHECKING:
    from collections.abc import Callable

#: Two float64 results that differ by this share of the largest element are not of the same
#: computation: half way, in powers of two, between the rounding of float64 (2**-53) and that
#: of float32 (2**-24), so that what is taken for the same is so in every dtype that is judged.
SAME = 2.0**-38

#: What a call raises that does not take a half, a dtype or a shape.
_REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, AssertionError, OverflowError)


def split_batch(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Any] | None:
    """The leaves of the result, computed in two halves of the first dimension and joined.

    The batch is the first dimension of the first tensor that has two elements along it. It is
    halved in that tensor alone or, where that is refused or gives another result, in every
    tensor whose first dimension is as long: those of as many dimensions, and integers, which
    are targets. (Never in the statistics of a batch norm, as long as the batch by chance: its
    kernel does not check their length and ends the process, torch 2.13.)

    Args:
        call: what is called, on the host; it must also take its tensors in float64.
        args: the arguments in the sample's dtype; copied, so that they are not written to.
        kwargs: the keyword arguments.

    Returns:
        the leaves in the order of ``walking.leaves``, in the sample's dtype; ``None`` where
        there is no batch, or the joined halves are another result in float64.
    """
    args, kwargs = walking.on_host(args), walking.on_host(kwargs)
    size = _batch(args)
    if size is None:
        return None
    wide_args, wide_kwargs = walking.widen(args), walking.widen(kwargs)
    try:
        with float64_by_default():
            whole = walking.leaves(call(*walking.copied(wide_args), **walking.copied(wide_kwargs)))
    except _REFUSALS:
        return None
    for alone in (True, False):
        with contextlib.suppress(*_REFUSALS):
            with float64_by_default():
                joined = _joined(call, wide_args, wide_kwargs, size, alone, whole)
            if joined is not None and all(map(_same, joined, whole)):
                return _joined(call, args, kwargs, size, alone, whole)
    return None


def other_threads(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Any] | None:
    """The leaves of the result, computed with another number of threads.

    With one where torch uses several now, else with two. The number is restored, whatever
    the call raises. torch splits large tensors only, so small ones give the same.

    Returns:
        the leaves in the order of ``walking.leaves``; ``None`` where the host refuses the call.
    """
    import torch

    args, kwargs = walking.copied(walking.on_host(args)), walking.copied(walking.on_host(kwargs))
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        return walking.leaves(call(*args, **kwargs))
    except _REFUSALS:
        return None
    finally:
        torch.set_num_threads(before)


def _batch(args: tuple[Any, ...]) -> int | None:
    """How long the first dimension of the first tensor is, where it can be halved."""
    import torch

    for one in walking.leaves(args):
        if isinstance(one, torch.Tensor) and _halves(one) and one.shape[0] > 1:
            return int(one.shape[0])
    return None


def _halves(one: Any) -> bool:
    import torch

    return bool(one.layout is torch.strided and not one.is_quantized and one.dim())


def _half(value: Any, size: int, part: slice, alone: bool) -> Any:
    """Copies of the arguments with this part of the batch."""
    import torch

    first: Any = None

    def leaf(one: Any) -> Any:
        nonlocal first
        if not isinstance(one, torch.Tensor):
            return one
        if not _halves(one) or one.shape[0] != size:
            return one.detach().clone()
        if first is None:
            first = one
        elif alone or (one.dim() != first.dim() and one.is_floating_point()):
            return one.detach().clone()
        return one.detach()[part].clone()

    return walking.mapped(value, leaf)


def _joined(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    size: int,
    alone: bool,
    whole: list[Any],
) -> list[Any] | None:
    """The leaves of both halves joined; ``None`` where they do not make the whole's shapes."""
    import torch

    parts = []
    for part in (slice(size // 2), slice(size // 2, None)):
        there, named = _half((args, kwargs), size, part, alone)
        parts.append(walking.leaves(call(*there, **named)))
    if {len(part) for part in parts} != {len(whole)}:
        return None
    joined = []
    for left, right, one in zip(*parts, whole, strict=True):
        tensors = [isinstance(leaf, torch.Tensor) for leaf in (left, right, one)]
        if not any(tensors):
            joined.append(left if left == right else None)
            continue
        if not all(tensors) or not all(_halves(leaf) for leaf in (left, right)):
            return None
        both = torch.cat([left, right])
        if both.shape != one.shape:
            return None
        joined.append(both)
    return joined


def _same(joined: Any, whole: Any) -> bool:
    """Whether two float64 leaves are of the same computation; what is exact is the same."""
    import numpy as np

    left, right = walking.to_host(joined), walking.to_host(whole)
    kind = getattr(getattr(right, "dtype", None), "kind", None)
    if kind not in ("f", "c"):
        return bool(np.array_equal(left, right)) if kind else bool(left == right)
    finite = np.isfinite(right)
    with np.errstate(all="ignore"):
        alike = (left == right) | (np.isnan(left) & np.isnan(right))
        largest = np.max(np.abs(right), where=finite, initial=0.0)
        near = np.abs(left - right) <= SAME * largest
    return bool(np.all(np.where(finite, near, alike)))
