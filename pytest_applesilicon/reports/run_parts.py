"""A report as the parts of a page, in the order in which they are read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_applesilicon.host import describe
from pytest_applesilicon.records import SIMULATED_NOTICE
from pytest_applesilicon.reports import measured_parts, operator_parts
from pytest_applesilicon.reports.parts import Column, Figure, Page, Part, Table, Tone, full
from pytest_applesilicon.reports.regressions import TEST, state
from pytest_applesilicon.reports.terminal import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.records import Health, Record, Report, RunFacts

#: Outcomes of a test that make a run red.
RED = ("failed", "error", "crashed", "hung", "xpassed")

#: Owners of the repositories whose issues ``suites/regressions`` names.
_OWNERS = {
    "TransformerLens": "TransformerLensOrg",
    "keras": "keras-team",
    "kornia": "kornia",
    "pytorch": "pytorch",
    "transformers": "huggingface",
    "ultralytics": "ultralytics",
}


def page(report: Report) -> Page:
    """Every part of a report that has content.

    A new part is a function that returns a ``Part`` and one line here.
    """
    records = report.records
    parts = (
        _overview(report),
        _failures(records),
        operator_parts.coverage(records),
        operator_parts.agreement(records),
        measured_parts.verdicts(records),
        measured_parts.benchmarks(records),
        measured_parts.measurements(records),
        _regressions(records),
        _known(records),
        _environment(records),
        _activity(records),
        measured_parts.monitor(report.facts.samples),
        _tests(records),
        _conditions(report.facts),
    )
    devices = ", ".join(dict.fromkeys(target.device for target in report.facts.targets))
    lead = f"{devices or 'no device'} on {describe(report.facts.host)}, {report.facts.created}"
    return Page("applesilicon report", lead, _notice(report), full(parts))


def _notice(report: Report) -> str:
    notices = []
    if report.facts.simulated:
        notices.append(SIMULATED_NOTICE)
    faults = list(dict.fromkeys(name for one in report.records for name in one.faults))
    if faults:
        notices.append(f"faults switched on: {', '.join(faults)}")
    if report.facts.exit_status not in (None, 0, 1, 5):
        notices.append(
            f"pytest ended with exit status {report.facts.exit_status}: "
            "the run did not come to its end, records are missing"
        )
    notices += [
        f"{place.name} dropped out: {place.lost}" for place in report.facts.places if place.lost
    ]
    return "; ".join(notices)


def _overview(report: Report) -> Part:
    records = report.records
    counts: Counter[str] = Counter(one.outcome for one in records)
    tones: dict[str, Tone] = {"passed": "good", "xfailed": "warn", "skipped": ""}
    figures = [Figure(f"{len(records):,}", "tests")]
    figures += [
        Figure(f"{counts[name]:,}", name, tones.get(name, "bad"))
        for name in OUTCOMES
        if counts[name]
    ]
    return Part(
        "overview",
        "What ran where",
        tables=(_devices(report), _outcomes(records)),
        figures=tuple(figures),
    )


def _devices(report: Report) -> Table:
    facts = report.facts
    rows = [_device("", one.health, facts.versions, describe(facts.host)) for one in facts.targets]
    for place in facts.places:
        host = describe(place.host)
        rows += [_device(place.name, one.health, place.versions, host) for one in place.targets]
    columns = ("device", "framework", "health", "reason", "results are", "host")
    return Table(tuple(map(Column, columns)), tuple(rows), "Devices")


def _device(place: str, found: Health, versions: dict[str, str], host: str) -> tuple[str, ...]:
    name = " ".join(filter(None, (place, found.device)))
    framework = f"{found.framework} {versions.get(found.framework, '')}".rstrip()
    kind = "simulated" if found.simulated else "of the device itself"
    reason = f"{found.reason}{'; remedy: ' + found.remedy if found.remedy else ''}"
    return (name, framework, found.state, reason, kind, host)


def _outcomes(records: Sequence[Record]) -> Table:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for one in records:
        place = " ".join(filter(None, (one.place, one.device or "none")))
        counts.setdefault((place, one.framework or ""), Counter())[one.outcome] += 1
    shown = [name for name in OUTCOMES if any(count[name] for count in counts.values())]
    columns = (Column("device"), Column("framework"), Column("tests", number=True))
    rows = tuple(
        (*place, str(sum(count.values())), *(str(count[name]) for name in shown))
        for place, count in counts.items()
    )
    return Table((*columns, *(Column(name, number=True) for name in shown)), rows, "Outcomes")


def _failures(records: Sequence[Record]) -> Part:
    rows = tuple(
        (one.test_id, one.outcome, one.reason + _repeats(one))
        for one in records
        if one.outcome in RED
    )
    columns = (Column("test", code=True), Column("outcome", choose=True), Column("reason"))
    return Part("failures", "What failed", tables=(Table(columns, rows, "Failed tests"),))


def _repeats(record: Record) -> str:
    return f"; {record.repeats.describe()}" if record.repeats is not None else ""


def _regressions(records: Sequence[Record]) -> Part:
    found: dict[tuple[str, str], list[str]] = {}
    for one in records:
        named = TEST.search(one.test_id)
        if named:
            found.setdefault((named[1], one.device or "none"), []).append(one.outcome)
    order = ("present", "absent", "not looked for")
    rows = sorted(
        (
            (
                bug,
                device,
                state(outcomes),
                str(sum(one in RED for one in outcomes)),
                str(len(outcomes)),
            )
            for (bug, device), outcomes in found.items()
        ),
        key=lambda row: (order.index(row[2]), row[0]),
    )
    links = {row[0]: link for row in rows if (link := issue_address(row[0]))}
    columns = (
        Column("bug", code=True),
        Column("device", choose=True),
        Column("state", choose=True),
        Column("tests that show it", number=True),
        Column("tests", number=True),
    )
    return Part(
        "regressions",
        "Reported bugs",
        tables=(Table(columns, tuple(rows), "Regressions by issue", links),),
    )


def issue_address(bug: str) -> str:
    """The address of ``pytorch-118115``; empty for a repository that is not known."""
    repository, _, number = bug.rpartition("-")
    owner = _OWNERS.get(repository)
    if owner is None or not number.isdecimal():
        return ""
    return f"https://github.com/{owner}/{repository}/issues/{number}"


def _known(records: Sequence[Record]) -> Part:
    rows = tuple(
        (one.test_id, one.device or "none", one.reason)
        for one in records
        if one.outcome == "xfailed"
    )
    columns = (
        Column("test", code=True),
        Column("device", choose=True),
        Column("reason, issue, since"),
    )
    return Part(
        "known-failures",
        "Known failures",
        tables=(Table(columns, rows, "Tests that fail as they are expected to"),),
    )


def _environment(records: Sequence[Record]) -> Part:
    """What the doctor's checks found: they are the tests of ``suites/environment``."""
    rows = tuple(
        (one.test_id.partition("::")[2], one.outcome, one.reason)
        for one in records
        if one.test_id.startswith("suites/environment/")
    )
    columns = (Column("check", code=True), Column("outcome", choose=True), Column("found"))
    return Part(
        "environment",
        "Machine, Python and installation",
        tables=(Table(columns, rows, "Checks of the environment"),),
        folded=not any(row[1] in RED for row in rows),
    )


