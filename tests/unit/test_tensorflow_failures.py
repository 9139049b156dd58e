"""Every recorded failure of TensorFlow and its Metal plugin gets its remedy, without TensorFlow."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_applesilicon import frameworks, health, tables
from pytest_applesilicon.frameworks import tensorflow as adapter_module
from pytest_applesilicon.frameworks.tensorflow_failures import (
    Versions,
    explain,
    known_failure,
    plugins_for,
)
from pytest_applesilicon.records import Host

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECORDED = tomllib.loads(
    Path(__file__).with_name("recorded_tensorflow.toml").read_text(encoding="utf-8")
)["failure"]

IDS = [f"{one['versions'].get('tensorflow')}-{one['name']}" for one in RECORDED]

each = pytest.mark.parametrize("recorded", RECORDED, ids=IDS)


@pytest.fixture(autouse=True)
def no_tensorflow(monkeypatch):
    """Whoever imports TensorFlow here gets an ImportError."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)


def test_every_row_of_the_table_is_recorded_and_names_its_source():
    rows = tables.rows("pytest_applesilicon.frameworks", "tables/tensorflow_failures.tsv")

    assert {row["name"] for row in rows} == {one["name"] for one in RECORDED}
    for row in (
        *rows,
        *tables.rows("pytest_applesilicon.frameworks", "tables/tensorflow_metal.tsv"),
    ):
        assert row["source"], row
        assert None not in row.values(), row


@each
def test_versions_alone_give_the_remedy(recorded):
    found = known_failure(Versions(**recorded["versions"]), refused_only=recorded["refused"])

    by_text_only = not any(
        row[name]
        for row in tables.rows("pytest_applesilicon.frameworks", "tables/tensorflow_failures.tsv")
        if row["name"] == recorded["name"]
        for name in ("tensorflow", "metal", "numpy", "python", "macos")
    )
    if by_text_only:  # no versions are told where it was reported
        assert found is None or found.name != recorded["name"]
        return
    assert found is not None
    assert (found.name, found.remedy) == (recorded["name"], recorded["remedy"])


@each
def test_the_text_alone_gives_the_remedy(recorded):
    if not recorded["text"]:
        pytest.skip("it says nothing: only the versions tell it")

    found = explain(recorded["text"], Versions(**recorded["versions"]))

    assert found is not None
    assert (found.name, found.remedy) == (recorded["name"], recorded["remedy"])


@each
def test_only_what_cannot_be_imported_is_refused_before_the_import(recorded, monkeypatch):
    versions = recorded["versions"]
    installed = {
        "tensorflow": versions["tensorflow"],
        "tensorflow-metal": versions.get("metal"),
        "numpy": versions.get("numpy", "1.26.4"),
    }
    monkeypatch.setattr(adapter_module, "version_of", installed.get)
    monkeypatch.setattr(frameworks, "is_installed", lambda name: True)
    major, minor = (int(part) for part in versions.get("python", "3.10").split("."))
    monkeypatch.setattr(sys, "version_info", (major, minor, 0))
    host = Host("macOS", versions.get("macos", "15.6.1"), machine="arm64", interpreter="arm64")
    probed = []

    def run_child(framework, spec):
        probed.append(spec)
        said = 'applesilicon-probe {"state": "ok", "reason": "computes"}'
        return health.ChildResult(0, f"\n{said}\n", "")

    found = health.probe("tensorflow", "cpu", host, run_child=run_child)

    if recorded["refused"]:
        assert (found.state, found.remedy, probed) == ("absent", recorded["remedy"], [])
        assert found.reason.startswith(f"tensorflow {versions['tensorflow']}")
    else:
        assert (found.state, probed) == ("ok", ["cpu"])


@each
def test_a_probe_that_ends_in_the_recorded_text_tells_the_remedy_and_its_source(
    recorded, monkeypatch
):
    if not recorded["text"]:
        pytest.skip("it says nothing: only the versions tell it")
    found_versions = Versions(**recorded["versions"])
    monkeypatch.setattr(health, "installed_versions", lambda host: found_versions)
    crashed = recorded["text"].startswith("crashed with SIGSEGV")
    step = 'applesilicon-probe {"step": "import tensorflow"}'
    result = health.ChildResult(
        -11 if crashed else 1, f"\n{step}\n", "" if crashed else recorded["text"]
    )

    found = health.judge("tensorflow", "mps", Host("macOS"), result)

    assert found.state == "unusable"
    assert found.remedy.startswith(f"{recorded['remedy']} (")


def test_pairs_that_work_are_not_refused():
    # The same matrix says that these work.
    working = {
        "2.19.0": "1.2.0",
        "2.17.0": "1.1.0",
        "2.14.0": "1.1.0",
        "2.13.0": "1.1.0",
        "2.12.0": "1.0.0",
        "2.10.0": "0.6.0",
        "2.9.0": "0.5.0",
    }
    for tensorflow, metal in working.items():
        versions = Versions(tensorflow, metal, "1.26.4", "3.10", "15.6.1")
        assert known_failure(versions) is None
        assert metal in plugins_for(tensorflow)
    assert known_failure(Versions("2.11.0", "0.7.0", "1.23.5", "3.10", "15.6.1")) is None


def test_a_text_that_is_not_known_is_not_explained():
    assert explain("ModuleNotFoundError: No module named 'keras'", Versions("2.19.0")) is None


def test_what_is_not_installed_fits_no_row():
    assert known_failure(Versions(), refused_only=False) is None
    assert plugins_for("2.21.0") == ()
