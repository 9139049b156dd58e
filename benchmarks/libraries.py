"""The test suites of released libraries, with their tensors on the simulated MPS device.

    python benchmarks/libraries.py --sources FOLDER [NAME ...] [--write FOLDER]

FOLDER holds the unpacked source archives of the libraries in ``LIBRARIES``. Each suite runs
three times, in child processes: plainly on the CPU; with ``torch.set_default_device("mps")``
on the simulated device where a missing operator is an error; and with the fallback to the CPU.
Every failure of a test that passes on the CPU is put into a class of ``library_failures.py``,
which says whether it would be seen on a Mac too; one that fits no class is listed by name.

A child that dies names the test it died in, and another one goes on behind it. Events of a
run stay in ``--work``, so that a benchmark that was stopped goes on where it was; ``--fresh``
begins anew.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import library_report

from pytest_applesilicon import files
from pytest_applesilicon.simulate import table

HERE = Path(__file__).parent

#: Options of pytest for each run; what they have in common is in ``_command``.
RUNS: dict[str, tuple[str, ...]] = {
    "cpu": ("-p", "no:applesilicon"),
    "strict": ("--device=mps-sim", "--mps-fallback=error", "--default-device=mps"),
    "fallback": ("--device=mps-sim", "--mps-fallback=allow", "--default-device=mps"),
}

#: How often a child may die before the rest of a suite is given up.
DEATHS = 20


@dataclass(frozen=True)
class Library:
    """A library whose source archive has its tests."""

    name: str
    version: str
    because: str
    """Why this version."""
    tests: tuple[str, ...]
    """Files or folders below the unpacked archive."""
    download: tuple[str, ...] = ()
    """More options of ``pip download``, for archives that do not build by themselves."""
    needs: tuple[str, ...] = ()
    """What its tests import beside torch, NumPy and SciPy; names of ``LIBRARIES`` are taken
    from the sources."""


LIBRARIES = (
    Library("linear_operator", "0.6.1", "the newest release", ("test",)),
    Library(
        "entmax",
        "1.0",
        "the only release with a source archive, and the tests are only in that",
        ("entmax",),
        ("--no-build-isolation",),  # its setup.py imports torch
    ),
    Library(
        "gpytorch",
        "1.15.2",
        "the newest release, which needs linear_operator 0.6.1 or newer",
        ("test",),
        needs=("linear_operator", "scikit-learn", "mpmath<=1.3"),
    ),
)


@dataclass
class Suite:
    """What became of the tests of one run."""

    collected: int = 0
    outcomes: dict[str, str] = field(default_factory=dict)
    """By test: passed, failed, skipped, xfailed, or died."""
    failures: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    on_device: int = 0
    """How many tests ran an operator on the simulated device."""
    uncollected: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    under_way: str = ""
    ended: str = ""
    """Why the run ended before all tests had run; empty where it did not."""

    @property
    def passed(self) -> set[str]:
        return {name for name, outcome in self.outcomes.items() if outcome == "passed"}


def main() -> int:
    """Run what the command line asks for, print it, and write it where it is to be kept."""
    names = [one.name for one in LIBRARIES]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--sources", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="where events are kept")
    parser.add_argument("--fresh", action="store_true", help="forget the events of earlier runs")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for one run")
    parser.add_argument("--only", default="", help="tests that pytest's -k finds")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="for the JSON and the text")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(names))
    if unknown:
        parser.error(f"NAME {', '.join(unknown)}: not one of {', '.join(names)}")
    chosen = [one for one in LIBRARIES if one.name in given.names or not given.names]
    for one in chosen:
        problem = missing(one, given.sources)
        if problem:
            parser.error(problem)
    work = given.work or Path(tempfile.mkdtemp(prefix="libraries-"))
    work.mkdir(parents=True, exist_ok=True)
    text = table.path().read_text(encoding="utf-8")
    listed = {key: table.native(text, key) for key in ("MPS", "SparseMPS")}
    results = []
    for one in chosen:
        suites = {name: run(one, name, given, work) for name in RUNS}
        results.append(library_report.summary(one.name, one.version, one.because, suites, listed))
    document = library_report.document(results)
    print(library_report.markdown(document))
    if given.write:
        library_report.write(document, given.write)
    return 0


def folder(library: Library, sources: Path) -> Path:
    """Where the archive of a library is unpacked."""
    return sources / f"{library.name}-{library.version}"


def missing(library: Library, sources: Path) -> str:
    """What is wrong with the sources of a library, with the commands that bring it."""
    place = folder(library, sources)
    if all((place / one).exists() for one in library.tests):
        return ""
    return (
        f"{place}: no unpacked source archive of {library.name} {library.version}; get it with\n"
        f"  pip download --no-deps {' '.join(library.download)} --no-binary={library.name} "
        f"{library.name}=={library.version}\n  tar xzf {place.name}.tar.gz"
    )


def run(library: Library, name: str, given: argparse.Namespace, work: Path) -> Suite:
    """One run of a suite; children are started until all tests have run, or the time is over."""
    events = work / f"{library.name}-{name}.jsonl"
    if given.fresh:
        events.unlink(missing_ok=True)
    forget_unended(events)
    deadline = time.monotonic() + given.limit
    found = read(events)
    for _ in range(DEATHS):
        if found.collected and len(found.outcomes) == found.collected:
            return found
        before = len(found.outcomes)
        status = _child(library, name, given, events, deadline)
        found = read(events)
        # pytest's own statuses: 0 passed, 1 failed, 2 errors in collection, 5 no test.
        if status in (0, 1, 2, 5):
            return found
        if status is None:
            found.ended = f"the limit of {given.limit:.0f} s is over, in {found.under_way}"
            return found
        if len(found.outcomes) == before:
            break
    found.ended = f"the child ended with status {status}; see {events.with_suffix('.log')}"
    return found


def _command(library: Library, name: str, given: argparse.Namespace, events: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "pytest", "-q", "--tb=short", "-W", "ignore"),
        *("-p", "no:cacheprovider", "-p", "library_child", f"--outcomes={events}"),
        "--continue-on-collection-errors",
        *RUNS[name],
        *(["-k", given.only] if given.only else []),
        *library.tests,
    ]


def _child(
    library: Library, name: str, given: argparse.Namespace, events: Path, deadline: float
) -> int | None:
    """The status of a child that ran the tests not yet run; ``None`` where time was over."""
    place = folder(library, given.sources).resolve()
    others = [folder(one, given.sources) for one in LIBRARIES if one.name in library.needs]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(str(one.resolve()) for one in (place, *others, HERE)),
    }
    with events.with_suffix(".log").open("ab") as log:
        child = subprocess.Popen(
            _command(library, name, given, events.resolve()),
            cwd=place,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        return _waited(child, f"{library.name} {name}", events, deadline)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _waited(
    child: subprocess.Popen[bytes], title: str, events: Path, deadline: float
) -> int | None:
    begin = told = time.monotonic()
    while (status := child.poll()) is None:
        now = time.monotonic()
        if now > deadline:
            return None
        if now - told > 15:
            told, found = now, read(events)
            counts = Counter(found.outcomes.values())
            print(
                f"{title}: {len(found.outcomes)} of {found.collected} tests, "
                f"{counts['failed']} failed, {now - begin:.0f} s",
                file=sys.stderr,
            )
        time.sleep(0.2)
    return status


def read(events: Path) -> Suite:
    """What the lines of a run say; a test that began and did not end has died."""
    found = Suite()
    for event in _events(events):
        if "collected" in event:
            found.collected = max(found.collected, event["collected"])
        elif "uncollected" in event:
            found.uncollected[event["uncollected"]] = event["failures"]
        elif "begun" in event:
            found.under_way = event["begun"]
            found.outcomes[event["begun"]] = "died"
        else:
            found.outcomes[event["ended"]] = event["outcome"]
            found.on_device += event["operators"] > 0
            if event["failures"]:
                found.failures[event["ended"]] = event["failures"]
    return found


def _events(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; the last one may be half written."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


def forget_unended(path: Path) -> None:
    """Drop the beginning of a test that did not end, as a benchmark that was stopped leaves."""
    known = _events(path)
    ended = {one.get("ended") for one in known}
    kept = [one for one in known if "begun" not in one or one["begun"] in ended]
    if kept != known:
        files.write_whole(path, "".join(json.dumps(one) + "\n" for one in kept))


if __name__ == "__main__":
    sys.exit(main())
