"""A report comes back as it was written, and a bad file is one clear error."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon.records import (
    CoreLevel,
    Health,
    Host,
    Measurement,
    Place,
    Record,
    Report,
    RunFacts,
    Source,
    Target,
    Timing,
)
from pytest_applesilicon.reports import document
from pytest_applesilicon.reports.document import SCHEMA_VERSION, ReportError

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = Host(
    "macOS",
    os_version="14.5",
    model="Mac14,2",
    chip="Apple M2",
    generation="M2",
    core_levels=(CoreLevel("Performance", 4), CoreLevel("Efficiency", 4)),
    cpu_cores=8,
    gpu_cores=10,
    memory_bytes=16 * 2**30,
    virtual=False,
    machine="arm64",
    interpreter="arm64",
)
MPS = Target("torch", "mps", Health("mps", "torch", "ok", "works"), asked=True)
SIMULATED = Target(
    "torch", "mps-sim", Health("mps-sim", "torch", "ok", "works", simulated=True), asked=False
)
RECORDS = (
    Record("t.py::a", "t.py::a", "passed"),
    Record(
        "suites/t.py::b[mps]",
        "x/suites/t.py::b[mps]",
        "failed",
        framework="torch",
        device="mps",
        simulated=True,
        duration_s=math.inf,
        reason="\u00e9: a != b\nsecond line",
        measurements=(Measurement("loss", -math.inf), Measurement("rate", 0.1, "1/s")),
        timing=Timing("g", math.inf, 1e-9, 0.0, 5, 100),
        own_device=True,
    ),
)


def _report(*records: Record, targets: tuple[Target, ...] = (MPS,)) -> Report:
    facts = RunFacts(
        version="0.1.0",
        created="2026-01-01T00:00:00Z",
        host=HOST,
        targets=targets,
        settings={"device": "mps"},
        versions={"torch": "2.13.0"},
        notes=("a note",),
    )
    return Report(facts, records)


def _document(**changes: Any) -> dict[str, Any]:
    return {**json.loads(document.to_document(_report(*RECORDS))), **changes}


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[str | bytes], str]:
    """Read a file with this content and return the text of the one error it is."""

    def read(content: str | bytes) -> str:
        path = tmp_path / "report.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ReportError) as error:
            document.read(path)
        text = str(error.value)
        assert text.startswith(f"{path}: ")
        assert "\n" not in text
        # Whether an item is shown by its number depends on the release of msgspec.
        return re.sub(r"\[\d+\]", "[...]", text.removeprefix(f"{path}: "))

    return read


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(_report(), id="no records"),
        pytest.param(_report(*RECORDS), id="records"),
        pytest.param(_report(*RECORDS, targets=(MPS, SIMULATED)), id="simulated"),
        pytest.param(
            dataclasses.replace(
                _report(), facts=dataclasses.replace(_report().facts, host=Host("x"), targets=())
            ),
            id="little is known",
        ),
    ],
)
def test_a_report_comes_back_as_it_was_written(report: Report, tmp_path: Path):
    document.write(report, tmp_path / "report.json")
    assert document.read(tmp_path / "report.json") == report


def test_nan_comes_back_as_nan(tmp_path: Path):
    nan = math.nan
    record = dataclasses.replace(
        RECORDS[1], measurements=(Measurement("loss", nan),), timing=Timing("", nan, nan, nan, 1, 1)
    )
    document.write(_report(record), tmp_path / "report.json")
    (back,) = document.read(tmp_path / "report.json").records
    assert math.isnan(back.measurements[0].value)
    assert back.timing is not None
    assert math.isnan(back.timing.iqr_s)


def test_the_document_is_json_for_any_reader_and_says_what_it_is():
    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    text = document.to_document(_report(*RECORDS, targets=(MPS, SIMULATED)))
    fields = json.loads(text, parse_constant=refuse)
    assert fields["schema_version"] == SCHEMA_VERSION
    assert fields["applesilicon_version"] == "0.1.0"
    assert fields["simulated"] is True
    assert fields["records"][1]["measurements"][0]["value"] == "-inf"
    assert text.endswith("}\n")


def test_whole_numbers_are_read_as_numbers(tmp_path: Path):
    fields = _document()
    fields["records"][0]["duration_s"] = 3
    (tmp_path / "report.json").write_text(json.dumps(fields))
    back = document.read(tmp_path / "report.json").records[0]
    assert back.duration_s == 3.0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_no_whole_document(share: float, refused):
    text = document.to_document(_report(*RECORDS)).rstrip()
    assert refused(text[: int(len(text) * share)]).startswith("not a whole JSON document: ")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("hello", id="text"),
        pytest.param(b"\xff\xfe\x00", id="bytes"),
        pytest.param("{} {}", id="two documents"),
        pytest.param("[" * 200_000, id="nested too deep"),
    ],
)
def test_a_file_that_is_not_json_is_one_error(content: str | bytes, refused):
    assert refused(content).startswith("not a whole JSON document: ")


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", "[1, 2]", "null", "3", '"text"', '{"benchmarks": []}', '{"schema_version": null}'],
)
def test_json_of_somebody_else_is_no_report(content: str, refused):
    assert refused(content) == "not an applesilicon report: it has no schema_version"


@pytest.mark.parametrize(
    ("version", "shown", "hint"),
    [
        (SCHEMA_VERSION + 1, f"{SCHEMA_VERSION + 1}", True),
        (99, "99", True),
        (SCHEMA_VERSION - 1, f"{SCHEMA_VERSION - 1}", False),
        ("1", "'1'", False),
        ({}, "{}", False),
    ],
)
def test_another_schema_version_is_refused_and_a_newer_one_says_to_update(
    version: object, shown: str, hint: bool, refused
):
    newer = "; a newer pytest-applesilicon wrote it: update this one" if hint else ""
    expected = f"schema_version is {shown}, accepted: {SCHEMA_VERSION}{newer}"
    assert refused(json.dumps(_document(schema_version=version, surprise=1))) == expected


def _at(fields: dict[str, Any], *path: Any) -> Any:
    for step in path:
        fields = fields[step]
    return fields


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ((), ""),
        (("host",), " - at `$.host`"),
        (("host", "core_levels", 1), " - at `$.host.core_levels[...]`"),
        (("targets", 0, "health"), " - at `$.targets[...].health`"),
        (("records", 1), " - at `$.records[...]`"),
        (("records", 1, "timing"), " - at `$.records[...].timing`"),
        (("records", 1, "measurements", 0), " - at `$.records[...].measurements[...]`"),
    ],
)
def test_an_unknown_field_is_refused_with_its_path(path: tuple[Any, ...], where: str, refused):
    fields = _document()
    _at(fields, *path)["surprise"] = 1
    assert refused(json.dumps(fields)) == f"Object contains unknown field `surprise`{where}"


@pytest.mark.parametrize(
    ("path", "name", "where"),
    [
        ((), "records", ""),
        ((), "simulated", ""),
        (("host",), "chip", " - at `$.host`"),
        (("records", 0), "own_device", " - at `$.records[...]`"),
        (("records", 1, "timing"), "rounds", " - at `$.records[...].timing`"),
    ],
)
def test_a_missing_field_is_refused_with_its_path(
    path: tuple[Any, ...], name: str, where: str, refused
):
    fields = _document()
    del _at(fields, *path)[name]
    assert refused(json.dumps(fields)) == f"Object missing required field `{name}`{where}"


@pytest.mark.parametrize(
    ("path", "name", "value", "where"),
    [
        ((), "records", {}, "$.records"),
        ((), "settings", {"device": 1}, "$.settings[...]"),
        ((), "created", None, "$.created"),
        (("host",), "cpu_cores", "8", "$.host.cpu_cores"),
        (("host",), "cpu_cores", 8.5, "$.host.cpu_cores"),
        (("targets", 0), "asked", 1, "$.targets[...].asked"),
        (("targets", 0, "health"), "state", "splendid", "$.targets[...].health.state"),
        (("records", 0), "outcome", "ok", "$.records[...].outcome"),
        (("records", 0), "duration_s", None, "$.records[...].duration_s"),
        (("records", 0), "duration_s", "1.5", "$.records[...].duration_s"),
        (("records", 0), "duration_s", "NaN", "$.records[...].duration_s"),
        (
            ("records", 1, "measurements", 1),
            "value",
            True,
            "$.records[...].measurements[...].value",
        ),
    ],
)
def test_a_wrong_type_or_choice_is_refused_with_its_path(
    path: tuple[Any, ...], name: str, value: object, where: str, refused
):
    fields = _document()
    _at(fields, *path)[name] = value
    text = refused(json.dumps(fields))
    assert re.match(r"Expected|Invalid enum value", text)
    assert text.endswith(f" - at `{where}`")


def test_a_schema_version_that_is_true_is_refused(refused):
    assert "schema_version" in refused(json.dumps(_document(schema_version=True)))


def test_a_file_that_cannot_be_opened_is_one_error(tmp_path: Path):
    with pytest.raises(ReportError, match=r"none\.json: No such file or directory$"):
        document.read(tmp_path / "none.json")
    with pytest.raises(ReportError) as error:
        document.read(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}: ")


def test_a_file_that_changes_its_meaning_needs_another_schema_version():
    """A new or a missing name here is a change that old readers refuse: raise SCHEMA_VERSION."""
    fields = _document()
    assert (SCHEMA_VERSION, sorted(fields)) == (
        1,
        [
            "applesilicon_version",
            "audit",
            "conditions",
            "created",
            "deselected",
            "exit_status",
            "host",
            "notes",
            "places",
            "records",
            "samples",
            "schema_version",
            "selected",
            "settings",
            "simulated",
            "source",
            "targets",
            "versions",
        ],
    )
    assert set(fields["records"][1]) == {one.name for one in dataclasses.fields(Record)}


@pytest.mark.parametrize("old", ["an old report", None])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_write_leaves_what_was_there(
    old: str | None,
    error: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    path = tmp_path / "report.json"
    if old is not None:
        path.write_text(old)

    def interrupt(descriptor: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(error):
        document.write(_report(*RECORDS), path)
    assert [one.name for one in tmp_path.iterdir()] == (["report.json"] if old else [])
    assert old is None or path.read_text() == old


def test_places_and_the_place_of_each_record_come_back(tmp_path: Path):
    whole = _report(dataclasses.replace(RECORDS[1], place="mac-b", duration_s=1.0))
    places = (
        Place("mac-a", HOST, (MPS,), {"python": "3.12.4"}),
        Place("mac-b", Host("unknown"), lost="Not properly terminated"),
    )
    report = dataclasses.replace(whole, facts=dataclasses.replace(whole.facts, places=places))

    document.write(report, tmp_path / "report.json")

    assert document.read(tmp_path / "report.json") == report


def test_a_report_of_an_earlier_version_is_read():
    """Written before activity, places, samples and the source were recorded."""
    path = Path(__file__).parent / "recorded_reports" / "before_activity.json"

    found = document.read(path)

    assert [record.outcome for record in found.records] == ["passed", "passed", "skipped"]
    assert found.records[1].operator is not None
    assert (found.facts.source, found.facts.selected) == (None, None)


def test_source_and_counts_come_back(tmp_path: Path):
    facts = dataclasses.replace(
        _report().facts, source=Source("c" * 40, "7" * 40, clean=True), selected=12, deselected=3
    )

    document.write(Report(facts), tmp_path / "r.json")

    assert document.read(tmp_path / "r.json").facts == facts


def test_the_schema_that_is_shipped_is_the_one_that_is_read():
    """``python tools/write_schema.py`` writes it; releases of msgspec order its lists otherwise."""
    assert _sorted(json.loads(document.schema_text())) == _sorted(document.schema())


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(one) for name, one in value.items()}
    if isinstance(value, list):
        return sorted(map(_sorted, value), key=json.dumps)
    return value


def test_a_report_is_valid_by_the_schema_and_an_unknown_field_is_not():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(document.schema_text())

    jsonschema.validate(_document(), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**_document(), "more": 1}, schema)
