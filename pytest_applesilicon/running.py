"""One run in which the plugin is used: its hooks, registered on first use."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import (
    __version__,
    activity,
    architectures,
    budgeting,
    counting,
    fallback,
    frameworks,
    marks,
    measuring,
    monitor,
    places,
    publishing,
    recorder,
    repeating,
    workers,
)
from pytest_applesilicon import host as hosts
from pytest_applesilicon.auditing import Auditing
from pytest_applesilicon.data import mnist
from pytest_applesilicon.frameworks import vision
from pytest_applesilicon.isolating import Isolating
from pytest_applesilicon.knowing import KnownFailures
from pytest_applesilicon.linting import Linting
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.options import SETTINGS
from pytest_applesilicon.records import Report, RunFacts, Sample
from pytest_applesilicon.reports import github, terminal
from pytest_applesilicon.selection import (
    SELECTION,
    parametrize,
    require,
    require_architecture,
    selection_of,
    test_id,
    usable,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pytest_applesilicon.options import Settings

_PLUGIN_NAME = "applesilicon-run"

#: Options under which pytest lists something and runs no test.
_LISTING = ("collectonly", "showfixtures", "show_fixtures_per_test")

#: How a run ends that was not stopped: its tests passed or failed, or there were none.
_FINISHED = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)


class Run:
    """The state of one run, and the hooks that need it."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._recorder = recorder.Recorder()
        self._known = KnownFailures.of(config, settings)
        self._auditing = Auditing.of(config, settings)
        self._budgets = budgeting.Budgeting(config, settings)
        self._usage_errors: dict[str, None] = {}
        self._header_shown = False
        self._places = places.Places(config)
        self._counted = counting.Counted()
        self._wrong_worker = ""
        self._monitor: monitor.Monitor | None = None
        self._worker_samples: list[Sample] = []
        #: Whether a test of ours ran, and so the framework is imported.
        self._used = False
        self._listing = any(config.getoption(name, default=False) for name in _LISTING)

    @classmethod
    def of(cls, config: pytest.Config) -> Run:
        """The run of this config, registered on first use."""
        found = config.pluginmanager.get_plugin(_PLUGIN_NAME)
        if found is None:
            found = cls(config, config.stash[SETTINGS])
            config.pluginmanager.register(found, _PLUGIN_NAME)
            if found._known is not None:
                config.pluginmanager.register(found._known)
            config.pluginmanager.register(Linting(config))
            measuring.register(config)
            config.pluginmanager.register(found._budgets)
            config.pluginmanager.register(found._counted)
            repeating.register(config, found._settings.repeat_failed)
            config.pluginmanager.register(Isolating(config, found._settings))
            if found._auditing is not None:
                config.pluginmanager.register(found._auditing)
        assert isinstance(found, cls)  # noqa: S101
        return found

    def start(self) -> None:
        """Look at what was asked before anything is collected.

        Raises:
            OptionError: a device, an architecture or a path cannot be had (exit status 4).
        """
        if workers.is_worker(self._config):
            self._check_worker()
            self._start_monitor()
        if self._auditing is not None and not self._listing:
            if not workers.is_worker(self._config):
                self._auditing.check()
            self._auditing.start()
        if workers.is_worker(self._config) or not self._settings.active:
            return
        publishing.check(self._settings)
        self._counted.look_at_source(self._config, self._settings)
        try:
            mnist.find(self._settings.mnist)
        except mnist.MnistError as error:
            raise OptionError(f"--mnist: {error}") from None
        selection = selection_of(self._config)
        self._budgets.start()
        if not self._listing:
            command = f"{shlex.quote(sys.executable)} -m pytest"
            require_architecture(self._settings.arch, selection.host, command)
            require(self._settings, selection)
        self._start_monitor()

    def _start_monitor(self) -> None:
        if self._settings.monitor_s is None or self._listing:
            return
        try:
            found = monitor.Monitor(self._settings.monitor_s)
        except ImportError:
            raise OptionError(
                "--monitor needs psutil\n  remedy: pip install 'pytest-applesilicon[cli]'"
            ) from None
        if not workers.is_distributed(self._config):  # else its workers run the tests
            self._monitor = found
            found.start()

    def _watch(self, item: pytest.Item | None) -> None:
        """Tell the monitor which test begins; where one ends, what its device holds."""
        if self._monitor is None:
            return
        if item is not None:
            self._monitor.running(test_id(item.nodeid, item.path))
            return
        self._monitor.running("")
        held = [
            frameworks.load(one.framework).memory(one.device)
            for one in (self._config.stash[SELECTION].targets if self._used else ())
            if usable(one.health)
        ]
        known = [size for size in held if size is not None]
        self._monitor.device_holds(sum(known) if known else None)

    def _check_worker(self) -> None:
        prefix = workers.prefix_of(self._config)
        if prefix is not None:
            place = workers.place_of(self._config)
            self._wrong_worker = architectures.wrong_here(prefix, place)
            if self._wrong_worker:
                workers.report_back(self._config, usage_error=self._wrong_worker)

    # collection

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._wrong_worker:
            items.clear()

    def parametrize(self, metafunc: pytest.Metafunc) -> None:
        parametrize(metafunc)

    def apply_markers(self, items: list[pytest.Item]) -> None:
        self._budgets.match(items)
        try:
            marks.apply_all(items, selection_of(self._config))
        except OptionError as error:
            if not workers.is_worker(self._config):
                raise
            # In a worker it would be a traceback; the controller ends the run with status 4.
            workers.report_back(self._config, usage_error=str(error))
            items.clear()

    # running

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        alone = workers.prefix_of(self._config) is not None
        with workers.turn(self._config) if alone else contextlib.nullcontext():
            self._watch(item)
            result = yield
            self._used = self._used or marks.target_of(item) is not None
            self._watch(None)
            return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """The faults are on while tests run, not while they are imported and collected."""
        if not self._settings.faults:
            return (yield)
        from pytest_applesilicon.simulate import faults

        with faults.activate(*self._settings.faults):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        with _running_on_device(item):
            yield
        if marks.ours(item):
            marks.skip_on_own_device(item, selection_of(self._config))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        with activity.watched(item), _running_on_device(item):
            if item.get_closest_marker("no_fallback") is None:
                yield
            else:
                with fallback.watch() as seen:
                    yield
                if seen:
                    names = ", ".join(seen)
                    pytest.fail(f"no_fallback: ran on the CPU instead of MPS: {names}", False)
        activity.limit_syncs(item)
        target = marks.target_of(item)
        if target is not None and target.device != "cpu":
            # An error that the device reports late belongs to the test that caused it.
            frameworks.load(target.framework).synchronize(target.device)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        report = yield
        if self._known is not None:
            self._known.judge(item, report, call.excinfo)
        if self._settings.active or marks.target_of(item) or marks.ours(item):
            recorder.note(item, report)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if workers.is_worker(self._config):
            return
        record = recorder.take(report)
        if record is not None:
            self._recorder.add(self._places.place(record, report))
            report.user_properties += github.properties(record)

    # pytest-xdist

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if SELECTION in self._config.stash:
            workers.send(node, self._config.stash[SELECTION])
        self._places.send(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        self._places.ended(node, error)
        facts = workers.reported(node)
        if "selection" in facts and SELECTION not in self._config.stash:
            self._config.stash[SELECTION] = workers.selection_from_json(facts["selection"])
        self._worker_samples += workers.samples_of(node)
        if "usage_error" in facts:
            self._usage_errors[facts["usage_error"]] = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        reason = str(report.longrepr).partition("\n")[0]
        names = tuple(fault.name for fault in self._settings.faults)
        record = recorder.crashed(crashitem, self._config.rootpath, reason, faults=names)
        self._recorder.add(self._places.place(record, report))

    # the end

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._monitor is not None:
            self._monitor.stop()
        if workers.is_worker(self._config):
            if self._monitor is not None:
                workers.report_samples(self._config, self._monitor.samples)
            if SELECTION in self._config.stash:
                selection = workers.selection_to_json(self._config.stash[SELECTION])
                workers.report_back(self._config, selection=selection)
            if workers.place_of(self._config):
                workers.report_back(self._config, place=places.to_json(self._config))
            return
        over = self._budgets.finish(self._recorder)
        if self._usage_errors:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif (over or self._vacuous()) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if publishing.told(self._settings) and not self._listing:
            facts = dataclasses.replace(self._facts(), exit_status=int(session.exitstatus))
            publishing.write(Report(facts, self._recorder.records), self._settings)

    def pytest_report_header(self) -> list[str]:
        self._header_shown = True
        return self._header() if SELECTION in self._config.stash else []

    def pytest_report_collectionfinish(self) -> list[str]:
        # The device was not asked for, so nobody looked for one before a test needed it.
        if self._header_shown or SELECTION not in self._config.stash:
            return []
        return self._header()

    def _header(self) -> list[str]:
        facts = self._facts()
        lines = terminal.header(facts, hosts.describe(facts.host), self._width())
        return lines + terminal.faulty(self._settings.faults, self._width())

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int
    ) -> None:
        for problem in self._usage_errors:
            terminalreporter.write_line(f"ERROR: {problem}", red=True)
        if self._listing or SELECTION not in self._config.stash:
            return
        lines = terminal.summary(self._report(), self._width())
        if lines:
            lines += terminal.faulty(self._settings.faults, self._width())
            terminalreporter.section("applesilicon")
            for line in lines:
                terminalreporter.write_line(line)
        for line in self._budgets.announcement(self._recorder.records):
            terminalreporter.write_line(line, yellow=True)
        for line in publishing.told(self._settings):
            terminalreporter.write_line(f"\n{line}")
        for line in publishing.to_github(self._config, self._report(), os.environ):
            terminalreporter.write_line(line)
        for line in self._never_ran_lines() if exitstatus in _FINISHED else ():
            terminalreporter.write_line(line, red=True)

    def _never_ran_lines(self) -> list[str]:
        never = [target.device for target in self._never_ran()]
        own = any(record.own_device for record in self._recorder.records)
        return [
            f"\nno test ran on {device}, which was asked for by name"
            + ("; the tests take a device of their project's own" if own else "")
            for device in never
        ]

    def _never_ran(self) -> list[Any]:
        if self._listing or SELECTION not in self._config.stash:
            return []
        targets = self._config.stash[SELECTION].targets
        skipped = self._settings.device_missing == "skip"
        wanted = [target for target in targets if usable(target.health) or not skipped]
        return terminal.never_ran(wanted, self._recorder.records)

    def _vacuous(self) -> bool:
        """Whether a device was asked for by name and no test of ours ran on it."""
        own = any(record.own_device for record in self._recorder.records)
        return bool(self._never_ran()) and not own

    def _report(self) -> Report:
        return Report(self._facts(), self._recorder.records)

    def _facts(self) -> RunFacts:
        selection = selection_of(self._config)
        names = {target.framework for target in selection.targets} | {"numpy"}
        versions = {"python": ".".join(str(part) for part in sys.version_info[:3])}
        for name in sorted(names):
            versions |= frameworks.load(name).versions()
        found = mnist.find(self._settings.mnist)
        return RunFacts(
            version=__version__,
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            host=selection.host,
            targets=selection.targets,
            settings=self._settings.as_text(),
            versions=versions,
            notes=(*selection.notes, f"mnist: {found.describe()}", *self._vision(names)),
            places=self._places.all,
            samples=(self._monitor.samples if self._monitor else tuple(self._worker_samples)),
            audit=self._auditing.audit if self._auditing else None,
            conditions=self._budgets.conditions(self._recorder.records),
            **self._counted.facts(),
        )

    @staticmethod
    def _vision(names: Iterable[str]) -> list[str]:
        """What the models of torchvision need here, where the run uses torch."""
        said = vision.note() if "torch" in names else ""
        return [said] if said else []

    def _width(self) -> int:
        return int(self._config.get_terminal_writer().fullwidth)


def _running_on_device(item: pytest.Item) -> contextlib.AbstractContextManager[Any]:
    """What runs inside computes on the device of the test."""
    target = marks.target_of(item)
    if target is None or not usable(target.health):
        return contextlib.nullcontext()
    return frameworks.load(target.framework).running_on(target.device)
