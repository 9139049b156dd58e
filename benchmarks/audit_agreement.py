"""Does the audit on the CPU say of each operator what the simulated device says when it runs?

    python benchmarks/audit_agreement.py [--samples N] [--only REGEX]

Every operator of torch's database is recorded on the CPU and judged for the installed release,
and runs on the simulated device with missing operators raising, in a process of its own. The two
verdicts are ``ok``, ``missing`` (an operator without a kernel) and ``dtype`` (float64 or
complex128). Samples that the CPU or the device refuses for another reason are counted apart.
Ends with status 1 below 99 % agreement.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import audited_operators

from pytest_applesilicon.audit.judging import REFUSED, Judge
from pytest_applesilicon.catalog import reading

LEAST = 0.99

_SIMULATED = """
import json, sys
sys.argv = ["x", *json.loads(sys.argv[1])]
import argparse, warnings
import simulation_coverage as coverage
from pytest_applesilicon.simulate import device
device.install(fallback=False)
warnings.simplefilter("ignore")
given = argparse.Namespace(strict=True, gradients=False, modules=False, only=sys.argv[1],
                           samples=int(sys.argv[2]))
print("RESULT" + json.dumps(coverage._operators(given)))
"""


def main() -> int:
    """Print where the two differ; the exit status says whether they agree often enough."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    import torch

    catalog = reading.load()
    release = reading.at_most(catalog.releases, torch.__version__).version
    simulated = run_simulated(given.only, given.samples)
    judge = Judge(catalog, release)
    counts: Counter[str] = Counter()
    for one in audited_operators.record(given.samples, given.only):
        device = of_device(simulated[one.name])
        if one.refused or not device:
            counts["apart"] += 1
            continue
        audited = "ok"
        if any(dtype in each.dtypes() for each in one.signatures for dtype in REFUSED):
            audited = "dtype"
        if any(judge.of(each)[0] == "unsupported" for each in one.signatures):
            audited = "missing"
        counts["same" if audited == device else "other"] += 1
        if audited != device:
            print(f"  {one.name}: audit {audited}, device {device} ({simulated[one.name][:100]})")
    total = counts["same"] + counts["other"]
    share = counts["same"] / total
    print(f"torch {release}: {counts['same']} of {total} operators agree ({share:.2%}); "
          f"{counts['apart']} are refused for another reason by the CPU or the device")  # fmt: skip
    return int(share < LEAST)


def run_simulated(only: str, samples: int) -> dict[str, str]:
    """What became of each operator on the simulated device."""
    done = subprocess.run(
        [sys.executable, "-c", _SIMULATED, json.dumps([only, str(samples)])],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, str] = json.loads(done.stdout.partition("RESULT")[2])
    return found


def of_device(text: str) -> str:
    """The verdict in what became of an operator; empty where it was refused otherwise."""
    if "is not currently implemented for the MPS" in text:
        return "missing"
    if "doesn't support float64" in text or "convert Complex" in text:
        return "dtype"
    return "ok" if text == "pass" or text.startswith("other values") else ""


if __name__ == "__main__":
    sys.exit(main())
