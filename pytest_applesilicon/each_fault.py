"""``--faults=each``: one child run for each built-in fault, whatever becomes of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_applesilicon.option_table import named
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.options import given_text
from pytest_applesilicon.reports import document, faults
from pytest_applesilicon.reports.faults import FaultOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

#: A run with a fault may take this many times as long as the one without, and at least so
#: many seconds: other runs share the machine.
_TIMES, _AT_LEAST_S = 5.0, 60.0

#: What the run without a fault may take.
_HEALTHY_S = 3600.0

_OPTION = named("faults")


def main(config: pytest.Config) -> int | None:
    """Do what ``--faults=help`` or ``--faults=each`` asks; ``None`` where neither is meant.

    Raises:
        OptionError: ``each`` without ``--device=mps-sim``.
    """
    wanted = given_text(config, _OPTION)
    if wanted not in ("help", "each"):
        return None
    from pytest_applesilicon.simulate.fault_families import BUILT_IN

    if wanted == "help":
        width = min(shutil.get_terminal_size().columns, 100)
        for line in faults.help_lines(BUILT_IN.values(), width):
            say(line)
        return 0
    device = given_text(config, named("device"))
    if device != "mps-sim":
        raise OptionError(f"--faults=each: only with --device=mps-sim, and this is {device!r}")
    args = without_faults(config.invocation_params.args)
    return run_all(tuple(BUILT_IN), args, config.invocation_params.dir, say)


def say(line: str) -> None:
    """One line on standard output: before the run there is no terminal reporter."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def without_faults(args: Sequence[object]) -> list[str]:
    """The arguments of a run without ``--faults`` and its value."""
    names = (_OPTION.true_name, _OPTION.short)
    kept: list[str] = []
    skip = False
    for given in args:
        one = str(given)
        if skip or one.partition("=")[0] in names:
            skip = one in names
            continue
        kept.append(one)
    return kept


def run_all(
    names: Sequence[str], args: Sequence[str], folder: Path, say: Callable[[str], None]
) -> int:
    """A child run without a fault, then one for each; prints progress and the table.

    Returns:
        1 where a fault was not noticed, 4 where the tests fail without a fault, else 0.
    """
    say(f"faults: a run without a fault, then {len(names)} runs with one each")
    began = time.monotonic()
    healthy = run_one("", args, folder, _HEALTHY_S)
    if healthy.outcome != "not caught":
        say(f"ERROR: without a fault the run is: {healthy.outcome}, {healthy.by}")
        return 4
    limit_s = max(_AT_LEAST_S, _TIMES * (time.monotonic() - began))
    say(f"without a fault: passed in {healthy.seconds:.0f} s; limit of a run: {limit_s:.0f} s")
    at_once = 1 if any(one.startswith("-n") for one in args) else min(os.cpu_count() or 1, 4)
    found: dict[str, FaultOutcome] = {}
    with ThreadPoolExecutor(at_once) as pool:
        runs = [pool.submit(run_one, name, args, folder, limit_s) for name in names]
        for done, one in enumerate(as_completed(runs), start=1):
            outcome = one.result()
            found[outcome.fault] = outcome
            say(
                f"[{done}/{len(names)}] {outcome.fault}: {outcome.outcome}, {outcome.seconds:.0f} s"
            )
    outcomes = [found[name] for name in names]
    for line in ["", *faults.outcome_table(outcomes, 80)]:
        say(line)
    return 0 if all(one.noticed for one in outcomes) else 1


def run_one(name: str, args: Sequence[str], folder: Path, limit_s: float) -> FaultOutcome:
    """How a child run with this fault ends; without a fault where ``name`` is empty."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "pytest", *args, "-p", "no:cacheprovider"]
        command += [f"--applesilicon-report={report}", f"{_OPTION.true_name}={name or 'none'}"]
        with (Path(scratch) / "output").open("w+b") as output:
            child = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status: int | None = child.wait(limit_s)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                # Workers and children of the run must not outlive it.
                end_group(child)
            output.seek(0)
            text = output.read().decode(errors="replace")
        seconds = time.monotonic() - began
        return judged(name, status, text, report, seconds)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End a child that was started in a session of its own, and all it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait()


def judged(name: str, status: int | None, text: str, report: Path, seconds: float) -> FaultOutcome:
    """The outcome of a run from its exit status, its output and its report."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "it printed nothing"
    if status is None:
        return FaultOutcome(name, "hung", f"no end after {seconds:.0f} s", 0, seconds)
    if status < 0:
        return FaultOutcome(name, "crashed", signal.Signals(-status).name, 0, seconds)
    if status == 0:
        return FaultOutcome(name, "not caught", "", 0, seconds)
    if status != 1 or not report.exists():
        return FaultOutcome(name, "error", f"exit status {status}: {last}", 0, seconds)
    bad = [
        one
        for one in document.read(report).records
        if one.outcome in ("failed", "error", "crashed", "hung")
    ]
    first = bad[0].test_id if bad else last
    return FaultOutcome(name, "caught", first, len(bad), seconds)
