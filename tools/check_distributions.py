"""Build the wheel and the sdist, and run the bundled suites from each and from the checkout.

Installs into the interpreter it runs in (without dependencies): use an environment made for
it. Each installation runs ``pytest --pyargs pytest_applesilicon.suites`` in an empty folder
and must give the same test ids.

    python tools/check_distributions.py [pytest arguments, for example -k environment]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Files without which an installation is broken, by their path in the wheel.
NEEDED = (
    "pytest_applesilicon/py.typed",
    "pytest_applesilicon/_version.py",
    "pytest_applesilicon/plugin.py",
    "pytest_applesilicon/data/mnist_subset.npz",
    "pytest_applesilicon/data/MNIST-LICENSE.txt",
    "pytest_applesilicon/data/chips.tsv",
    "pytest_applesilicon/data/published.tsv",
    "pytest_applesilicon/doctor/tables/torch_macos.tsv",
    "pytest_applesilicon/frameworks/tables/tensorflow_failures.tsv",
    "pytest_applesilicon/reports/report.schema.json",
    "pytest_applesilicon/reports/page/page.html.j2",
    "pytest_applesilicon/reports/page/page.js",
    "pytest_applesilicon/suites/__init__.py",
    "pytest_applesilicon/suites/training/predict.py",
)


def run(*command: str, folder: Path = ROOT) -> None:
    """Run a command, shown first; stop the program if it fails."""
    print("$", *command, flush=True)
    done = subprocess.run(command, cwd=folder, check=False)
    if done.returncode:
        sys.exit(f"exit status {done.returncode}: {' '.join(command)}")


def python(*arguments: str, folder: Path = ROOT) -> None:
    """Run this interpreter."""
    run(sys.executable, *arguments, folder=folder)


def check_contents(wheel: Path, sdist: Path) -> None:
    """Stop if a needed file is missing, or a test was packed into the wheel."""
    names = set(zipfile.ZipFile(wheel).namelist())
    missing = [name for name in NEEDED if name not in names]
    if missing:
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
    foreign = {name.partition("/")[0] for name in names} - {"pytest_applesilicon"}
    if any(not name.endswith(".dist-info") for name in foreign):
        sys.exit(f"{wheel.name} holds more than the package: {', '.join(sorted(foreign))}")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    if not {"suites/__init__.py", "pyproject.toml", "README.md"} <= packed:
        sys.exit(f"{sdist.name} lacks the suites or the metadata")


def check_same(built: Path, again: Path) -> None:
    """Stop if a second build gave other bytes."""
    differing = [
        path.name
        for path in built.iterdir()
        if path.read_bytes() != (again / path.name).read_bytes()
    ]
    if differing:
        sys.exit(f"a second build differs: {', '.join(differing)}")


def run_suites(start: list[str], arguments: list[str], folder: Path, report: Path) -> list[str]:
    """Run the suites from ``folder``; returns their test ids."""
    options = ["--device=cpu", "-q", "-p", "no:cacheprovider", f"--applesilicon-report={report}"]
    # -B: pip does not remove the bytecode that pytest writes, and what it leaves behind would
    # hide parts of the next installation.
    python("-B", "-m", "pytest", *start, *options, *arguments, folder=folder)
    records = json.loads(report.read_text())["records"]
    return sorted(record["test_id"] for record in records)


def main(arguments: list[str]) -> None:
    """Check every way of installing and every way of starting."""
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        built, again = Path(name) / "dist", Path(name) / "again"
        report = Path(name) / "report.json"
        for folder in (built, again):
            python(str(ROOT / "tools" / "build_release.py"), str(folder))
        wheel, sdist = next(built.glob("*.whl")), next(built.glob("*.tar.gz"))
        check_same(built, again)
        python("-m", "twine", "check", "--strict", str(wheel), str(sdist))
        check_contents(wheel, sdist)
        # What every run imports is compiled once; the runs themselves leave no bytecode.
        python("-c", "import pytest, pytest_benchmark, scipy.stats, torch, torch.testing")
        ways = {"wheel": [str(wheel)], "sdist": [str(sdist)], "editable": ["-e", str(ROOT)]}
        for way, what in ways.items():
            python("-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", *what)
            empty = Path(name) / way
            empty.mkdir()
            start = ["--pyargs", "pytest_applesilicon.suites"]
            found[way] = run_suites(start, arguments, empty, report)
        start = [str(ROOT / "suites")]
        found["by path"] = run_suites(start, arguments, Path(name) / "editable", report)
        found["inside"] = run_suites(["."], arguments, ROOT / "suites", report)
    for way, ids in found.items():
        print(f"{way:>9}: {len(ids)} tests, the first is {ids[0]}")
    if len({tuple(ids) for ids in found.values()}) != 1:
        sys.exit("the test ids differ")


if __name__ == "__main__":
    main(sys.argv[1:])
