"""Does an operator of torch's database run on a device, and is it right?

One call of ``check`` carries out every sample of an operator, in one dtype and direction, and
ends in an outcome. The device never judges itself: see ``oracle``.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import fallback, opinfo
from pytest_applesilicon.agreement import oracle
from pytest_applesilicon.records import OpOutcome

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


#: Operators whose results in integers nobody defines, with the reason.
_UNDEFINED_IN_INTEGERS = {
    "masked.logsumexp": "where everything is masked it casts a float32 near -2**31 to an integer",
}


def find(name: str) -> Operator:
    """The operator of this name.

    Raises:
        ValueError: torch's database has none, or it is left out; near names are listed.
        OpInfoError: the database cannot be read.
    """
    import difflib

    names = {operator.name: operator for operator in opinfo.operators()}
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


def check(
    name: str,
    dtype: str,
    *,
    device: Any,
    direction: str = "forward",
    seed: int = 0,
    count: int | None = None,
    sample: int | None = None,
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

    Returns:
        the worst outcome of all samples: wrong, then unsupported, fallback and native; or
        not-run where there is no sample.
    """
    import torch

    operator = find(name)
    target = torch.device(device)
    found = OpOutcome(operator.name, operator.category, dtype, direction, "not-run")
    drawn = operator.samples(dtype, seed=seed, count=count, requires_grad=False)
    with warnings.catch_warnings():
        # torch's samples use deprecated operators too, and say so.
        warnings.simplefilter("ignore")
        for position, one in enumerate(drawn):
            if sample is not None and position != sample:
                continue
            if _cannot(direction, one):
                continue
            run = _Run(operator, one, dtype, target, direction)
            found = _worse(found, run.outcome(found), position, seed, device)
    return found


def _cannot(direction: str, sample: Sample) -> bool:
    """Whether torch refuses this sample in this direction on every device."""
    if direction == "inplace":
        return sample.broadcasts
    # nonzero(as_tuple=True) returns a tuple of any length, and out= is a single tensor.
    return direction == "out" and bool(sample.kwargs.get("as_tuple"))


#: From the best to the worst.
_ORDER = ("not-run", "native", "fallback", "unsupported", "wrong")


