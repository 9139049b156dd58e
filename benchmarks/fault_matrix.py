"""Which suite notices which fault: every built-in fault of the simulated device, every suite.

    python benchmarks/fault_matrix.py [--faults=NAME,...] [--suites=ops,...] [--output=faults.json]

First each suite runs without a fault: it must pass, and the operators that each of its tests
called are noted. Then, for each fault, only the tests that call one of its operators run, until
the first that fails, each run in a process of its own with a time limit. A crash and a hang are
outcomes. What was found is written after each run, and a run that is started again goes on.

Exit status 1 where a suite fails without a fault, or where no suite notices a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon.files import write_whole
from pytest_applesilicon.reports import document
from pytest_applesilicon.reports.columns import columns
from pytest_applesilicon.simulate.fault_families import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_applesilicon.records import Record
    from pytest_applesilicon.simulate.faults import Fault

ROOT = Path(__file__).parent.parent

#: The suites, the quickest first, with the options under which they run.
SUITES = {
    "environment": (),
    "training": (),
    "agreement": (),
    "ops": ("--dtypes=float32,int64", "--samples=1"),
    # Each run is a process of its own already.
    "regressions": ("--isolate=never",),
}

#: What all runs are started with.
ALWAYS = ("-p", "no:cacheprovider", "-q", "--device=mps-sim", "--mps-fallback=allow")

#: Seconds of tests, as they took without a fault, that are run for one fault and suite.
MOST_S = 10.0

#: A run may take so many times what its tests took without a fault, and so much more.
TIMES, MORE_S = 4.0, 20.0

#: Operators that the counters name as a Mac does, and by what name a fault knows them.
SAME = {
    "aten::_lstm_mps": "aten::lstm.input",
    "aten::_scaled_dot_product_attention_math_for_mps": "aten::scaled_dot_product_attention",
}

#: Marks of the table.
MARKS = {"caught": "X", "passed": ".", "not reached": "-", "crashed": "C", "hung": "H"}


@dataclass(frozen=True)
class Cell:
    """What one suite made of one fault."""

    outcome: str
    """``caught``, ``passed``, ``not reached``, ``crashed``, ``hung`` or ``error``."""
    by: str = ""
    """The first test that failed, the signal, or the exit status."""
    tests: int = 0
    """How many tests call an operator of the fault, and were given to the run."""
    seconds: float = 0.0

    @property
    def noticed(self) -> bool:
        return self.outcome in ("caught", "crashed", "hung")


# without a fault


def healthy(suite: str, folder: Path) -> tuple[Record, ...]:
    """The records of a suite without a fault; those of an earlier run where there are some."""
    report = folder / f"{suite}.json"
    if not report.exists():
        print(f"{suite}: without a fault ...", flush=True)
        command = [sys.executable, "-m", "pytest", *ALWAYS, f"suites/{suite}", *SUITES[suite]]
        began = time.monotonic()
        with (folder / f"{suite}.log").open("w") as log:
            subprocess.run(
                [*command, f"--applesilicon-report={report}"],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        print(f"{suite}: {time.monotonic() - began:.0f} s", flush=True)
    return document.read(report).records


def failures(records: Iterable[Record]) -> list[str]:
    """The tests that fail without a fault."""
    return [one.test_id for one in records if one.outcome in ("failed", "error", "crashed")]


def reached(fault: Fault, records: Iterable[Record]) -> list[Record]:
    """The tests that call an operator of the fault, the quickest first, as many as there is time.

    Tests of the same function take turns, so that each function has its share.
    """
    by_function: dict[str, list[Record]] = {}
    for one in records:
        called = one.activity.operators if one.activity else {}
        if one.outcome == "passed" and any(fault.touches(SAME.get(name, name)) for name in called):
            by_function.setdefault(one.test_id.partition("[")[0], []).append(one)
    turns = [sorted(tests, key=lambda one: one.duration_s) for tests in by_function.values()]
    ordered = [
        tests[turn]
        for turn in range(max(map(len, turns), default=0))
        for tests in turns
        if turn < len(tests)
    ]
    spent = 0.0
    kept: list[Record] = []
    for one in ordered:
        spent += one.duration_s
        if kept and spent > MOST_S:
            break
        kept.append(one)
    return kept


# a run with a fault


class Only:
    """Keeps the chosen tests of a run, and notes the first that fails."""

    def __init__(self, nodeids: set[str], note: Path) -> None:
        self._nodeids = nodeids
        self._note = note

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop the others."""
        items[:] = [item for item in items if item.nodeid in self._nodeids]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write down the first failure."""
        if report.failed and not self._note.exists():
            self._note.write_text(report.nodeid)


def child(fault: str, suite: str, chosen: list[Record], note: Path) -> int:
    """The body of a forked process: a pytest run with one fault."""
    from pytest_applesilicon import health

    # The device was probed when the suites ran without a fault.
    said = '\napplesilicon-probe {"state": "ok", "reason": "probed before"}\n'
    health._run_child = lambda *_: health.ChildResult(0, said, "")  # noqa: SLF001
    files = sorted({one.nodeid.partition("::")[0] for one in chosen})
    names = sorted({_operator(one) for one in chosen} - {""})
    args = [*ALWAYS, *files, *SUITES[suite], "-x", f"--faults={fault}"]
    args += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # the warm-up imported them
    if names:
        args.append("--ops=^(" + "|".join(name.replace(".", "[.]") for name in names) + ")$")
    only = Only({one.nodeid for one in chosen}, note)
    return int(pytest.main(args, plugins=[only]))


def _operator(record: Record) -> str:
    """The operator of torch's database that a test is about; empty where it has none."""
    if record.operator is not None:
        return record.operator.operator
    name, bracket, parameters = record.test_id.rpartition("[")
    if bracket and name.endswith(("test_layout", "test_repeated", "test_edge_values")):
        return parameters.rstrip("]").rpartition("-")[2]
    return ""


