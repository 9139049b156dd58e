"""Judging an array against its envelope, term by term, where it is not inside yet.

The dtype bound is looked at everywhere. Every later term widens the envelope only, so that it
is found and looked at for the elements that are still outside, and for no others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import blocks, envelope
from pytest_applesilicon.agreement.envelope import DTYPE_INFO, Precision, Terms

if TYPE_CHECKING:
    from collections.abc import Callable

#: The terms in the order in which they are tried.
TERMS = ("dtype bound", "condition", "magnitude", "same dtype")


@dataclass(frozen=True)
class Judgement:
    """How far one array lies from its oracle; shown is the worst element."""

    index: tuple[int, ...]
    actual: Any
    oracle: Any
    #: Infinite where one of the two is NaN or infinite and the other is not.
    error: float
    error_ulp: float
    #: In units of the envelope: more than one is outside.
    error_envelope: float
    outside: int
    total: int
    #: Inside thanks to the same-dtype term; only to that one where it is tried last.
    needs_same_dtype: bool = False
    #: The last of the terms that took something in: "dtype bound", "condition", "magnitude",
    #: "same dtype"; or "exact" for integers and booleans.
    saved_by: str = "dtype bound"
    #: Median of the envelope's half width over the elements; NaN without elements.
    median_allowed_ulp: float = math.nan

    @property
    def agrees(self) -> bool:
        return self.outside == 0


class Judging:
    """One array on its way through the terms; only elements that are still outside are kept.

    NaN and infinities must be the oracle's, sign included, except that a finite oracle which
    the dtype cannot hold may have become infinite, that what the perturbed runs left undecided
    may be either, and that the host's own NaN or infinity on another path counts as the
    same-dtype term. A result below the smallest normal number may have been flushed to zero,
    as Metal does. Complex numbers are judged by the modulus of the difference; as soon as a
    component is NaN or infinite, by component, and a finite component beside it is not judged.
    """

    def __init__(
        self,
        actual: Any,
        exact: Any,
        dtype: str,
        bound: Any = None,
        host: Callable[[], Any] | None = None,
    ) -> None:
        """Judge every element by the dtype bound.

        Args:
            actual: the result on the host, floating or complex.
            exact: the oracle, in the same shape, float64 or complex128.
            dtype: the name of the result's dtype.
            bound: the half width to begin with; the dtype bound unless given.
            host: gives the host's values on another path, or ``None``. What these are off at
                the very elements is a part of the same-dtype term that needs no other term.
        """
        import numpy as np

        self.actual, self.exact, self.dtype = np.asarray(actual), np.asarray(exact), dtype
        found = blocks.outside(self.actual, self.exact, dtype, bound, host)
        self._stage = TERMS.index("same dtype") if found.by_host else 0
        #: Flat positions of the elements that are outside so far.
        self.open: Any = found.at
        place, error = found.place, 0.0
        if found.ratio > 0:
            error = float(abs(self.actual.flat[place] - self.exact.flat[place]))
        self._worst = found.ratio, place, error
        if len(self.open):
            self._keep(bound)

    def _keep(self, bound: Any) -> None:
        """Keep the elements outside of the dtype bound."""
        import numpy as np

        here = self.open
        self._exact = self.exact.reshape(-1)[here]
        self._actual = self.actual.reshape(-1)[here].astype(self._exact.dtype)
        with np.errstate(all="ignore"):
            self._raw = self._error = blocks.distance(self._actual, self._exact)
        if bound is None:
            self._width = envelope.dtype_terms(self._exact, self.dtype).dtype_bound
        else:
            self._width = np.broadcast_to(bound, self.exact.shape).reshape(-1)[here]
        self._undecided = np.zeros(here.size, bool)
        self._other: Any = None
        self.widen("dtype bound")

    def widen(self, term: str, width: Any = 0.0, undecided: Any = False, other: Any = None) -> None:
        """Take in one more term, at the elements in ``open``.

        Args:
            term: one of ``TERMS``.
            width: half widths in absolute units.
            undecided: where the inputs decide only up to rounding whether a result is NaN,
                infinite or finite.
            other: the host's values on another path.
        """
        import numpy as np

        self._width = np.maximum(self._width, width)
        self._undecided = self._undecided | undecided
        self._other = self._other if other is None else other
        with np.errstate(all="ignore"):
            self._error, forgiven = self._errors()
            inside = self._error <= self._width
        self._take("same dtype" if (forgiven & inside).any() else term, inside)

    def _take(self, term: str, inside: Any) -> None:
        """Take out the elements that are inside, and keep the worst of them."""
        import numpy as np

        if inside.any():
            with np.errstate(all="ignore"):
                ratio = np.where(inside, self._error / self._width, -1.0)
            self._stage = max(self._stage, TERMS.index(term))
            place = int(ratio.argmax())
            found = (float(ratio[place]), int(self.open[place]), float(self._error[place]))
            self._worst = max(self._worst, found, key=lambda one: one[0])
            self._narrow(~inside)

    def _narrow(self, kept: Any) -> None:
        for name in ("open", "_actual", "_exact", "_raw", "_error", "_width", "_undecided"):
            setattr(self, name, getattr(self, name)[kept])
        self._other = None if self._other is None else self._other[kept]

    @property
    def agrees(self) -> bool:
        return not len(self.open)

    def judgement(self, median_allowed_ulp: float = math.nan) -> Judgement:
        """What is known by now; shown is the worst element."""
        import numpy as np

        ratio, place, error = self._worst
        if len(self.open):
            with np.errstate(all="ignore"):
                found = self._error / self._width
            worst = int(np.argmax(found))
            place, error = int(self.open[worst]), float(self._error[worst])
            ratio = float(found[worst])
        oracle = self.exact.flat[place]
        unit = float(envelope.ulp(oracle if np.isfinite(oracle) else 0.0, self.dtype))
        saved_by = "none" if len(self.open) else TERMS[self._stage]
        return Judgement(
            index=_index(place, self.exact.shape),
            actual=self.actual.flat[place].item(),
            oracle=oracle.item(),
            error=error,
            error_ulp=error / unit,
            error_envelope=ratio,
            outside=len(self.open),
            total=self.exact.size,
            needs_same_dtype=saved_by == "same dtype",
            saved_by=saved_by,
            median_allowed_ulp=median_allowed_ulp,
        )

    def _errors(self) -> tuple[Any, Any]:
        """The error of each element, and where only the host's own NaN or infinity forgives it."""
        import numpy as np

        actual, exact, width = self._actual, self._exact, self._width
        info = DTYPE_INFO[self.dtype]
        # Metal flushes results below the smallest normal number to zero.
        error = np.where((actual == 0) & (np.abs(exact) < info.smallest_normal), 0.0, self._raw)
        # What stands for "the largest number" is that of the dtype: nan_to_num, for one.
        largest = (np.abs(exact) == DTYPE_INFO["float64"].max) & (np.abs(actual) == info.max)
        if largest.any():
            error = np.where(largest & (np.sign(actual) == np.sign(exact)), 0.0, error)
        special = ~(np.isfinite(actual) & np.isfinite(exact))
        forgiven = np.zeros(error.shape, bool)
        if not special.any():
            return error, forgiven
        same = _same_special(actual, exact, width, info) | self._undecided
        if self._other is not None:
            other = _same_special(actual, self._other, width, info)
            forgiven = special & other & ~same
        error = np.where(special, np.where(same | forgiven, 0.0, np.inf), error)
        return error, forgiven


