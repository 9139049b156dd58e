"""The float64 result of a torch call on the host CPU, and judging another result by it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec

from pytest_applesilicon.agreement import (
    blocks,
    decomposition,
    envelope,
    judging,
    result_dtypes,
    selection,
)
from pytest_applesilicon.agreement.evidence import Evidence
from pytest_applesilicon.agreement.perturbing import float64_by_default
from pytest_applesilicon.agreement.same_dtype import other_path
from pytest_applesilicon.agreement.walking import (
    dtype_name,
    leaves,
    moves,
    to_host,
    widen,
    widen_named,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_applesilicon.agreement.judging import Judgement


class Oracle(NamedTuple):
    """What a call gives in float64 on the host, leaf by leaf in the order of its output."""

    #: Host arrays (float64, complex128, integers, booleans), or other Python values.
    exact: tuple[Any, ...]
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
    #: Inside thanks to the same-dtype term; only to that one where it is tried last.
    needs_same_dtype: bool = False
    #: The host had no float64 result to compare with: it was its result in the same dtype.
    oracle_same_dtype: bool = False
    #: What kind of check judged the values: "envelope", "selection", "decomposition", "none".
    judged_by: str = "envelope"

    @property
    def agrees(self) -> bool:
        return self.differs_in is None


class Unjudged(NamedTuple):
    """A result in the right types, shapes and dtypes, whose values wait to be judged."""

    oracle: Oracle
    #: The leaves on the host.
    hosts: list[Any]
    #: The sample's dtype.
    dtype: Any
    #: Makes the evidence for the name of the dtype by whose epsilon everything moves.
    evidence: Callable[[str], Evidence]
    full: bool = False

    def judged(self) -> SampleJudgement:
        """The judgement of the values."""
        return _judge_values(self)

    def dtype_of(self, place: int) -> str:
        """The name of a leaf's dtype."""
        name = self.oracle.dtypes[place]
        # ``item`` and ``tolist``: a number of the sample's dtype in a wider type.
        return dtype_name(self.dtype) if name.startswith(result_dtypes.PYTHON) else name


def prepared(
    actual: Any,
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    dtype: Any,
    *,
    name: str = "",
    kind: str = "floating",
    seed: int = 0,
    splits: bool = False,
    full: bool = False,
    same_dtype_last: bool = False,
    oracle: Oracle | None = None,
) -> SampleJudgement | Unjudged:
    """Look at what ``call`` gave on a device: all but the values by the envelope.

    These can be judged together with those of other calls.

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
        splits: another path may be two halves of the batch. Not where a kernel may read past
            the end of tensors which are cut apart.
        full: find the terms of the envelope even where the dtype bound suffices, so that
            ``median_allowed_ulp`` tells the whole envelope.
        same_dtype_last: try the same-dtype term after all others, so that ``needs_same_dtype``
            tells that nothing else is enough. It costs several times as much.
        oracle: what ``oracles`` gave for the call; it is called unless given.

    Returns:
        the judgement, or what waits for its values to be judged.
    """
    results = leaves(actual)
    if oracle is None:
        (oracle,) = oracles([Call(call, args, kwargs, name)])
    mismatch = _shape_mismatch(results, oracle)
    if mismatch is not None:
        return mismatch
    if kind in ("random", "metadata"):
        return SampleJudgement(None, leaves=len(results), judged_by="none")
    special = _judge_special(results, oracle, args, kwargs, name)
    if special is not None:
        return special
    hosts = [to_host(leaf, widened=False) for leaf in results]
    evidence = functools.partial(
        Evidence,
        call,
        args,
        kwargs,
        seed=seed,
        exact=oracle.exact,
        splits=splits,
        same_dtype_last=full or same_dtype_last,
    )
    return Unjudged(oracle, hosts, dtype, evidence, full)


P = ParamSpec("P")


def _judged_at_once(
    prepare: Callable[P, SampleJudgement | Unjudged],
) -> Callable[P, SampleJudgement]:
    def judge(*args: P.args, **kwargs: P.kwargs) -> SampleJudgement:
        found = prepare(*args, **kwargs)
        return found.judged() if isinstance(found, Unjudged) else found

    return judge


judge_sample = _judged_at_once(prepared)
"""Judge what a call gave on a device by what it gives on the host.

The arguments are those of ``prepared``. The judgement tells the first mismatch in the order type,
shape, dtype, values; or the worst leaf. The device is for the caller to judge.
"""


def _moved_by(dtype: Any, oracle: Oracle) -> str:
    """The dtype whose epsilon everything moves by: the sample's, or that of its results."""
    name = dtype_name(dtype)
    if name in envelope.DTYPE_INFO:
        return name
    # Whole numbers may give float32 or float64, and only the widest of these is rounded to.
    known = [one for one in oracle.dtypes if one in envelope.DTYPE_INFO]
    return min(known, key=lambda one: envelope.DTYPE_INFO[one].eps, default="float32")


