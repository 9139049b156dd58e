"""Which test of ``suites/regressions`` notices which fault of the simulated device.

    python benchmarks/regression_faults.py [--faults=NAME,...] [--bugs=NAME,...] [--output=PATH]

The faults are those of ``tests/suites/faults_regressions.py``, each of which models a bug, with
its real limit where it has one; tests of size L run with a limit of 2**16, and so do their
faults. A fault runs against every test that calls one of its operators, in forked processes: a
crash and a hang are outcomes. Exit status 1 where a test fails without a fault, or where the
faults of a bug leave one of its tests green.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import traceback
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The suites stand beside the package in the checkout, where mypy does not find them.
# mypy: disable-error-code="import-not-found"
from pytest_applesilicon.suites.regressions.bugs import all_bugs
from pytest_applesilicon.suites.regressions.case import Case, MissingOperator
from pytest_applesilicon.suites.regressions.registry import regressions

from pytest_applesilicon.files import write_whole
from pytest_applesilicon.simulate import device, fault_names, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_applesilicon.simulate.faults import Call

sys.path.append(str(Path(__file__).parents[1] / "tests" / "suites"))

from faults_regressions import FAULTS_OF, LIMIT

#: Seconds after which a test hangs; the longest takes three on an idle core.
TIME_LIMIT_S = 120.0


def outcome(name: str) -> str:
    """What becomes of one test in this process: "passed", "missing: ..." or "failed: ..."."""
    from pytest_applesilicon import frameworks

    case = Case("mps", limit=LIMIT, framework=frameworks.load("torch"), spec="mps-sim")
    try:
        regressions()[name].run(case)
    except MissingOperator as missing:
        return f"missing: {missing}"
    except AssertionError as error:
        return f"failed: {str(error).partition(chr(10))[0]}"
    return "passed"


def forked(
    keys: Iterable[str], run: Callable[[str], Any], time_limit_s: float = TIME_LIMIT_S
) -> dict[str, Any]:
    """What ``run`` gives for each key, in child processes that may end or hang.

    A child goes on until something ends it. Each installs the simulated device: torch cannot go
    backward in a process that was forked from one that has, and the installation does.
    """
    found: dict[str, Any] = {}
    left = list(keys)
    while left:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            _serve(left, run, writing)
        os.close(writing)
        found |= _collected(child, reading, left, time_limit_s)
        left = [key for key in left if key not in found]
        print(f"{len(found)} done, {len(left)} left", file=sys.stderr, flush=True)
    return found


def _serve(keys: list[str], run: Callable[[str], Any], writing: int) -> None:
    """Send a line of JSON for each key; does not return."""
    # What a dying process says is not shown.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        device.install(fallback=True)
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            for key in keys:
                pipe.write(json.dumps([key, run(key)]) + "\n")
                pipe.flush()
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(1)
    os._exit(0)


def _collected(child: int, reading: int, keys: list[str], time_limit_s: float) -> dict[str, Any]:
    """What the child sent, and why it stopped at the key after that, if it did."""
    found: dict[str, Any] = {}
    why = ""
    rest = b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            if not select.select([pipe], [], [], time_limit_s)[0]:
                os.kill(child, signal.SIGKILL)
                why = f"hung: no end after {time_limit_s:g} s"
                break
            data = pipe.read(65536)
            if not data:
                break
            *sent, rest = (rest + data).split(b"\n")
            found |= dict(json.loads(line) for line in sent)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    after = next((key for key in keys if key not in found), None)
    if after is not None:
        end = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        found[after] = why or f"crashed: {end}"
    return found


def operators_of(name: str) -> list[str]:
    """The names of the operators that a test calls, as faults know them."""
    seen: set[str] = set()

    def watch(call: Call) -> bool:
        seen.add(call.name)
        return False

    watching = faults.Fault("watch", "*", watch, lambda _: None, "")
    with faults.activate(watching):
        outcome(name)
    return sorted(seen)


def under(key: str) -> str:
    """The outcome of a test with a fault switched on; a key is the two with a space between."""
    spec, _, name = key.partition(" ")
    with faults.activate(*fault_names.load(spec, Path())):
        return outcome(name)


def matrix(
    pairs: Iterable[tuple[str, str]], operators: dict[str, list[str]]
) -> dict[str, dict[str, str]]:
    """For each fault what it does to each test that calls one of its operators.

    Args:
        pairs: names of faults and of tests.
        operators: those that each test calls.
    """
    keys: list[str] = []
    found: dict[str, dict[str, str]] = {}
    for spec, name in dict.fromkeys(pairs):
        found[spec] = {}
        (fault,) = fault_names.load(spec, Path())
        if any(map(fault.touches, operators[name])):
            keys.append(f"{spec} {name}")
    for key, text in forked(keys, under).items():
        spec, _, name = key.partition(" ")
        if text != "passed" and not text.startswith("missing"):
            found[spec][name] = text
    return found


def lines(found: dict[str, dict[str, str]]) -> list[str]:
    """The matrix as text: each fault, the tests of its bugs, and the others that it fails."""
    tests, told = regressions(), []
    bugs = defaultdict(list)
    for bug, specs in FAULTS_OF.items():
        for spec in specs:
            bugs[spec].append(bug)
    for spec, outcomes in found.items():
        own = [name for name in outcomes if tests[name].bug.name in bugs[spec]]
        others = [name for name in outcomes if name not in own]
        told.append(f"{spec} (models {', '.join(bugs[spec]) or 'no bug'})")
        told += [f"  {name}: {outcomes[name]}"[:160] for name in own]
        if others:
            told.append(f"  also fails, by the same operator: {', '.join(others)}")
    return told


def unnoticed(found: dict[str, dict[str, str]], names: Iterable[str]) -> list[str]:
    """The tests that no fault of their bug fails."""
    tests = regressions()
    return [
        name
        for name in names
        if not any(name in found.get(spec, {}) for spec in FAULTS_OF[tests[name].bug.name])
    ]


def main() -> int:
    """Print the matrix; see the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", default="", help="comma list; the default is all")
    parser.add_argument("--bugs", default="", help="comma list; the default is all")
    parser.add_argument("--own", action="store_true", help="run each fault on its own bug alone")
    parser.add_argument("--sizes", default="S,M,L", help="sizes of the tests; the default is all")
    parser.add_argument("--output", type=Path, help="write the matrix as JSON")
    given = parser.parse_args()
    tests = regressions()
    sizes = given.sizes.split(",")
    bugs = given.bugs.split(",") if given.bugs else list(FAULTS_OF)
    bugs = [bug for bug in bugs if all_bugs()[bug].size in sizes]
    names = [name for name, one in tests.items() if one.bug.size in sizes]
    mine = [name for name in names if tests[name].bug.name in bugs]
    if given.own:
        names = mine
    specs = list(dict.fromkeys(spec for bug in bugs for spec in FAULTS_OF[bug]))
    specs = given.faults.split(",") if given.faults else specs
    pairs = [
        (spec, name)
        for spec in specs
        for name in names
        if not given.own or spec in FAULTS_OF[tests[name].bug.name]
    ]
    sound = forked(names, outcome)
    found = matrix(pairs, forked(names, operators_of))
    broken = {name: text for name, text in sound.items() if text.startswith(("f", "c", "h"))}
    green = [] if given.faults else unnoticed(found, mine)
    document = {"sound": sound, "faults": found, "unnoticed": green}
    if given.output:
        write_whole(given.output, json.dumps(document, indent=1))
    print("\n".join(lines(found)))
    for name, text in broken.items():
        print(f"fails without a fault: {name}: {text}")
    for name in green:
        print(f"noticed by no fault of its bug: {name}")
    held = set(bugs) - {tests[name].bug.name for name in green}
    print(f"{len(held)} of {len(bugs)} bugs have faults that fail each of their tests")
    return 1 if broken or green else 0


if __name__ == "__main__":
    raise SystemExit(main())
