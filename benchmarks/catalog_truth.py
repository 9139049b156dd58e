"""Hold the catalog's "unsupported" against PyTorch's own list of what MPS does not implement.

    python benchmarks/catalog_truth.py WHEEL [WHEEL ...] [--all]

WHEEL is a wheel of torch, 2.8 or newer, for any platform: its list
``UNIMPLEMENTED_XFAILLIST`` is read from the source of ``torch/testing/_internal/common_mps.py``.
What each operator of the database calls is recorded with the installed torch on the CPU, and
judged by the catalog for the release of the wheel.

Set aside, by rules that hold for any release: an entry that is limited to dtypes, an entry whose
operator MPS has a kernel for in that release (it fails for its arguments or values), an operator
that the database of that release does not have or skips in every test, and the exceptions below,
each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import audited_operators

from pytest_applesilicon.audit.judging import Judge
from pytest_applesilicon.catalog import expected, reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audited_operators import Recorded

#: By key of the list: why an entry, or its absence, says nothing of missing kernels.
EXCEPTIONS: dict[str, str] = {
    "double": "makes float64: a dtype that no MPS has",
    "cdouble": "makes complex128: a dtype that no MPS has",
    "float_power": "computes in float64: a dtype that no MPS has",
    "to": "some of its samples ask for float64: a dtype that no MPS has",
    "svd_lowrank": "draws a random projection on the device: values",
    "nn.functional.interpolatearea": "adaptive_avg_pool2d, which takes divisible sizes only on MPS",
    "nn.functional.channel_shuffle": "listed for CPU and CUDA in the operator table, and yet not "
    "expected to fail: its float32 samples are not run",
    "linalg.matrix_rank": "listed as ON_MPS_XFAILLIST, for lack of a downstream operator",
    "linalg.pinvsingular": "its samples are made on the device, by linalg_qr: arguments",
    "nn.functional.adaptive_avg_pool1d": "takes divisible sizes only on MPS: arguments",
    "nn.functional.softminwith_dtype": "some of its samples ask for float64",
    "unique": "_unique2, which has a kernel: arguments",
    "torch._scaled_mm": "its samples are of 8-bit floating-point dtypes only",
    "torch._scaled_mm_v2": "its samples are of 8-bit floating-point dtypes only",
}

LEAST = 0.95

_DATABASE = (
    "torch/testing/_internal/common_methods_invocations.py",
    "torch/testing/_internal/opinfo/definitions/",
)


def main() -> int:
    """Print the table of each wheel; status 1 where a figure is below the least."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    parser.add_argument("--samples", type=int, default=40, help="of each operator")
    parser.add_argument("--all", action="store_true", help="also what is set aside")
    given = parser.parse_args()
    try:
        lists = [read(wheel) for wheel in given.wheels]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"catalog_truth: {error}", file=sys.stderr)
        return 2
    recorded = audited_operators.record(samples=given.samples)
    good = [compare(one, recorded, given.all) for one in lists]
    return int(not all(good))


@dataclass(frozen=True)
class List:
    """What the tests of a release say."""

    version: str
    entries: Mapping[str, tuple[str, ...] | None]
    """By key, the dtypes that are expected to fail; ``None`` for all."""
    tested: frozenset[str]
    """The names in the operator database of the release whose tests are not all skipped."""


def read(wheel: Path) -> List:
    """The list of a wheel.

    Raises:
        ValueError: the wheel does not carry it, as those before 2.8, or the catalog lacks it.
    """
    version = reading.load().release(wheel.name.split("-")[1].partition("+")[0]).version
    with zipfile.ZipFile(wheel) as archive:
        if expected.MEMBER not in archive.namelist():
            raise ValueError(f"{wheel.name}: no {expected.MEMBER}; torch has it from 2.8 on")
        entries = expected.unimplemented(archive.read(expected.MEMBER).decode())
        tested: set[str] = set()
        for name in archive.namelist():
            if name.startswith(_DATABASE) and name.endswith(".py"):
                tested |= tested_in(archive.read(name).decode())
    return List(version, entries, frozenset(tested))


def tested_in(source: str) -> set[str]:
    """The names that a source of the database gives to operators, without those it skips.

    An operator is skipped in every test by ``DecorateInfo(unittest.skip(...))`` with no test
    named; a few of the slow ones have been.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.args[0].value
            if isinstance(name, str) and not any(_skips_all(one) for one in ast.walk(node)):
                found.add(name)
    return found


def _skips_all(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "DecorateInfo"
        and len(node.args) == 1
        and not node.keywords
        and "unittest.skip" in ast.unparse(node.args[0])
    )


def compare(release: List, recorded: Sequence[Recorded], everything: bool) -> bool:
    """Print precision and recall for a release; whether both are enough."""
    version, listed = release.version, release.entries
    judge = Judge(reading.load(), version)
    blamed: dict[str, set[str]] = {}
    truth, aside = set(), {}
    for one in recorded:
        verdicts = [judge.of(each) for each in one.signatures]
        reason = _aside(one, release)
        if reason:
            aside[one.name] = reason
            continue
        names = {name for verdict, several in verdicts if verdict == "unsupported"
                 for name in several}  # fmt: skip
        if names:
            blamed[one.name] = names
        if one.key in listed and listed[one.key] is None:
            truth.add(one.name)
    predicted = set(blamed)
    precision, recall = _share(truth & predicted, predicted), _share(truth & predicted, truth)
    print(f"torch {version}: {len(recorded)} operators, {len(aside)} set aside; of the others "
          f"{len(truth)} are listed, and {len(predicted)} unsupported by the catalog")  # fmt: skip
    print(f"  precision {precision:.3f}  recall {recall:.3f}  ({len(truth & predicted)} in both)")
    for name in sorted(predicted - truth):
        print(f"  unsupported and not listed: {name}: {', '.join(sorted(blamed[name]))}")
    for name in sorted(truth - predicted):
        print(f"  listed and supported: {name}")
    for name, reason in sorted(aside.items()) if everything else ():
        print(f"  set aside: {name}: {reason}")
    return precision >= LEAST and recall >= LEAST


def _share(part: set[str], whole: set[str]) -> float:
    return len(part) / len(whole) if whole else 1.0


def _aside(one: Recorded, release: List) -> str:
    """Why an operator says nothing of missing kernels; empty where it does."""
    if one.key in EXCEPTIONS:
        return f"by hand: {EXCEPTIONS[one.key]}"
    if one.refused:
        return f"the CPU does not run its samples: {one.refused}"
    if one.base not in release.tested:
        return "the database of that release does not have it, or skips all of its tests"
    if one.key not in release.entries:
        return ""
    entry = release.entries[one.key]
    if entry is not None:
        return f"the entry is limited to {', '.join(entry)}"
    # ``nn.functional.adaptive_avg_pool2d`` is ``_adaptive_avg_pool2d``, ``masked.median`` median.
    short = one.aten.rpartition(".")[2]
    names = (one.aten.replace(".", "_"), short, f"_{short}")
    if any(_has_kernel(name, release.version) for name in names):
        return "MPS has a kernel for it: the entry is about arguments, dtypes or values"
    return ""


def _has_kernel(operator: str, version: str) -> bool:
    catalog = reading.load()
    names = catalog.operators.get(operator, ())
    return any(catalog.status(name, version) == "native" for name in names)


if __name__ == "__main__":
    sys.exit(main())
