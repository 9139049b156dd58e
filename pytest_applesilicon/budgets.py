"""Budgets: limits on what a test measures, from ``budgets.toml`` and from its marker.

Knows nothing of pytest. What is wrong with a budget is told by name, before anything is
measured.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import toml_tables
from pytest_applesilicon.frameworks.reference import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_applesilicon.records import Host

#: The name of the array of tables in the file.
KEY = "budget"

#: The limits a budget can have, in the order in which their verdicts are shown.
LIMITS = (
    "max_median_ms",
    "max_regression",
    "min_speedup_vs",
    "min_fraction_of_peak",
    "max_peak_mb",
)

#: GPU cores of each Apple chip: Apple's technical specifications, collected in
#: edu-observatory.org/olli/Manage/Silicon.html and the rows of TristanBilot/mlx-benchmark.
CHIPS: dict[str, tuple[int, ...]] = {
    "Apple M1": (7, 8),
    "Apple M1 Pro": (14, 16),
    "Apple M1 Max": (24, 32),
    "Apple M1 Ultra": (48, 64),
    "Apple M2": (8, 10),
    "Apple M2 Pro": (16, 19),
    "Apple M2 Max": (30, 38),
    "Apple M2 Ultra": (60, 76),
    "Apple M3": (8, 10),
    "Apple M3 Pro": (14, 18),
    "Apple M3 Max": (30, 40),
    "Apple M3 Ultra": (60, 80),
    "Apple M4": (8, 10),
    "Apple M4 Pro": (16, 20),
    "Apple M4 Max": (32, 40),
    "Apple M5": (8, 10),
    "Apple M5 Pro": (16, 20),
    "Apple M5 Max": (32, 40),
}

#: What the name of a chip of another maker begins with.
_OTHER_MAKERS = ("AMD ", "Intel", "Ampere", "Neoverse", "NVIDIA ", "Qualcomm ", "Snapdragon ")

_DEVICES = ("cpu", "mps", "cuda")


class BudgetError(ValueError):
    """A budget cannot be read; the text names where, the field, the value and what is accepted."""


@dataclass(frozen=True)
class Budget:
    """Limits on what one test, or those a pattern names, measures."""

    where: str
    """As messages call it: ``budgets.toml: budget[0]``, ``marker budget``."""
    test: str
    """A test id, or a pattern in which only ``*`` means something."""
    max_median_ms: Mapping[str, float] | None = None
    """By chip, ``CHIP/GPU_CORES``, or the empty string for any."""
    max_regression: float | None = None
    """A fraction: 0.1 allows 10 % more time than the baseline."""
    min_speedup_vs: str | None = None
    """A device spec in the same run."""
    min_speedup: float = 1.0
    min_fraction_of_peak: float | None = None
    max_peak_mb: Mapping[str, float] | None = None
    """In 10^6 bytes; by chip like ``max_median_ms``."""
    reference: str = "auto"
    """The kind of the reference workload."""

    def names(self, test_id: str) -> bool:
        """Whether this budget is about a test."""
        # In an id of pytest brackets are brackets.
        expression = ".*".join(re.escape(part) for part in self.test.split("*"))
        return re.fullmatch(expression, test_id, re.DOTALL) is not None

    @property
    def limits(self) -> tuple[str, ...]:
        """The names of the limits it has."""
        return tuple(name for name in LIMITS if getattr(self, name) is not None)


def limit_here(limits: Mapping[str, float], host: Host) -> float | None:
    """The limit for this chip; ``None`` where there is no entry for it."""
    chip = host.chip or ""
    for key in (f"{chip}/{host.gpu_cores}", chip, ""):
        if key in limits:
            return limits[key]
    return None


def make(where: str, test: str, host: Host | None, fields: Mapping[str, Any]) -> Budget:
    """A budget from raw values, as the marker or the file gives them.

    Args:
        where: what messages call it.
        test: the test it is about.
        host: this host, whose own chip is always known; ``None`` to take any chip as known.
        fields: the other fields by name.

    Raises:
        BudgetError: naming the field, its value and what is accepted.
    """
    accepted = tuple(field.name for field in dataclasses.fields(Budget))[2:]
    for name in fields:
        if name not in accepted:
            raise BudgetError(
                f"{where}: field {name}: {fields[name]!r} is not accepted; there is no such "
                f"field; accepted: {', '.join(accepted)}"
            )
    values = {name: value for name, value in fields.items() if value is not None}
    for name in ("max_median_ms", "max_peak_mb"):
        if name in values:
            values[name] = _by_chip(where, name, values[name], host)
    for name in ("max_regression", "min_speedup", "min_fraction_of_peak"):
        if name in values:
            values[name] = _number(where, name, values[name])
    _check_choices(where, values)
    budget = Budget(where=where, test=test, **values)
    if not budget.limits:
        raise BudgetError(f"{where}: it has no limit; give one of {', '.join(LIMITS)}")
    return budget


def _check_choices(where: str, values: Mapping[str, Any]) -> None:
    device = values.get("min_speedup_vs")
    if device is not None and not (
        isinstance(device, str) and re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", device)
    ):
        raise _refused(where, "min_speedup_vs", device, f"a device: {', '.join(_DEVICES)}, cuda:N")
    if "min_speedup" in values and device is None:
        raise BudgetError(f"{where}: field min_speedup needs min_speedup_vs beside it")
    kind = values.get("reference", "auto")
    if kind not in ("auto", *KINDS):
        raise _refused(where, "reference", kind, f"one of auto, {', '.join(KINDS)}")


def _number(where: str, name: str, value: object) -> float:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not math.isfinite(float(value)) or float(value) <= 0:  # type: ignore[arg-type]
        raise _refused(where, name, value, "a number above 0")
    return float(value)  # type: ignore[arg-type]


def _by_chip(where: str, name: str, value: object, host: Host | None) -> dict[str, float]:
    if not isinstance(value, dict):
        return {"": _number(where, name, value)}
    if not value:
        raise _refused(where, name, value, "a number above 0, or one for each chip")
    for chip in value:
        _check_chip(where, name, chip, host)
    return {chip: _number(where, f"{name}.{chip!r}", limit) for chip, limit in value.items()}


def _check_chip(where: str, name: str, key: object, host: Host | None) -> None:
    chip, slash, cores = str(key).partition("/")
    if host is None or chip == host.chip or chip.startswith(_OTHER_MAKERS):
        if slash and not re.fullmatch(r"[1-9][0-9]*", cores):
            raise _refused(where, f"{name}: GPU cores", cores, "a number")
        return
    if chip not in CHIPS:
        raise BudgetError(
            f"{where}: field {name}: chip {chip!r} is not known; give "
            f"{', '.join(CHIPS)}, this host's {host.chip!r}, or one of another maker "
            f"({', '.join(one.strip() for one in _OTHER_MAKERS)})"
        )
    if slash and cores not in {str(count) for count in CHIPS[chip]}:
        choices = " or ".join(str(count) for count in CHIPS[chip])
        raise _refused(where, f"{name}: GPU cores of {chip}", cores, choices)


def _refused(where: str, name: str, value: object, choices: str) -> BudgetError:
    return BudgetError(f"{where}: field {name}: {value!r} is not accepted; give {choices}")


def read(path: Path, host: Host, name: str | None = None) -> tuple[Budget, ...]:
    """The budgets in a file.

    Raises:
        BudgetError: naming file, entry, field, value and what is accepted.
    """
    called = name or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BudgetError(f"{called}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BudgetError(f"{called}: not UTF-8: {error}") from None
    return parse(text, host, called)


def parse(text: str, host: Host, name: str) -> tuple[Budget, ...]:
    """The budgets in a text; ``name`` is what messages call the file.

    Raises:
        BudgetError: see ``read``.
    """
    tables = toml_tables.entries(text, name, KEY, BudgetError)
    return tuple(_entry(f"{name}: {KEY}[{at}]", table, host) for at, table in enumerate(tables))


def _entry(where: str, table: Any, host: Host) -> Budget:
    import msgspec

    from pytest_applesilicon.budgets_schema import BudgetField

    accepted = ", ".join(BudgetField.__struct_fields__)
    try:
        msgspec.convert(table, BudgetField)
    except msgspec.ValidationError as error:
        raise BudgetError(f"{where}: {_explained(str(error), table, accepted)}") from None
    fields = dict(table)
    test = fields.pop("test")
    if not test.strip():
        raise _refused(where, "test", test, "a test id, with * for any text")
    return make(where, test, host, fields)


def _explained(message: str, table: Any, accepted: str) -> str:
    """What msgspec says, in words that name field, value and choices."""
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown:
        value = table.get(unknown[1])
        return (
            f"field {unknown[1]}: {value!r} is not accepted; there is no such field; "
            f"accepted: {accepted}"
        )
    missing = re.search(r"missing required field `(.+?)`", message)
    if missing:
        return f"field {missing[1]} is missing; accepted: {accepted}"
    at = re.search(r" - at `\$\.(\w+)", message)
    if at is None or not isinstance(table, dict):
        return f"{table!r} is not a table; {message}"
    kind = "a text" if at[1] in ("test", "min_speedup_vs", "reference") else "a number above 0"
    return f"field {at[1]}: {table[at[1]]!r} is not accepted; give {kind}"
