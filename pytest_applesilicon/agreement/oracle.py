"""The float64 result of a torch call on the host CPU, and judging another result by it.

The terms of the envelope are found lazily, in the order of their cost: the perturbed runs only
where the dtype bound is exceeded, the rounded intermediates only where these do not explain the
error, the same-dtype run last. A term only ever widens the envelope, so the verdict is the same
as if all had been found.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import decomposition, envelope, selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_applesilicon.agreement.envelope import Judgement, Terms

#: Draws of random signs. Two show the size of most conditions. Of eight, the largest falls
#: below a third of the standard deviation of a sum for one element in 50,000 (0.26**8), so
#: the six others are drawn only where two do not explain an error.
FEW_DRAWS = 2
MANY_DRAWS = 8

#: A step this much smaller tells a jump from a slope: a result that moves as far with it as
#: with the whole step jumps at the input itself, which the device is given exactly.
SMALL_STEP = 2.0**-10

#: A slope moves SMALL_STEP times as far with the small step. One that moves more than this
#: share of the whole step's way jumps; between the two lies the rounding of float64.
JUMP = 1 / 16


@dataclass(frozen=True)
class Oracle:
    """What a call gives in float64 on the host, leaf by leaf in the order of its output."""

    #: Host arrays (float64, complex128, integers, booleans), or other Python values.
    exact: tuple[Any, ...]
    #: What the perturbed runs moved, in absolute units; 0.0 where nothing could move.
    condition: tuple[Any, ...]
    #: Where the perturbed runs disagree about NaN, infinite or finite.
    undecided: tuple[Any, ...]
    #: The name of each leaf's dtype in the sample's own dtype.
    dtypes: tuple[str, ...] = ()
    #: The host had no wider result: these are the same dtype's.
    same_dtype: bool = False


@dataclass(frozen=True)
class SampleJudgement:
    """The first property in which the leaves of a result differ, or how far they lie off."""

    #: "type", "shape", "dtype", "values" or None.
    differs_in: str | None
    #: The place of the leaf shown in the output's order.
    leaf: int = 0
    actual: str = ""
    expected: str = ""
    #: Of the worst leaf; None where no values were judged.
    judgement: Judgement | None = None
    leaves: int = 0
    #: Inside only thanks to the same-dtype term.
    needs_same_dtype: bool = False
    #: The host had no float64 result to compare with: it was its result in the same dtype.
    oracle_same_dtype: bool = False
    #: What kind of check judged the values: "envelope", "selection", "decomposition", "none".
    judged_by: str = "envelope"

    @property
    def agrees(self) -> bool:
        return self.differs_in is None


# Walking arguments and results


def mapped(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """``value`` with ``leaf`` applied to everything in it that is no tuple, list or dict."""
    kind = type(value)
    if kind is tuple:
        return tuple([mapped(part, leaf) for part in value])
    if kind is list:
        return [mapped(part, leaf) for part in value]
    if kind is dict:
        return {key: mapped(part, leaf) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*[mapped(part, leaf) for part in value])
    return leaf(value)


def leaves(value: Any) -> list[Any]:
    """The tensors and other values in a result, in order, containers walked."""
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in leaves(part)]
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    return [value]


def to_host(value: Any) -> Any:
    """A leaf as a host array in float64 or complex128 (integers and booleans as they are)."""
    import numpy as np
    import torch

    if not isinstance(value, torch.Tensor):
        return np.asarray(value) if isinstance(value, (bool, int, float, complex)) else value
    value = value.detach()
    if value.device.type != "cpu":
        value = value.cpu()
    if value.layout is not torch.strided:
        value = value.to_dense()
    if value.is_quantized:
        value = value.dequantize()
    return value.to(_wide(value.dtype)).resolve_conj().resolve_neg().numpy()


@functools.cache
def _wide(dtype: Any) -> Any:
    import torch

    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


def dtype_name(dtype: Any) -> str:
    """``float32`` for ``torch.float32``, and for that name itself."""
    return str(dtype).removeprefix("torch.")


def widen(value: Any, dtype: Any) -> Any:
    """Arguments for the oracle: tensors on the host, widened and copied.

    Floating and complex tensors become float64 and complex128, and so do dtype arguments,
    the sample's ``dtype`` among them; integers and booleans keep their dtype.
    """
    import torch

    def leaf(one: Any) -> Any:
        if isinstance(one, torch.Tensor):
            return _widened(one)
        if isinstance(one, torch.dtype):
            return _wide(one)
        return torch.device("cpu") if isinstance(one, torch.device) else one

    del dtype  # Any floating dtype is widened: the oracle rounds nowhere.
    return mapped(value, leaf)


def _widened(tensor: Any) -> Any:
    tensor = tensor.detach()
    wide = _wide(tensor.dtype)
    if tensor.device.type != "cpu":
        tensor = tensor.cpu()
    return tensor.clone() if wide is tensor.dtype else tensor.to(wide)


def copied(value: Any) -> Any:
    """Arguments with every tensor copied, for calls that write into them."""
    import torch

    def leaf(one: Any) -> Any:
        return one.detach().clone() if isinstance(one, torch.Tensor) else one

    return mapped(value, leaf)


# Perturbing


def perturbed(value: Any, dtype: Any, seed: int, *, step: float = 1.0, flush: bool = False) -> Any:
    """Widened arguments with every floating number moved by one epsilon of ``dtype``.

    Each element is multiplied by one plus or minus epsilon, signs drawn at random from
    ``seed``; the global generator is not touched. Python floats which the dtype cannot hold
    are moved as well. With ``flush``, subnormal numbers of the dtype become zero.
    """
    import torch

    info = envelope.DTYPE_INFO.get(dtype_name(dtype), envelope.DTYPE_INFO["float32"])
    signs = _Signs(seed)
    eps = info.eps * step

    def leaf(one: Any) -> Any:
        if isinstance(one, torch.Tensor):
            return _moved(one, eps, signs, info.smallest_normal if flush else 0.0)
        if type(one) is float and math.isfinite(one) and not _holds(one, info.eps):
            return one * (1 + eps * signs.one())
        return one

    return mapped(value, leaf)


def _moved(tensor: Any, eps: float, signs: _Signs, smallest: float) -> Any:
    import torch

    if not (tensor.is_floating_point() or tensor.is_complex()):
        return tensor.clone()
    if tensor.layout is not torch.strided:
        return tensor * (1 + eps)
    moved = torch.addcmul(tensor, tensor, signs.like(tensor), value=eps)
    if smallest:
        moved = torch.where(tensor.abs() < smallest, torch.zeros_like(moved), moved)
    return moved


#: How many random signs are kept; a prime, so that no tensor's rows repeat in step with them.
_POOL = 65_537


class _Signs:
    """Random ones and minus ones: runs of a fixed pool, begun at places the seed decides.

    Drawing them anew for every tensor took longer than the operators themselves.
    """

    def __init__(self, seed: int) -> None:
        self.state = seed

    def _start(self) -> int:
        # Knuth's linear congruential generator (MMIX); the high bits are the random ones.
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % _POOL

    def like(self, tensor: Any) -> Any:
        """Signs in the shape of ``tensor``."""
        start, count = self._start(), tensor.numel()
        pool = _sign_pool(-(-count // _POOL) + 1, tensor.is_complex())
        return pool[start : start + count].view(tensor.shape)

    def one(self) -> float:
        """One sign."""
        return float(_sign_pool(1, False)[self._start()])


@functools.lru_cache(maxsize=4)
def _sign_pool(repeats: int, as_complex: bool) -> Any:
    import torch

    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (_POOL,), generator=generator) * 2 - 1
    return signs.to(torch.complex128 if as_complex else torch.float64).repeat(repeats)


def _holds(number: float, eps: float) -> bool:
    """Whether a dtype with this epsilon holds the number exactly, its range apart."""
    mantissa, _ = math.frexp(number)
    return (mantissa * 2.0 / eps).is_integer()


# The oracle


@contextlib.contextmanager
def _float64_by_default() -> Iterator[None]:
    """Results without a floating input (creation, integer inputs) are float64 as well."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def evaluate(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dtype: Any,
    seed: int,
    draws: int = FEW_DRAWS,
) -> Oracle:
    """The float64 result of ``call`` and, with ``draws``, its local condition.

    Args:
        call: what is judged; its tensors are passed as arguments, so that they can be widened.
        args: the arguments in the sample's dtype, on any device. They are not written to.
        kwargs: the keyword arguments.
        dtype: the sample's dtype.
        seed: of the random signs.
        draws: how many perturbed runs.
    """
    with _float64_by_default():
        result = call(*widen(args, dtype), **_hosted(kwargs))
        exact = tuple([to_host(leaf) for leaf in leaves(result)])
    still = tuple(0.0 for _ in exact)
    oracle = Oracle(exact, still, tuple(False for _ in exact))
    if draws and any(_moves(leaf) for leaf in exact):
        runs = _perturbed_runs(call, args, kwargs, dtype, seed, range(draws))
        oracle = _with_condition(oracle, runs)
    return oracle


