"""Running pytest on small test suites, with the plugin installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run pytest in a process of its own; NumPy is the framework, so that no test needs more."""
    # The inner run is no worker of the outer one, and has no options but its own.
    for name in (
        *("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTORCH_ENABLE_MPS_FALLBACK"),
        *("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"),
    ):
        monkeypatch.delenv(name, raising=False)

    def run_pytest(*args: str, beside: str = "") -> pytest.RunResult:
        # pytest-playwright wants --device too; it takes part only in the test of that.
        others = [] if beside == "playwright" else ["-p", "no:playwright"]
        always = ["-p", "no:cacheprovider", *others]
        return pytester.runpytest_subprocess(*always, *args, timeout=120)

    return run_pytest


@pytest.fixture
def interruptible(pytester: pytest.Pytester):
    """Start pytest so that an interrupt reaches it; it is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        # A job in the background ignores interrupts, and so would what it starts.
        code = (
            "import signal, sys, pytest; "
            "signal.signal(signal.SIGINT, signal.default_int_handler); "
            "sys.exit(pytest.main(sys.argv[1:]))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, *args],
            cwd=pytester.path,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def numpy_only(pytester: pytest.Pytester) -> None:
    """An ini file that chooses NumPy."""
    pytester.makeini("[pytest]\napplesilicon_framework = numpy\n")


@pytest.fixture
def report(pytester: pytest.Pytester):
    """The JSON report the run left in ``report.json``."""

    def read() -> dict[str, Any]:
        return json.loads((Path(pytester.path) / "report.json").read_text())

    return read