@dataclass
class Job:
    """One run that is under way."""

    fault: str
    suite: str
    tests: int
    pid: int
    note: Path
    began: float
    limit_s: float

    def ended(self) -> Cell | None:
        """What became of it; ``None`` while it runs. Past its time it is ended."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        seconds = time.monotonic() - self.began
        if not pid:
            if seconds <= self.limit_s:
                return None
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            return Cell("hung", f"no end after {seconds:.0f} s", self.tests, seconds)
        code = os.waitstatus_to_exitcode(status)
        first = self.note.read_text() if self.note.exists() else ""
        if code < 0:
            return Cell("crashed", signal.Signals(-code).name, self.tests, seconds)
        if code in (0, 1):
            outcome = "caught" if code else "passed"
            return Cell(outcome, first, self.tests, seconds)
        return Cell("error", f"exit status {code}", self.tests, seconds)


def start(fault: str, suite: str, chosen: list[Record], folder: Path) -> Job:
    """Fork a run; torch and its operator database are imported already."""
    note = folder / f"{fault}-{suite}.txt"
    note.unlink(missing_ok=True)
    log = os.open(folder / f"{fault}-{suite}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    pid = os.fork()
    if not pid:
        status = 70
        try:
            os.setsid()
            os.dup2(log, 1)
            os.dup2(log, 2)
            status = child(fault, suite, chosen, note)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            sys.stdout.flush()
            os._exit(status)
    os.close(log)
    limit_s = MORE_S + TIMES * sum(one.duration_s for one in chosen)
    return Job(fault, suite, len(chosen), pid, note, time.monotonic(), limit_s)


def warm_up() -> None:
    """Import what every run needs, so that a forked one starts in a moment."""
    os.chdir(ROOT)
    import torch

    from pytest_applesilicon import opinfo
    from pytest_applesilicon.agreement import functions, oracle  # noqa: F401

    torch.set_num_threads(1)
    opinfo.operators()
    opinfo.modules()
    opinfo.optimizers()


def run_all(
    wanted: list[tuple[str, str, list[Record]]],
    folder: Path,
    at_once: int,
    keep: Callable[[str, str, Cell], None],
) -> None:
    """Run every pair of fault and suite; each result is kept as soon as it is there."""
    waiting, running, done = list(wanted), list[Job](), 0
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(start(*waiting.pop(0), folder))
        for job in list(running):
            cell = job.ended()
            if cell is not None:
                running.remove(job)
                done += 1
                keep(job.fault, job.suite, cell)
                print(
                    f"[{done}/{len(wanted)}] {job.fault}, {job.suite}: {cell.outcome}, "
                    f"{cell.seconds:.0f} s",
                    flush=True,
                )
        time.sleep(0.02)


# the matrix


def table(cells: dict[str, dict[str, Cell]], suites: list[str]) -> list[str]:
    """One line for each fault: a mark for each suite, and the first test that noticed."""
    rows = [["fault", *suites, "noticed"]]
    for fault, row in cells.items():
        marks = [MARKS.get(row[one].outcome, "E") if one in row else "?" for one in suites]
        rows.append([fault, *marks, "yes" if any(one.noticed for one in row.values()) else "NO"])
    legend = ", ".join(f"{mark} {outcome}" for outcome, mark in MARKS.items())
    return [*columns(rows, left=1), "", legend]


def read_cells(path: Path) -> dict[str, dict[str, Cell]]:
    """What an earlier run found.

    Raises:
        SystemExit: the file is not one of these.
    """
    if not path.exists():
        return {}
    try:
        plain = json.loads(path.read_text())
        return {
            fault: {suite: Cell(**cell) for suite, cell in row.items()}
            for fault, row in plain["cells"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemExit(f"{path}: not a result of benchmarks/fault_matrix.py: {error!r}") from None


def parsed() -> Any:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--faults", default=",".join(BUILT_IN), help="names; the default is all")
    parser.add_argument("--suites", default=",".join(SUITES), help="names; the default is all")
    parser.add_argument("--output", default="faults.json", help="where the result is written")
    parser.add_argument("--folder", default=".faults", help="where reports and logs are kept")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at once")
    given = parser.parse_args()
    for name, known in (("faults", BUILT_IN), ("suites", SUITES)):
        chosen = getattr(given, name).split(",")
        unknown = [one for one in chosen if one not in known]
        if unknown:
            parser.error(f"--{name}: {unknown[0]!r} is not known; choose from {', '.join(known)}")
        setattr(given, name, chosen)
    return given


def main() -> int:
    """Run what is missing, and print the matrix."""
    given = parsed()
    os.environ["OMP_NUM_THREADS"] = "1"
    folder, output = Path(given.folder).resolve(), Path(given.output).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    cells = read_cells(output)
    records = {suite: healthy(suite, folder) for suite in given.suites}
    broken = {suite: failures(found) for suite, found in records.items()}
    wanted = []
    began = time.monotonic()
    for fault in given.faults:
        for suite in given.suites:
            if suite in cells.setdefault(fault, {}):
                continue
            chosen = reached(BUILT_IN[fault], records[suite])
            if chosen:
                wanted.append((fault, suite, chosen))
            else:
                cells[fault][suite] = Cell("not reached")

    def keep(fault: str, suite: str, cell: Cell) -> None:
        cells[fault][suite] = cell
        plain = {
            name: {one: asdict(cell) for one, cell in row.items()} for name, row in cells.items()
        }
        write_whole(output, json.dumps({"failing": broken, "cells": plain}, indent=1) + "\n")

    warm_up()
    run_all(wanted, folder, given.jobs, keep)
    shown = {fault: cells[fault] for fault in given.faults}
    for line in table(shown, given.suites):
        print(line)
    missed = [name for name, row in shown.items() if not any(one.noticed for one in row.values())]
    print(f"{len(shown)} faults, {len(shown) - len(missed)} noticed by a suite, {len(missed)} not")
    for suite, names in broken.items():
        print(f"{suite}: {len(names)} of {len(records[suite])} tests fail without a fault")
        for name in names[:10]:
            print(f"  {name}")
    print(f"{time.monotonic() - began:.0f} s after the runs without a fault; written to {output}")
    return int(bool(missed) or any(broken.values()))


if __name__ == "__main__":
    sys.exit(main())