def _hosted(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Widened keyword arguments; a device they name is the host."""
    if not kwargs:
        return kwargs
    wide: dict[str, Any] = widen(kwargs, None)
    if isinstance(wide.get("device"), str):
        wide["device"] = "cpu"
    return wide


def _moves(leaf: Any) -> bool:
    """Whether rounding can move the leaf at all."""
    return getattr(getattr(leaf, "dtype", None), "kind", None) in ("f", "c") and leaf.size > 0


def _perturbed_runs(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dtype: Any,
    seed: int,
    draws: range,
    step: float = 1.0,
) -> list[list[Any]]:
    """The leaves of each perturbed run that could be made."""
    runs = []
    wide = (widen(args, dtype), _hosted(kwargs))
    with _float64_by_default():
        for draw in draws:
            flush = draw == 1 and step == 1.0
            moved = perturbed(wide, dtype, seed * MANY_DRAWS + draw, step=step, flush=flush)
            with contextlib.suppress(RuntimeError, ValueError, IndexError, TypeError):
                runs.append([to_host(leaf) for leaf in leaves(call(*moved[0], **moved[1]))])
    return runs


def _with_condition(oracle: Oracle, runs: list[list[Any]]) -> Oracle:
    """The oracle with what ``runs`` moved added to what is known already."""
    condition, undecided = list(oracle.condition), list(oracle.undecided)
    for place, exact in enumerate(oracle.exact):
        if not _moves(exact):
            continue
        for run in runs:
            if len(run) == len(oracle.exact) and getattr(run[place], "shape", None) == exact.shape:
                moved, unsure = _difference(run[place], exact)
                condition[place] = _larger(condition[place], moved)
                undecided[place] = undecided[place] | unsure
    return replace(oracle, condition=tuple(condition), undecided=tuple(undecided))


def _larger(left: Any, right: Any) -> Any:
    import numpy as np

    return np.maximum(left, right)


def _difference(run: Any, exact: Any) -> tuple[Any, Any]:
    """How far a run lies from the oracle, and where only one of them is finite."""
    import numpy as np

    with np.errstate(all="ignore"):
        moved = np.abs(run - exact)
        usable = np.isfinite(moved)
        same = (run == exact) | (np.isnan(run) & np.isnan(exact))
    return np.where(usable, moved, 0.0), ~usable & ~same


def condition_of(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dtype: Any,
    seed: int,
    oracle: Oracle,
    draws: range,
) -> Oracle:
    """The oracle with the condition that these draws show."""
    return _with_condition(oracle, _perturbed_runs(call, args, kwargs, dtype, seed, draws))


def small_step_of(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dtype: Any,
    seed: int,
    oracle: Oracle,
) -> Oracle:
    """The oracle with what a much smaller step moves, as its condition."""
    runs = _perturbed_runs(call, args, kwargs, dtype, seed, range(1), SMALL_STEP)
    return _with_condition(oracle, runs)


def slope(condition: Any, small: Any) -> Any:
    """The condition without the jumps."""
    import numpy as np

    return np.where(small > JUMP * condition, 0.0, condition)


# Rounding every intermediate result


@functools.cache
def _decompositions() -> dict[Any, Any]:
    """Recipes of fused operators in terms of simple ones: torch's, and ours where it has none."""
    import torch

    ours = {
        torch.ops.aten.igamma.default: functools.partial(_incomplete_gamma, torch.igamma),
        torch.ops.aten.igammac.default: functools.partial(_incomplete_gamma, torch.igammac),
    }
    try:
        from torch._decomp import decomposition_table
    except ImportError:
        return ours
    return {**decomposition_table, **ours}


def _incomplete_gamma(function: Any, a: Any, x: Any) -> Any:
    """The incomplete gamma functions, with the rounding of their common factor.

    Every series and continued fraction of them is multiplied by ``x**a * exp(-x) / gamma(a)``,
    computed as the exponential of a sum that may be large where the result is not (DLMF
    8.7.1, 8.9.2; Cephes igam.c). The difference of two roundings of that sum is what shows.
    """
    import torch

    def exponent() -> Any:
        return a * torch.log(x) - x - torch.lgamma(a)

    rounding = torch.nan_to_num(exponent() - exponent(), 0.0, 0.0, 0.0)
    return function(a, x) * torch.exp(rounding)


def magnitude_of(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dtype: Any,
    seed: int,
    oracle: Oracle,
    draws: range,
) -> Oracle:
    """The oracle with what a rounding of every intermediate result moves, as its condition.

    Monte Carlo arithmetic (Parker 1997): the result of every operator on the way, fused ones
    taken apart by torch's own decompositions, moves by one epsilon of the dtype. This shows an
    inner scale that is larger than the result, as in ``log_softmax``, and coordinates computed
    in the dtype, as in ``interpolate``. The inputs and the final result stay: for these are
    the condition and the dtype bound.
    """
    runs = []
    with _float64_by_default():
        for draw in draws:
            mode = _rounding_mode()(dtype_name(dtype), (seed + 1) * 1_000_003 + draw)
            wide_args, wide_kwargs = widen(args, dtype), _hosted(kwargs)
            # Not every recipe takes every call; a draw that fails shows nothing.
            with contextlib.suppress(Exception), mode:
                result = leaves(call(*wide_args, **wide_kwargs))
                runs.append([to_host(mode.before(leaf)) for leaf in result])
            if not mode.inner:
                break
    return _with_condition(oracle, runs)


def _rounded(mode: Any, in_place: bool, value: Any) -> Any:
    """A result moved by one epsilon, except where the dtype holds it exactly."""
    import torch

    if not _is_wide(value):
        return value
    factor = mode.signs.like(value).mul(mode.eps).add_(1.0)
    if value.is_complex() == mode.dtype.is_complex:
        held = value.to(mode.dtype).to(value.dtype) == value
        factor = torch.where(held, 1.0, factor)
    plain = value.clone() if in_place else value
    moved = value.mul_(factor) if in_place else value * factor
    # The latest first: what was written twice is found as it was before the last time.
    mode.latest.appendleft((moved, plain))
    return moved


def _taken_apart(func: Any, args: Any, kwargs: Any) -> Any:
    """The result of torch's recipe of an operator; NotImplemented where there is none."""
    recipe = _decompositions().get(func)
    return NotImplemented if recipe is None else recipe(*args, **kwargs)


def _is_wide(value: Any) -> bool:
    """Whether a value is a strided tensor of the oracle's floating dtypes."""
    import torch

    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.dtype in (torch.float64, torch.complex128)
    )


