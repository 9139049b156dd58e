"""Results of many calls beside the dtype bound at once.

Most results lie inside, and for a small one the calls of NumPy cost more than its elements.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import blocks, envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.agreement.oracle import Unjudged

#: Elements of a result up to which it is judged with others, and of those that wait for more.
MOST_ELEMENTS = 2**13


#: Kinds of arrays whose elements are the oracle's or wrong.
_WHOLE = frozenset("iub")


class Together:
    """Results that wait to be judged by the dtype bound at once."""

    def __init__(self) -> None:
        #: The leaves by their dtype, on the device and on the host, with their result's place.
        self._leaves: defaultdict[Any, list[tuple[int, Any, Any]]] = defaultdict(list)
        self._count = 0

    def takes(self, one: Unjudged) -> bool:
        """Take in a result, unless it is to be judged alone.

        That are large ones, and those with a leaf that is neither a floating array of real
        numbers nor the very integers or booleans of its oracle.
        """
        import numpy as np

        taken = []
        elements = 0
        for place, (host, exact) in enumerate(zip(one.hosts, one.oracle.exact, strict=True)):
            kind = exact.dtype.kind if isinstance(exact, np.ndarray) else ""
            dtype = one.dtype_of(place)
            if kind == "f" and exact.size and dtype in envelope.DTYPE_INFO:
                taken.append(((dtype, host.dtype.char), host, exact))
                elements += exact.size
            elif kind not in _WHOLE or not blocks.is_same(host, exact):
                return False
        if elements > MOST_ELEMENTS or one.full:
            return False
        for key, host, exact in taken:
            self._leaves[key].append((self._count, host, exact))
        self._count += 1
        return True

    def judged(self) -> list[tuple[float, float]]:
        """The largest error of each result in units of the dtype bound, and in ULP.

        The first is NaN or above 1 where an element is outside of the bound. Afterwards none
        waits.
        """
        found = [(0.0, 0.0)] * self._count
        for (dtype, _), leaves in self._leaves.items():
            bound = envelope.dtype_ulps(dtype)
            largest = _largest([one[1:] for one in leaves], dtype)
            for (place, *_), ratio in zip(leaves, largest, strict=True):
                before = found[place][0]
                if before == before and not ratio <= before:  # a NaN stays
                    found[place] = ratio, ratio * bound
        self._leaves.clear()
        self._count = 0
        return found


def _largest(leaves: Sequence[Any], dtype: str) -> list[float]:
    """The largest error of each leaf, in units of the dtype bound; NaN where one is NaN."""
    import numpy as np

    actual = np.concatenate([host for host, _ in leaves], axis=None)
    exact = np.concatenate([wide for _, wide in leaves], axis=None)
    starts = list(accumulate([wide.size for _, wide in leaves[:-1]], initial=0))
    with np.errstate(all="ignore"):
        ratio, *_ = blocks.ratios(actual, exact, dtype)
        if not ratio.max() <= 1.0:
            ratio[actual == exact] = 0.0  # infinities among them
        largest: list[float] = np.maximum.reduceat(ratio, starts).tolist()
    return largest
