"""Every example of the guides is a file, and does what the guides say."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import pytest

from pytest_applesilicon import option_table

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = sorted(DOCS.glob("*.md"))

sys.path.insert(0, str(ROOT / "tools"))

#: What pytest says of each example: its options, and the outcomes.
RUNS = {
    "test_first.py": ("--device=cpu", {"passed": 1}),
    "test_device_aware.py": ("--device=cpu", {"passed": 5, "skipped": 1}),
    "test_agreement.py": ("--device=cpu", {"passed": 2}),
    "test_wrong.py": ("--device=cpu", {"passed": 1}),
    "test_times.py": ("--device=cpu", {"passed": 1}),
    "test_budget.py": ("--device=cpu --budgets=enforce --benchmark-max-time=0.1", {"passed": 1}),
}

#: The same on the simulated device, which is written for Linux.
SIMULATED = {
    "test_first.py": ("", {"passed": 1}),
    "test_device_aware.py": ("", {"passed": 4, "skipped": 1, "xfailed": 1}),
    "test_agreement.py": ("", {"passed": 2}),
    "test_known.py": ("--known-failures=known_failures.toml", {"xfailed": 1}),
    "test_exp.py": ("--faults=doubled.py", {"failed": 1}),
    "test_wrong.py": ("--faults=doubled.py", {"failed": 1}),
}


@pytest.fixture
def examples(pytester):
    for path in EXAMPLES.glob("*.*"):
        shutil.copy(path, pytester.path)
    # Not imported: pytester takes out again what a test imported, and torch bears that once.
    if importlib.util.find_spec("torch") is None:
        pytest.skip("the examples need torch")


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.usefixtures("examples")
def test_example_on_the_cpu(run, name):
    options, outcomes = RUNS[name]

    result = run(*options.split(), name)

    result.assert_outcomes(**outcomes)


@pytest.mark.skipif(sys.platform != "linux", reason="the simulated device is written for Linux")
@pytest.mark.parametrize("name", SIMULATED)
@pytest.mark.usefixtures("examples")
def test_example_on_the_simulated_device(run, name):
    options, outcomes = SIMULATED[name]

    result = run("--device=mps-sim", *options.split(), name)

    result.assert_outcomes(**outcomes)


@pytest.mark.skipif(sys.platform != "linux", reason="the simulated device is written for Linux")
@pytest.mark.usefixtures("examples")
def test_known_and_faulty_examples_end_otherwise_without_their_options(run):
    run("--device=mps-sim", "test_known.py").assert_outcomes(failed=1)
    run("--device=mps-sim", "test_exp.py").assert_outcomes(passed=1)


def test_every_example_runs_and_is_shown():
    shown = {name for page in PAGES for name in _shown(page)}
    tests = {path.name for path in EXAMPLES.glob("test_*.py")}

    assert tests == {*RUNS, *SIMULATED}
    files = {path.relative_to(DOCS).as_posix() for path in EXAMPLES.rglob("*.*")}
    assert files - shown == set()


def _shown(page: Path) -> list[str]:
    return re.findall(r'^--8<-- "(.+)"$', page.read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_a_guide_is_an_example(page):
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)

    for language, text in blocks:
        if language != "console":
            assert re.fullmatch(r'--8<-- "examples/.+"\n', text), text


@pytest.mark.parametrize(
    "path", [*PAGES, *EXAMPLES.glob("workflows/*"), ROOT / "action" / "action.yml"], ids=str
)
def test_every_option_that_is_named_exists(path):
    from pytest_applesilicon.cli import command

    text = path.read_text(encoding="utf-8")
    known = {one.spelling for one in option_table.OPTIONS} | {
        one.true_name for one in option_table.OPTIONS
    }
    commands = command().commands.values()
    known |= {name for one in commands for each in one.params for name in each.opts}
    # Of pytest, pytest-benchmark and pip.
    known |= {"--pyargs", "--junit-xml", "--index-url", "--benchmark-disable", "--benchmark-only"}

    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - known == set()


def test_generated_tables_name_everything():
    import docs_tables

    page = docs_tables.with_tables((DOCS / "reference.md").read_text(encoding="utf-8"))

    for option in option_table.OPTIONS:
        assert f"`{option.dest}`" in page
    for marker in option_table.MARKERS:
        assert f"| `{marker}` |" in page
    assert "`--mps-fallback=error|allow`" in page
    assert "| `assert_agrees` | `assert_agrees(fn, *inputs)`: fn gives on the device" in page
    assert "| `applesilicon compare` | `FIRST`, `OTHERS`," in page
    assert "<!-- table" not in page


def test_a_table_that_there_is_not_is_an_error():
    import docs_tables

    with pytest.raises(KeyError, match="prices"):
        docs_tables.with_tables("<!-- table: prices -->\n")
