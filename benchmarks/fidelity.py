"""Does ``device_benchmark`` tell the time that other clocks tell?

In one process, interleaved: our median beside that of ``torch.utils.benchmark``, and our best
time of a large product beside that of a bare loop. The other clock is read twice in each pair,
so that beside each figure stands what it differs from itself by.

    OMP_NUM_THREADS=1 python benchmarks/fidelity.py             # 12 pairs, some minutes
    OMP_NUM_THREADS=1 python benchmarks/fidelity.py --short     # 3 pairs, a smaller product
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

#: Required: the median within 3 % of torch's, the best at least 0.97 of the bare loop's.
MOST_OFF = 0.03
LEAST_OF_BEST = 0.97


def measure(pairs: int, rounds: int, side: int) -> list[dict[str, Any]]:
    """Run the pairs in one process of pytest; a dictionary for each."""
    with tempfile.TemporaryDirectory() as name:
        out, ini = Path(name) / "pairs.jsonl", Path(name) / "pytest.ini"
        ini.write_text("[pytest]\n", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", str(HERE / "fidelity_workloads.py"), "-q"]
        command += ["--device=cpu", "--framework=torch,numpy", "-p", "no:cacheprovider"]
        command += [f"--rootdir={name}", "-c", str(ini), "--benchmark-quiet"]
        environment = {
            "FIDELITY_OUT": str(out),
            "FIDELITY_PAIRS": str(pairs),
            "FIDELITY_ROUNDS": str(rounds),
            "FIDELITY_SIDE": str(side),
        }
        done = subprocess.run(command, check=False, env={**os.environ, **environment})
        if done.returncode:
            raise SystemExit(done.returncode)
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def medians(found: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """The table of medians, and whether each is close enough."""
    lines = [f"{'median beside torch.utils.benchmark':<38}{'off by':>10}{'A/A':>10}{'pairs':>8}"]
    good = True
    for name in dict.fromkeys(one["workload"] for one in found if one["kind"] == "median"):
        pairs = [one for one in found if one["workload"] == name]
        off, same = (
            statistics.median(one[tool] / one["theirs"] for one in pairs) - 1
            for tool in ("ours", "theirs again")
        )
        good = good and abs(off) <= MOST_OFF
        lines.append(f"{name:<38}{off:>+10.1%}{same:>+10.1%}{len(pairs):>8}")
    return lines, good


def bests(found: list[dict[str, Any]]) -> tuple[list[str], bool]:
    """The table of best times, and whether ours is close enough to the bare loop's."""
    lines = [f"{'best rate, of a bare loop':<38}{'share':>10}{'A/A':>10}{'pairs':>8}"]
    good = True
    for name in dict.fromkeys(one["workload"] for one in found if one["kind"] == "best"):
        pairs = [one for one in found if one["workload"] == name]
        best = {
            tool: min(one[tool] for one in pairs) for tool in ("ours", "theirs", "theirs again")
        }
        share, same = best["theirs"] / best["ours"], best["theirs"] / best["theirs again"]
        good = good and share >= LEAST_OF_BEST
        lines.append(f"{name + ' float32 matmul':<38}{share:>10.3f}{same:>10.3f}{len(pairs):>8}")
    return lines, good


def main() -> int:
    """Measure and print; 1 where a figure is not close enough."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=100, help="calls of each tool in a pair")
    parser.add_argument("--short", action="store_true", help="3 pairs, a 512x512 product")
    options = parser.parse_args()
    short = options.short
    found = measure(3 if short else options.pairs, options.rounds, 512 if short else 2048)
    results = (medians(found), bests(found))
    for lines, _ in results:
        print("\n".join(lines))
    return 0 if all(good for _, good in results) else 1


if __name__ == "__main__":
    sys.exit(main())
