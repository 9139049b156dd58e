"""The child's side of isolation: a pytest that collects what its parent did and runs on request.

Fixtures of a wider scope live here as long as the child does. Its capturing is off: what a
test prints goes to files, from where it is put into the reports, because what pytest captures
dies with the interpreter.
"""

from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import workers
from pytest_applesilicon.isolation import Channel, Outputs
from pytest_applesilicon.selection import SELECTION

if TYPE_CHECKING:
    import warnings
    from collections.abc import Generator

#: Seconds after its time limit at which a child ends itself whose parent is gone.
_ORPHAN_S = 30


def main(requests: int, replies: int) -> None:
    """Run pytest as the parent says in its first message; does not return."""
    for descriptor in (requests, replies):
        os.set_inheritable(descriptor, False)
    channel = Channel(requests, replies)
    start = channel.receive()
    if start is None:
        os._exit(0)
    # pytest_applesilicon is imported before pytest can rewrite it, which the project may have
    # made an error.
    quiet = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    code = pytest.main([*start["arguments"], *quiet], plugins=[_Server(channel, start)])
    # Only a run that ended before its first test gets here.
    sys.stderr.write(f"pytest ended with exit status {int(code)} before its first test\n")
    _leave(int(code) or 1)


def _leave(code: int) -> None:
    """End without the hooks that write files: they are the parent's to write."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


class _Plain:
    """As much of a terminal as explaining an assertion takes: no colour, 80 columns."""

    hasmarkup = False
    fullwidth = 80

    def _highlight(self, source: str, lexer: str = "python") -> str:
        del lexer
        return source


def _stand_in_for_terminal(config: pytest.Config) -> None:
    """Give pytest before 9 a writer: it asserts that there is one to explain an assertion."""
    try:
        config.get_terminal_writer()
    except AssertionError:
        config.get_terminal_writer = _Plain  # type: ignore[assignment, method-assign]


class _Server:
    """The plugin that turns a pytest into a server of tests."""

    def __init__(self, channel: Channel, start: dict[str, Any]) -> None:
        self._channel = channel
        self._start = start
        self._files = {Path(file) for file in start["files"]}
        self._folders = {folder for file in self._files for folder in file.parents}
        self._outputs = Outputs.within(Path(start["output"]))
        self._mark = (0, 0)
        self._broken: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.applesilicon_child = True  # type: ignore[attr-defined]
        _stand_in_for_terminal(config)
        if self._start["workerinput"] is not None:
            config.workerinput = self._start["workerinput"]  # type: ignore[attr-defined]
            config.workeroutput = {}  # type: ignore[attr-defined]
        if self._start["selection"] is not None:
            config.stash[SELECTION] = workers.selection_from_json(self._start["selection"])
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave out what holds no isolated test: a child may have to start often."""
        wanted = collection_path in self._files or collection_path in self._folders
        return None if wanted or collection_path.name == "__init__.py" else True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken.append(report.longreprtext)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        self._channel.send({"done": True})
        last: pytest.Item | None = None
        while (request := self._channel.receive()) is not None:
            if "stop" in request:
                break
            item = items.get(request["run"])
            if item is None:
                self._channel.send({"missing": "\n".join(self._broken), "done": True})
                continue
            last = item if request["next"] in items else None
            try:
                self._run(item, items.get(request["next"]), request["timeout_s"])
            except (pytest.exit.Exception, KeyboardInterrupt) as stopped:
                self._channel.send({"exit": str(stopped) or "KeyboardInterrupt", "done": True})
                _leave(0)
            self._channel.send({"done": True})
        if last is not None:
            last.ihook.pytest_runtest_teardown(item=last, nextitem=None)
        _leave(0)
        return True

    def _run(self, item: pytest.Item, following: pytest.Item | None, timeout_s: float) -> None:
        """Run one test; fixtures of a wider scope stay for the one that follows."""
        # A parent that was killed can end nobody; the default action of this signal does.
        signal.alarm(math.ceil(timeout_s) + _ORPHAN_S)
        self._mark = self._outputs.mark()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        signal.alarm(0)

    def _keep_output(self, item: pytest.Item, when: str) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if self._start["forwarded"]:
            return
        before, self._mark = self._mark, self._outputs.mark()
        if before == self._mark:
            return
        for name, text in zip(("stdout", "stderr"), self._outputs.since(before), strict=True):
            if text:
                item.add_report_section(when, name, text)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        try:
            yield
        finally:
            self._keep_output(item, "setup")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        try:
            yield
        finally:
            self._keep_output(item, "call")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        try:
            yield
        finally:
            self._keep_output(item, "teardown")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        config = self._config
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        self._channel.send({"report": data})

    @pytest.hookimpl
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._config = session.config

    @pytest.hookimpl
    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        if when == "runtest":  # the parent has seen those of collection itself
            category = warning_message.category
            warned = {
                "text": str(warning_message.message),
                "module": category.__module__,
                "category": category.__qualname__,
                "filename": warning_message.filename,
                "lineno": warning_message.lineno,
                "nodeid": nodeid,
                "location": location,
            }
            self._channel.send({"warning": warned})
