"""Faults of a device that computes wrongly on purpose, and whether one has an effect.

Whether a fault has an effect is decided without the envelope of the judge: by type, shape,
dtype, and a fixed number of units in the last place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from pytest_applesilicon.agreement import directions, envelope, same_dtype, sample_runs, walking

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.opinfo import Sample

    Call = Callable[..., Any]
    Compute = Callable[[Call, tuple[Any, ...], dict[str, Any]], Any]

#: An element that moves by more than so many ULP of the right result is wrong; of reductions
#: and linear algebra, which add many numbers, by more than the other limit.
LIMIT_ULP = 32.0
LONG_SUM_LIMIT_ULP = 64.0
LONG_SUMS = ("reduction", "linear algebra")

#: float32 holds every integer up to 2**24, and not this one.
BEYOND_FLOAT32 = 2**24 + 1


class NotReached(Exception):  # noqa: N818  # not an error: the fault has nothing to act on
    """The call has nothing this fault acts on."""


@dataclass(frozen=True)
class Fault:
    """One way to compute wrongly.

    Attributes:
        name: Short, for the table.
        compute: The wrong result of a call with these arguments, which it may change; it
            raises ``NotReached`` where the fault has nothing to act on.
        direction: One of ``directions.DIRECTIONS``.
        dtype: Of the samples.
        prepare: The arguments with which the fault can show.
        only: Names of operators; empty for all.
        all_samples: Few of the samples show it: all are drawn.
        left_out: Names of operators that the host cannot call with such arguments.
    """

    name: str
    compute: Compute
    direction: str = "forward"
    dtype: str = "float32"
    prepare: Callable[[tuple[Any, ...]], tuple[Any, ...]] = lambda args: args
    only: frozenset[str] = frozenset()
    all_samples: bool = False
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Given(sample_runs.Run):
    """One sample of which the device's result is given: the rest is what ``check`` runs."""

    result: Any = None

    def _on_device(
        self,
        call: Call,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        ran_on_cpu: list[str],
    ) -> Any:
        del call, args, kwargs, ran_on_cpu
        return self.result

    def right(self) -> Any:
        """The result of the host in the sample's own dtype."""
        return self.wrong(_right)

    def host_call(self) -> Call:
        """What is called in this direction, on the host and for the oracle."""
        return directions.call_of(self.operator, self.sample, self.direction)

    def wrong(self, compute: Compute) -> Any:
        """What ``compute`` makes of the call."""
        args, kwargs = self.sample.args, dict(self.sample.kwargs)
        return compute(self.host_call(), walking.copied(args), walking.copied(kwargs))


def prepared(sample: Sample, fault: Fault) -> Sample:
    """The sample with arguments with which the fault can show."""
    return replace(sample, args=fault.prepare(walking.copied(sample.args)))


# What is wrong


