"""What ``--mps-audit`` costs on the released test suite of a library, in pairs with a plain run.

    python benchmarks/audit_overhead.py NAME --sources FOLDER [--rounds N] [--tests PATH,PATH]

FOLDER holds the unpacked source archives, as for ``libraries.py``. Each round runs the suite
without and with the audit; the CPU time of the child counts, because other work on the machine
does not enter it. Then 100,000 and 1,000,000 calls are recorded in a fresh process each, and the
resident memory of both is printed. Ends with status 1 above 1.25 times, or where memory grows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import libraries

MOST = 1.25

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
    known = {one.name: one for one in libraries.LIBRARIES}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=sorted(known))
    parser.add_argument("--sources", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tests", default="", help="below the archive; the default is all")
    given = parser.parse_args()
    library = known[given.name]
    problem = libraries.missing(library, given.sources)
    if problem:
        parser.error(problem)
    tests = given.tests.split(",") if given.tests else list(library.tests)
    ratios = []
    for number in range(given.rounds):
        plain = seconds(library, given.sources, tests, ("-p", "no:applesilicon"))
        audited = seconds(library, given.sources, tests, ("--mps-audit",))
        ratios.append(audited / plain)
        print(f"round {number + 1}: plain {plain:.1f} s, audited {audited:.1f} s of CPU time, "
              f"{ratios[-1]:.3f} times", flush=True)  # fmt: skip
    few, many = (memory(calls) for calls in (100_000, 1_000_000))
    print(f"resident after 100,000 calls {few >> 20} MiB, after 1,000,000 {many >> 20} MiB")
    middle = statistics.median(ratios)
    print(f"{library.name} {library.version}: median {middle:.3f} times, the limit is {MOST}")
    return int(middle > MOST or many - few > GROWTH_BYTES)


def seconds(
    library: libraries.Library, sources: Path, tests: list[str], options: tuple[str, ...]
) -> float:
    """CPU seconds of one run of the suite, start and imports included."""
    place = libraries.folder(library, sources).resolve()
    others = [libraries.folder(one, sources) for one in libraries.LIBRARIES
              if one.name in library.needs]  # fmt: skip
    paths = os.pathsep.join(str(one.resolve()) for one in (place, *others))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider",
               *options, *tests]  # fmt: skip
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            command, cwd=place, stdout=log, stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
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