def _activity(records: Sequence[Record]) -> Part:
    tables = []
    for title, name in (("Fallbacks to the CPU", "fallbacks"), ("Host synchronisations", "syncs")):
        calls: Counter[str] = Counter()
        tests: Counter[str] = Counter()
        for one in records:
            if one.activity is not None:
                calls.update(getattr(one.activity, name))
                tests.update(set(getattr(one.activity, name)))
        rows = tuple((what, str(count), str(tests[what])) for what, count in calls.most_common())
        columns = (
            Column("what", code=True),
            Column("calls", number=True),
            Column("tests", number=True),
        )
        tables.append(Table(columns, rows, title))
    return Part(
        "activity",
        "What the tests asked of the simulated device",
        tables=tuple(tables),
        folded=True,
    )


def _tests(records: Sequence[Record]) -> Part:
    """Every test that is not a row of the operators already."""
    rows = tuple(
        (one.test_id, one.device or "none", one.outcome, f"{one.duration_s:.3f}", one.reason)
        for one in records
        if one.operator is None
    )
    columns = (
        Column("test", code=True),
        Column("device", choose=True),
        Column("outcome", choose=True),
        Column("seconds", number=True),
        Column("reason"),
    )
    return Part(
        "tests",
        "Every other test",
        tables=(Table(columns, rows, "Tests"),),
        folded=True,
    )


def _conditions(facts: RunFacts) -> Part:
    rows = [("applesilicon", facts.version), *facts.versions.items()]
    settings = tuple(facts.settings.items())
    two = (Column("name", code=True), Column("value"))
    return Part(
        "conditions",
        "Versions and settings",
        facts.notes,
        (Table(two, tuple(rows), "Versions"), Table(two, settings, "Settings")),
        folded=True,
    )
