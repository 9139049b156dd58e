"""What the plugin costs a run that uses nothing of it.

Pairs of pytest runs of one trivial test, with the plugin and without, in alternating order;
the same for two runs without it (A/A), so that the noise of the machine stands beside the
figure. CPU seconds of the process, user and system.

    python benchmarks/idle_overhead.py [--pairs 30] [--limit 1.05]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WITHOUT_OTHERS = ["-p", "no:benchmark", "-p", "no:xdist", "-p", "no:cacheprovider"]
WITH = [sys.executable, "-m", "pytest", "-q", *WITHOUT_OTHERS]
WITHOUT = [*WITH, "-p", "no:applesilicon"]


def cpu_seconds(command: list[str], folder: Path) -> float:
    """CPU time of one run of ``command`` in ``folder``, in seconds."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return usage.ru_utime + usage.ru_stime


def ratios(first: list[str], second: list[str], pairs: int, folder: Path) -> list[float]:
    """CPU time of ``first`` by that of ``second``, pair by pair, in alternating order."""
    found = []
    for number in range(pairs):
        order = (first, second) if number % 2 else (second, first)
        seconds = {id(command): cpu_seconds(command, folder) for command in order}
        found.append(seconds[id(first)] / seconds[id(second)])
    return found


def main() -> int:
    """Print both ratios; exit status 1 where the plugin costs more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--limit", type=float, default=1.05)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_trivial.py").write_text("def test_trivial():\n    assert True\n")
        cpu_seconds(WITH, folder)
        plugin = ratios(WITH, WITHOUT, arguments.pairs, folder)
        noise = ratios(list(WITHOUT), WITHOUT, arguments.pairs, folder)
    for label, values in (("with / without", plugin), ("A/A", noise)):
        low, _, high = statistics.quantiles(values, n=4)
        print(
            f"{label:>15}: median {statistics.median(values):.3f}, "
            f"quartiles {low:.3f} to {high:.3f}, {len(values)} pairs"
        )
    return int(statistics.median(plugin) > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
