"""Which tests run in a child process, what comes back of them, and how that is shown.

A crash or a hang becomes two reports of its test: one that failed, in the phase in which the
child ended, and an empty teardown, so that whoever counts reports sees a test that ended.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import isolation, recorder, workers
from pytest_applesilicon.crash_cache import CrashCache
from pytest_applesilicon.knowing import KNOWN, OUTCOME
from pytest_applesilicon.reports.columns import shorten
from pytest_applesilicon.selection import SELECTION

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_applesilicon.isolation import Ending
    from pytest_applesilicon.options import Settings

#: Seconds for a child to start and collect; the first import of a framework on a cold disk
#: took 32 s on one Mac (``health.TIME_LIMIT_S``), and a large suite collects for a while.
_START_S = 600.0

#: After so many children in a row that did not start, no other is tried.
_STARTS = 2

_BODY = "from pytest_applesilicon.isolated import main; main(requests, replies)"

#: Options under which a test must run before the user's eyes, in this process.
_ATTENDED = ("usepdb", "trace", "setupshow", "setuponly", "setupplan")

_PHASES = ("setup", "call", "teardown")

#: Letter and word of a test, as pytest's progress shows them.
_STATUS = {"crashed": ("C", "CRASHED"), "hung": ("H", "HUNG")}


class Isolating:
    """The hooks that run a test in a child process, and show what became of it."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._child: isolation.Child | None = None
        self._folder: Path | None = None
        self._failed_starts: list[str] = []
        self._following: dict[str, str | None] | None = None
        attended = any(config.getoption(name, default=False) for name in _ATTENDED)
        self._off = (
            settings.isolate == "never"
            or attended
            or not isolation.SUPPORTED
            or workers.is_child(config)
        )
        automatic = not self._off and settings.isolate == "auto"
        self._crashed = CrashCache(config) if automatic else None

    # which tests

    def _wanted(self, item: pytest.Item) -> bool:
        if self._settings.isolate == "always" or item.get_closest_marker("isolated"):
            return True
        known = self._crashed.known if self._crashed is not None else ()
        return bool(known) and _plain_id(item) in known

    def _timeout_s(self, item: pytest.Item) -> float:
        mark = item.get_closest_marker("isolated")
        given = mark.kwargs.get("timeout") if mark is not None else None
        return float(given) if given is not None else self._settings.isolate_timeout_s

    def _next(self, item: pytest.Item, nextitem: pytest.Item | None) -> str | None:
        """The id of the next test that this run isolates, where that is known.

        A worker of xdist knows one test ahead; where that one is not isolated, fixtures of a
        wider scope end with this test and begin again with the next.
        """
        if workers.is_worker(self._config):
            return _plain_id(nextitem) if nextitem and self._wanted(nextitem) else None
        if self._following is None:
            order = [_plain_id(one) for one in item.session.items if self._wanted(one)]
            self._following = dict(zip(order, [*order[1:], None], strict=True))
        return self._following.get(_plain_id(item))

    # running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        if self._off:
            return None
        if not self._wanted(item):
            if self._crashed is not None:
                self._crashed.begin(_plain_id(item))
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item, self._next(item, nextitem)):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        self._end_wider_fixtures(item, nextitem)
        return True

    def _reports(self, item: pytest.Item, following: str | None) -> list[pytest.TestReport]:
        """The reports of one test, as its child sends them, or as its end leaves to say."""
        begun = time.time()
        if len(self._failed_starts) >= _STARTS:
            return self._not_run(item, self._failed_starts[-1], begun)
        try:
            child = self._started(item)
        except isolation.ChildEndedError as error:
            self._child = None
            self._failed_starts.append("\n".join((error.ending.reason, *error.ending.lines)))
            return self._not_run(item, self._failed_starts[-1], begun)
        reports: list[pytest.TestReport] = []
        timeout_s = self._timeout_s(item)
        request = {"run": _plain_id(item), "next": following, "timeout_s": timeout_s}
        try:
            for reply in child.ask(request, timeout_s):
                reports += self._taken(item, reply, begun)
        except isolation.ChildEndedError as error:
            self._child = None
            return [*reports, *self._ended(item, error.ending, len(reports), begun)]
        stdout, stderr = child.printed()
        if self._forwards():
            sys.stdout.write(stdout)
            sys.stderr.write(stderr)
        found = isolation.metal_assertion(stderr)
        if found is None:
            return reports
        # The process went on; what its device computes from here on is not to be trusted.
        child.kill()
        self._child = None
        lines = isolation.last_lines(stdout, stderr)
        ending = isolation.Ending("crashed", f"the process went on after {found}", lines)
        return [*reports[:1], *self._ended(item, ending, 1, begun)]

    def _taken(
        self, item: pytest.Item, reply: dict[str, Any], begun: float
    ) -> list[pytest.TestReport]:
        """Act on one reply; the reports that follow from it."""
        if "report" in reply:
            return [self._report(item, reply["report"])]
        if "warning" in reply:
            self._warn(item, reply["warning"])
        elif "missing" in reply:
            why = "it collected other tests: the id differs between processes, or\n"
            return self._not_run(item, why + reply["missing"], begun)
        elif "exit" in reply:
            self._child = None
            pytest.exit(reply["exit"])
        return []

    def _started(self, item: pytest.Item) -> isolation.Child:
        if self._child is None:
            folder = Path(tempfile.mkdtemp(prefix="child-", dir=self._output_folder()))
            child = isolation.Child(_BODY, folder, self._config.invocation_params.dir)
            self._child = child
            for _ in child.ask(self._start(item, folder), _START_S):
                pass
            self._failed_starts.clear()
        return self._child

    def _output_folder(self) -> Path:
        """Beside the temporary folders of the tests, as pytest-xdist puts its workers' own."""
        if self._folder is None:
            factory = vars(self._config).get("_tmp_path_factory")
            parent = factory.getbasetemp() if factory is not None else None
            self._folder = Path(tempfile.mkdtemp(prefix="isolated-", dir=parent))
        return self._folder

    def _start(self, item: pytest.Item, folder: Path) -> dict[str, Any]:
        """What a child must know to collect the same tests and write to nobody's files."""
        option = self._config.option
        arguments = [str(one) for one in self._config.invocation_params.args]
        arguments += ["-p", "no:terminalreporter", "-s", f"--basetemp={folder / 'tmp'}"]
        if hasattr(option, "numprocesses"):
            arguments += ["-n0", "--dist=no"]
        if hasattr(option, "no_cov"):
            arguments.append("--no-cov")
        chosen = self._config.stash.get(SELECTION, None)
        given = getattr(self._config, "workerinput", None)
        return {
            "arguments": arguments,
            "files": sorted({str(one.path) for one in item.session.items if self._wanted(one)}),
            "workerinput": given,
            "selection": workers.selection_to_json(chosen) if chosen is not None else None,
            "output": str(folder),
            "forwarded": self._forwards(),
        }

    def _forwards(self) -> bool:
        return bool(self._config.getoption("capture", default="fd") == "no")

    # what comes back

    def _report(self, item: pytest.Item, data: dict[str, Any]) -> pytest.TestReport:
        # JSON knows no tuples, and pytest asks for them.
        data["location"] = tuple(data["location"])
        data["nodeid"] = item.nodeid  # xdist may have added the group
        if isinstance(data.get("longrepr"), list):
            data["longrepr"] = tuple(data["longrepr"])
        for name in ("sections", "user_properties"):
            data[name] = [tuple(one) for one in data[name]]
        report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
        assert isinstance(report, pytest.TestReport)  # noqa: S101
        return report

    def _warn(self, item: pytest.Item, warned: dict[str, Any]) -> None:
        module = sys.modules.get(warned["module"])
        category = getattr(module, warned["category"], UserWarning)
        location = warned["location"]
        message = warnings.WarningMessage(
            category(warned["text"]), category, warned["filename"], warned["lineno"]
        )
        self._config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": message,
                "when": "runtest",
                "nodeid": item.nodeid,
                "location": tuple(location) if location else None,
            }
        )

    def _ended(
        self, item: pytest.Item, ending: Ending, reported: int, begun: float
    ) -> list[pytest.TestReport]:
        """A failure in the phase after those that were reported, and an empty teardown."""
        text = "\n".join((f"{ending.outcome}: {ending.reason}", "", *ending.lines)).rstrip()
        report = _made(item, _PHASES[min(reported, 2)], text, begun)
        setattr(report, OUTCOME, ending.outcome)
        return self._closed(item, report, ending.outcome, ending.reason)

    def _not_run(self, item: pytest.Item, why: str, begun: float) -> list[pytest.TestReport]:
        """An error: this test could not be run in a child process."""
        text = f"the child process for isolated tests did not start or collect this test:\n{why}"
        return self._closed(item, _made(item, "setup", text, begun), "error", text)

    def _closed(
        self, item: pytest.Item, report: pytest.TestReport, outcome: Any, reason: str
    ) -> list[pytest.TestReport]:
        """The report of an end, with the record on the last report of the test."""
        known = self._config.stash.get(KNOWN, None)
        if known is not None:
            known.judge(item, report, None)
            if hasattr(report, "wasxfail"):
                outcome, reason = "xfailed", report.wasxfail
        reports = [report]
        if report.when != "teardown":
            reports.append(_made(item, "teardown", None, time.time()))
        first = reason.partition("\n")[0]
        record = recorder.contained(item, outcome, first, report.duration)
        recorder.leave(self._config, reports[-1], record)
        return reports

    def _end_wider_fixtures(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """End what earlier tests of this process left set up and ``nextitem`` does not use."""
        runner = self._config.pluginmanager.get_plugin("runner")
        if runner is None:
            return
        call = pytest.CallInfo.from_call(
            lambda: runner.pytest_runtest_teardown(item, nextitem), when="teardown"
        )
        if call.excinfo is not None:
            report = pytest.TestReport.from_item_and_call(item, call)
            item.ihook.pytest_runtest_logreport(report=report)

    # the end

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._crashed is not None and getattr(report, OUTCOME, None) == "crashed":
            self._crashed.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        if self._crashed is not None:
            self._crashed.add(crashitem.rpartition("@")[0] or crashitem)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._crashed is not None:
            self._crashed.finish()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        outcome = getattr(report, OUTCOME, None)
        if outcome is None or not report.failed:
            return None
        return (outcome, *_STATUS[outcome])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None, None, None]:
        ended = [
            (word, report)
            for outcome, (_, word) in _STATUS.items()
            for report in terminalreporter.stats.get(outcome, [])
        ]
        if ended:
            terminalreporter.section("CRASHED AND HUNG", "=")
            for word, report in ended:
                terminalreporter.section(f"{word} {report.nodeid}", "_", red=True, bold=True)
                terminalreporter.write_line(report.longreprtext)
                for name, content in report.sections:
                    terminalreporter.section(name, "-")
                    terminalreporter.write_line(content)
        yield
        for word, report in ended:
            reason = str(report.longrepr).partition("\n")[0].partition(": ")[2]
            width = self._config.get_terminal_writer().fullwidth
            line = shorten(f"{word} {report.nodeid} - {reason}", max(width, 40))
            terminalreporter.write_line(line, red=True)


def _plain_id(item: pytest.Item) -> str:
    """The node id without the group that ``--dist=loadgroup`` appends in a worker."""
    nodeid = item.nodeid
    before, at, _ = nodeid.rpartition("@")
    return before if at and item.get_closest_marker("xdist_group") is not None else nodeid


def _made(item: pytest.Item, when: Any, text: str | None, begun: float) -> pytest.TestReport:
    """A report that no process sent; failed with ``text`` where there is one."""
    now = time.time()
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="passed" if text is None else "failed",
        longrepr=text,
        when=when,
        duration=now - begun,
        start=begun,
        stop=now,
    )
