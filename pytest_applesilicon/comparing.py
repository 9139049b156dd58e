"""What differs between two runs: operators, tests, agreement and times.

Pure: two reports in, differences out. A test is the same in both runs when its id is, without
the device in it: a chip, a macOS, a torch, an architecture or a device may differ.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from packaging.version import InvalidVersion, Version

from pytest_applesilicon.comparing_times import Ratio, ratio_of
from pytest_applesilicon.records import RAN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_applesilicon.records import OpOutcome, Record, Report

Kind = Literal["lost", "gained", "changed", "broken", "fixed", "worse", "better", "missing", "new"]

#: What ``--fail-on`` of ``applesilicon compare`` takes.
FAIL_ON = ("lost", "changed", "broken", "worse", "slower", "missing", "any")

#: Settings by which the same test asks for other work: what was measured is then not compared.
_WORK = ("size", "seed", "samples", "mnist")

#: Agreement has changed when the error moved by this factor, and one of the two is above this
#: part of what is allowed. Below it lies the order in which a kernel sums, which differs between
#: chips and releases and says nothing.
_FACTOR = 2.0
_LEAST = 0.05

_BAD = frozenset({"failed", "error", "crashed", "hung", "xpassed"})


class NotComparableError(ValueError):
    """Two reports have nothing in common; the text says what differs."""


@dataclass(frozen=True)
class Change:
    """One thing that is not the same in both runs."""

    kind: Kind
    what: str
    """The operator with dtype and direction, or the test id without its device."""
    before: str
    after: str
    reason: str = ""


@dataclass(frozen=True)
class Differences:
    """Everything that differs between a run and the one it is held against."""

    before: str
    after: str
    """Names of the two reports."""
    devices: tuple[tuple[str, str], ...]
    """Which device of the first was held against which of the second."""
    operators: tuple[Change, ...]
    agreement: tuple[Change, ...]
    tests: tuple[Change, ...]
    budgets: tuple[Change, ...]
    ratios: tuple[Ratio, ...]
    facts: tuple[tuple[str, str, str], ...]
    """Host, versions and settings that differ: name, before, after."""
    notes: tuple[str, ...]
    """What was not compared, and why."""
    compared: int
    """Tests that both have."""

    def count(self, kind: str) -> int:
        """How many differences ``--fail-on=kind`` means."""
        slower = sum(one.verdict == "slower" for one in self.ratios)
        if kind == "slower":
            return slower
        changes = (*self.operators, *self.agreement, *self.tests, *self.budgets)
        if kind == "any":
            faster = sum(one.verdict == "faster" for one in self.ratios)
            return len(changes) + slower + faster
        return sum(one.kind == kind for one in changes)


def compare(before: tuple[str, Report], after: tuple[str, Report]) -> Differences:
    """The second run held against the first; each with the name it is shown by.

    Raises:
        NotComparableError: other versions of the suites, or no device that can be paired.
    """
    (name, first), (other_name, second) = before, after
    if _release(first) != _release(second):
        raise NotComparableError(
            f"{name} was written by suites of version {first.facts.version} and {other_name} by "
            f"{second.facts.version}: their tests are not the same; run both with one version"
        )
    devices = _pairs(before, after)
    one, two = _by_key(first, dict(devices)), _by_key(second, {each: each for _, each in devices})
    both = [key for key in one if key in two]
    notes = [*_unpaired(name, first, [a for a, _ in devices])]
    notes += _unpaired(other_name, second, [b for _, b in devices])
    if first.facts.version != second.facts.version:
        notes.append(
            f"made with {first.facts.version} and {second.facts.version}: between releases, "
            "tests of one name may differ"
        )
    same_work = _same_work(first, second, notes)
    pairs = [(key[1], one[key], two[key]) for key in both]
    return Differences(
        before=name,
        after=other_name,
        devices=tuple(devices),
        operators=tuple(_operators(pairs)),
        agreement=tuple(_agreement(pairs)) if same_work else (),
        tests=(*_tests(pairs), *_only(one, two, "missing"), *_only(two, one, "new")),
        budgets=tuple(_budgets(pairs)),
        ratios=tuple(_times(pairs, first, second, notes)) if same_work else (),
        facts=tuple(_facts(first, second)),
        notes=tuple(notes),
        compared=len(both),
    )


def _release(report: Report) -> str:
    """The release whose suites ran; between releases they change little by little."""
    try:
        return Version(report.facts.version).base_version
    except InvalidVersion:
        return report.facts.version


def _place(record: Record) -> str:
    return " ".join(filter(None, (record.place, record.device or "none")))


def _devices(report: Report) -> list[str]:
    return list(dict.fromkeys(_place(one) for one in report.records if one.device is not None))


def _pairs(before: tuple[str, Report], after: tuple[str, Report]) -> list[tuple[str, str]]:
    """Devices by name where both have them; the only one of each where the names differ."""
    first, second = _devices(before[1]), _devices(after[1])
    shared = [(each, each) for each in first if each in second]
    if shared:
        return [*shared, ("none", "none")]
    if len(first) == 1 and len(second) == 1:
        return [(first[0], second[0]), ("none", "none")]
    raise NotComparableError(
        f"{before[0]} ran on {', '.join(first) or 'no device'} and {after[0]} on "
        f"{', '.join(second) or 'no device'}: no device in common, and not one of each"
    )


def _by_key(report: Report, names: dict[str, str]) -> dict[tuple[str, str], Record]:
    """Records by device (under the name of its pair) and test id without the device."""
    return {
        (names[_place(one)], without_device(one)): one
        for one in report.records
        if _place(one) in names
    }


def without_device(record: Record) -> str:
    """The test id with the device in its parameters taken out."""
    head, bracket, parameters = record.test_id.partition("[")
    if record.device is None or not bracket:
        return record.test_id
    framework = f"(?:{re.escape(record.framework)}-)?" if record.framework else ""
    # Bounded by what joins parameters: mps is not taken out of mps-sim, nor cpu out of xcpu.
    pattern = rf"(?:(?<=-)|^){framework}{re.escape(record.device)}(?:-|(?=\]))"
    left = re.sub(pattern, "", parameters, count=1)
    return head if left == "]" else f"{head}[{left}"


def _unpaired(name: str, report: Report, paired: Sequence[str]) -> list[str]:
    left = [each for each in _devices(report) if each not in paired]
    return [f"only {name} ran on {', '.join(left)}: not compared"] if left else []


def _same_work(first: Report, second: Report, notes: list[str]) -> bool:
    differing = [
        f"{name} {a} and {b}"
        for name in _WORK
        if (a := first.facts.settings.get(name)) != (b := second.facts.settings.get(name))
    ]
    if differing:
        notes.append(f"agreement and times are not compared: {'; '.join(differing)}")
    return not differing


Pairs = list[tuple[str, "Record", "Record"]]


def _operator_name(one: OpOutcome) -> str:
    return f"{one.operator}, {one.direction} in {one.dtype}"


def _operators(pairs: Pairs) -> Iterable[Change]:
    for _, a, b in pairs:
        if a.operator is None or b.operator is None or a.operator.outcome == b.operator.outcome:
            continue
        before, after = a.operator.outcome, b.operator.outcome
        kind: Kind = "changed"
        if "native" in (before, after):
            kind = "lost" if before == "native" else "gained"
        yield Change(kind, _operator_name(b.operator), before, after, b.operator.reason)


def _agreement(pairs: Pairs) -> Iterable[Change]:
    for _, a, b in pairs:
        if a.operator is None or b.operator is None:
            continue
        if a.operator.outcome != "native" or b.operator.outcome != "native":
            continue
        before, after = a.operator.worst_envelope, b.operator.worst_envelope
        small, large = sorted((before, after))
        if large < _LEAST or large < _FACTOR * small:
            continue
        kind: Kind = "worse" if after > before else "better"
        yield Change(kind, _operator_name(b.operator), f"{before:.3g}", f"{after:.3g}")


def _tests(pairs: Pairs) -> Iterable[Change]:
    """Tests that are not an operator's, or are red for another reason than its outcome."""
    for name, a, b in pairs:
        bad = (a.outcome in _BAD, b.outcome in _BAD)
        operators = (a.operator, b.operator)
        told = None not in operators and a.operator.outcome != b.operator.outcome  # type: ignore[union-attr]
        if a.outcome == b.outcome or told:
            continue
        kind: Kind = "changed"
        if bad[0] != bad[1]:
            kind = "broken" if bad[1] else "fixed"
        yield Change(kind, name, a.outcome, b.outcome, b.reason or a.reason)