def _judge_values(given: Unjudged) -> SampleJudgement:
    """Judge leaf by leaf; the worst in units of the envelope is told."""
    import numpy as np

    oracle, hosts = given.oracle, given.hosts
    evidence = given.evidence(_moved_by(given.dtype, oracle))
    worst, place, needs = None, 0, False
    for position, (host, exact) in enumerate(zip(hosts, oracle.exact, strict=True)):
        if not isinstance(exact, np.ndarray):
            if type(host) is not type(exact) or host != exact:
                texts = repr(host), repr(exact)
                return SampleJudgement("values", position, *texts, leaves=len(hosts))
            continue
        dtype = given.dtype_of(position)
        found = _judge_leaf(evidence, position, host, dtype, full=given.full)
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


def _judge_leaf(
    evidence: Evidence, place: int, actual: Any, dtype: str, *, full: bool
) -> Judgement:
    """Judge one leaf, with as few of the terms as it takes."""
    exact = evidence.exact[place]
    if not moves(exact) or dtype not in envelope.DTYPE_INFO:
        return judging.judge_exact(actual, exact)
    if not full and blocks.is_same(actual, exact):
        return judging.same(exact, envelope.dtype_ulps(dtype))
    found = evidence.judging(actual, place, dtype)
    evidence.close(found, place)
    if not full:
        return found.judgement(envelope.dtype_ulps(dtype))
    return found.judgement(judging.median_ulp(evidence.all_terms(place, dtype), dtype))


_SPECIAL = frozenset(selection.NAMES) | frozenset(decomposition.NAMES)


def _judge_special(
    results: list[Any], oracle: Oracle, args: Any, kwargs: Any, name: str
) -> SampleJudgement | None:
    """Judge what a selection or decomposition chose; None for every other operator."""
    import torch

    if name not in _SPECIAL:
        return None
    for module, kind in ((selection, "selection"), (decomposition, "decomposition")):
        if name not in module.NAMES:
            continue
        hosts = [to_host(leaf) for leaf in results]
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


class Call(NamedTuple):
    """What is judged, and with what it is called."""

    #: Its tensors are passed as arguments, so that they can be widened.
    function: Callable[..., Any]
    #: In the sample's dtype, on any device. They are not written to.
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    #: The operator's, which lets the dtypes of a result be looked up once; or empty.
    name: str = ""


#: What a call raises that takes no float64.
_REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, AssertionError, OverflowError)


def evaluate(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The leaves of the float64 result of a call on the host.

    The arguments are those of ``Call``.

    Returns:
        host arrays, or other Python values, in the order of the output.
    """
    with float64_by_default():
        return _wide(Call(function, args, kwargs))[1]


def oracles(calls: Iterable[Call]) -> list[Oracle]:
    """The oracle of each call; in the same dtype where a call takes no other.

    All calls in float64 are made in a row, which is faster than one at a time.
    """
    with float64_by_default():
        made = [(call, _tried(call)) for call in calls]
    return [
        Oracle(wide[1], _own_dtypes(call, wide[0])) if wide else _in_own_dtype(call)
        for call, wide in made
    ]


def _tried(call: Call) -> tuple[list[Any], tuple[Any, ...]] | None:
    try:
        return _wide(call)
    except _REFUSALS:
        return None


def _wide(call: Call) -> tuple[list[Any], tuple[Any, ...]]:
    """The leaves in float64, as they are and as host arrays."""
    wide = leaves(call.function(*widen(call.args), **widen_named(call.kwargs)))
    return wide, tuple([to_host(leaf) for leaf in wide])


def _in_own_dtype(call: Call) -> Oracle:
    result = leaves(call.function(*other_path(call.args), **other_path(call.kwargs)))
    exact = tuple([to_host(leaf) for leaf in result])
    return Oracle(exact, result_dtypes.names_of(result), same_dtype=True)


def _own_dtypes(call: Call, wide: list[Any]) -> tuple[str, ...]:
    """The dtypes of the result in the sample's own dtype."""
    function, args, kwargs, name = call
    if not name:
        return result_dtypes.in_own_dtype(function, args, kwargs)
    return result_dtypes.expected(function, args, kwargs, name, result_dtypes.names_of(wide))


def _shape_mismatch(results: list[Any], oracle: Oracle) -> SampleJudgement | None:
    """The first leaf of another type, shape or dtype."""
    count = len(results)
    if count != len(oracle.exact):
        return SampleJudgement("type", 0, f"{count} leaves", f"{len(oracle.exact)} leaves")
    for place, (leaf, exact) in enumerate(zip(results, oracle.exact, strict=True)):
        wanted, given = oracle.dtypes[place], result_dtypes.name_of(leaf)
        shapes = getattr(leaf, "shape", ()), getattr(exact, "shape", ())
        if given == wanted and shapes[0] == shapes[1]:
            continue
        if given.startswith(result_dtypes.PYTHON) != wanted.startswith(result_dtypes.PYTHON):
            return SampleJudgement("type", place, given, wanted, leaves=count)
        if shapes[0] != shapes[1]:
            texts = str(tuple(shapes[0])), str(shapes[1])
            return SampleJudgement("shape", place, *texts, leaves=count)
        return SampleJudgement("dtype", place, given, wanted, leaves=count)
    return None
