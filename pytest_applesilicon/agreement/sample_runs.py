"""One sample of an operator on one device, and samples whose results are judged together."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_applesilicon import fallback
from pytest_applesilicon.agreement import (
    directions,
    layouts,
    oracle,
    shapes,
    telling,
    walking,
)
from pytest_applesilicon.agreement.lacking import is_lacking
from pytest_applesilicon.agreement.tally import Found
from pytest_applesilicon.agreement.together import MOST_ELEMENTS, Together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_applesilicon.agreement.tally import Tally
    from pytest_applesilicon.opinfo import Operator, Sample
    from pytest_applesilicon.opinfo.kinds import Kind

#: Operators whose other tensors must stay on the CPU: torch refuses them on any device.
_PLACES_ON_THE_HOST = frozenset({"tensor_split"})


@dataclass(frozen=True)
class Run:
    """One sample on one device."""

    operator: Operator
    sample: Sample
    dtype: str
    device: Any
    direction: str
    layout: str = field(default="", kw_only=True)
    same_dtype_last: bool = field(default=False, kw_only=True)

    def found(self) -> Found:
        """What the sample shows."""
        ran = self.ran()
        return ran if isinstance(ran, Found) else found_of([ran])[0]

    def ran(self) -> Found | Ran:
        """Make the call on the device: what it gave, or what the sample shows without."""
        call = directions.call_of(self.operator, self.sample, self.direction, self.layout)
        args, kwargs = self.sample.args, dict(self.sample.kwargs)
        ran_on_cpu: list[str] = []
        try:
            actual = self._on_device(call, args, kwargs, ran_on_cpu)
        except Exception as error:  # whatever an operator raises is an outcome
            return self._raised(error, call, args, kwargs)
        results = walking.leaves(actual)
        elsewhere = self._elsewhere(results)
        if elsewhere:
            reason = f"{self._place()}: the result is on {elsewhere}, not on {self.device}"
            return Found("wrong", reason)
        # Selections and decompositions are told by name; a gradient is neither, and what works
        # in place keeps its dtype.
        name = self.operator.name if self._told_by_name() else ""
        return Ran(self, oracle.Call(self._on_host(call), args, kwargs, name), results, ran_on_cpu)

    def _on_host(self, call: Callable[..., Any]) -> Callable[..., Any]:
        # The layout ``expanded`` has another upstream gradient, the others store it otherwise.
        if self.layout in ("", "expanded"):
            return call
        return directions.call_of(self.operator, self.sample, self.direction)

    def _on_device(
        self,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        ran_on_cpu: list[str],
    ) -> Any:
        there, named = self._moved(args), self._moved(kwargs)
        if self.operator.name in _PLACES_ON_THE_HOST:
            there = (there[0], *args[1:])
        if self.direction == "out":
            call = partial(directions.into_out, self.operator, self.sample)
        if self.device.type != "mps":
            return call(*there, **named)
        with fallback.watch() as seen:
            result = call(*there, **named)
        ran_on_cpu += seen
        return result

    def _moved(self, value: Any) -> Any:
        """Copies of the tensors on the device; devices named in the arguments become it."""
        if not value:
            return value
        moved = walking.mapped(value, _copying(self.device))
        if isinstance(moved, dict) and moved.get("device") == "cpu":
            moved["device"] = self.device
        # A copy to a device makes many a view contiguous: the layout is built there.
        return layouts.applied(moved, self.layout)[0] if self.layout else moved

    def _raised(
        self,
        error: Exception,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Found:
        text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if is_lacking(error):
            return Found("unsupported", text)
        try:
            here, named = walking.copied(args), walking.copied(kwargs)
            if self.layout:
                (here, named), _ = layouts.applied((here, named), self.layout)
            call(*here, **named)
        except Exception:  # the host refuses the sample as well: it tells nothing
            return Found("not-run", text)
        return Found("wrong", f"{self._place()} raised {text}; the CPU does not")

    def judged(self, ran: Ran, exact: oracle.Oracle) -> Found | Waiting:
        """What the sample shows by the oracle, or what waits for its values to be judged."""
        import torch

        call = ran.call
        found = oracle.prepared(
            ran.results,
            call.function,
            call.args,
            call.kwargs,
            getattr(torch, self.dtype),
            name=call.name,
            kind=self._kind(),
            splits=self.direction == "forward" and self.operator.name not in shapes.UNCHECKED,
            same_dtype_last=self.same_dtype_last,
            oracle=exact,
        )
        if isinstance(found, oracle.Unjudged):
            return Waiting(self, found, call.function, ran.where())
        return self.told(found, call.function, ran.where())

    def _kind(self) -> Kind:
        if self.direction == "gradient" and self.operator.kind != "random":
            return "floating"
        return self.operator.kind_of(self.sample)

    def told(self, judged: oracle.SampleJudgement, call: Callable[..., Any], ran: Found) -> Found:
        """What the judgement of a result says.

        Args:
            judged: the judgement.
            call: the call that was judged.
            ran: where it ran.
        """
        if not judged.agrees:
            sample = self.sample
            expected = telling.host_element(call, sample.args, sample.kwargs, judged)
            reason = f"{self._place()}: {telling.told(judged, expected=expected)}"
            return Found("wrong", reason)
        figures = judged.judgement
        if figures is None:
            return ran
        return Found(
            ran.outcome,
            ran.reason,
            _finite(figures.error_ulp),
            _finite(figures.error_envelope),
            judged.needs_same_dtype,
        )

    def _told_by_name(self) -> bool:
        # sum_to_size returns its input where nothing is to sum: the dtypes of one call do not
        # tell those of another.
        return self.direction in ("forward", "out") and self.operator.name != "sum_to_size"

    def _elsewhere(self, results: list[Any]) -> str:
        """The device of the first result that is not on the device of the inputs."""
        import torch

        here = self.device.type
        for leaf in results:
            if isinstance(leaf, torch.Tensor) and not (
                leaf.is_cpu if here == "cpu" else leaf.device.type == here
            ):
                return str(leaf.device)
        return ""

    def _place(self) -> str:
        return f"{self.operator.name}{self.sample.text}, {self.direction} in {self.dtype}"


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


@functools.cache
def _copying(device: Any) -> Callable[[Any], Any]:
    """What makes a copy of a tensor on a device, and the device itself of one that is named."""
    import torch

    tensor, is_here = torch.Tensor, device.type == "cpu"

    def leaf(one: Any) -> Any:
        if one.__class__ in walking.PLAIN:
            return one
        if isinstance(one, tensor):
            copy = (one.detach() if one.requires_grad else one).clone()
            return copy if is_here else copy.to(device)
        named = isinstance(one, torch.device) or (one.__class__ is str and one == "cpu")
        return device if named else one

    return leaf


class Ran(NamedTuple):
    """A sample that ran, and whose oracle waits to be found."""

    run: Run
    #: On the host.
    call: oracle.Call
    #: The leaves, on the device.
    results: list[Any]
    #: Operators that ran on the CPU.
    ran_on_cpu: list[str]

    def where(self) -> Found:
        """Where it ran."""
        return Found("fallback" if self.ran_on_cpu else "native", ", ".join(self.ran_on_cpu))

    @property
    def elements(self) -> int:
        """Of all tensors in the result."""
        import torch

        return sum([leaf.numel() for leaf in self.results if isinstance(leaf, torch.Tensor)])


class Waiting(NamedTuple):
    """A sample that ran, and whose values wait to be judged."""

    run: Run
    unjudged: oracle.Unjudged
    call: Callable[..., Any]
    #: Where it ran.
    ran: Found

    def found(self) -> Found:
        """What the sample shows, judged alone."""
        return self.run.told(self.unjudged.judged(), self.call, self.ran)

    def inside(self, ratio: float, ulp: float) -> Found:
        """What the sample shows where every element is inside of the dtype bound."""
        return Found(self.ran.outcome, self.ran.reason, ulp, ratio)


#: Samples that wait for others at most. Each keeps its arguments.
MOST_WAITING = 32


class Queue:
    """Samples on their way into a tally, in their order, judged together where they are small."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._samples: list[tuple[Found | Ran, int]] = []
        self._elements = 0

    def add(self, ran: Found | Ran, position: int) -> None:
        """Take in what ``Run.ran`` gave for the sample at a position."""
        self._samples.append((ran, position))
        if isinstance(ran, Ran):
            self._elements += ran.elements
        if len(self._samples) >= MOST_WAITING or self._elements > MOST_ELEMENTS:
            self.finish()

    def finish(self) -> None:
        """Judge what waits, and count it."""
        found = iter(found_of([one for one, _ in self._samples if isinstance(one, Ran)]))
        for one, position in self._samples:
            self._tally.add(next(found) if isinstance(one, Ran) else one, position)
        self._samples.clear()
        self._elements = 0


def found_of(ran: Sequence[Ran]) -> list[Found]:
    """What each sample shows; the values of small results are judged together."""
    exact = oracle.oracles([one.call for one in ran])
    judged = [one.run.judged(one, wide) for one, wide in zip(ran, exact, strict=True)]
    together = Together()
    are_taken = [isinstance(one, Waiting) and together.takes(one.unjudged) for one in judged]
    figures = iter(together.judged())
    return [
        _found(one, next(figures) if is_taken else None)
        for one, is_taken in zip(judged, are_taken, strict=True)
    ]


def _found(one: Found | Waiting, figures: tuple[float, float] | None) -> Found:
    if isinstance(one, Found):
        return one
    if figures is not None and figures[0] <= 1.0:
        return one.inside(*figures)
    return one.found()
