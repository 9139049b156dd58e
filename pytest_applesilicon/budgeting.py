"""The hooks of budgets: which test has which, what is measured for them, how the run ends.

Everything that is wrong with a budget or a baseline ends the run with status 4 before
anything is measured.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import (
    baselines,
    budget_scope,
    budgets,
    frameworks,
    machine,
    measuring,
    verdicts,
    workers,
)
from pytest_applesilicon.marks import target_of
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.peaks import Peaks
from pytest_applesilicon.recorder import VERDICTS, timing_of
from pytest_applesilicon.reports.budgets import announcement, counts
from pytest_applesilicon.selection import selection_of, test_id

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from pytest_applesilicon.baselines import Baseline
    from pytest_applesilicon.budgets import Budget
    from pytest_applesilicon.options import Settings
    from pytest_applesilicon.recorder import Recorder
    from pytest_applesilicon.records import Host, Record, Target, Timing

#: The file in the root folder that is read where no other is named.
FILE = "budgets.toml"

#: Measurements that a baseline has beside the first.
_BASELINE_AGAIN = 2

#: How the reason of a verdict begins whose baseline was moved to it.
_MOVED = "baseline moved: "

#: The budgets of a test, those of its marker first.
BUDGETS = pytest.StashKey[tuple[Any, ...]]()


class Budgeting:
    """The budgets of one run."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._listed: tuple[Budget, ...] | None = None
        self._matched = False
        self._state: dict[str, str] | None = None
        self._baselines: dict[str, Baseline | None] = {}
        self._references: dict[tuple[str, str], Any] = {}
        self._peaks = Peaks()

    @property
    def off(self) -> bool:
        return self._settings.budgets == "off"

    # before anything is measured

    def start(self) -> None:
        """Look at options and files.

        Raises:
            OptionError: an option, the file or a baseline cannot be used.
        """
        accept, folder = self._settings.budgets_accept, self._settings.budgets_baseline
        if accept is not None and folder is None:
            raise OptionError("--budgets-accept: give --budgets-baseline=FOLDER beside it")
        if accept is not None and workers.is_distributed(self._config):
            raise OptionError("--budgets-accept: nothing is timed under xdist; run without -n")
        if folder is not None and folder.exists() and not folder.is_dir():
            raise OptionError(f"--budgets-baseline: {folder} is not a folder")
        if not self.off:
            self._file()

    def _file(self) -> tuple[Budget, ...]:
        """The budgets of the file, read once."""
        if self._listed is None:
            path, named = self._path()
            host = selection_of(self._config).host
            try:
                found = named or path.exists()
                self._listed = budgets.read(path, host, path.name) if found else ()
            except budgets.BudgetError as error:
                raise OptionError(str(error)) from None
        return self._listed

    def _path(self) -> tuple[Path, bool]:
        """The file, and whether it was asked for by name."""
        given = self._settings.budgets_file
        return (given, True) if given is not None else (self._config.rootpath / FILE, False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.match(items)

    def match(self, items: list[pytest.Item]) -> None:
        """Find the budgets of every test, once.

        Raises:
            OptionError: a budget matches no test, or cannot be held against its test; in a
                worker the controller raises it.
        """
        if self._matched or self.off:
            return
        self._matched = True
        try:
            host = selection_of(self._config).host
            for item in items:
                found = budget_scope.of(item, self._file(), host)
                if found:
                    item.stash[BUDGETS] = found
            budget_scope.require_all_matched(self._config, self._file(), items)
            self._require_statistics(items)
            for item in items:
                if self._compares(item) and not workers.is_worker(self._config):
                    self._baseline(item)
        except (OptionError, budgets.BudgetError, baselines.BaselineError) as error:
            if not workers.is_worker(self._config):
                raise OptionError(str(error)) from None
            workers.report_back(self._config, usage_error=str(error))
            items.clear()

    def _require_statistics(self, items: list[pytest.Item]) -> None:
        if not any(self._compares(item) for item in items):
            return
        try:
            import scipy  # noqa: F401
        except ImportError:
            raise OptionError(
                "max_regression needs SciPy\n  remedy: pip install 'pytest-applesilicon[suites]'"
            ) from None

    def _compares(self, item: pytest.Item) -> bool:
        return any(one.max_regression is not None for one in item.stash.get(BUDGETS, ()))

    # measuring

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        timer = item.stash.get(measuring.TIMER, None)
        if timer is not None and self._compares(item):
            timer.before_round = lambda: self._reference(item).run()

    def _reference(self, item: pytest.Item) -> Any:
        from pytest_applesilicon.frameworks.reference import Reference

        target = _target(item)
        key = (target.framework, target.device)
        if key not in self._references:
            self._references[key] = Reference(*key)
        return self._references[key]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        yield
        if BUDGETS not in item.stash:
            return
        if self._settings.budgets_accept is not None and measuring.AGAIN in item.stash:
            # Whatever comes later is held against this one: a disturbed baseline hides a change.
            again = item.stash[measuring.AGAIN]
            item.stash[measuring.MORE_BLOCKS] = tuple(
                block for _ in range(_BASELINE_AGAIN) for block in again()
            )
        item.stash[VERDICTS] = self._judge(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        if call.when == "teardown" and VERDICTS not in item.stash:
            found = item.stash.get(BUDGETS, ())
            item.stash[VERDICTS] = [
                verdicts.not_enforced(one, name, "the test did not pass")
                for one in found
                for name in one.limits
            ]
        return (yield)

    def _judge(self, item: pytest.Item) -> list[Any]:
        target, timing = _target(item), timing_of(item)
        benchmark = getattr(item, "funcargs", {}).get("benchmark")
        reason = verdicts.nowhere_enforced(
            target,
            selection_of(self._config).host,
            enabled=bool(getattr(benchmark, "enabled", False)),
            distributed=hasattr(self._config, "workerinput")
            and workers.prefix_of(self._config) is None,
        )
        if measuring.taken_over(self._config):
            reason = "CodSpeed has taken the fixture benchmark"
        if not reason and timing is None:
            reason = "the test measured nothing"
        found = []
        for one in item.stash[BUDGETS]:
            for name in one.limits:
                if name == "min_speedup_vs" and one.min_speedup_vs == target.device:
                    continue  # the device the others are held against
                if reason or timing is None:
                    found.append(verdicts.not_enforced(one, name, reason))
                else:
                    found.append(self._judge_one(item, one, name, timing))
        return found

    def _judge_one(self, item: pytest.Item, one: Budget, name: str, timing: Timing) -> Any:
        host, target = selection_of(self._config).host, _target(item)
        if name == "max_median_ms":
            return verdicts.of_median(one, timing, host)
        if name == "max_peak_mb":
            return verdicts.of_memory(one, timing, host)
        if name == "min_fraction_of_peak":
            from pytest_applesilicon.recorder import MEASUREMENTS

            measured = item.stash.get(MEASUREMENTS, None) or []
            peak = self._peaks.of(target.framework, target.device, [m.unit for m in measured])
            return verdicts.of_fraction(one, timing, measured, peak)
        if name == "max_regression":
            return self._judge_regression(item, one, timing)
        return verdicts.pending(one)

    def _judge_regression(self, item: pytest.Item, one: Budget, timing: Timing) -> Any:
        name = "max_regression"
        if self._settings.budgets_baseline is None:
            return verdicts.not_enforced(one, name, "no --budgets-baseline=FOLDER was given")
        baseline = self._baseline(item)
        entry = baseline.tests.get(test_id(item.nodeid, item.path)) if baseline else None
        if entry is None:
            reason = 'no baseline of this test yet: record one with --budgets-accept="why"'
            return verdicts.not_enforced(one, name, reason)
        for what, then, now in (
            ("--size", entry.size, self._settings.size),
            ("mode", entry.mode, timing.mode),
        ):
            if then != now:
                reason = f"the baseline was measured with {what} {then}, this run with {now}"
                return verdicts.not_enforced(one, name, reason)
        from pytest_applesilicon import regression

        return regression.judge(one, entry.blocks, timing.blocks, item.stash[measuring.AGAIN])

    def _baseline(self, item: pytest.Item) -> Baseline | None:
        folder = self._settings.budgets_baseline
        if folder is None:
            return None
        name = _target(item).framework
        if name not in self._baselines:
            identity = self.identity(name)
            if self._settings.budgets_accept is not None:
                path = baselines.path_of(folder, identity)
                self._baselines[name] = baselines.find(folder, identity) if path.exists() else None
            else:
                self._baselines[name] = baselines.find(folder, identity)
        return self._baselines[name]

    def identity(self, framework: str) -> machine.Identity:
        """The identity of this machine with a framework."""
        adapter = frameworks.load(framework)
        version = adapter.versions().get(adapter.distribution, "unknown")
        host = selection_of(self._config).host
        return machine.identity(host, framework, version, machine.power_source(self._power()))

    def _power(self) -> dict[str, str]:
        if self._state is None:
            self._state = machine.read_state(selection_of(self._config).host.system)
        return self._state

    def conditions(self, records: Sequence[Record]) -> dict[str, str]:
        """The state of the machine, where there were budgets."""
        if not counts(records):
            return {}
        return machine.conditions(self._power(), selection_of(self._config).host)

    # the end

    def finish(self, recorder: Recorder) -> bool:
        """Judge what needs the whole run, move baselines; whether the run fails."""
        for record in recorder.records:
            if any(one.reason == verdicts.PENDING for one in record.verdicts):
                recorder.add(verdicts.completed(record, recorder.records))
        if self._settings.budgets_accept is not None:
            self._move(recorder)
        count = counts(recorder.records)
        if self._settings.budgets == "strict":
            moved = sum(
                one.reason.startswith(_MOVED)
                for record in recorder.records
                for one in record.verdicts
            )
            return sum(count.values()) - count["met"] - moved > 0
        return self._settings.budgets == "enforce" and count["exceeded"] > 0

    def announcement(self, records: Sequence[Record]) -> list[str]:
        """How much was not enforced, and what that does to the run."""
        said = announcement(records)
        ends = "; --budgets=strict fails" if self._settings.budgets == "strict" else ""
        return ["", said + ends] if said else []

    def _move(self, recorder: Recorder) -> None:
        """Write the baselines of what was measured for a regression, by framework."""
        folder, reason = self._settings.budgets_baseline, self._settings.budgets_accept
        assert folder is not None  # noqa: S101 - start() has looked
        assert reason is not None  # noqa: S101
        date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        host = selection_of(self._config).host
        moved: dict[str, dict[str, baselines.Entry]] = {}
        for record in recorder.records:
            if record.framework and record.timing is not None and _can_move(record, host):
                moved.setdefault(record.framework, {})[record.test_id] = baselines.Entry(
                    self._settings.size,
                    record.timing.mode,
                    record.timing.median_s,
                    record.timing.blocks,
                    date,
                    reason,
                )
                recorder.add(_accepted(record, reason))
        for framework, entries in moved.items():
            old = self._baselines.get(framework) or baselines.Baseline(self.identity(framework))
            baselines.write(folder, old.moved(entries, reason, date))


def _target(item: pytest.Item) -> Target:
    target = target_of(item)
    assert target is not None  # noqa: S101 - match() has looked
    return target


def _can_move(record: Record, host: Host) -> bool:
    """Whether a record is a measurement that a later one may be held against."""
    return (
        record.outcome == "passed"
        and not record.simulated
        and not (host.virtual and record.device == "mps")
        and record.timing is not None
        and bool(record.timing.blocks)
        and any(one.limit_name == "max_regression" for one in record.verdicts)
    )


def _accepted(record: Record, reason: str) -> Record:
    """The record with its regression accepted: what was found stays, nothing is enforced."""
    done = [
        dataclasses.replace(one, state="not-enforced", reason=f"{_MOVED}{reason}")
        if one.limit_name == "max_regression"
        else one
        for one in record.verdicts
    ]
    return dataclasses.replace(record, verdicts=tuple(done))
