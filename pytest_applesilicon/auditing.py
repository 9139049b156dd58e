"""``--mps-audit``: the ATen calls of the tests, recorded on the CPU and judged by the catalog."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import garbage, workers
from pytest_applesilicon.catalog import reading
from pytest_applesilicon.files import check_writable
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.selection import test_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_applesilicon.audit.recording import Recorder
    from pytest_applesilicon.audit.signatures import Signature
    from pytest_applesilicon.audit_records import Audit
    from pytest_applesilicon.options import Settings


_KEPT = pytest.StashKey[garbage.Kept]()


def _kept(config: pytest.Config) -> garbage.Kept:
    """What a run leaves out of collections, handed back at its end."""
    if _KEPT not in config.stash:
        kept = config.stash[_KEPT] = garbage.Kept()
        # After pytest's own cleanup, which collects once more: what is added first is called last.
        config.add_cleanup(kept.end)
    return config.stash[_KEPT]


@contextlib.contextmanager
def loading(config: pytest.Config) -> Iterator[None]:
    """Around the loading of conftest.py files, which often import torch: there is no garbage.

    What they made is none until the run ends: that takes back part of what recording costs.
    """
    kept = _kept(config)
    with garbage.resting():
        yield
        kept.keep()


class Auditing:
    """Records in the process that runs the tests; judges in the one that reports."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._recorder: Recorder | None = None
        self._parts: list[list[Signature]] = []
        self._lost: list[str] = []
        self._torch = ""
        self._audit: Audit | None = None
        self._kept = _kept(config)

    @classmethod
    def of(cls, config: pytest.Config, settings: Settings) -> Auditing | None:
        """The audit of a run, where one is asked for."""
        return cls(config, settings) if settings.audit else None

    def check(self) -> None:
        """Refuse what cannot work, before anything is collected.

        Raises:
            OptionError: naming the option and what is accepted.
        """
        other = {"mps", "mps-sim"} & set(self._settings.devices)
        if other:
            raise OptionError(
                f"--mps-audit records what tests do on the CPU, and --device is {other.pop()}: "
                "leave one of them out"
            )
        path = self._settings.audit_signatures
        problem = check_writable(path) if path is not None else None
        if problem:
            raise OptionError(f"--mps-audit-signatures: {problem}")
        try:
            if self._settings.audit_torch:
                reading.load().release(self._settings.audit_torch)
        except reading.CatalogError as error:
            raise OptionError(f"--mps-audit-torch: {error}") from None

    def start(self) -> None:
        """Begin to record, in a process that runs tests.

        Raises:
            OptionError: torch is not installed.
        """
        if workers.is_distributed(self._config) or workers.is_child(self._config):
            return
        try:
            from pytest_applesilicon.audit import recording

            with garbage.resting():  # it imports torch
                self._recorder = recording.Recorder(Path(self._config.rootpath))
                self._kept.keep()
        except ImportError:
            raise OptionError(
                "--mps-audit needs torch\n  remedy: pip install 'pytest-applesilicon[torch]'"
            ) from None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if self._recorder is None:
            return (yield)
        self._recorder.test = test_id(item.nodeid, item.path)
        with self._recorder.watching():
            return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:  # noqa: ARG002
        from pytest_applesilicon.audit import signatures

        text = workers.reported(node).get("audit")
        if text is None:
            self._lost.append(str(node.gateway.id))
            return
        part, self._torch = signatures.parse(text)
        self._parts.append(part)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        from pytest_applesilicon.audit import signatures

        if self._recorder is not None:
            import torch

            self._recorder.close()
            self._torch = str(torch.__version__)
            with garbage.resting():
                self._parts.append(self._recorder.signatures)
        if workers.is_worker(self._config):
            if self._parts:
                text = signatures.to_json(self._parts[0], self._torch)
                workers.report_back(self._config, audit=text)
            return
        with garbage.resting():
            self._finish()
        if self.failed and session.exitstatus in (0, int(pytest.ExitCode.NO_TESTS_COLLECTED)):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _finish(self) -> None:
        """Judge what all processes have recorded, and write it."""
        from pytest_applesilicon.audit import signatures

        found = signatures.merged(self._parts) if len(self._parts) > 1 else list(*self._parts)
        self._parts.clear()
        if self._settings.audit_signatures is not None:
            signatures.write(self._settings.audit_signatures, found, self._torch)
        self._judge(found)

    def _judge(self, found: list[Signature]) -> None:
        from pytest_applesilicon.audit import judging

        catalog = reading.load()
        if self._settings.audit_torch:
            release = catalog.release(self._settings.audit_torch)
        else:
            release = reading.at_most(catalog.releases, self._torch or "99")
        self._audit = judging.judge(found, catalog, release.version, self._lost)

    @property
    def audit(self) -> Audit | None:
        """The judged calls, once the session has finished."""
        return self._audit

    @property
    def failed(self) -> list[str]:
        """The findings that the run is to fail on, and has."""
        if self._audit is None:
            return []
        found = {one.verdict for one in self._audit.uses}
        return [name for name in self._settings.audit_fail_on if name in found]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._audit is None:
            return
        from pytest_applesilicon.reports import audit as shown

        width = int(self._config.get_terminal_writer().fullwidth)
        terminalreporter.section("MPS audit")
        for line in shown.lines(self._audit, width):
            terminalreporter.write_line(line)
        if self._settings.audit_signatures is not None:
            terminalreporter.write_line(f"\nsignatures: {self._settings.audit_signatures}")
        if self.failed:
            names = ", ".join(self.failed)
            terminalreporter.write_line(f"\n--mps-audit-fail-on: found {names}", red=True)
