"""The frozen facts that flow through the project, from a probe or a test to every report.

Standard library only; imports nothing else of the package but ``measured``. A record is plain
data: whatever is printed or written is made from records, and a record survives a trip through
JSON (``to_json``/``record_from_json``) unchanged, non-finite numbers included.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pytest_applesilicon.measured import Measurement as Measurement
from pytest_applesilicon.measured import Published as Published
from pytest_applesilicon.measured import Timing as Timing
from pytest_applesilicon.measured import Verdict as Verdict
from pytest_applesilicon.measured import measured_from_fields

if TYPE_CHECKING:
    from pytest_applesilicon.audit_records import Audit

HealthState = Literal["ok", "unusable", "miscomputes", "absent"]
TestOutcome = Literal[
    "passed", "failed", "error", "skipped", "xfailed", "xpassed", "crashed", "hung"
]

Outcome = Literal["native", "fallback", "unsupported", "wrong", "crashed", "hung", "not-run"]

#: Outcomes in which the body of the test was carried out on its device.
RAN: frozenset[str] = frozenset({"passed", "failed", "xfailed", "xpassed", "crashed", "hung"})

SIMULATED_NOTICE = (
    "simulated: operators, dtypes, placement and syncs; not Metal numerics, speed or memory"
)

#: Version of the one-line JSON form in which a record crosses from a worker to the controller.
RECORD_VERSION = 1


@dataclass(frozen=True)
class CoreLevel:
    """CPU cores of one performance level, as the system names it."""

    name: str
    """``Performance``, ``Efficiency``, ``Super``, or whatever the system says."""
    cores: int
    """Physical cores of this level."""


@dataclass(frozen=True)
class Host:
    """The machine and the interpreter that runs on it. ``None`` means not known."""

    system: str
    """``macOS``, ``Linux``, ``Windows`` or the name the platform gives itself."""
    os_version: str | None = None
    model: str | None = None
    """The model identifier, for example ``MacBookPro18,3`` or ``VirtualMac2,1``."""
    chip: str | None = None
    """The marketing name, for example ``Apple M1 Pro``."""
    generation: str | None = None
    """``M1``, ``M2`` ... for Apple chips."""
    core_levels: tuple[CoreLevel, ...] = ()
    """Fastest first; empty where the system does not tell levels apart."""
    cpu_cores: int | None = None
    """Physical cores."""
    gpu_cores: int | None = None
    memory_bytes: int | None = None
    virtual: bool | None = None
    """Whether this is a virtual machine (on a Mac: its GPU is paravirtual)."""
    machine: str = "unknown"
    """Architecture of the machine: ``arm64``, ``x86_64`` or the platform's own name."""
    interpreter: str = "unknown"
    """Architecture this interpreter runs as."""
    translated: bool = False
    """Whether this interpreter is translated by Rosetta."""


@dataclass(frozen=True)
class Health:
    """What a probe found of one device."""

    device: str
    """The device spec."""
    framework: str
    state: HealthState
    reason: str
    remedy: str = ""
    """What to do, as an exact command where there is one; empty when nothing is wrong."""
    simulated: bool = False

    @property
    def phrase(self) -> str:
        """The state as the end of a sentence: ``is absent``, ``miscomputes``."""
        return self.state if self.state == "miscomputes" else f"is {self.state}"


@dataclass(frozen=True)
class Comparison:
    """The result of comparing an actual value with the expected one, on the host."""

    differs_in: Literal["type", "shape", "dtype", "device", "values"] | None
    """The first property that differs, in this order; ``None`` when nothing does."""
    actual: str
    expected: str
    where: str = ""
    """Path and index of the worst element, for values."""
    mismatched: int = 0
    total: int = 0
    worst_error: float = 0.0
    """Largest absolute difference; ``nan`` where exactly one side is NaN."""