@functools.cache
def _writes(func: Any) -> bool:
    """Whether an operator writes into an argument: its schema says so, and nothing public."""
    return bool(func._schema.is_mutable)  # noqa: SLF001


#: How many of the latest results are kept, to find the final ones among them.
_LATEST = 8


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
            self.dtype = getattr(torch, known)
            self.signs = _Signs(seed)
            self.latest: deque[tuple[Any, Any]] = deque(maxlen=_LATEST)
            #: Whether any result was taken up by a later operator.
            self.inner = False
            self.inside: list[Any] = []

        def before(self, result: Any) -> Any:
            """A final result as it was before it moved."""
            return next((plain for moved, plain in self.latest if moved is result), result)

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            # A recipe may call its own operator: that call is then taken as it is. One that
            # writes is too: torch's recipes return what should have been written.
            if func not in self.inside and not _writes(func):
                self.inside.append(func)
                with self:
                    result = _taken_apart(func, args, kwargs or {})
                self.inside.pop()
                if result is not NotImplemented:
                    return result
            self.inner = self.inner or bool(self.latest)
            result = func(*args, **(kwargs or {}))
            if func.is_view:
                return result
            return mapped(result, functools.partial(_rounded, self, _writes(func)))

    return Rounding


# The same dtype on another path


def other_path(value: Any) -> Any:
    """Arguments in which every tensor is stored with other strides, with the same values."""
    import torch

    def leaf(one: Any) -> Any:
        if not isinstance(one, torch.Tensor):
            return torch.device("cpu") if isinstance(one, torch.device) else one
        one = one.detach().cpu()
        if one.layout is not torch.strided or one.is_quantized:
            return one.clone()
        if one.dim() == 0:
            return torch.stack([one, one])[1]
        spread = torch.empty((*one.shape, 2), dtype=one.dtype).select(-1, 0)
        return spread.copy_(one)

    return mapped(value, leaf)


