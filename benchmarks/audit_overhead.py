"""What ``--mps-audit`` costs on the released test suite of a library, in pairs with a plain run.

    python benchmarks/audit_overhead.py NAME --sources FOLDER [--rounds N] [--tests PATH,PATH]
    python benchmarks/audit_overhead.py --folder FOLDER [--rounds N] [--tests PATH,PATH]
    SCIPY_ARRAY_API=1 python benchmarks/audit_overhead.py --folder . --tests sklearn \
        --options="--pyargs -k array_api"

NAME is a library of ``libraries.py`` and FOLDER holds its unpacked source archive, as there. With
``--folder`` alone it is the root of any other suite, whose library is installed.

Each round runs the suite plainly, under a dispatch mode that does nothing, and with the audit. The
CPU time of the child counts, because other work on the machine does not enter it, and all runs
have the same one processor where the system lets them, because threads that wait for each other
count as well (scikit-learn gives torch and BLAS all there are). What the empty mode costs is the
floor of anything that sees each call. The package is compiled first, as pip
leaves it. Then 100,000 and 1,000,000 calls are recorded in a fresh process each, and the resident
memory of both is printed. Ends with status 1 above 1.25 times, or where memory grows.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import libraries

import pytest_applesilicon

MOST = 1.25

#: Options of pytest for each run of a round.
RUNS: dict[str, tuple[str, ...]] = {
    "plain": ("-p", "no:applesilicon"),
    "empty mode": ("-p", "no:applesilicon", "-p", "empty_mode"),
    "audit": ("--mps-audit",),
}

#: Variables that no run is given: without bytecode, pytest rewrites each module at each start.
_WITHOUT = frozenset({"PYTHONDONTWRITEBYTECODE"})

#: Bytes by which ten times the calls may grow a process.
GROWTH_BYTES = 8 << 20

_CALLS = """
import resource, sys, torch
from pathlib import Path
from pytest_applesilicon.audit.recording import Recorder
recorder = Recorder(Path.cwd())
x = torch.ones(4)
with recorder.watching():
    for turn in range(int(sys.argv[1]) // 4):
        x.sin(); x[:1 + turn % 4].add(turn); torch.ones(1 + turn % 5000); x.mul(2.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, recorder.size)
"""


def main() -> int:
    """Print both figures; the exit status says whether they are within their limits."""
    given = _given()
    place, rounds = given.folder, given.rounds
    _keep_to_one_processor()
    compileall.compile_dir(Path(pytest_applesilicon.__file__).parent, quiet=1)
    times: dict[str, list[float]] = {name: [] for name in RUNS}
    for number in range(rounds):
        for name, options in RUNS.items():
            times[name].append(seconds(given, options))
        shown = ", ".join(f"{name} {several[-1]:.1f}" for name, several in times.items())
        print(f"round {number + 1}: {shown} s of CPU time", flush=True)
    few, many = (memory(calls) for calls in (100_000, 1_000_000))
    print(f"resident after 100,000 calls {few >> 20} MiB, after 1,000,000 {many >> 20} MiB")
    for name, several in times.items():
        print(f"{name}: least {min(several):.2f} s, median of the ratios to plain "
              f"{ratio(several, times['plain']):.3f}")  # fmt: skip
    middle = ratio(times["audit"], times["plain"])
    print(f"{place.name}: {middle:.3f} times, the limit is {MOST}")
    return int(middle > MOST or many - few > GROWTH_BYTES)


def ratio(several: list[float], plain: list[float]) -> float:
    """The median of the ratios of runs of the same round."""
    return statistics.median(one / other for one, other in zip(several, plain, strict=True))


def _keep_to_one_processor() -> None:
    """This process and its children; macOS and Windows do not offer it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@dataclass(frozen=True)
class Given:
    """What is run, and how often."""

    folder: Path
    """The root of the suite."""
    paths: list[Path]
    """What it imports from sources."""
    tests: list[str]
    options: list[str]
    """More options of pytest, for each run."""
    rounds: int


def _given() -> Given:
    known = {one.name: one for one in libraries.LIBRARIES}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", choices=sorted(known))
    parser.add_argument("--sources", type=Path, metavar="FOLDER")
    parser.add_argument("--folder", type=Path, help="the root of another suite")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tests", default="", help="below the root; the default is all")
    parser.add_argument("--options", default="", help="more of pytest: --options='-k array_api'")
    given = parser.parse_args()
    tests = given.tests.split(",") if given.tests else []
    options = shlex.split(given.options)
    if given.folder is not None and given.name is None:
        if not given.folder.is_dir():
            parser.error(f"--folder {given.folder}: there is no such folder")
        return Given(given.folder.resolve(), [], tests, options, given.rounds)
    if given.name is None or given.sources is None or given.folder is not None:
        parser.error("give NAME with --sources, or --folder alone")
    library = known[given.name]
    problem = libraries.missing(library, given.sources)
    if problem:
        parser.error(problem)
    needed = [library, *(one for one in libraries.LIBRARIES if one.name in library.needs)]
    paths = [libraries.folder(one, given.sources).resolve() for one in needed]
    return Given(paths[0], paths, tests or list(library.tests), options, given.rounds)


def seconds(run: Given, options: tuple[str, ...]) -> float:
    """CPU seconds of one run of the suite, start and imports included."""
    ours = (Path(__file__).parent, Path(pytest_applesilicon.__file__).parents[1])
    given = {name: value for name, value in os.environ.items() if name not in _WITHOUT}
    sources = os.pathsep.join(str(one) for one in (*run.paths, *ours))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider",
               *options, *run.options, *run.tests]  # fmt: skip
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command, cwd=run.folder, stdout=log, stderr=log,
            env={**given, "OMP_NUM_THREADS": "1", "PYTHONPATH": sources},
        )  # fmt: skip
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in (0, 1):
            log.seek(0)
            raise SystemExit(log.read().decode(errors="replace")[-2000:])
    return used.ru_utime + used.ru_stime


def memory(calls: int) -> int:
    """Resident bytes of a process that has recorded so many calls."""
    done = subprocess.run(
        [sys.executable, "-c", _CALLS, str(calls)], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[0])


if __name__ == "__main__":
    sys.exit(main())
