"""The JSON report: one document a run, with its schema version; written whole, read strictly.

``applesilicon_version`` tells which release wrote it. An unknown field, a missing one, a
wrong type, a truncated file and another schema version are each one clear error.
"""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.audit_records import audit_from_fields
from pytest_applesilicon.files import write_whole
from pytest_applesilicon.records import (
    CoreLevel,
    Health,
    Host,
    Place,
    Report,
    RunFacts,
    Sample,
    Source,
    Target,
    finite_or_name,
    record_from_fields,
)

if TYPE_CHECKING:
    from pathlib import Path

#: Raised when a field changes its meaning or goes away, or a new one must be understood.
SCHEMA_VERSION = 1


class ReportError(ValueError):
    """A file is not a report this version can read; the text names the file and the field."""


def to_document(report: Report) -> str:
    """The report as JSON text; non-finite numbers are the strings nan, inf and -inf."""
    facts = dataclasses.asdict(report.facts)
    document = {
        "schema_version": SCHEMA_VERSION,
        "applesilicon_version": facts.pop("version"),
        "simulated": report.facts.simulated,
        **facts,
        "records": [dataclasses.asdict(record) for record in report.records],
    }
    return json.dumps(finite_or_name(document), indent=1, allow_nan=False) + "\n"


def write(report: Report, path: Path) -> None:
    """Write the report; an interrupted run leaves an old file as it was."""
    write_whole(path, to_document(report))


def read(path: Path) -> Report:
    """The report in a file.

    Raises:
        ReportError: naming the file, and the field or the position.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from None
    return parse(path, content)


def parse(path: Path, content: bytes) -> Report:
    """The report in the content of a file, which messages call ``path``.

    Raises:
        ReportError: naming the file, and the field or the position.
    """
    try:
        document = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # the latter: brackets nested without end
        raise ReportError(f"{path}: not a whole JSON document: {error}") from None
    _check_version(path, document)
    return _parse(path, document)


def schema() -> dict[str, Any]:
    """The JSON schema of the file, made from the structs that read it."""
    import msgspec

    from pytest_applesilicon.reports.schema import Document

    made: dict[str, Any] = msgspec.json.schema(Document)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Report of pytest-applesilicon",
        "description": f"schema_version {SCHEMA_VERSION}; numbers that JSON lacks are strings",
        **made,
    }


def schema_text() -> str:
    """The schema as the package ships it."""
    text = resources.files(__package__).joinpath("report.schema.json")
    return text.read_text(encoding="utf-8")


def _check_version(path: Path, document: Any) -> None:
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise ReportError(f"{path}: not an applesilicon report: it has no schema_version")
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        hint = "; a newer pytest-applesilicon wrote it: update this one" if newer else ""
        raise ReportError(
            f"{path}: schema_version is {version!r}, accepted: {SCHEMA_VERSION}{hint}"
        )


def _parse(path: Path, document: dict[str, Any]) -> Report:
    import msgspec

    from pytest_applesilicon.reports.schema import Document

    try:
        checked = msgspec.convert(document, Document)
    except msgspec.ValidationError as error:
        raise ReportError(f"{path}: {error}") from None
    plain: dict[str, Any] = msgspec.to_builtins(checked)
    facts = RunFacts(
        version=plain["applesilicon_version"],
        created=plain["created"],
        host=_host(plain["host"]),
        targets=_targets(plain["targets"]),
        settings=plain["settings"],
        versions=plain["versions"],
        notes=tuple(plain["notes"]),
        exit_status=plain["exit_status"],
        places=tuple(
            Place(**{**one, "host": _host(one["host"]), "targets": _targets(one["targets"])})
            for one in plain["places"]
        ),
        samples=tuple(Sample(**one) for one in plain["samples"]),
        audit=audit_from_fields(plain["audit"]) if plain["audit"] else None,
        conditions=plain["conditions"],
        source=Source(**plain["source"]) if plain["source"] is not None else None,
        selected=plain["selected"],
        deselected=plain["deselected"],
    )
    return Report(facts, tuple(record_from_fields(record) for record in plain["records"]))


def _host(fields: dict[str, Any]) -> Host:
    levels = tuple(CoreLevel(**level) for level in fields["core_levels"])
    return Host(**{**fields, "core_levels": levels})


def _targets(listed: list[dict[str, Any]]) -> tuple[Target, ...]:
    return tuple(Target(**{**one, "health": Health(**one["health"])}) for one in listed)