def _worse(before: OpOutcome, now: OpOutcome, position: int, seed: int, device: Any) -> OpOutcome:
    """The worse outcome of the two, with the figures of both."""
    both = replace(
        now,
        samples=before.samples + 1,
        worst_ulp=max(before.worst_ulp, now.worst_ulp),
        worst_envelope=max(before.worst_envelope, now.worst_envelope),
        needs_same_dtype=before.needs_same_dtype + now.needs_same_dtype,
    )
    if _ORDER.index(before.outcome) >= _ORDER.index(now.outcome):
        return replace(both, outcome=before.outcome, reason=before.reason)
    if now.outcome != "wrong":
        return both
    return replace(both, reason=f"{now.reason}\n{reproduction(now, position, seed, device)}")


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

    def outcome(self, base: OpOutcome) -> OpOutcome:
        base = replace(base, worst_ulp=0.0, worst_envelope=0.0, needs_same_dtype=0, reason="")
        call = self._call()
        args, kwargs = self.sample.args, dict(self.sample.kwargs)
        ran_on_cpu: list[str] = []
        try:
            actual = self._on_device(call, args, kwargs, ran_on_cpu)
        except Exception as error:  # whatever an operator raises is an outcome
            return self._raised(base, error, call, args, kwargs)
        return self._judged(base, actual, ran_on_cpu)

    def _call(self) -> Callable[..., Any]:
        if self.direction == "gradient":
            return partial(_gradients, self.operator, self.sample)
        if self.direction == "inplace":
            return partial(_inplace, self.operator, self.sample)
        return partial(_forward, self.operator, self.sample)

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

        moved = oracle.mapped(value, leaf)
        if isinstance(moved, dict) and moved.get("device") == "cpu":
            moved["device"] = self.device
        return moved

    def _raised(
        self,
        base: OpOutcome,
        error: Exception,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> OpOutcome:
        text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        lacking = isinstance(error, NotImplementedError) or any(
            part in str(error) for part in _UNSUPPORTED
        )
        if lacking:
            return replace(base, outcome="unsupported", reason=text)
        try:
            call(*oracle.copied(args), **oracle.copied(kwargs))
        except Exception:  # the host refuses the sample as well: it tells nothing
            return replace(base, outcome="not-run", reason=text)
        reason = f"{self._place()} raised {text}; the CPU does not"
        return replace(base, outcome="wrong", reason=reason)

    def _judged(self, base: OpOutcome, actual: Any, ran_on_cpu: list[str]) -> OpOutcome:
        import torch

        elsewhere = self._elsewhere(actual)
        if elsewhere:
            reason = f"{self._place()}: the result is on {elsewhere}, not on {self.device}"
            return replace(base, outcome="wrong", reason=reason)
        found = oracle.judge_sample(
            actual,
            self._call(),
            self.sample.args,
            dict(self.sample.kwargs),
            getattr(torch, self.dtype),
            # Selections and decompositions are told by name; a gradient is neither, and what
            # works in place keeps its dtype.
            name=self.operator.name if self._told_by_name() else "",
            kind="floating"
            if self.direction == "gradient" and self.operator.kind != "random"
            else self.operator.kind_of(self.sample),
        )
        figures = found.judgement
        if figures is not None and figures.agrees:
            base = replace(
                base,
                worst_ulp=_finite(figures.error_ulp),
                worst_envelope=_finite(figures.error_envelope),
                needs_same_dtype=int(found.needs_same_dtype),
            )
        if not found.agrees:
            return replace(base, outcome="wrong", reason=f"{self._place()}: {_told(found)}")
        if ran_on_cpu:
            return replace(base, outcome="fallback", reason=", ".join(ran_on_cpu))
        return replace(base, outcome="native")

    def _told_by_name(self) -> bool:
        # sum_to_size returns its input where nothing is to sum: the dtypes of one call do not
        # tell those of another.
        return self.direction in ("forward", "out") and self.operator.name != "sum_to_size"

    def _elsewhere(self, actual: Any) -> str:
        """The device of the first result that is not on the device of the inputs."""
        import torch

        for leaf in oracle.leaves(actual):
            if isinstance(leaf, torch.Tensor) and leaf.device.type != self.device.type:
                return str(leaf.device)
        return ""

    def _place(self) -> str:
        return f"{self.operator.name}{self.sample.text}, {self.direction} in {self.dtype}"


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _told(found: oracle.SampleJudgement) -> str:
    """What differs, with the worst element and the sizes of its error."""
    figures = found.judgement
    if found.differs_in != "values" or figures is None:
        return (
            f"{found.differs_in} of result {found.leaf} differs: "
            f"{found.actual}, expected {found.expected}"
        )
    return (
        f"result {found.leaf} is wrong at {list(figures.index)}: {figures.actual}, "
        f"oracle {figures.oracle}: off by {figures.error:.3g}, {figures.error_ulp:.3g} ULP, "
        f"{figures.error_envelope:.3g} times what is allowed; "
        f"{figures.outside} of {figures.total} elements are outside"
    )


def _forward(operator: Operator, sample: Sample, *args: Any, **kwargs: Any) -> Any:
    import torch

    with torch.no_grad():
        return operator.call(sample, args=args, kwargs=kwargs)


def _inplace(operator: Operator, sample: Sample, *args: Any, **kwargs: Any) -> Any:
    """The first argument after the call in place, which must be what the call returns."""
    import torch

    with torch.no_grad():
        first = args[0].clone()
        operator.call_inplace(sample, args=(first, *args[1:]), kwargs=kwargs)
        return first


def _into_out(operator: Operator, sample: Sample, *args: Any, **kwargs: Any) -> Any:
    """What the call writes into ``out``, which is filled with other values before."""
    import torch

    with torch.no_grad():
        shaped = operator.call(sample, args=args, kwargs=kwargs)
        outs = tuple([torch.full_like(one, 1) for one in oracle.leaves(shaped)])
        single = isinstance(shaped, torch.Tensor)
        operator.call_out(sample, outs[0] if single else outs, args=args, kwargs=kwargs)
        return outs


def _gradients(operator: Operator, sample: Sample, *args: Any, **kwargs: Any) -> Any:
    """The gradients of the inputs, for an upstream gradient that is exact in every dtype."""
    import torch

    inputs: list[Any] = []

    def leaf(one: Any) -> Any:
        if isinstance(one, torch.Tensor) and (one.is_floating_point() or one.is_complex()):
            inputs.append(one.detach().clone().requires_grad_())
            return inputs[-1]
        return one

    moved, named = oracle.mapped(args, leaf), oracle.mapped(dict(kwargs), leaf)
    result = sample.process(operator.call(sample, args=moved, kwargs=named))
    outputs = [
        one for one in oracle.leaves(result) if isinstance(one, torch.Tensor) and one.requires_grad
    ]
    if not outputs or not inputs:
        return ()
    upstream = [_upstream(one) for one in outputs]
    return torch.autograd.grad(outputs, inputs, upstream, materialize_grads=True)


def _upstream(output: Any) -> Any:
    """Quarters from -1 to 1 in turn: float16 and bfloat16 hold them exactly."""
    import torch

    steps = torch.arange(output.numel(), dtype=torch.float64).remainder(9).sub(4).div(4)
    return steps.reshape(output.shape).to(output.dtype).to(output.device)
