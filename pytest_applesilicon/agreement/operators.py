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
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_applesilicon import fallback, opinfo
from pytest_applesilicon.agreement import gradients, layouts, oracle, shapes, telling, walking
from pytest_applesilicon.records import OpOutcome, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.opinfo import Operator, Sample

DIRECTIONS = ("forward", "gradient", "inplace", "out")

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


#: Directions that torch's database claims for an operator and torch does not have on the CPU.
REFUSED = {
    ("inplace", "float_power"): "the result is float64",
    ("out", "equal"): "its result is a Python bool",
    ("out", "_batch_norm_with_update"): "out takes four tensors by name only",
    ("out", "histogramdd"): "its result is nested",
    ("out", "fft.ihfft2"): "torch leaves out unwritten where one dimension is transformed",
    ("out", "fft.ihfftn"): "torch leaves out unwritten where one dimension is transformed",
}


_AT_POLES = (
    "negative integers are poles, where torch gives a finite 1 / sin(pi * x)**2 of a rounded pi"
)
#: Operators whose results in integers nobody defines, with the reason.
_UNDEFINED_IN_INTEGERS = {
    **{f"polygamma.polygamma_n_{order}": _AT_POLES for order in range(5)},
    "special.polygamma.special_polygamma_n_0": _AT_POLES,
    "masked.logsumexp": "where everything is masked it casts a float32 near -2**31 to an integer",
}


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


#: Operators whose other tensors must stay on the CPU: torch refuses them on any device.
_PLACES_ON_THE_HOST = frozenset({"tensor_split"})


def dtypes_of(operator: Operator, direction: str) -> frozenset[str]:
    """The dtypes in which a direction of the operator has samples on the CPU."""
    if direction == "gradient":
        return operator.gradient_dtypes
    if (direction, operator.name) in REFUSED or not {
        "inplace": operator.inplace,
        "out": operator.out,
    }.get(direction, True):
        return frozenset()
    if operator.name in _UNDEFINED_IN_INTEGERS:
        return operator.dtypes & {"float32", "float16", "bfloat16", "complex64"}
    return operator.dtypes


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
        direction: one of ``DIRECTIONS``.
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
    tally = _Tally()
    drawn = operator.samples(dtype, seed=seed, count=count, requires_grad=False)
    with warnings.catch_warnings():
        # torch's samples use deprecated operators too, and say so.
        warnings.simplefilter("ignore")
        for position, one in enumerate(drawn):
            if sample is not None and position != sample:
                continue
            if _cannot(direction, one):
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
        direction: one of ``DIRECTIONS``; the upstream gradient and the tensor that is written
            in place are stored in the layout too.
        layout: one of ``layouts.LAYOUTS``, or empty for that of the sample.
    """
    import torch

    run = _Run(operator, sample, dtype, torch.device(device), direction, layout=layout)
    tally = _Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tally.add(run.found(), 0)
    return OpOutcome(operator.name, operator.category, dtype, direction, **tally.figures)


def call_of(
    operator: Operator, sample: Sample, direction: str, layout: str = ""
) -> Callable[..., Any]:
    """What is called in a direction, as a function of the sample's arguments."""
    if direction == "gradient":
        return partial(_gradients, operator, sample, layout)
    if direction == "inplace":
        return partial(_inplace, operator, sample, layout)
    return partial(_forward, operator, sample)


def _cannot(direction: str, sample: Sample) -> bool:
    """Whether torch refuses this sample in this direction on every device."""
    if direction == "inplace":
        return sample.broadcasts
    # nonzero(as_tuple=True) returns a tuple of any length, and out= is a single tensor.
    return direction == "out" and bool(sample.kwargs.get("as_tuple"))


#: From the best to the worst.
_ORDER = ("not-run", "native", "fallback", "unsupported", "wrong")


class _Found(NamedTuple):
    """What one sample showed."""

    outcome: Outcome
    reason: str = ""
    ulp: float = 0.0
    envelope: float = 0.0
    needs_same_dtype: bool = False


