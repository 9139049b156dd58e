"""What isolation costs a test.

Pairs of pytest runs of one file of tests that do nothing, all isolated and none, in
alternating order. The start of the child is paid once, so two sizes of the file are run: what
isolation adds to each, and the difference of the two by the number of tests between them.
Wall-clock seconds, as a user waits for them.

    python benchmarks/isolation.py [--pairs 5] [--limit-ms 5]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
FEW, MANY = 10, 1010

TESTS = """import pytest
@pytest.mark.parametrize("number", range({number}))
def test_trivial(number):
    assert True
"""


def seconds(isolate: str, folder: Path, number: int) -> float:
    """Wall-clock time of one run of ``number`` tests, isolated or not."""
    command = [*PYTEST, f"--applesilicon-isolate={isolate}", f"test_{number}.py"]
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    taken = time.perf_counter() - begun
    assert f"{number} passed" in done.stdout, done.stdout
    return taken


def added(folder: Path, number: int, odd: bool) -> float:
    """Seconds that isolation adds to a run of ``number`` tests; the order alternates."""
    order = ("always", "never") if odd else ("never", "always")
    taken = {isolate: seconds(isolate, folder, number) for isolate in order}
    return taken["always"] - taken["never"]


def main() -> int:
    """Print the overhead; exit status 1 where it is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--limit-ms", type=float, default=5.0)
    arguments = parser.parse_args()
    each_ms: list[float] = []
    start_s: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in (FEW, MANY):
            (folder / f"test_{number}.py").write_text(TESTS.format(number=number))
        for pair in range(arguments.pairs):
            few = added(folder, FEW, odd=bool(pair % 2))
            many = added(folder, MANY, odd=bool(pair % 2))
            each_ms.append((many - few) / (MANY - FEW) * 1e3)
            start_s.append(few)
            print(f"pair {pair + 1}: {each_ms[-1]:.2f} ms a test, {few:.2f} s to start", flush=True)
    print(
        f"isolation adds {statistics.median(each_ms):.2f} ms a test "
        f"({min(each_ms):.2f} to {max(each_ms):.2f}) and {statistics.median(start_s):.2f} s a child"
    )
    return int(statistics.median(each_ms) > arguments.limit_ms)


if __name__ == "__main__":
    sys.exit(main())