def _index(place: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The position of a flat place."""
    found = []
    for size in reversed(shape):
        place, here = divmod(place, size)
        found.append(here)
    return tuple(reversed(found))


def same(exact: Any, median_allowed_ulp: float) -> Judgement:
    """The judgement of a result that is the oracle itself."""
    first = exact.flat[0].item()
    place = (0,) * exact.ndim
    return Judgement(
        place, first, first, 0.0, 0.0, 0.0, 0, exact.size, median_allowed_ulp=median_allowed_ulp
    )


def judge(actual: Any, terms: Terms, dtype: str) -> Judgement:
    """Judge a result against the envelope of terms that are all known."""
    import numpy as np

    exact = np.asarray(terms.exact)
    actual = np.asarray(actual)
    if actual.dtype.kind in "iub" or exact.dtype.kind in "iub":
        return judge_exact(actual, exact)
    if exact.size == 0:
        return Judgement((), None, None, 0.0, 0.0, 0.0, 0, 0)
    found = Judging(actual, exact, dtype, terms.dtype_bound)
    for name in TERMS[1:]:
        if found.agrees:
            break
        values = terms.same_dtype_values if name == "same dtype" else None
        found.widen(
            name,
            _at(getattr(terms, name.replace(" ", "_")), exact, found.open),
            _at(terms.undecided, exact, found.open),
            None if values is None else _at(values, exact, found.open),
        )
    return found.judgement(median_ulp(terms, dtype))


def _at(term: Any, exact: Any, places: Any) -> Any:
    """The values of a term at flat positions."""
    import numpy as np

    return np.broadcast_to(term, exact.shape).reshape(-1)[places]


def median_ulp(terms: Terms, dtype: str) -> float:
    """The median half width in ULP, over the elements of which the oracle is finite."""
    import numpy as np

    exact = np.asarray(terms.exact)
    finite = np.isfinite(exact)
    if not finite.any():
        return envelope.dtype_ulps(dtype)
    width = envelope.allowed(terms)
    return float(np.median(width[finite] / envelope.ulp(exact[finite], dtype)))


def judge_exact(actual: Any, exact: Any) -> Judgement:
    """Judge integers or booleans: they are the oracle's, or they are wrong."""
    import numpy as np

    actual, exact = np.asarray(actual), np.asarray(exact)
    if exact.size == 0:
        return Judgement((), None, None, 0.0, 0.0, 0.0, 0, 0, saved_by="exact")
    differs = actual != exact
    outside = int(np.count_nonzero(differs))
    worst: tuple[Any, ...] = (0,) * exact.ndim
    error = 0.0
    if outside:
        # Python integers: the difference of two int64 does not fit into one.
        off = np.zeros(exact.shape)
        for place in np.argwhere(differs):
            here = tuple(place)
            off[here] = abs(int(actual[here]) - int(exact[here]))
        worst = np.unravel_index(int(np.argmax(off)), exact.shape)
        error = float(off[worst])
    return Judgement(
        index=tuple(int(part) for part in worst),
        actual=actual[worst].item(),
        oracle=exact[worst].item(),
        error=error,
        error_ulp=error,
        error_envelope=math.inf if outside else 0.0,
        outside=outside,
        total=exact.size,
        saved_by="none" if outside else "exact",
        median_allowed_ulp=0.0,
    )


def _same_special(actual: Any, exact: Any, width: Any, info: Precision) -> Any:
    """Where NaN and infinities agree, component by component."""
    if actual.dtype.kind == "c" or exact.dtype.kind == "c":
        real = _same_component(actual.real, exact.real, width, info, beside=True)
        return real & _same_component(actual.imag, exact.imag, width, info, beside=True)
    return _same_component(actual, exact, width, info, beside=False)


def _same_component(actual: Any, exact: Any, width: Any, info: Precision, *, beside: bool) -> Any:
    import numpy as np

    same = (actual == exact) | (np.isnan(actual) & np.isnan(exact))
    # Half a unit beyond the largest number is where rounding to nearest gives infinity.
    limit = info.max * (1 + info.eps / 4)
    over = np.isinf(actual) & np.isfinite(exact) & (np.sign(actual) == np.sign(exact))
    same |= over & (np.abs(exact) + width >= limit)
    if beside:
        same |= np.isfinite(actual) & np.isfinite(exact)
    return same
