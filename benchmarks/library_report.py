"""The results of ``libraries.py`` as data and as text."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

from library_failures import classify

from pytest_applesilicon import files

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from libraries import Suite

    Listed = Mapping[str, Collection[str]]

NOTICE = "simulated: operators, dtypes, placement and syncs; not Metal numerics, speed or memory"

#: The columns of the table: of each run, the tests that passed.
_RUNS = ("cpu", "strict", "fallback")

TITLES = {
    "strict": "a missing operator is an error",
    "fallback": "a missing operator runs on the CPU",
}


def summary(
    name: str, version: str, because: str, suites: dict[str, Suite], listed: Listed
) -> dict[str, Any]:
    """What is kept of the three runs of a library; ``listed`` is as for ``classify``."""
    cpu = suites["cpu"]
    return {
        "library": name,
        "version": version,
        "because": because,
        "runs": {
            run: {**_counts(suite), **({} if run == "cpu" else _failures(suite, cpu, listed))}
            for run, suite in suites.items()
        },
    }


def _counts(suite: Suite) -> dict[str, Any]:
    outcomes = Counter(suite.outcomes.values())
    return {
        "collected": suite.collected,
        "not_run": suite.collected - len(suite.outcomes),
        **{name: outcomes[name] for name in ("passed", "failed", "skipped", "xfailed", "died")},
        "on_device": suite.on_device,
        "uncollected": sorted(suite.uncollected),
        "ended": suite.ended,
    }


def _failures(suite: Suite, cpu: Suite, listed: Listed) -> dict[str, Any]:
    """The failures of tests that pass on the CPU, by class."""
    classes: dict[str, dict[str, Any]] = {}
    unclassified: list[dict[str, str]] = []
    for test in sorted(cpu.passed - suite.passed):
        failure = _first_failure(suite, test)
        found, what = classify(failure, listed)
        if found is None:
            text = " ".join(failure["text"].split())[:200]
            unclassified.append({"test": test, "text": text})
            continue
        fresh = {"class": found.name, "on_a_mac": found.on_a_mac, "because": found.because}
        entry = classes.setdefault(found.name, {**fresh, "tests": 0, "what": {}, "example": test})
        entry["tests"] += 1
        if what:
            entry["what"][what] = entry["what"].get(what, 0) + 1
    return {
        "passed_of_cpu": len(cpu.passed & suite.passed),
        "classes": sorted(classes.values(), key=lambda one: -int(one["tests"])),
        "unclassified": unclassified,
    }


def _first_failure(suite: Suite, test: str) -> dict[str, Any]:
    """What kept a test from passing; where its file was not collected, what kept the file."""
    outcome = suite.outcomes.get(test, "not run")
    found = suite.failures.get(test)
    if outcome == "not run":
        found = suite.uncollected.get(test.partition("::")[0])
    return found[0] if found else {"text": outcome, "frames": []}


def document(libraries: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole result, with what it was made with."""
    import torch

    return {
        "notice": NOTICE,
        "date": date.today().isoformat(),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "torch": torch.__version__,
        "libraries": libraries,
    }


def write(document: dict[str, Any], folder: Path) -> None:
    """Write ``libraries.json`` and ``libraries.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "libraries.json"
    files.write_whole(path, json.dumps(document, indent=1) + "\n")
    files.write_whole(folder / "libraries.md", markdown(document))


def markdown(document: dict[str, Any]) -> str:
    """The result as text: a table of the runs, then the failures of each by class."""
    lines = [
        "# The test suites of libraries on the simulated MPS device",
        "",
        f"{document['notice']}",
        "",
        f"{document['date']}, torch {document['torch']}, Python {document['python']}, with",
        "`benchmarks/libraries.py`. Nothing here was measured on a Mac.",
        "",
        "| library | tests | CPU | mps-sim, strict | mps-sim, fallback |",
        "|---|---|---|---|---|",
    ]
    for one in document["libraries"]:
        runs = [one["runs"][run] for run in _RUNS]
        cells = [f"{run['passed']}{_cut(run)}" for run in runs]
        title = f"{one['library']} {one['version']}"
        lines.append(f"| {title} | {runs[0]['collected']} | {' | '.join(cells)} |")
    lines += [
        "",
        'The cells are the tests that pass. "Strict": a missing operator is an error.',
        '"Fallback": it runs on the CPU, as with `PYTORCH_ENABLE_MPS_FALLBACK=1`.',
        "Below are the tests that pass on the CPU and not on mps-sim, by what fails first, and",
        "whether a Mac with the same torch would fail too.",
    ]
    for one in document["libraries"]:
        lines += _library(one)
    return "\n".join(lines) + "\n"


def _cut(run: dict[str, Any]) -> str:
    """A remark on a run that did not run everything."""
    return f" ({run['not_run']} not run)" if run["not_run"] else ""


def _library(one: dict[str, Any]) -> list[str]:
    lines = ["", f"## {one['library']} {one['version']}", "", f"This version: {one['because']}."]
    cpu = one["runs"]["cpu"]
    passed = cpu["passed"]
    lines += ["", f"On the CPU {passed} tests pass and {cpu['failed']} fail, which are left out."]
    for name, title in TITLES.items():
        run = one["runs"][name]
        lines += ["", f"### {name.capitalize()}: {title}", ""]
        lines.append(f"{run['passed_of_cpu']} of the {passed} tests that pass on the CPU pass;")
        lines.append(f"{run['on_device']} tests ran an operator on the simulated device.")
        lines += [f"The run did not end: {run['ended']}."] if run["ended"] else []
        lines += ["", "| failure | tests | on a Mac? | why |", "|---|---|---|---|"]
        for entry in run["classes"]:
            cells = (str(entry[key]) for key in ("class", "tests", "on_a_mac", "because"))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append(f"| not classified | {len(run['unclassified'])} | unknown | see below |")
        lines += _details(run)
    return lines


def _details(run: dict[str, Any]) -> list[str]:
    lines = []
    for entry in run["classes"]:
        if entry["what"]:
            named = sorted(entry["what"].items(), key=lambda pair: (-pair[1], pair[0]))
            listed = ", ".join(f"`{what}` {count}" for what, count in named)
            lines += ["", f"{entry['class']}: {listed}"]
    if run["unclassified"]:
        lines += ["", "Not classified:", ""]
        lines += [f"- `{one['test']}`: {one['text']}" for one in run["unclassified"]]
    return lines