def _right(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return call(*args, **kwargs)


def _changed(change: Callable[[Any], Any]) -> Compute:
    """Every strided tensor of the result is changed."""

    def leaf(one: Any) -> Any:
        strided = isinstance(one, torch.Tensor) and one.layout is torch.strided
        return change(one.detach().clone()) if strided else one

    return lambda call, args, kwargs: walking.mapped(call(*args, **kwargs), leaf)


def in_half(tensor: torch.Tensor) -> torch.Tensor:
    """Single precision rounded to half precision."""
    return tensor.half().float() if tensor.dtype == torch.float32 else tensor


def without_last(tensor: torch.Tensor) -> torch.Tensor:
    """The last element is zero."""
    if not tensor.numel():
        return tensor
    flat = tensor.reshape(-1).clone()
    flat[-1] = 0
    return flat.reshape(tensor.shape)


def infinity_as_largest(tensor: torch.Tensor) -> torch.Tensor:
    """Infinity is the largest number of the dtype; complex numbers are left alone."""
    if tensor.is_complex() or not tensor.is_floating_point():
        return tensor
    return torch.nan_to_num(tensor, nan=float("nan"))


def nan_as_zero(tensor: torch.Tensor) -> torch.Tensor:
    """NaN is zero; complex numbers with a NaN are zero."""
    return torch.where(torch.isnan(tensor), torch.zeros_like(tensor), tensor)


def _first_tensor(args: tuple[Any, ...]) -> torch.Tensor:
    """The input: the first tensor among the arguments, in a list or alone."""
    for one in walking.leaves(args):
        if isinstance(one, torch.Tensor) and one.layout is torch.strided:
            return one
    raise NotReached


def input_unchanged(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The input in place of the result."""
    del call, kwargs
    return _first_tensor(args).clone()


def offset_ignored(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The input is a slice that begins at the second element of its storage; read from the first.

    Before the slice stands a copy of its last element, so that what is read is a valid input.
    """
    first = _first_tensor(args)
    if first.numel() < 2:
        raise NotReached
    flat = first.reshape(-1)
    storage = torch.cat([flat[-1:], flat])
    first.copy_(storage[: flat.numel()].reshape(first.shape))
    return call(*args, **kwargs)


def write_lost(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """In place: the input is copied to be contiguous, and the result is not copied back."""
    spread = same_dtype.other_path(args[0])
    if not isinstance(spread, torch.Tensor) or spread.is_contiguous():
        raise NotReached
    call(spread.contiguous(), *args[1:], **kwargs)
    return spread


def through_float32(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Integers are converted to float32 and back, on the way in and on the way out."""

    def leaf(one: Any) -> Any:
        integers = isinstance(one, torch.Tensor) and one.dtype == torch.int64
        return one.float().to(torch.int64) if integers else one

    result = call(*walking.mapped(args, leaf), **walking.mapped(kwargs, leaf))
    return walking.mapped(result, leaf)


def beta_ignored(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``beta`` is taken for one."""
    if "beta" not in kwargs:
        raise NotReached
    return call(*args, **{name: value for name, value in kwargs.items() if name != "beta"})


# Inputs with which a fault shows


def _last_set(value: Any, dtypes: tuple[Any, ...]) -> Any:
    def prepare(args: tuple[Any, ...]) -> tuple[Any, ...]:
        for one in walking.leaves(args):
            if isinstance(one, torch.Tensor) and one.dtype in dtypes and one.numel():
                one[(-1,) * one.dim()] = value
                break
        return args

    return prepare


FAMILY = frozenset({"addmm", "addmm.decomposed", "addmv", "addr", "addbmm", "baddbmm"})

FAULTS = (
    Fault("rounds to half", _changed(in_half)),
    Fault("drops the last element", _changed(without_last)),
    Fault("ignores the storage offset", offset_ignored),
    Fault("returns the input", input_unchanged),
    Fault(
        "flips NaN to zero",
        _changed(nan_as_zero),
        prepare=_last_set(float("nan"), (torch.float32,)),
        # MKL ends the process on NaN: SGEBAL finds its parameters incorrect.
        left_out=frozenset({"linalg.eig", "linalg.eigvals"}),
    ),
    Fault(
        "makes infinity finite",
        _changed(infinity_as_largest),
        prepare=_last_set(float("inf"), (torch.float32,)),
        left_out=frozenset({"linalg.eig", "linalg.eigvals"}),
    ),
    Fault("loses the write in place", write_lost, direction="inplace"),
    Fault(
        "integers through float32",
        through_float32,
        dtype="int64",
        prepare=_last_set(BEYOND_FLOAT32, (torch.int64,)),
        # Their results have as many elements as the largest input says.
        left_out=frozenset({"bincount", "nn.functional.one_hot", "repeat_interleave"}),
    ),
    Fault("ignores beta", beta_ignored, only=FAMILY, all_samples=True),
    Fault("scales a gradient", _changed(lambda tensor: tensor * 0.99), direction="gradient"),
)


# Whether it has an effect


def limit_of(category: str) -> float:
    """How far an element may move before it is wrong, in ULP."""
    return LONG_SUM_LIMIT_ULP if category in LONG_SUMS else LIMIT_ULP


def effect(right: Any, wrong: Any, limit_ulp: float) -> str:
    """The first of type, shape, dtype and values in which ``wrong`` is wrong; else empty."""
    rights, wrongs = walking.leaves(right), walking.leaves(wrong)
    if len(rights) != len(wrongs):
        return "type"
    found = (_leaf_effect(*both, limit_ulp) for both in zip(rights, wrongs, strict=True))
    return next(filter(None, found), "")


def _leaf_effect(right: Any, wrong: Any, limit_ulp: float) -> str:
    if type(right) is not type(wrong):
        return "type"
    if not isinstance(right, torch.Tensor):
        return "" if right == wrong or (right != right and wrong != wrong) else "values"
    if right.shape != wrong.shape:
        return "shape"
    if right.dtype != wrong.dtype:
        return "dtype"
    return "values" if _moved(right, wrong, limit_ulp) else ""


def _moved(right: torch.Tensor, wrong: torch.Tensor, limit_ulp: float) -> bool:
    """Whether an element moved by more than the limit; an integer or boolean, at all."""
    import numpy as np

    before, after = walking.to_host(right), walking.to_host(wrong)
    name = walking.dtype_name(right.dtype)
    if name not in envelope.DTYPE_INFO:
        return bool(np.any(before != after))
    with np.errstate(all="ignore"):
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        unit = envelope.ulp(np.where(np.isfinite(before), before, 0.0), name)
        near = np.abs(after - before) <= limit_ulp * unit
    return bool(np.any(~(same | near)))


def torch_notices(right: Any, wrong: Any) -> bool:
    """Whether torch's default tolerances tell the two apart; NaN is taken for equal to NaN."""
    rights, wrongs = walking.leaves(right), walking.leaves(wrong)
    if len(rights) != len(wrongs):
        return True
    return any(map(_differ, rights, wrongs))


def _differ(right: Any, wrong: Any) -> bool:
    if not isinstance(right, torch.Tensor):
        return bool(_leaf_effect(right, wrong, 0.0))
    try:
        torch.testing.assert_close(wrong, right, equal_nan=True)
    except Exception:  # of other shapes, types and layouts it raises TypeError and more
        return True
    return False
