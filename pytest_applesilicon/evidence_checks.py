"""What a signed report must show before a CI without a Mac believes it.

Each function returns what is wrong, as sentences; nothing wrong is an empty list. Whatever the
report does not say counts as wrong.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from pytest_applesilicon import source
from pytest_applesilicon.records import RAN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_applesilicon.evidence import Statement
    from pytest_applesilicon.records import Report

#: Settings that leave tests out, with the value that leaves out none.
_WHOLE = {"ops": "all", "dtypes": "all", "faults": "none"}

#: A clock that is ahead by more than this is wrong, or was set.
_AHEAD = datetime.timedelta(minutes=5)


def of_source(statement: Statement, report: Report) -> list[str]:
    """The report itself says from which commit its tests came, and that nothing was changed."""
    found = report.facts.source
    if found is None:
        return ["the report does not say from which commit its tests came"]
    problems = []
    if (found.commit, found.tree) != (statement.commit, statement.tree):
        problems.append(
            f"its tests came from commit {found.commit[:12]}, "
            f"and {statement.commit[:12]} was signed"
        )
    if not found.clean:
        problems.append(f"its tests came from a checkout that differed from {found.commit[:12]}")
    return problems


def of_commit(
    statement: Statement, folder: Path, revision: str, evidence: Iterable[Path]
) -> list[str]:
    """The commit is the one that is asked for, or differs from it in the evidence alone.

    The commit that adds the evidence comes after the one it is of.
    """
    try:
        wanted = source.git(
            folder, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"
        )
    except source.GitError as error:
        return [f"commit {revision} is not known here: {error}"]
    try:
        tree = source.git(folder, "rev-parse", "--verify", f"{statement.commit}^{{tree}}")
        top = source.git(folder, "rev-parse", "--show-toplevel")
        changed = source.git(
            folder,
            "diff",
            "--name-only",
            "--no-renames",
            "--ignore-submodules=none",
            "-z",
            statement.commit,
            wanted,
        )
    except source.GitError as error:
        unknown = f"the signed commit {statement.commit[:12]} is not in this checkout ({error})"
        return [f"{unknown}; fetch the whole history (fetch-depth: 0)"]
    if tree != statement.tree:
        other = f"commit {statement.commit[:12]} has tree {tree[:12]}"
        return [f"{other}, and {statement.tree[:12]} was signed"]
    left = set(filter(None, changed.split("\0"))) - set(source.below(top, evidence))
    if left:
        named = ", ".join(sorted(left)[:3]) + (
            f" and {len(left) - 3} more" if len(left) > 3 else ""
        )
        return [f"since the signed commit {statement.commit[:12]}, {revision} has changed {named}"]
    return []


def of_age(report: Report, now: datetime.datetime, days: float) -> list[str]:
    """The run is not too old, and not in the future."""
    try:
        made = datetime.datetime.fromisoformat(report.facts.created)
        age = now - made
    except (ValueError, TypeError):  # the latter: without a time zone
        return [f"when it was made is not known: {report.facts.created!r}"]
    if age > datetime.timedelta(days=days):
        return [f"it was made {age.days} days ago, and {days:g} are allowed"]
    return ["it was made in the future"] if age < -_AHEAD else []


def of_machine(report: Report, device: str) -> list[str]:
    """The device was a real one of a Mac, in an interpreter that is not translated."""
    host = report.facts.host
    problems = []
    if host.system != "macOS":
        problems.append(f"it was made on {host.system}, not on macOS")
    if host.virtual is not False:
        known = "a virtual machine" if host.virtual else "a machine not known to be physical"
        problems.append(f"it was made on {known}")
    if host.interpreter != "arm64" or host.translated:
        problems.append(f"its interpreter was {host.interpreter}, not a native arm64 one")
    health = [one.health for one in report.facts.targets if one.device == device]
    if not any(one.state == "ok" and not one.simulated for one in health):
        problems.append(f"{device} was not found to work")
    if report.facts.simulated:
        problems.append("a device of it was simulated")
    return problems


def of_tests(report: Report, suites: Sequence[str], device: str, *, failures: bool) -> list[str]:
    """Every suite that is required ran on the device, whole, and no test was lost."""
    facts, problems = report.facts, []
    accepted = (0, 1) if failures else (0,)
    if facts.exit_status not in accepted:
        problems.append(f"pytest ended with exit status {facts.exit_status}")
    problems += _lost(report)
    for name, whole in _WHOLE.items():
        if facts.settings.get(name) != whole:
            problems.append(f"it ran with --{name}={facts.settings.get(name)}, not {whole}")
    for suite in suites:
        prefix = suite if "/" in suite else f"suites/{suite}/"
        own = [one for one in report.records if one.test_id.startswith(prefix)]
        ran = [one for one in own if one.outcome in RAN and one.device == device]
        if not ran:
            problems.append(f"no test of {suite} ran on {device}")
        if any(one.simulated or one.faults for one in own):
            problems.append(f"tests of {suite} were simulated")
    return problems


def _lost(report: Report) -> list[str]:
    facts = report.facts
    if facts.selected is None:
        return ["how many tests it was to run is not known"]
    problems = []
    if facts.deselected:
        problems.append(f"{facts.deselected} tests were deselected")
    places = [place.name for place in facts.places] or [""]
    for place in places:
        count = sum(one.place == place for one in report.records)
        if count != facts.selected:
            where = f" in {place}" if place else ""
            problems.append(
                f"{facts.selected} tests were to run{where}, and it has {count} results"
            )
    problems += [f"{place.name} dropped out: {place.lost}" for place in facts.places if place.lost]
    return problems


def of_baseline(report: Report, baseline: Report) -> list[str]:
    """Every test that ran in an earlier report ran in this one."""
    ran = {one.test_id for one in report.records if one.outcome in RAN}
    lost = [
        one.test_id for one in baseline.records if one.outcome in RAN and one.test_id not in ran
    ]
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return [f"of the baseline, {lost[0]}{more} did not run"] if lost else []
