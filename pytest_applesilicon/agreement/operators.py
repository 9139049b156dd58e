"""Does an operator of torch's database run on a device, and is it right?

One call of ``check`` carries out every sample of an operator, in one dtype and direction, and
ends in an outcome. The device never judges itself: see ``oracle``.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import fallback, opinfo
from pytest_applesilicon.agreement import directions, layouts, oracle, shapes, telling, walking
from pytest_applesilicon.agreement.tally import Found, Tally
from pytest_applesilicon.records import OpOutcome, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.opinfo import Operator, Sample

#: What torch says where a kernel is missing or does not take a dtype. The first is the
#: dispatcher's (MPSFallback.mm), the others stand in single kernels.
_UNSUPPORTED = (
    "is not currently implemented for the MPS device",
    "not implemented for",
    "not supported",
    "unsupported",
    "doesn't support",
    "does not support",
    # A kernel that is looked up by device, past the dispatcher (DispatchStub.cpp).
    "DispatchStub",
    # mode(out=), which names the devices it takes (Sorting.cpp).
    "device type, got: ",
)


#: Operators whose other tensors must stay on the CPU: torch refuses them on any device.
_PLACES_ON_THE_HOST = frozenset({"tensor_split"})


@functools.cache
def _by_name() -> dict[str, Operator]:
    return {operator.name: operator for operator in opinfo.operators()}


def find(name: str) -> Operator:
    """The operator of this name.

    Raises:
        ValueError: torch's database has none, or it is left out; near names are listed.
        OpInfoError: the database cannot be read.
    """
    import difflib

    names = _by_name()
    if name in names:
        return names[name]
    near = ", ".join(difflib.get_close_matches(name, names)) or "none"
    why = opinfo.LEFT_OUT.get(name, "it is not in torch's operator database")
    raise ValueError(f"operator {name!r}: {why}; near names: {near}")


def is_lacking(error: Exception) -> bool:
    """Whether torch says so that a kernel is missing, or does not take the dtype."""
    return isinstance(error, NotImplementedError) or any(
        part in str(error) for part in _UNSUPPORTED
    )


def check(
    name: str,
    dtype: str,
    *,
    device: Any,
    direction: str = "forward",
    seed: int = 0,
    count: int | None = None,
    sample: int | None = None,
    same_dtype_last: bool = False,
) -> OpOutcome:
    """Run samples of an operator on a device and judge each.

    Args:
        name: of the operator.
        dtype: one of ``opinfo.DTYPES``.
        device: a ``torch.device`` or its name.
        direction: one of ``directions.DIRECTIONS``.
        seed: of the samples.
        count: how many samples; ``None`` for all.
        sample: the position of the only one to run, to reproduce a failure.
        same_dtype_last: see ``oracle.judge_sample``.

    Returns:
        the worst outcome of all samples: wrong, then unsupported, fallback and native; or
        not-run where there is no sample.
    """
    import torch

    operator = find(name)
    target = torch.device(device)
    tally = Tally()
    drawn = operator.samples(dtype, seed=seed, count=count, requires_grad=False)
    with warnings.catch_warnings():
        # torch's samples use deprecated operators too, and say so.
        warnings.simplefilter("ignore")
        for position, one in enumerate(drawn):
            if sample is not None and position != sample:
                continue
            if directions.is_refused(direction, one):
                continue
            run = _Run(operator, one, dtype, target, direction, same_dtype_last=same_dtype_last)
            tally.add(run.found(), position)
    found = OpOutcome(operator.name, operator.category, dtype, direction, **tally.figures)
    if found.outcome == "wrong":
        again = reproduction(found, tally.position, seed, device)
        found = replace(found, reason=f"{found.reason}\n{again}")
    return found


def sample_outcome(
    operator: Operator,
    sample: Sample,
    dtype: str,
    *,
    device: Any,
    direction: str = "forward",
    layout: str = "",
) -> OpOutcome:
    """Run one sample of an operator on a device, its tensors stored in a layout, and judge it.

    Args:
        operator: what is called.
        sample: its arguments, on the host.
        dtype: one of ``opinfo.DTYPES``.
        device: a ``torch.device`` or its name.
        direction: one of ``directions.DIRECTIONS``; the upstream gradient and the tensor that
            is written in place are stored in the layout too.
        layout: one of ``layouts.LAYOUTS``, or empty for that of the sample.
    """
    import torch

    run = _Run(operator, sample, dtype, torch.device(device), direction, layout=layout)
    tally = Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tally.add(run.found(), 0)
    return OpOutcome(operator.name, operator.category, dtype, direction, **tally.figures)


def reproduction(found: OpOutcome, position: int, seed: int, device: Any) -> str:
    """A program of three lines that runs the one sample again and prints what is wrong."""
    return (
        "reproduce:\n"
        "  from pytest_applesilicon.agreement.operators import check\n"
        f'  found = check("{found.operator}", "{found.dtype}", device="{device}",'
        f' direction="{found.direction}", seed={seed}, sample={position})\n'
        "  print(found.outcome, found.reason)"
    )


@dataclass(frozen=True)
class _Run:
    """One sample on one device."""

    operator: Operator
    sample: Sample
    dtype: str
    device: Any
    direction: str
    layout: str = field(default="", kw_only=True)
    same_dtype_last: bool = field(default=False, kw_only=True)

    def found(self) -> Found:
        call = directions.call_of(self.operator, self.sample, self.direction, self.layout)
        args, kwargs = self.sample.args, dict(self.sample.kwargs)
        ran_on_cpu: list[str] = []
        try:
            actual = self._on_device(call, args, kwargs, ran_on_cpu)
        except Exception as error:  # whatever an operator raises is an outcome
            return self._raised(error, call, args, kwargs)
        return self._judged(actual, ran_on_cpu)

    def _call(self) -> Callable[..., Any]:
        # The layout ``expanded`` has another upstream gradient, the others store it otherwise.
        layout = self.layout if self.layout == "expanded" else ""
        return directions.call_of(self.operator, self.sample, self.direction, layout)

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
        import torch

        if not value:
            return value

        def leaf(one: Any) -> Any:
            if isinstance(one, torch.Tensor):
                copy = (one.detach() if one.requires_grad else one).clone()
                return copy if self.device.type == "cpu" else copy.to(self.device)
            named = isinstance(one, torch.device) or (isinstance(one, str) and one == "cpu")
            return self.device if named else one

        moved = walking.mapped(value, leaf)
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

    def _judged(self, actual: Any, ran_on_cpu: list[str]) -> Found:
        import torch

        elsewhere = self._elsewhere(actual)
        if elsewhere:
            reason = f"{self._place()}: the result is on {elsewhere}, not on {self.device}"
            return Found("wrong", reason)
        call = self._call()
        found = oracle.judge_sample(
            actual,
            call,
            self.sample.args,
            dict(self.sample.kwargs),
            getattr(torch, self.dtype),
            # Selections and decompositions are told by name; a gradient is neither, and what
            # works in place keeps its dtype.
            name=self.operator.name if self._told_by_name() else "",
            kind="floating"
            if self.direction == "gradient" and self.operator.kind != "random"
            else self.operator.kind_of(self.sample),
            splits=self.direction == "forward" and self.operator.name not in shapes.UNCHECKED,
            same_dtype_last=self.same_dtype_last,
        )
        if not found.agrees:
            sample = self.sample
            expected = telling.host_element(call, sample.args, sample.kwargs, found)
            reason = f"{self._place()}: {telling.told(found, expected=expected)}"
            return Found("wrong", reason)
        outcome: Outcome = "fallback" if ran_on_cpu else "native"
        figures = found.judgement
        if figures is None:
            return Found(outcome, ", ".join(ran_on_cpu))
        return Found(
            outcome,
            ", ".join(ran_on_cpu),
            _finite(figures.error_ulp),
            _finite(figures.error_envelope),
            found.needs_same_dtype,
        )

    def _told_by_name(self) -> bool:
        # sum_to_size returns its input where nothing is to sum: the dtypes of one call do not
        # tell those of another.
        return self.direction in ("forward", "out") and self.operator.name != "sum_to_size"

    def _elsewhere(self, actual: Any) -> str:
        """The device of the first result that is not on the device of the inputs."""
        import torch

        for leaf in walking.leaves(actual):
            if isinstance(leaf, torch.Tensor) and leaf.device.type != self.device.type:
                return str(leaf.device)
        return ""

    def _place(self) -> str:
        return f"{self.operator.name}{self.sample.text}, {self.direction} in {self.dtype}"


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