@dataclass(frozen=True)
class OpOutcome:
    """How an operator did on a device, over the samples of one dtype and direction."""

    operator: str
    category: str
    dtype: str
    direction: str
    """``forward``, ``gradient``, ``inplace`` or ``out``; of random operators also
    ``distribution`` and ``reproducible``."""
    outcome: Outcome
    samples: int = 0
    reason: str = ""
    worst_ulp: float = 0.0
    """Largest error of an element that agrees, in units in the last place of the dtype."""
    worst_envelope: float = 0.0
    """The same in units of what is allowed."""
    needs_same_dtype: int = 0
    """Samples that agree thanks to the same-dtype term of the envelope; ``benchmarks/sweep.py``
    tells those which no other term saves."""


@dataclass(frozen=True)
class Activity:
    """What the body of one test asked of a simulated device; keys with their counts."""

    operators: dict[str, int]
    """Operators that a kernel of the device was called for: ``aten::add.Tensor``."""
    fallbacks: dict[str, int]
    """Operators that MPS lacks and that ran on the CPU."""
    syncs: dict[str, int]
    """Why and where the host waited for the device: ``item at train.py:12 in step``."""


@dataclass(frozen=True)
class Repeats:
    """What became of a failed test that was run again."""

    runs: int
    """Repeats, without the first run."""
    failed: int
    """How many of them failed."""
    same: int
    """How many of them failed in the same place with the same message."""

    @property
    def deterministic(self) -> bool:
        """Whether every repeat failed in the same way."""
        return self.same == self.runs

    def describe(self) -> str:
        """One line: how often it failed again, and what that says of it."""
        if self.deterministic:
            return (
                f"failed again in {self.failed} of {self.runs} repeats, the same way: deterministic"
            )
        return (
            f"failed again in {self.failed} of {self.runs} repeats, {self.same} of them the same "
            "way: not deterministic"
        )


@dataclass(frozen=True)
class Record:
    """One frozen fact about one test."""

    test_id: str
    nodeid: str
    outcome: TestOutcome
    framework: str | None = None
    device: str | None = None
    """The device spec; ``None`` for a test that does not run on a device of ours."""
    simulated: bool = False
    duration_s: float = 0.0
    reason: str = ""
    """Why it was skipped, or the first line of why it failed."""
    measurements: tuple[Measurement, ...] = ()
    timing: Timing | None = None
    own_device: bool = False
    """The test took a ``device`` that is not ours: its project's fixture or parameter."""
    operator: OpOutcome | None = None
    faults: tuple[str, ...] = ()
    """Names of the faults that were switched on in the simulated device."""
    activity: Activity | None = None
    """``None`` where nothing is counted: everywhere but on a simulated device."""
    place: str = ""
    """The worker it ran in, where each runs every test: an architecture, or a host."""
    repeats: Repeats | None = None
    """Of a failed test under ``--repeat-failed``."""
    verdicts: tuple[Verdict, ...] = ()
    """One for each limit of each budget of this test."""


@dataclass(frozen=True)
class Target:
    """One place to run tests: a framework on a device, with what the probe found."""

    framework: str
    device: str
    health: Health
    asked: bool
    """Asked for by name (option or ini), not chosen by ``auto``."""


@dataclass(frozen=True)
class Selection:
    """The targets of a run, on its host, and how they were chosen."""

    host: Host
    targets: tuple[Target, ...]
    notes: tuple[str, ...] = ()

    def for_frameworks(self, names: tuple[str, ...]) -> tuple[Target, ...]:
        """The targets of these frameworks; all where none is named."""
        return tuple(target for target in self.targets if not names or target.framework in names)

    def id_of(self, target: Target) -> str:
        """The part of a test's id that names the target."""
        several = len({one.framework for one in self.targets}) > 1
        return f"{target.framework}-{target.device}" if several else target.device


