"""What judging every operator costs, and how wide the envelope is.

Speed: the float32 forward sweep with all samples by ``check``, and a bare loop that draws the
same samples and makes the same calls and the oracle's (device call and float64 call). Both in
one process, in chunks of operators, each in both orders, because the loop that comes first asks
the system for the memory that the other one finds. What ``check`` remembers of an operator is
forgotten in between, so that each time is that of a first sweep. Of several rounds the least
time of each loop counts, for other work on the machine only adds to it. The runs that ``check``
makes beside these to derive the envelope (perturbed, rounded, in the same dtype) are timed where
they are made, so that the ratio is told with and without them. Another sweep, with the
same-dtype term tried last, tells how many samples no other term saves. Tightness: the median
over operators of the operator's median half width of the envelope, in ULP.

    python benchmarks/sweep.py [--ops REGEX] [--chunk 16] [--rounds 3] [--samples all]
                               [--tightness-samples 3]
"""

from __future__ import annotations

import argparse
import contextlib
import re
import resource
import statistics
import sys
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from planted import Given

from pytest_applesilicon import opinfo
from pytest_applesilicon.agreement import evidence, operators, oracle, result_dtypes, walking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_applesilicon.opinfo import Operator, Sample
    from pytest_applesilicon.records import OpOutcome

#: How many times the bare loop the sweep may take.
LIMIT = 2.0

#: How many of the operators that take longest are shown.
SLOWEST = 10

#: The share of float32 samples that only the same-dtype term may save.
SAME_DTYPE_LIMIT = 0.02


@dataclass(frozen=True)
class Chunk:
    """Seconds of both loops over the same operators, and what ``check`` found."""

    judged_s: float
    bare_s: float
    #: Of ``judged_s``, in the runs that derive the envelope.
    runs_s: float
    #: The most memory this process held until its end, in MiB.
    peak_mib: float
    found: tuple[OpOutcome, ...]
    #: Of ``check``, operator by operator.
    each_s: tuple[float, ...]

    @property
    def names(self) -> str:
        return f"{self.found[0].operator} ... {self.found[-1].operator}"


# speed


def bare(operator: Operator, count: int | None) -> None:
    """Draw the samples and make the calls, without judging."""
    for sample in operator.samples("float32", seed=0, count=count):
        with contextlib.suppress(Exception), torch.no_grad():
            operator.call(sample)
        torch.set_default_dtype(torch.float64)
        with contextlib.suppress(Exception), torch.no_grad():
            wide = walking.widen(sample.args), walking.widen(dict(sample.kwargs))
            operator.call(sample, args=wide[0], kwargs=wide[1])
        torch.set_default_dtype(torch.float32)


def judged(operator: Operator, count: int | None) -> OpOutcome:
    """The outcome of all samples on the CPU."""
    return operators.check(operator.name, "float32", device="cpu", count=count)


@contextlib.contextmanager
def envelope_runs() -> Iterator[list[float]]:
    """The seconds of each run that derives the envelope, while the block runs."""
    seconds: list[float] = []
    with contextlib.ExitStack() as stack:
        for name in ("perturbed_run", "rounded_run", "first_path", "every_path"):
            stack.enter_context(mock.patch.object(evidence, name, _timing(name, seconds)))
        yield seconds


def _timing(name: str, seconds: list[float]) -> Callable[..., Any]:
    original = getattr(evidence, name)

    def timing(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - started)

    return timing


def timed(chunk: list[Operator], count: int | None) -> Chunk:
    """Both loops over the same operators, each first and second: the mean of the two."""
    judged_s = bare_s = runs_s = 0.0
    each = [0.0] * len(chunk)
    found: list[OpOutcome] = []
    for is_bare in (True, False, False, True):
        started = time.perf_counter()
        if is_bare:
            for operator in chunk:
                bare(operator, count)
            bare_s += time.perf_counter() - started
            continue
        result_dtypes.forget()
        found.clear()
        with envelope_runs() as runs:
            for place, operator in enumerate(chunk):
                began = time.perf_counter()
                found.append(judged(operator, count))
                each[place] += time.perf_counter() - began
        judged_s += time.perf_counter() - started
        runs_s += sum(runs)
    halves = tuple(one / 2 for one in each)
    return Chunk(judged_s / 2, bare_s / 2, runs_s / 2, peak_mib(), tuple(found), halves)


def least(rounds: list[Chunk]) -> Chunk:
    """The least time of each loop in several rounds of a chunk: other work only adds to it."""
    return replace(
        rounds[-1],
        judged_s=min(one.judged_s for one in rounds),
        bare_s=min(one.bare_s for one in rounds),
        runs_s=min(one.runs_s for one in rounds),
        each_s=tuple(map(min, zip(*(one.each_s for one in rounds), strict=True))),
    )


def sweep(chosen: list[Operator], size: int, count: int | None, rounds: int) -> list[Chunk]:
    """Every chunk, after a warm-up; progress goes to stderr."""
    timed(chosen[:size], 1)
    found: list[Chunk] = []
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        found.append(least([timed(part, count) for _ in range(rounds)]))
        print(f"speed: {start + len(part)}/{len(chosen)} operators", file=sys.stderr)
    return found


def attributed(chosen: list[Operator], count: int | None) -> list[OpOutcome]:
    """The outcomes where the same-dtype term is tried last; progress goes to stderr."""
    found = []
    for at, operator in enumerate(chosen, 1):
        one = operators.check(
            operator.name, "float32", device="cpu", count=count, same_dtype_last=True
        )
        found.append(one)
        if at % 100 == 0 or at == len(chosen):
            print(f"same dtype: {at}/{len(chosen)} operators", file=sys.stderr)
    return found


