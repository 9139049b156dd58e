"""The terms of one sample's envelope, each found when it is asked for and then kept.

What the host is off in the same dtype first, because it costs a single call; the perturbed runs
only where that does not explain the error, the rounded intermediates only where these do not. A
term only ever widens the envelope, so the verdict is the same in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import envelope
from pytest_applesilicon.agreement.judging import Judging
from pytest_applesilicon.agreement.perturbing import perturbed_run
from pytest_applesilicon.agreement.rounding import rounded_run
from pytest_applesilicon.agreement.same_dtype import every_path, first_path, is_comparable
from pytest_applesilicon.agreement.walking import moves, widen, widen_named

if TYPE_CHECKING:
    from collections.abc import Callable

#: Draws of random signs. Two show the size of most conditions. Of eight, the largest falls
#: below a third of the standard deviation of a sum for one element in 50,000 (0.26**8), of 32
#: practically never, so that more are drawn only where fewer do not explain an error.
DRAWS = (2, 8, 32)
FEW_DRAWS, MANY_DRAWS = DRAWS[0], DRAWS[-1]

#: A step this much smaller tells a jump from a slope: a result that moves as far with it as
#: with the whole step jumps at the input itself, which the device is given exactly.
SMALL_STEP = 2.0**-10

#: A slope moves SMALL_STEP times as far with the small step. One that moves more than this
#: share of the whole step's way jumps; between the two lies the rounding of float64.
JUMP = 1 / 16

Leaves = list[Any]


@dataclass
class Evidence:
    """What the runs of one call show about each leaf of its result."""

    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    #: The name of the dtype whose epsilon the inputs and intermediate results move by.
    dtype: str
    seed: int
    #: The oracle's leaves.
    exact: tuple[Any, ...]
    #: The call may be made with parts of its arguments: its kernel checks that these fit.
    splits: bool = False
    #: Try the same-dtype term last, to tell what only that one saves.
    same_dtype_last: bool = False
    _perturbed: list[Leaves | None] = field(default_factory=list)
    _rounded: list[Leaves | None] = field(default_factory=list)
    _small: list[Leaves | None] = field(default_factory=list)
    #: Values of the host on the first path, and its errors on every path.
    _first: tuple[Any, ...] | None = None
    _every: tuple[Any, ...] | None = None
    #: No intermediate result was found to round: more draws show nothing either.
    _nothing_inside: bool = False

    def judging(self, actual: Any, place: int, dtype: str) -> Judging:
        """A leaf beside the dtype bound and, unless it is tried last, what the host is off.

        Args:
            actual: the leaf on the host.
            place: of the leaf.
            dtype: the name of its dtype.
        """
        host = None if self.same_dtype_last else partial(self._values, place)
        return Judging(actual, self.exact[place], dtype, host=host)

    def _values(self, place: int) -> Any:
        """What the host gives for a leaf on the first path; ``None`` where it gives none."""
        values = self._first_path()
        if place < len(values) and is_comparable(values[place], self.exact[place]):
            return values[place]
        return None

    def close(self, judging: Judging, place: int) -> None:
        """Widen the envelope of a leaf term by term, until every element is inside."""
        for draws in DRAWS:
            for widen_by in (self._by_condition, self._by_magnitude, self._by_same_dtype):
                if judging.agrees:
                    return
                widen_by(judging, place, draws)

    def _by_condition(self, judging: Judging, place: int, draws: int) -> None:
        width, undecided = self.condition(place, draws, judging.open, judging.dtype)
        judging.widen("condition", width, undecided)

    def _by_magnitude(self, judging: Judging, place: int, draws: int) -> None:
        width, undecided = self.magnitude(place, draws, judging.open, judging.dtype)
        judging.widen("magnitude", width, undecided)

    def _by_same_dtype(self, judging: Judging, place: int, draws: int) -> None:
        term, values = self.same_dtype(place, judging.dtype)
        if draws == FEW_DRAWS and term is not None:
            here = judging.open
            judging.widen("same dtype", term.reshape(-1)[here], other=values.reshape(-1)[here])

    def condition(self, place: int, draws: int, at: Any, dtype: str) -> tuple[Any, Any]:
        """What moving the inputs moves, jumps left out, and where it is undecided.

        Args:
            place: of the leaf.
            draws: how many runs.
            at: flat positions of the elements.
            dtype: the name of the leaf's dtype.
        """
        import numpy as np

        wide = (widen(self.args), widen_named(self.kwargs))
        for draw in range(len(self._perturbed), draws):
            seed = self.seed * MANY_DRAWS + draw
            run = perturbed_run(self.call, wide, self.dtype, seed, flush=draw == 1)
            self._perturbed.append(run)
        if not self._small:
            seed = self.seed * MANY_DRAWS
            run = perturbed_run(self.call, wide, self.dtype, seed, step=SMALL_STEP)
            self._small.append(run)
        moved, undecided = self._shown(self._perturbed[:draws], place, at)
        small, _ = self._shown(self._small, place, at)
        slope = np.where(small > JUMP * moved, 0.0, moved)
        return envelope.condition_factor(dtype) * slope, undecided

    def magnitude(self, place: int, draws: int, at: Any, dtype: str) -> tuple[Any, Any]:
        """What rounding the intermediate results moves, and where it is undecided.

        The arguments are those of ``condition``.
        """
        for draw in range(len(self._rounded), draws):
            if self._nothing_inside:
                break
            wide = (widen(self.args), widen_named(self.kwargs))
            seed = (self.seed + 1) * 1_000_003 + draw
            run, inner = rounded_run(self.call, wide, self.dtype, seed)
            self._rounded.append(run)
            self._nothing_inside = not inner
        moved, undecided = self._shown(self._rounded[:draws], place, at)
        return envelope.magnitude_factor(dtype) * moved, undecided

    def same_dtype(self, place: int, dtype: str) -> tuple[Any, Any]:
        """The same-dtype term of every element and the host's values; ``None`` without a run."""
        errors, values = self._every_path(), self._first_path()
        if place >= len(errors) or not moves(errors[place]):
            return None, None
        others = self.terms(place, FEW_DRAWS, dtype)
        return envelope.same_dtype_term(errors[place], others, dtype), values[place]

    def _first_path(self) -> tuple[Any, ...]:
        if self._first is None:
            self._first = first_path(self.call, self.args, self.kwargs, self.exact)
        return self._first

    def _every_path(self) -> tuple[Any, ...]:
        if self._every is None:
            call = (self.call, self.args, self.kwargs, self.exact)
            self._every = every_path(self._first_path(), *call, splits=self.splits)
        return self._every

    def terms(self, place: int, draws: int, dtype: str) -> envelope.Terms:
        """The terms of every element but the same-dtype one."""
        import numpy as np

        exact = self.exact[place]
        everywhere = np.arange(exact.size)
        condition, unsure = self.condition(place, draws, everywhere, dtype)
        magnitude, open_ = self.magnitude(place, draws, everywhere, dtype)
        shape = exact.shape
        return envelope.Terms(
            exact,
            envelope.dtype_terms(exact, dtype).dtype_bound,
            condition=condition.reshape(shape),
            magnitude=magnitude.reshape(shape),
            undecided=(unsure | open_).reshape(shape),
        )

    def all_terms(self, place: int, dtype: str) -> envelope.Terms:
        """Every term of every element, with all draws."""
        term, values = self.same_dtype(place, dtype)
        terms = self.terms(place, MANY_DRAWS, dtype)
        if term is None:
            return terms
        return replace(terms, same_dtype=term, same_dtype_values=values)

    def _shown(self, runs: list[Leaves | None], place: int, at: Any) -> tuple[Any, Any]:
        """The largest move of all runs, and where one of them only is finite."""
        import numpy as np

        exact = self.exact[place]
        here = exact.reshape(-1)[at]
        moved, undecided = np.zeros(here.shape), np.zeros(here.shape, bool)
        for run in runs:
            if run is None or len(run) != len(self.exact):
                continue
            if getattr(run[place], "shape", None) != exact.shape:
                continue
            distance, unsure = _difference(run[place].reshape(-1)[at], here)
            moved = np.maximum(moved, distance)
            undecided |= unsure
        return moved, undecided


def _difference(run: Any, exact: Any) -> tuple[Any, Any]:
    """How far a run lies from the oracle, and where only one of them is finite."""
    import numpy as np

    with np.errstate(all="ignore"):
        moved = np.abs(run - exact)
        usable = np.isfinite(moved)
        same = (run == exact) | (np.isnan(run) & np.isnan(exact))
    return np.where(usable, moved, 0.0), ~usable & ~same