def _budgets(pairs: Pairs) -> Iterable[Change]:
    """Limits with another verdict: broken where one is exceeded now, fixed where it was."""
    for name, a, b in pairs:
        before = {(one.limit_name, one.where): one for one in a.verdicts}
        for one in b.verdicts:
            old = before.get((one.limit_name, one.where))
            if old is None or old.state == one.state:
                continue
            kind: Kind = "changed"
            if "exceeded" in (old.state, one.state):
                kind = "broken" if one.state == "exceeded" else "fixed"
            yield Change(kind, f"{one.limit_name} of {name}", old.state, one.state, one.reason)


def _only(
    here: dict[tuple[str, str], Record], there: dict[tuple[str, str], Record], kind: Kind
) -> Iterable[Change]:
    """Tests that one run carried out and the other does not have."""
    for key, record in here.items():
        if key not in there and record.outcome in RAN:
            states = (record.outcome, "") if kind == "missing" else ("", record.outcome)
            yield Change(kind, key[1], *states)


def _times(pairs: Pairs, first: Report, second: Report, notes: list[str]) -> Iterable[Ratio]:
    timed = [(name, a, b) for name, a, b in pairs if a.timing and b.timing]
    kinds = defaultdict(list)
    for name, a, b in timed:
        kinds[a.simulated or b.simulated].append((name, a, b))
    if kinds[True]:
        notes.append("times are not compared: a simulated device has the speed of the CPU")
    virtual = [one.facts.host.virtual for one in (first, second)]
    if kinds[False] and virtual[0] != virtual[1]:
        notes.append("one of the hosts is virtual: its GPU is no measure of the other's")
    for name, a, b in kinds[False]:
        assert a.timing is not None  # noqa: S101 - for the type checker
        assert b.timing is not None  # noqa: S101
        yield ratio_of(name, a.timing, b.timing)


def _facts(first: Report, second: Report) -> Iterable[tuple[str, str, str]]:
    a, b = first.facts, second.facts
    for name in (
        "chip",
        "os_version",
        "model",
        "memory_bytes",
        "virtual",
        "interpreter",
        "translated",
    ):
        left, right = getattr(a.host, name), getattr(b.host, name)
        if left != right:
            yield (name.replace("_", " "), str(left), str(right))
    for left_of, right_of in ((a.versions, b.versions), (a.settings, b.settings)):
        for name in dict.fromkeys((*left_of, *right_of)):
            left, right = left_of.get(name, "none"), right_of.get(name, "none")
            if left != right:
                yield (name, left, right)
    if a.simulated != b.simulated:
        words = {True: "simulated", False: "of the device itself"}
        yield ("results", words[a.simulated], words[b.simulated])
