"""Rounding every intermediate result at random: what it moves is the magnitude term.

Monte Carlo arithmetic (D. S. Parker, "Monte Carlo Arithmetic: exploiting randomness in
floating-point arithmetic", UCLA CSD-970002, 1997).
"""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import envelope
from pytest_applesilicon.agreement.perturbing import Signs, float64_by_default
from pytest_applesilicon.agreement.recipes import recipe_of, writes
from pytest_applesilicon.agreement.walking import dtype_name, leaves, mapped, to_host

if TYPE_CHECKING:
    from collections.abc import Callable

#: How many of the latest results are kept, to find the final ones among them.
_LATEST = 8

#: What a recipe of torch raises of a call it does not take; a mistake of ours is none of these.
_CANNOT = (RuntimeError, ValueError, LookupError, TypeError, AssertionError, AttributeError)


def rounded_run(
    call: Callable[..., Any],
    wide: tuple[tuple[Any, ...], dict[str, Any]],
    dtype: Any,
    seed: int,
) -> tuple[list[Any] | None, bool]:
    """The host leaves of one run with rounded intermediates, and whether there were any.

    The result of every operator on the way, fused ones taken apart by recipes, moves by one
    epsilon of the dtype. This shows an inner scale that is larger than the result, as in
    ``log_softmax``, and coordinates computed in the dtype, as in ``interpolate``. The inputs
    and the final result stay: for these are the condition and the dtype bound.

    Args:
        call: what is judged.
        wide: widened arguments and keyword arguments, which the call may write to.
        dtype: whose epsilon the intermediates move by.
        seed: of the signs.
    """
    mode = _rounding_mode()(dtype_name(dtype), seed)
    # Not every recipe takes every call; a draw that fails shows nothing.
    with float64_by_default(), contextlib.suppress(*_CANNOT), mode:
        result = leaves(call(*wide[0], **wide[1]))
        return [to_host(mode.before(leaf)) for leaf in result], mode.inner
    return None, mode.inner


def _rounded(mode: Any, in_place: bool, value: Any) -> Any:
    """A result moved by one epsilon, or the smallest number, unless the dtype holds it exactly."""
    if not _is_wide(value):
        return value
    step = mode.signs.like(value) * (value.abs() * mode.eps).clamp_min_(mode.tiny)
    same_kind = value.is_complex() == mode.dtype.is_complex
    held = value.to(mode.dtype).to(value.dtype) == value if same_kind else value.isinf()
    step.masked_fill_(held, 0.0)
    plain = value.clone() if in_place else value
    moved = value.add_(step) if in_place else value + step
    if in_place:
        mode.forget(value)
    # The latest first: what was written twice is found as it was before the last time.
    mode.latest.appendleft((moved, plain))
    return moved


def _is_wide(value: Any) -> bool:
    """Whether a value is a strided tensor of the oracle's floating dtypes."""
    import torch

    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.dtype in (torch.float64, torch.complex128)
    )


@functools.cache
def _rounding_mode() -> Any:
    """The class of the dispatch mode that moves intermediate results; made once torch is here."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Rounding(TorchDispatchMode):  # type: ignore[misc]
        """Moves what each operator returns by one epsilon, unless the dtype holds it exactly."""

        def __init__(self, dtype: str, seed: int) -> None:
            super().__init__()
            known = dtype if dtype in envelope.DTYPE_INFO else "float32"
            self.eps = envelope.DTYPE_INFO[known].eps
            self.half = envelope.DTYPE_INFO[known].half
            self.tiny = envelope.DTYPE_INFO[known].smallest_subnormal
            self.dtype = getattr(torch, known)
            self.signs = Signs(seed)
            self.latest: deque[tuple[Any, Any]] = deque(maxlen=_LATEST)
            #: Whether any result was taken up by a later operator.
            self.inner = False
            self.inside: list[Any] = []

        def before(self, result: Any) -> Any:
            """A final result as it was before it moved."""
            return next((plain for moved, plain in self.latest if moved is result), result)

        def forget(self, written: Any) -> None:
            """What shares memory with a tensor that was written to was something else before."""
            place = written.untyped_storage().data_ptr()
            kept = [pair for pair in self.latest if pair[0].untyped_storage().data_ptr() != place]
            self.latest = deque(kept, maxlen=_LATEST)

        def rounding_of(self, size: Any) -> Any:
            """One epsilon of ``size`` with random signs, in its shape; zero where it is infinite.

            What is infinite or NaN stays so: plus or minus infinity it would be undecided.
            """
            return (size * self.signs.like(size) * self.eps).nan_to_num(0.0, 0.0, 0.0)

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            recipe = None if func in self.inside else recipe_of(func)
            if recipe is not None:
                # A recipe may call its own operator: that call is then taken as it is.
                self.inside.append(func)
                with self:
                    result = recipe(self, *args, **(kwargs or {}))
                self.inside.pop()
                if result is not NotImplemented:
                    return result
            self.inner = self.inner or bool(self.latest)
            result = func(*args, **(kwargs or {}))
            if func.is_view:
                return result
            return mapped(result, functools.partial(_rounded, self, writes(func)))

    return Rounding