def same_dtype_error(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], oracle: Oracle
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What the host is off in the same dtype on another path, and its values there.

    Both empty where the host cannot make that call, or where even its float64 result is another
    one there: ``as_strided`` reads the storage itself.
    """
    import numpy as np

    try:
        result = [to_host(leaf) for leaf in leaves(call(*other_path(args), **other_path(kwargs)))]
    except (RuntimeError, ValueError, TypeError, IndexError):
        return (), ()
    errors = []
    with np.errstate(all="ignore"):
        for one, exact in zip(result, oracle.exact, strict=False):
            comparable = _moves(exact) and getattr(one, "shape", None) == exact.shape
            errors.append(np.abs(one - exact) if comparable else 0.0)
    if any(map(_is_large, errors, oracle.exact)) and not _any_path(call, args, kwargs, oracle):
        return (), ()
    return tuple(errors), tuple(result)


#: An error of this share of the largest element is hardly one of rounding, in any dtype; and
#: two float64 results that differ by it are not of the same computation.
LARGE_ERROR = 2.0**-10


def _is_large(error: Any, exact: Any) -> bool:
    """Whether an error is so large that rounding alone hardly explains it."""
    import numpy as np

    if not np.ndim(exact) or not np.ndim(error):
        return bool(np.any(error))
    size = np.abs(exact)
    return bool(np.any(error > LARGE_ERROR * np.max(size, where=np.isfinite(size), initial=0.0)))


def _any_path(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], oracle: Oracle
) -> bool:
    """Whether the float64 result is the same one on the other path."""
    import numpy as np

    with _float64_by_default(), np.errstate(all="ignore"):
        wide = other_path(widen(args, None)), other_path(_hosted(kwargs))
        result = [to_host(leaf) for leaf in leaves(call(*wide[0], **wide[1]))]
        return not any(
            _is_large(np.nan_to_num(np.abs(one - exact)), exact)
            for one, exact in zip(result, oracle.exact, strict=True)
            if _moves(exact)
        )


# Judging a sample


@dataclass
class _Evidence:
    """The terms of one sample, found when asked for and then kept."""

    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dtype: Any
    seed: int
    oracle: Oracle
    known: dict[str, Any] = field(default_factory=dict)

    def condition(self, draws: int) -> Oracle:
        return self._shown("condition", condition_of, draws)

    def small_step(self) -> Oracle:
        if "small step" not in self.known:
            self.known["small step"] = small_step_of(
                self.call, self.args, self.kwargs, self.dtype, self.seed, self.oracle
            )
        found: Oracle = self.known["small step"]
        return found

    def magnitude(self, draws: int) -> Oracle:
        import numpy as np

        found = self._shown("magnitude", magnitude_of, FEW_DRAWS)
        # Nothing was rounded on the way: more draws show nothing either.
        moved = any(one.any() for one in found.condition if isinstance(one, np.ndarray))
        return self._shown("magnitude", magnitude_of, draws) if moved else found

    def _shown(self, term: str, run: Callable[..., Oracle], draws: int) -> Oracle:
        key = f"{term} {draws}"
        if key not in self.known:
            first = draws == FEW_DRAWS
            base = self.oracle if first else self._shown(term, run, FEW_DRAWS)
            more = range(0 if first else FEW_DRAWS, draws)
            self.known[key] = run(
                self.call, self.args, self.kwargs, self.dtype, self.seed, base, more
            )
        found: Oracle = self.known[key]
        return found

    def same_dtype(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        if "same dtype" not in self.known:
            self.known["same dtype"] = same_dtype_error(
                self.call, self.args, self.kwargs, self.oracle
            )
        found: tuple[tuple[Any, ...], tuple[Any, ...]] = self.known["same dtype"]
        return found


def _widenings(evidence: _Evidence, place: int, terms: Terms, dtype: str) -> Iterator[Terms]:
    """The terms of one leaf, each time with one more, in the order of their cost."""
    for draws in (FEW_DRAWS, MANY_DRAWS):
        found = evidence.condition(draws)
        factor = envelope.condition_factor(dtype)
        terms = _with(terms, found, place, condition=factor * found.condition[place])
        yield terms
        found = evidence.magnitude(draws)
        factor = envelope.magnitude_factor(dtype)
        terms = _with(terms, found, place, magnitude=factor * found.condition[place])
        yield terms
        errors, values = evidence.same_dtype()
        if place < len(errors) and _moves(errors[place]):
            same = envelope.same_dtype_term(errors[place], replace(terms, same_dtype=0.0))
            terms = replace(terms, same_dtype=same, same_dtype_values=values[place])
            yield terms


def _with(terms: Terms, found: Oracle, place: int, **more: Any) -> Terms:
    return replace(terms, undecided=terms.undecided | found.undecided[place], **more)


def _without_jumps(evidence: _Evidence, place: int, terms: Terms, dtype: str) -> Terms:
    """The terms with the condition only where the result does not jump at the input itself."""
    factor = envelope.condition_factor(dtype)
    small = evidence.small_step().condition[place]
    return replace(terms, condition=slope(terms.condition, factor * small))


def _judge_leaf(
    evidence: _Evidence, place: int, actual: Any, dtype: str, *, full: bool
) -> Judgement:
    """Judge one leaf, with as few of the terms as it takes."""
    exact = evidence.oracle.exact[place]
    if dtype.startswith(_PYTHON):
        # ``item`` and ``tolist``: a number of the sample's dtype in a wider type.
        dtype = dtype_name(evidence.dtype)
    if not _moves(exact) or dtype not in envelope.DTYPE_INFO:
        return envelope.judge_exact(actual, exact)
    plain = envelope.dtype_terms(exact, dtype)
    found = envelope.judge(actual, plain, dtype)
    if found.agrees and not full:
        return found
    for terms in _widenings(evidence, place, plain, dtype):
        found = envelope.judge(actual, terms, dtype)
        if found.agrees or full:
            found = envelope.judge(actual, _without_jumps(evidence, place, terms, dtype), dtype)
        if found.agrees and not full:
            break
    return found


def judge_sample(
    actual: Any,
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dtype: Any,
    *,
    name: str = "",
    kind: str = "floating",
    seed: int = 0,
    full: bool = False,
) -> SampleJudgement:
    """Judge what ``call`` gave on a device by what it gives on the host.

    Args:
        actual: the result, or its leaves; tensors may still be on the device.
        call: what was called. It must be callable with the arguments widened to float64.
        args: the arguments; not written to.
        kwargs: the keyword arguments.
        dtype: the sample's dtype.
        name: torch's name of the operator, which tells selections and decompositions, whose
            results are not unique, and lets the dtypes of a result be looked up once.
        kind: "exact", "floating", "random", "decomposition" or "metadata". Of random results
            and metadata only type, shape and dtype are judged.
        seed: of the perturbed runs.
        full: find the terms of the envelope even where the dtype bound suffices, so that
            ``median_allowed_ulp`` tells the whole envelope.

    Returns:
        the first mismatch in the order type, shape, dtype, values; or the worst leaf. The
        device is for the caller to judge.
    """
    results = leaves(actual)
    oracle = _oracle_of(call, args, kwargs, dtype, seed, name)
    mismatch = _shape_mismatch(results, oracle)
    if mismatch is not None:
        return mismatch
    if kind in ("random", "metadata"):
        return SampleJudgement(None, leaves=len(results), judged_by="none")
    hosts = [to_host(leaf) for leaf in results]
    special = _judge_special(hosts, oracle, args, kwargs, name)
    if special is not None:
        return special
    evidence = _Evidence(call, args, kwargs, dtype, seed, oracle)
    return _judge_values(evidence, hosts, full=full)


def _judge_values(evidence: _Evidence, hosts: list[Any], *, full: bool) -> SampleJudgement:
    """Judge leaf by leaf; the worst in units of the envelope is told."""
    import numpy as np

    oracle = evidence.oracle
    worst, place, needs = None, 0, False
    for position, (host, exact) in enumerate(zip(hosts, oracle.exact, strict=True)):
        if not isinstance(exact, np.ndarray):
            if type(host) is not type(exact) or host != exact:
                texts = repr(host), repr(exact)
                return SampleJudgement("values", position, *texts, leaves=len(hosts))
            continue
        found = _judge_leaf(evidence, position, host, oracle.dtypes[position], full=full)
        needs |= found.needs_same_dtype
        if worst is None or found.error_envelope > worst.error_envelope:
            worst, place = found, position
    if worst is None:
        return SampleJudgement(None, leaves=len(hosts))
    return SampleJudgement(
        None if worst.agrees else "values",
        place,
        str(worst.actual),
        str(worst.oracle),
        worst,
        len(hosts),
        needs,
        oracle.same_dtype,
    )


def _judge_special(
    hosts: list[Any], oracle: Oracle, args: Any, kwargs: Any, name: str
) -> SampleJudgement | None:
    """Judge what a selection or decomposition chose; None for every other operator."""
    import torch

    for module, kind in ((selection, "selection"), (decomposition, "decomposition")):
        if name not in module.NAMES:
            continue
        given = [to_host(one) if isinstance(one, torch.Tensor) else one for one in args]
        problem = module.problem(name, hosts, list(oracle.exact), given, kwargs, oracle.dtypes)
        if problem is None:
            return None
        return SampleJudgement(
            "values" if problem else None,
            actual=problem,
            expected=f"a correct {kind}" if problem else "",
            leaves=len(hosts),
            judged_by=kind,
        )
    return None


def _oracle_of(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dtype: Any,
    seed: int,
    name: str,
) -> Oracle:
    """The oracle without conditions; in the same dtype where the call takes no other."""
    try:
        oracle = evaluate(call, args, kwargs, dtype, seed, draws=0)
    except (RuntimeError, TypeError, ValueError, IndexError, AssertionError, OverflowError):
        result = leaves(call(*other_path(args), **other_path(kwargs)))
        exact = tuple(to_host(leaf) for leaf in result)
        still = tuple(0.0 for _ in exact)
        return Oracle(exact, still, tuple(False for _ in exact), _dtypes(result), same_dtype=True)
    return replace(oracle, dtypes=_expected_dtypes(call, args, kwargs, name, oracle))


#: Before the type's name where a leaf is no tensor.
_PYTHON = "Python "

_DTYPES: dict[Any, tuple[str, ...]] = {}


def _dtypes(result: list[Any]) -> tuple[str, ...]:
    return tuple([_dtype_of(leaf) for leaf in result])


def _dtype_of(leaf: Any) -> str:
    """The dtype of a tensor, or the type of another value."""
    import torch

    if isinstance(leaf, torch.Tensor):
        return dtype_name(leaf.dtype)
    return f"{_PYTHON}{type(leaf).__name__}"


def _expected_dtypes(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    name: str,
    oracle: Oracle,
) -> tuple[str, ...]:
    """The dtypes of the result in the sample's own dtype, from one run of each signature."""
    key = (name, _signature(args), _signature(kwargs), len(oracle.exact)) if name else None
    if key is None or key not in _DTYPES:
        result = leaves(call(*copied(on_host(args)), **copied(on_host(kwargs))))
        if key is None:
            return _dtypes(result)
        _DTYPES[key] = _dtypes(result)
    return _DTYPES[key]


