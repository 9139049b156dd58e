"""Known failures in a run: each report is judged where its test ran, the whole run where it ends.

What a report was judged to be crosses with it, from a child of ``isolating`` and from a worker
of xdist; entries that match no test, and the file that is recorded, are the controller's.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import known_failures, known_failures_edit, workers
from pytest_applesilicon.files import check_writable
from pytest_applesilicon.frameworks.versions import version_of
from pytest_applesilicon.known_failures import KEY, Entry, Manifest, ManifestError, Today
from pytest_applesilicon.known_failures_edit import Changes, Failure
from pytest_applesilicon.known_scope import Scope
from pytest_applesilicon.marks import target_of
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.reports import terminal
from pytest_applesilicon.reports.columns import shorten
from pytest_applesilicon.selection import selection_of, test_id

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_applesilicon.options import Settings
    from pytest_applesilicon.records import Target

#: The attribute of a report that says how its test ended its child process.
OUTCOME = "applesilicon_outcome"

#: The attribute of a report that says what was made of it.
_NOTE = "applesilicon_known"

_FINISHED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


class KnownFailures:
    """The hooks that hold a run against its manifest."""

    def __init__(self, config: pytest.Config, settings: Settings, manifest: Manifest) -> None:
        self._config = config
        self._settings = settings
        self._manifest = manifest
        self._scope = Scope(config)
        self._torch = version_of("torch")
        self._failed: set[str] = set()
        self._notes: list[dict[str, Any]] = []
        self._stale: set[int] | None = None
        self._told: list[str] = []

    @classmethod
    def of(cls, config: pytest.Config, settings: Settings) -> KnownFailures | None:
        """The known failures of a run; ``None`` where it has no manifest.

        Raises:
            OptionError: the manifest cannot be read, or not be written where it is to be.
        """
        path = settings.known_failures
        if path is None:
            for name in ("known_failures_record", "strict_known_failures"):
                if getattr(settings, name):
                    option = "--" + name.replace("_", "-")
                    raise OptionError(f"{option} needs --known-failures=PATH")
            return None
        name = _shown(path, config)
        if settings.known_failures_record:
            if importlib.util.find_spec("tomlkit") is None:
                raise OptionError(known_failures_edit.NEEDS_TOMLKIT)
            problem = check_writable(path)
            if problem:
                raise OptionError(f"--known-failures: {problem}")
        try:
            if settings.known_failures_record and not path.exists():
                manifest = Manifest(name)
            else:
                manifest = known_failures.read(path, name)
        except ManifestError as error:
            raise OptionError(f"--known-failures: {error}") from None
        found = cls(config, settings, manifest)
        config.stash[KNOWN] = found
        return found

    # judging one report, where the test ran

    def judge(
        self,
        item: pytest.Item,
        report: pytest.TestReport,
        raised: pytest.ExceptionInfo[BaseException] | None,
    ) -> None:
        """Turn a failure that is known into an expected one, and a pass that is not into red."""
        if hasattr(report, "wasxfail") or report.skipped:
            return
        name = test_id(item.nodeid, item.path)
        target = target_of(item)
        entry = self._manifest.applying(name, self._today(target))
        if report.failed:
            self._failed.add(name)
            exception = _type_name(raised.type) if raised is not None else None
            outcome = getattr(report, OUTCOME, "failed" if report.when == "call" else "error")
            where = target or self._asked()
            self._judge_failure(report, entry, _failure(name, report, outcome, exception, where))
        elif entry is not None and self._ends_well(name, report, entry):
            self._note(report, "passed", entry, {"test": name})
            narrow = ", or narrow its pattern" if entry.is_pattern else ""
            report.outcome = "failed"
            report.longrepr = (
                f"{self._manifest.place(entry)}: known to end in {entry.expected}, and it "
                f"passed: remove this entry{narrow}"
            )

    def _ends_well(self, name: str, report: pytest.TestReport, entry: Entry) -> bool:
        """Whether this report says that the test of an entry passed."""
        when = "teardown" if entry.outcome == "error" else "call"
        return report.when == when and name not in self._failed

    def _judge_failure(
        self, report: pytest.TestReport, entry: Entry | None, failure: Failure
    ) -> None:
        told = dataclasses.asdict(failure)
        if entry is None:
            self._note(report, "unlisted", None, told)
        elif entry.expects(failure.outcome, failure.raises):
            self._note(report, "expected", entry, told)
            report.outcome = "skipped"
            known = ", ".join(filter(None, (entry.issue, f"since {entry.date}")))
            report.wasxfail = f"known failure: {entry.reason} ({known})"
        else:
            self._note(report, "changed", entry, told)
            report.sections.append(("known failure", self._changed(entry, failure)))

    def _changed(self, entry: Entry, failure: Failure) -> str:
        told = (failure.raises, failure.outcome if failure.outcome != "failed" else None)
        ended = " in ".join(one for one in told if one) or "a failure"
        return (
            f"{self._manifest.place(entry)}: known to end in {entry.expected}, and it ended in "
            f"{ended}: fix what changed, or correct the entry"
        )

    @staticmethod
    def _note(
        report: pytest.TestReport, verdict: str, entry: Entry | None, failure: dict[str, Any]
    ) -> None:
        index = entry.index if entry is not None else None
        setattr(report, _NOTE, {"verdict": verdict, "entry": index, "failure": failure})

    def _asked(self) -> Target | None:
        """The device a test without one of ours was run for, where it was asked for by name."""
        first = selection_of(self._config).targets[0]
        return first if first.asked else None

    def _today(self, target: Target | None) -> Today:
        selection = selection_of(self._config)
        where = target or selection.targets[0]
        return Today(selection.host, where.device, where.health.simulated, self._torch)

    # collecting the whole

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Look at what was collected before ``-k`` and others take from it."""
        targets = selection_of(self._config).targets
        held = [
            entry
            for entry in self._manifest.entries
            if any(entry.condition.holds(self._today(target)) for target in targets)
        ]
        self._stale = self._scope.stale(held, items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        note = getattr(report, _NOTE, None)
        if note is not None and not workers.is_worker(self._config):
            self._notes.append(note)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """A test that took its worker of xdist with it."""
        name = test_id(crashitem, self._config.rootpath / crashitem.partition("::")[0])
        entry = self._manifest.applying(name, self._today(None))
        reason = str(report.longrepr).partition("\n")[0]
        self._judge_failure(report, entry, Failure(name, "crashed", None, reason))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        facts = workers.reported(node)
        if "known_stale" in facts:
            self._stale = set(json.loads(facts["known_stale"])) & (
                self._stale if self._stale is not None else set(range(len(self._manifest.entries)))
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if workers.is_worker(self._config):
            if self._stale is not None:
                workers.report_back(self._config, known_stale=json.dumps(sorted(self._stale)))
            return
        strict = self._settings.strict_known_failures and self._stale
        if strict and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._settings.known_failures_record:
            self._told.append(self._record(session))

    # recording

    def _record(self, session: pytest.Session) -> str:
        """Write the manifest; what was done, as a line."""
        if session.exitstatus not in _FINISHED:
            return f"{self._manifest.name}: not written, because the run did not finish"
        changes = self._changes()
        if not changes:
            return f"{self._manifest.name}: nothing to write"
        path = self._settings.known_failures
        assert path is not None  # noqa: S101
        try:
            known_failures_edit.write(path, self._manifest, changes, datetime.date.today())
        except ManifestError as error:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            return f"ERROR: {error}"
        return (
            f"{self._manifest.name}: written: {len(changes.added)} added, "
            f"{len(changes.changed)} corrected, {len(changes.removed)} removed; "
            "give each new entry its reason and its issue"
        )

    def _changes(self) -> Changes:
        added: dict[str, Failure] = {}
        changed: dict[int, Failure] = {}
        for note in self._notes:
            if note["verdict"] == "unlisted":
                added.setdefault(note["failure"]["test"], Failure(**note["failure"]))
            elif note["verdict"] == "changed":
                failure = Failure(**note["failure"])
                if self._manifest.entries[note["entry"]].is_pattern:
                    added.setdefault(failure.test, failure)
                else:
                    changed.setdefault(note["entry"], failure)
        passed = {note["entry"] for note in self._of("passed")}
        # A pattern stays while one of its tests still fails.
        failing = {note["entry"] for name in ("expected", "changed") for note in self._of(name)}
        return Changes(tuple(added.values()), changed, passed - failing)

    def _of(self, verdict: str) -> list[dict[str, Any]]:
        return [note for note in self._notes if note["verdict"] == verdict]

    # showing

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        lines = self._lines()
        if not lines and not self._notes and not self._told:
            return
        terminalreporter.section("known failures")
        counts = ", ".join(
            f"{len(self._of(verdict))} {words}"
            for verdict, words in (
                ("expected", "failed as known"),
                ("changed", "failed otherwise"),
                ("passed", "passed"),
                ("unlisted", "not listed"),
            )
        )
        head = (
            f"{self._manifest.name}: {len(self._manifest.entries)} entries; {counts}, "
            f"{len(self._stale or ())} without a test"
        )
        width = max(self._config.get_terminal_writer().fullwidth, 40)
        for line in terminal.wrap(head, width):
            terminalreporter.write_line(line)
        for line in (part for one in lines for part in terminal.wrap(one, width)):
            terminalreporter.write_line(line, red=True)
        for line in (part for one in self._told for part in terminal.wrap(one, width)):
            terminalreporter.write_line(line)

    def _lines(self) -> list[str]:
        entries = self._manifest.entries
        lines = [
            self._changed(entries[note["entry"]], Failure(**note["failure"]))
            for note in self._of("changed")
        ]
        for note in self._of("passed"):
            entry = entries[note["entry"]]
            narrow = ", or narrow its pattern" if entry.is_pattern else ""
            test = note["failure"]["test"]
            lines.append(f"{self._manifest.place(entry)}: {test} passed: remove this entry{narrow}")
        lines += [
            f"{self._manifest.place(entries[index])}: no collected test is named "
            f"{entries[index].test!r}: it was renamed or deleted; correct or remove this entry"
            for index in sorted(self._stale or ())
        ]
        unlisted = dict.fromkeys(note["failure"]["test"] for note in self._of("unlisted"))
        if unlisted and not self._settings.known_failures_record:
            lines += [f"not a known failure: {name}" for name in unlisted]
            lines.append(
                "fix what is not a known failure, or list it as a "
                f"[[{KEY}]] with its reason (--known-failures-record writes it)"
            )
        return lines


KNOWN = pytest.StashKey[KnownFailures]()


def _shown(path: Path, config: pytest.Config) -> str:
    """The path of the manifest as messages call it."""
    for folder in (config.invocation_params.dir, config.rootpath):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return str(path)


def _type_name(kind: type[BaseException]) -> str:
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"


def _failure(
    name: str,
    report: pytest.TestReport,
    outcome: str,
    exception: str | None,
    target: Target | None,
) -> Failure:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr or "").strip()
    return Failure(
        name,
        outcome,
        exception,
        shorten(text.partition("\n")[0] or "not yet looked at", 200),
        target.device if target else None,
        target.health.simulated if target else False,
    )