def peak_mib() -> float:
    """The most memory this process held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def print_speed(chunks: list[Chunk]) -> float:
    """Print seconds and ratios; the ratio of the totals to the loop with the two calls."""
    samples = sum(one.samples for chunk in chunks for one in chunk.found)
    judged_s = sum(chunk.judged_s for chunk in chunks)
    print(f"{len(chunks)} chunks, {samples} samples, float32 forward, 1 thread")
    print(f"check takes {judged_s:.1f} s")
    loops = {
        "the two calls": [chunk.bare_s for chunk in chunks],
        "all calls": [chunk.bare_s + chunk.runs_s for chunk in chunks],
    }
    for label, alone in loops.items():
        ratios = [chunk.judged_s / one for chunk, one in zip(chunks, alone, strict=True)]
        print(
            f"  {label} alone {sum(alone):.1f} s: ratio of the totals "
            f"{judged_s / sum(alone):.2f}, median of the chunks {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )
    highest = max(chunks, key=lambda chunk: chunk.peak_mib)
    print(f"peak memory {highest.peak_mib:.0f} MiB, first held in {highest.names}")
    each = [pair for one in chunks for pair in zip(one.each_s, one.found, strict=True)]
    for seconds, outcome in sorted(each, key=lambda pair: -pair[0])[:SLOWEST]:
        print(f"  {outcome.operator}: check {seconds:.2f} s, {outcome.samples} samples")
    return judged_s / sum(loops["the two calls"])


def print_same_dtype(found: Iterable[OpOutcome]) -> float:
    """Print how many samples only the same-dtype term saves; their share of all."""
    outcomes = list(found)
    samples = sum(one.samples for one in outcomes)
    saved = sum(one.needs_same_dtype for one in outcomes)
    part = saved / samples if samples else 0.0
    print(f"\nsaved by the same-dtype term alone: {saved} of {samples} samples, {part:.2%}")
    for one in sorted(outcomes, key=lambda one: -one.needs_same_dtype):
        if one.needs_same_dtype:
            print(f"  {one.operator}: {one.needs_same_dtype} of {one.samples}")
    wrong = [one for one in outcomes if one.outcome == "wrong"]
    print(f"wrong on the CPU: {', '.join(one.operator for one in wrong) or 'none'}")
    return part


# tightness


def allowed_ulp(operator: Operator, dtype: str, count: int | None) -> float | None:
    """The median of the samples' median half widths; None where nothing is judged in ULP."""
    widths = []
    for sample in operator.samples(dtype, seed=0, count=count):
        with contextlib.suppress(Exception):  # what the host refuses has no width
            width = _sample_width(operator, sample, dtype)
            if width is not None:
                widths.append(width)
    return statistics.median(widths) if widths else None


def _sample_width(operator: Operator, sample: Sample, dtype: str) -> float | None:
    run = Given(operator, sample, dtype, torch.device("cpu"), "forward")
    found = oracle.judge_sample(
        run.right(),
        run.host_call(),
        sample.args,
        dict(sample.kwargs),
        getattr(torch, dtype),
        name=operator.name,
        kind=operator.kind_of(sample),
        full=True,
    )
    figures = found.judgement
    if figures is None or figures.saved_by == "exact":
        return None
    width = figures.median_allowed_ulp
    return width if width == width else None


def tightness(chosen: list[Operator], count: int | None) -> dict[str, dict[str, float]]:
    """The operator's width by dtype and name."""
    found: dict[str, dict[str, float]] = {}
    for dtype in ("float32", "float16"):
        found[dtype] = {}
        for operator in chosen:
            width = allowed_ulp(operator, dtype, count) if dtype in operator.dtypes else None
            if width is not None:
                found[dtype][operator.name] = width
        print(f"tightness: {dtype}, {len(found[dtype])} operators", file=sys.stderr)
    return found


def print_tightness(chosen: list[Operator], widths: dict[str, dict[str, float]]) -> None:
    """Print the median over operators, by category, by kind, and of all."""
    print(f"\n{'allowed, in ULP':<28} {'float32':>10} {'operators':>9} {'float16':>10}", end="")
    print(f" {'operators':>9}")
    rows: defaultdict[str, list[str]] = defaultdict(list)
    for operator in chosen:
        for label in (operator.category, f"kind {operator.kind}", "all"):
            rows[label].append(operator.name)
    for label, names in sorted(rows.items()):
        print(f"{label:<28}", end="")
        for dtype in ("float32", "float16"):
            known = [widths[dtype][name] for name in names if name in widths[dtype]]
            median = f"{statistics.median(known):.3g}" if known else "-"
            print(f" {median:>10} {len(known):>9}", end="")
        print()


def main() -> int:
    """Print all figures; exit status 1 where the sweep or the same-dtype share is too large."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ops", default="", help="operators whose name the expression finds")
    parser.add_argument("--chunk", type=int, default=16, help="operators of a chunk")
    parser.add_argument("--rounds", type=int, default=3, help="of which the least time counts")
    parser.add_argument("--samples", default="all", help="per operator, or all")
    parser.add_argument("--tightness-samples", default="3", help="per operator, or all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [one for one in opinfo.operators() if re.search(given.ops, one.name)]
    floating = [one for one in chosen if "float32" in one.dtypes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chunks = sweep(floating, given.chunk, _count(given.samples), given.rounds)
        ratio = print_speed(chunks)
        part = print_same_dtype(attributed(floating, _count(given.samples)))
        print_tightness(chosen, tightness(chosen, _count(given.tightness_samples)))
    return int(ratio > LIMIT or part > SAME_DTYPE_LIMIT)


def _count(text: str) -> int | None:
    return None if text == "all" else int(text)


if __name__ == "__main__":
    sys.exit(main())
