"""What is public and stays stable: a change here is a change for every user."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

import pytest_applesilicon
from pytest_applesilicon import fixtures, option_table


def test_public_names_of_the_package():
    assert set(pytest_applesilicon.__all__) == {
        "Call",
        "Comparison",
        "CoreLevel",
        "Fault",
        "Health",
        "Host",
        "Measurement",
        "OpOutcome",
        "Published",
        "Record",
        "Repeats",
        "Report",
        "RunFacts",
        "Target",
        "Timing",
        "UselessSettingWarning",
        "__version__",
        "assert_agrees",
        "assert_module_agrees",
        "assert_same",
        "settings_of",
    }


def test_every_public_name_can_be_had():
    for name in pytest_applesilicon.__all__:
        assert getattr(pytest_applesilicon, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        pytest_applesilicon.nothing  # noqa: B018


def test_options_and_their_short_spellings():
    assert {option.name: option.short for option in option_table.OPTIONS} == {
        "device": "--device",
        "arch": "--arch",
        "arch-python": "--arch-python",
        "framework": "--framework",
        "device-missing": "--device-missing",
        "mps-fallback": "--mps-fallback",
        "size": "--size",
        "seed": "--seed",
        "mnist": "--mnist",
        "ops": "--ops",
        "dtypes": "--dtypes",
        "samples": "--samples",
        "fail-on": "--fail-on",
        "monitor": "--monitor",
        "regression-size": "--regression-size",
        "regression-limit": "--regression-limit",
        "faults": "--faults",
        "mps-audit": "--mps-audit",
        "mps-audit-torch": "--mps-audit-torch",
        "mps-audit-fail-on": "--mps-audit-fail-on",
        "mps-audit-signatures": "--mps-audit-signatures",
        "isolate": "--isolate",
        "isolate-timeout": "--isolate-timeout",
        "known-failures": "--known-failures",
        "known-failures-record": "--known-failures-record",
        "strict-known-failures": "--strict-known-failures",
        "repeat-failed": "--repeat-failed",
        "budgets": "--budgets",
        "budgets-file": "--budgets-file",
        "budgets-baseline": "--budgets-baseline",
        "budgets-accept": "--budgets-accept",
        "report": None,
        "report-html": "--report-html",
    }


def test_markers():
    assert set(option_table.MARKER_NAMES) == {
        "budget",
        "frameworks",
        "max_host_syncs",
        "isolated",
        "native_only",
        "no_fallback",
        "requires_mps",
        "skip_on_device",
        "xfail_on_device",
    }


def test_fixtures():
    names = {
        "applesilicon",
        "applesilicon_device",
        "assert_agrees",
        "assert_module_agrees",
        "assert_same",
        "device",
        "device_benchmark",
        "measure",
        "mnist",
    }

    found = {name for name, value in vars(fixtures).items() if _is_fixture(value)}

    assert found == names


def _is_fixture(value: object) -> bool:
    return type(value).__name__ in ("FixtureFunctionDefinition",) or hasattr(
        value, "_pytestfixturefunction"
    )


def test_every_package_in_the_tree_is_shipped():
    root = Path(__file__).parents[2]
    # Python 3.10 has no TOML reader.
    listed = re.search(r"packages = \[(.*?)\]", (root / "pyproject.toml").read_text(), re.S)
    assert listed is not None
    ours = {
        ".".join(init.parent.relative_to(root).parts)
        for init in (root / "pytest_applesilicon").rglob("__init__.py")
    }
    bundled = {
        ".".join(("pytest_applesilicon", *init.parent.relative_to(root).parts))
        for init in (root / "suites").rglob("__init__.py")
    }

    assert set(re.findall(r'"(.+?)"', listed[1])) == ours | bundled


def test_the_version_is_the_one_of_the_build_or_else_of_the_metadata(monkeypatch):
    from importlib import metadata

    built = types.ModuleType("pytest_applesilicon._version")
    built.version = "1.2.3"
    monkeypatch.setitem(sys.modules, "pytest_applesilicon._version", built)
    assert pytest_applesilicon.__version__ == "1.2.3"

    monkeypatch.setitem(sys.modules, "pytest_applesilicon._version", None)
    assert pytest_applesilicon.__version__ == metadata.version("pytest-applesilicon")