@dataclass(frozen=True)
class Place:
    """One of the places of a run in which each ran every test: an architecture, or a host."""

    name: str
    host: Host
    targets: tuple[Target, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    lost: str = ""
    """Why it dropped out before its end; empty where it did not."""


@dataclass(frozen=True)
class Sample:
    """What ``--monitor`` saw of a process at one moment."""

    at_s: float
    """Seconds since its monitor started."""
    resident_bytes: int
    cpu_percent: float
    """Since the sample before; 100 is one core."""
    device_bytes: int | None = None
    """Allocated on the device when the last test ended; ``None`` where nobody tells."""
    test: str = ""
    """The id of the test that was running; empty between tests."""
    worker: str = ""
    """The worker of pytest-xdist; empty without it."""


@dataclass(frozen=True)
class Source:
    """The checkout that the tests of a run came from, when it started."""

    commit: str
    tree: str
    """Of git: what the commit holds, whoever committed it when."""
    clean: bool
    """No file differed from the commit, and none was there that git does not ignore."""


@dataclass(frozen=True)
class RunFacts:
    """What is true of a whole run."""

    version: str
    created: str
    """UTC, ISO 8601."""
    host: Host
    targets: tuple[Target, ...]
    settings: dict[str, str]
    versions: dict[str, str]
    notes: tuple[str, ...] = ()
    """Facts worth a header line, for example which MNIST was used."""
    exit_status: int | None = None
    """Exit status of pytest: 2 says the run was interrupted and its records are not all."""
    places: tuple[Place, ...] = ()
    """Where every test ran in several places: these; each record names its own."""
    samples: tuple[Sample, ...] = ()
    """Of ``--monitor``, in the order of their workers and of time."""
    audit: Audit | None = None
    """Of ``--mps-audit``."""
    conditions: dict[str, str] = field(default_factory=dict)
    """Power, heat, load and virtual machine, where there were budgets."""
    source: Source | None = None
    """``None`` where there is no checkout, and where no report was asked for."""
    selected: int | None = None
    """Tests that were to run; ``None`` where it is not known."""
    deselected: int = 0
    """Tests that were collected and taken out again: by -k, -m, --deselect."""

    @property
    def simulated(self) -> bool:
        return any(target.health.simulated for target in self.targets)


@dataclass(frozen=True)
class Report:
    """A whole run: its facts and one record per test."""

    facts: RunFacts
    records: tuple[Record, ...] = field(default=())


def finite_or_name(value: Any) -> Any:
    """``value`` with every non-finite float replaced by ``"nan"``, ``"inf"`` or ``"-inf"``.

    JSON has no such numbers; writing them as null would lose which one it was.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, dict):
        return {key: finite_or_name(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_name(item) for item in value]
    return value


#: Of what a record holds only these are no plain values: ``dataclasses.asdict`` copies all of them.
_ENCODER = json.JSONEncoder(allow_nan=False, default=dataclasses.asdict)


def to_json(record: Record) -> str:
    """The record as one line of JSON, with the version of this form."""
    try:
        return _ENCODER.encode({"version": RECORD_VERSION, **vars(record)})
    except ValueError:  # a number that is not finite
        fields = finite_or_name(dataclasses.asdict(record))
        return json.dumps({"version": RECORD_VERSION, **fields}, allow_nan=False)


def record_from_json(text: str) -> Record:
    """The record that ``to_json`` wrote.

    Raises:
        ValueError: another version of the plugin wrote it.
    """
    fields = json.loads(text)
    version = fields.pop("version", None)
    if version != RECORD_VERSION:
        raise ValueError(
            f"record version {version!r}, expected {RECORD_VERSION}: "
            "install the same pytest-applesilicon on every worker"
        )
    return record_from_fields(fields)


def record_from_fields(fields: dict[str, Any]) -> Record:
    """The record whose fields were written as JSON, with its numbers as floats again."""
    plain = dict(fields)
    measured = measured_from_fields(plain)
    operator = plain.pop("operator")
    if operator is not None:
        figures = {name: float(operator[name]) for name in ("worst_ulp", "worst_envelope")}
        operator = OpOutcome(**{**operator, **figures})
    repeats = plain.pop("repeats", None)
    activity = plain.pop("activity", None)
    faults = tuple(plain.pop("faults", ()))
    return Record(
        **{**plain, "duration_s": float(plain["duration_s"])},
        **measured,
        operator=operator,
        faults=faults,
        activity=Activity(**activity) if activity is not None else None,
        repeats=Repeats(**repeats) if repeats is not None else None,
    )