@dataclass
class _Tally:
    """The worst outcome of all samples so far, and the figures of all."""

    worst: _Found = field(default_factory=lambda: _Found("not-run"))
    #: Of the sample with the worst outcome.
    position: int = 0
    samples: int = 0
    ulp: float = 0.0
    envelope: float = 0.0
    needs_same_dtype: int = 0

    def add(self, found: _Found, position: int) -> None:
        if _ORDER.index(found.outcome) > _ORDER.index(self.worst.outcome):
            self.worst, self.position = found, position
        elif self.samples == 0:
            self.worst = found  # the reason why the first did not run
        self.samples += 1
        self.ulp = max(self.ulp, found.ulp)
        self.envelope = max(self.envelope, found.envelope)
        self.needs_same_dtype += found.needs_same_dtype

    @property
    def figures(self) -> dict[str, Any]:
        """The fields of the operator's outcome."""
        return {
            "outcome": self.worst.outcome,
            "reason": self.worst.reason,
            "samples": self.samples,
            "worst_ulp": self.ulp,
            "worst_envelope": self.envelope,
            "needs_same_dtype": self.needs_same_dtype,
        }


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

    def found(self) -> _Found:
        call = call_of(self.operator, self.sample, self.direction, self.layout)
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
        return call_of(self.operator, self.sample, self.direction, layout)

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
            call = partial(_into_out, self.operator, self.sample)
        if self.device.type != "mps":
            return call(*there, **named)
        with fallback.watch() as seen:
            result = call(*there, **named)
        ran_on_cpu += seen
        return result

    def _moved(self, value: Any) -> Any:
        """Copies of the tensors on the device; devices named in the arguments become it."""
        import torch

        def leaf(one: Any) -> Any:
            if isinstance(one, torch.Tensor):
                copy = one.detach().clone()
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
    ) -> _Found:
        text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if is_lacking(error):
            return _Found("unsupported", text)
        try:
            here, named = walking.copied(args), walking.copied(kwargs)
            if self.layout:
                (here, named), _ = layouts.applied((here, named), self.layout)
            call(*here, **named)
        except Exception:  # the host refuses the sample as well: it tells nothing
            return _Found("not-run", text)
        return _Found("wrong", f"{self._place()} raised {text}; the CPU does not")

    def _judged(self, actual: Any, ran_on_cpu: list[str]) -> _Found:
        import torch

        elsewhere = self._elsewhere(actual)
        if elsewhere:
            reason = f"{self._place()}: the result is on {elsewhere}, not on {self.device}"
            return _Found("wrong", reason)
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
            return _Found("wrong", reason)
        outcome: Outcome = "fallback" if ran_on_cpu else "native"
        figures = found.judgement
        if figures is None:
            return _Found(outcome, ", ".join(ran_on_cpu))
        return _Found(
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


def _forward(operator: Operator, sample: Sample, *args: Any, **kwargs: Any) -> Any:
    import torch

    with torch.no_grad():
        return operator.call(sample, args=args, kwargs=kwargs)


def _inplace(operator: Operator, sample: Sample, layout: str, *args: Any, **kwargs: Any) -> Any:
    """The first argument after the call in place, which must be what the call returns."""
    import torch

    with torch.no_grad():
        first = layouts.variant(args[0], layout) if layout else None
        first = args[0].clone() if first is None else first
        operator.call_inplace(sample, args=(first, *args[1:]), kwargs=kwargs)
        return first


def _into_out(operator: Operator, sample: Sample, *args: Any, **kwargs: Any) -> Any:
    """What the call writes into ``out``, which is filled with other values before."""
    import torch

    with torch.no_grad():
        shaped = operator.call(sample, args=args, kwargs=kwargs)
        outs = tuple([torch.full_like(one, 1) for one in walking.leaves(shaped)])
        single = isinstance(shaped, torch.Tensor)
        operator.call_out(sample, outs[0] if single else outs, args=args, kwargs=kwargs)
        return outs


def _gradients(operator: Operator, sample: Sample, layout: str, *args: Any, **kwargs: Any) -> Any:
    """The gradients of the inputs, for an upstream gradient that is exact in every dtype."""
    import torch

    given = args, dict(kwargs)
    watch = gradients.differentiable(given, required=False)
    with torch.enable_grad():
        (moved, named), sources = gradients.watched(given, watch)
        result = operator.call(sample, args=moved, kwargs=named)
        result = sample.process(gradients.in_any_order(operator.name, result))
        inputs = [source for _, source in sources]
        return gradients.backward(result, inputs, layout or "contiguous")
