"""What README says of options, fixtures and markers is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_applesilicon import fixtures, option_table

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_every_option_is_in_the_table_with_its_default():
    rows = dict(re.findall(r"^\| `(--[\w-]+)(?:=.*?)?` \| (.+?) \|", README, re.M))

    assert set(rows) == {option.spelling for option in option_table.OPTIONS}
    for option in option_table.OPTIONS:
        if option.default:
            assert rows[option.spelling] == f"`{option.default}`"


def test_every_choice_of_an_option_is_in_its_row():
    rows = {
        option: next(line for line in README.splitlines() if line.startswith(f"| `{option}="))
        for option in (one.spelling for one in option_table.OPTIONS if not one.flag)
    }

    for option in (one for one in option_table.OPTIONS if not one.flag):
        for choice in option.choices:
            assert choice in rows[option.spelling]


def test_every_marker_is_in_the_table():
    rows = set(re.findall(r"^\| `(\w+(?:\(.*?\))?)` \|", README, re.M))

    assert set(option_table.MARKERS) <= rows


@pytest.mark.parametrize(
    "name",
    [
        "device",
        "applesilicon",
        "assert_same",
        "assert_agrees",
        "assert_module_agrees",
        "device_benchmark",
        "measure",
        "mnist",
    ],
)
def test_every_fixture_for_users_is_in_the_table(name):
    assert hasattr(fixtures, name)
    assert re.search(rf"^\| `{name}[(`]", README, re.M)


def test_example_of_the_readme_runs(pytester):
    pytest.importorskip("torch")
    example = re.search(r"```python\n(.*?)```", README, re.S)
    assert example is not None
    pytester.makepyfile(example[1])

    result = pytester.runpytest_subprocess("--device=cpu", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=1)