def on_host(value: Any) -> Any:
    """Arguments with every tensor and every device on the host."""
    import torch

    def leaf(one: Any) -> Any:
        if isinstance(one, torch.Tensor):
            return one.cpu() if one.device.type != "cpu" else one
        return torch.device("cpu") if isinstance(one, torch.device) else one

    return mapped(value, leaf)


def _signature(value: Any) -> Any:
    """What of the arguments can decide the dtypes of a result."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.dtype, value.dim() == 0, value.numel() == 0
    if isinstance(value, (tuple, list)):
        return tuple([_signature(part) for part in value])
    if isinstance(value, dict):
        return tuple([(key, _signature(part)) for key, part in value.items()])
    if isinstance(value, (bool, str, torch.dtype, type(None))):
        return value
    return type(value)


def _shape_mismatch(results: list[Any], oracle: Oracle) -> SampleJudgement | None:
    """The first leaf of another type, shape or dtype."""
    import numpy as np
    import torch

    count = len(results)
    if count != len(oracle.exact):
        return SampleJudgement("type", 0, f"{count} leaves", f"{len(oracle.exact)} leaves")
    for place, (leaf, exact) in enumerate(zip(results, oracle.exact, strict=True)):
        is_tensor = isinstance(leaf, torch.Tensor)
        wanted, given = oracle.dtypes[place], _dtype_of(leaf)
        if is_tensor == wanted.startswith(_PYTHON):
            return SampleJudgement("type", place, given, wanted, leaves=count)
        if is_tensor and isinstance(exact, np.ndarray) and tuple(leaf.shape) != exact.shape:
            shapes = str(tuple(leaf.shape)), str(exact.shape)
            return SampleJudgement("shape", place, *shapes, leaves=count)
        if given != wanted:
            return SampleJudgement("dtype", place, given, wanted, leaves=count)
    return None
