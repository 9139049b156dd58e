"""The shape of the JSON report, as strict msgspec structs: an unknown field is an error.

Imported only when a report is read, so that msgspec is not loaded by every test run.
"""

from __future__ import annotations

from typing import Literal

import msgspec  # noqa: TID253 - this module is imported inside a function

from pytest_applesilicon.measured import VerdictState  # noqa: TC001 - read by msgspec
from pytest_applesilicon.records import HealthState, Outcome, TestOutcome  # noqa: TC001 - read by msgspec

#: A number, or the name of one that JSON does not have.
Number = float | Literal["nan", "inf", "-inf"]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every struct of the file."""


class CoreLevelField(_Strict, frozen=True):
    """See ``records.CoreLevel``."""

    name: str
    cores: int


class HostField(_Strict, frozen=True):
    """See ``records.Host``."""

    system: str
    os_version: str | None
    model: str | None
    chip: str | None
    generation: str | None
    core_levels: list[CoreLevelField]
    cpu_cores: int | None
    gpu_cores: int | None
    memory_bytes: int | None
    virtual: bool | None
    machine: str
    interpreter: str
    translated: bool


class HealthField(_Strict, frozen=True):
    """See ``records.Health``."""

    device: str
    framework: str
    state: HealthState
    reason: str
    remedy: str
    simulated: bool


class TargetField(_Strict, frozen=True):
    """See ``records.Target``."""

    framework: str
    device: str
    health: HealthField
    asked: bool


class PublishedField(_Strict, frozen=True):
    """See ``records.Published``."""

    value: str
    unit: str
    machine: str
    device: str
    software: str
    source: str
    note: str


class MeasurementField(_Strict, frozen=True):
    """See ``records.Measurement``."""

    name: str
    value: Number
    unit: str
    published: list[PublishedField] = []


class TimingField(_Strict, frozen=True):
    """See ``records.Timing``."""

    group: str
    median_s: Number
    min_s: Number
    iqr_s: Number
    rounds: int
    iterations: int
    mode: str = ""
    timer: str = ""
    sync_s: Number = 0.0
    first_call_s: Number = 0.0
    device_s: Number | None = None
    device_peak_bytes: int | None = None
    process_peak_bytes: int | None = None
    low_s: Number | None = None
    high_s: Number | None = None
    blocks: list[list[Number]] = []


class VerdictField(_Strict, frozen=True):
    """See ``measured.Verdict``."""

    limit_name: str
    state: VerdictState
    where: str
    limit: Number | None
    value: Number | None
    low: Number | None
    high: Number | None
    unit: str
    reason: str


class OpOutcomeField(_Strict, frozen=True):
    """See ``records.OpOutcome``."""

    operator: str
    category: str
    dtype: str
    direction: str
    outcome: Outcome
    samples: int
    reason: str
    worst_ulp: Number
    worst_envelope: Number
    needs_same_dtype: int


class ActivityField(_Strict, frozen=True):
    """See ``records.Activity``."""

    operators: dict[str, int]
    fallbacks: dict[str, int]
    syncs: dict[str, int]


class RepeatsField(_Strict, frozen=True):
    """See ``records.Repeats``."""

    runs: int
    failed: int
    same: int


class RecordField(_Strict, frozen=True):
    """See ``records.Record``."""

    test_id: str
    nodeid: str
    outcome: TestOutcome
    framework: str | None
    device: str | None
    simulated: bool
    duration_s: Number
    reason: str
    measurements: list[MeasurementField]
    timing: TimingField | None
    own_device: bool
    operator: OpOutcomeField | None
    faults: list[str] = []
    activity: ActivityField | None = None
    place: str = ""
    repeats: RepeatsField | None = None
    verdicts: list[VerdictField] = []


class SampleField(_Strict, frozen=True):
    """See ``records.Sample``."""

    at_s: Number
    resident_bytes: int
    cpu_percent: Number
    device_bytes: int | None
    test: str
    worker: str


class UseField(_Strict, frozen=True):
    """See ``audit_records.Use``."""

    operator: str
    verdict: str
    missing: list[str]
    signatures: int
    calls: int
    tests: int
    first_test: str
    line: str
    since: str
    note: str


class AuditField(_Strict, frozen=True):
    """See ``audit_records.Audit``."""

    release: str
    lowest: str
    calls: int
    signatures: int
    operators: int
    counts: dict[str, int]
    uses: list[UseField]
    lost: list[str]


class PlaceField(_Strict, frozen=True):
    """See ``records.Place``."""

    name: str
    host: HostField
    targets: list[TargetField]
    versions: dict[str, str]
    lost: str


class SourceField(_Strict, frozen=True):
    """See ``records.Source``."""

    commit: str
    tree: str
    clean: bool


class Document(_Strict, frozen=True):
    """The whole file."""

    schema_version: int
    applesilicon_version: str
    simulated: bool
    created: str
    host: HostField
    targets: list[TargetField]
    settings: dict[str, str]
    versions: dict[str, str]
    notes: list[str]
    exit_status: int | None
    records: list[RecordField]
    places: list[PlaceField] = []
    samples: list[SampleField] = []
    audit: AuditField | None = None
    conditions: dict[str, str] = {}
    source: SourceField | None = None
    selected: int | None = None
    deselected: int = 0
