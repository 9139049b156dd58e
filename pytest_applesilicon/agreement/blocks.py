"""Arrays beside their oracle, in blocks that stay in a core's cache.

Of millions of elements, an intermediate array of their size costs more than the arithmetic,
most of it in asking the system for memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_applesilicon.agreement import envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Elements of a block: 256 KiB in float64, of which several fit into the second cache of a core.
BLOCK = 2**15


class Outside(NamedTuple):
    """The elements outside of a bound, and the worst one inside of it."""

    #: The largest error inside, in units of the bound; -1.0 where none is inside.
    ratio: float
    #: Its flat position.
    place: int
    #: Flat positions of the elements outside; those that are NaN or infinite are.
    at: Any
    #: An element is inside only thanks to what the host is off there.
    by_host: bool = False


def outside(
    actual: Any,
    exact: Any,
    dtype: str,
    bound: Any = None,
    host: Callable[[], Any] | None = None,
) -> Outside:
    """Look for the elements outside of the dtype bound, and of what the host is off itself.

    Args:
        actual: the result on the host, floating or complex.
        exact: the oracle, in the same shape, float64 or complex128.
        dtype: the name of the result's dtype.
        bound: other half widths than those of the dtype bound, in absolute units.
        host: gives the host's values on another path, or ``None``; it is asked only where an
            element is outside of the bound.
    """
    import numpy as np

    widths = None if bound is None else np.broadcast_to(bound, exact.shape).reshape(-1)
    actual, exact = actual.reshape(-1), exact.reshape(-1)
    own = _Own(exact, dtype, host)
    worst, place, at = -1.0, 0, []
    with np.errstate(all="ignore"):
        for part in _parts(exact.size):
            width = None if widths is None else widths[part]
            ratio, error, width = ratios(actual[part], exact[part], dtype, width)
            here = int(ratio.argmax())
            if not ratio[here] <= 1.0:
                own.widen(ratio, error, width, part)
                found = np.flatnonzero(~(ratio <= 1.0))
                if found.size:
                    at.append(found + part.start)
                    ratio[found] = -1.0
                here = int(ratio.argmax())
            if ratio[here] > worst:
                worst, place = float(ratio[here]), here + part.start
    return Outside(worst, place, np.concatenate(at) if at else _NOWHERE, own.is_used)


#: No element is outside.
_NOWHERE: tuple[int, ...] = ()


class _Own:
    """What the host is off itself, at elements outside of the bound."""

    def __init__(self, exact: Any, dtype: str, host: Callable[[], Any] | None) -> None:
        self._exact = exact
        self._dtype = dtype
        self._host = host
        self._values: Any = None
        self._floor = 0.0
        self.is_used = False

    def widen(self, ratio: Any, error: Any, width: Any, part: slice) -> None:
        """Write the ratio to the host's error where that is the wider one, and it is inside."""
        import numpy as np

        at = np.flatnonzero(ratio > 1.0)  # a NaN is for others to judge
        if not at.size or not self._ask():
            return
        own = distance(self._values[part][at], self._exact[part][at])
        term = envelope.least_same_dtype(own, width[at], self._floor)
        found = error[at] / term
        inside = found <= 1.0
        ratio[at[inside]] = found[inside]
        self.is_used |= bool(inside.any())

    def _ask(self) -> bool:
        if self._host is not None:
            values, self._host = self._host(), None
            if values is not None:
                self._values = values.reshape(-1)
                self._floor = envelope.same_dtype_floor(self._exact, self._dtype)
        return self._values is not None


def ratios(actual: Any, exact: Any, dtype: str, width: Any = None) -> tuple[Any, Any, Any]:
    """The error of each element in units of half widths, in absolute units, and the half widths.

    They are those of the dtype bound, unless others are given.

    NaN where one of the two is NaN, or both are infinite.
    """
    import numpy as np

    if width is None:
        width = envelope.ulp(exact, dtype)
        np.multiply(width, envelope.dtype_ulps(dtype), out=width)
    error = distance(actual, exact)
    return error / width, error, width


def distance(actual: Any, exact: Any) -> Any:
    """The modulus of the difference, in memory of its own; of real numbers taken in place."""
    import numpy as np

    difference = np.asarray(actual - exact)
    return np.abs(difference, out=difference if difference.dtype.kind == "f" else None)


def largest_distance(actual: Any, exact: Any) -> float:
    """The largest modulus of a difference, NaN left out; zero without elements."""
    import numpy as np

    actual, exact = actual.reshape(-1), exact.reshape(-1)
    found = 0.0
    with np.errstate(all="ignore"):
        for part in _parts(exact.size):
            found = max(found, float(np.fmax.reduce(distance(actual[part], exact[part]))))
    return found


def is_same(actual: Any, exact: Any) -> bool:
    """Whether every element is the oracle's, and none is NaN."""
    if actual.shape != exact.shape:
        return False
    if exact.size <= BLOCK:
        return bool((actual == exact).all())
    actual, exact = actual.reshape(-1), exact.reshape(-1)
    return all((actual[part] == exact[part]).all() for part in _parts(exact.size))


def _parts(size: int) -> Iterator[slice]:
    """The blocks of an array, from the first to the last."""
    if size <= BLOCK:
        return iter((slice(0, size),))
    return (slice(start, start + BLOCK) for start in range(0, size, BLOCK))
