"""Known failures: reading ``known_failures.toml``, and which entry speaks of a test today.

An entry is strict: it names a test, how it fails, why, and since when. Knows nothing of pytest.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from pytest_applesilicon import toml_tables

if TYPE_CHECKING:
    import datetime
    from pathlib import Path

    from pytest_applesilicon.records import Host

FailedOutcome = Literal["failed", "error", "crashed", "hung"]
OUTCOMES = ("failed", "error", "crashed", "hung")

#: The name of the array of tables in the file.
KEY = "known_failure"
_HEADER = re.compile(rf"^\s*\[\[\s*{KEY}\s*\]\]")
_CHIP = re.compile(r"[A-Za-z0-9 *?()-]+")


class ManifestError(ValueError):
    """A manifest cannot be read; the text names file, entry, line, field, value and choices."""


@dataclass(frozen=True)
class Condition:
    """Where an entry holds; a field that is not given holds everywhere."""

    device: str | None = None
    """A device spec; ``cuda`` means ``cuda:1`` too."""
    chip: str | None = None
    """A chip or a generation, with ``*`` and ``?``: ``M1``, ``M1 Pro``, ``M4*``."""
    macos: str | None = None
    """Versions, as packages state them: ``>=15,<26``."""
    torch: str | None = None
    simulated: bool | None = None

    def holds(self, today: Today) -> bool:
        """Whether a test on that device of that host is meant."""
        device = today.device or ""
        return (
            self.device in (None, device, device.partition(":")[0])
            and _chip_is(self.chip, today.host)
            and _within(self.macos, _macos_of(today.host))
            and _within(self.torch, today.torch)
            and self.simulated in (None, today.simulated)
        )

    def describe(self) -> str:
        """The fields that were given, as one line."""
        given = {
            name: value for name, value in dataclasses.asdict(self).items() if value is not None
        }
        return ", ".join(f"{name} {value}" for name, value in given.items()) or "everywhere"


@dataclass(frozen=True)
class Today:
    """Where a test runs now."""

    host: Host
    device: str | None
    simulated: bool
    torch: str | None
    """The version of torch; ``None`` where it is not installed."""


@dataclass(frozen=True)
class Entry:
    """One known failure."""

    index: int
    line: int
    """Of its header, from 1."""
    test: str
    """A test id, or a pattern in which only ``*`` and ``?`` mean something."""
    reason: str
    date: datetime.date
    raises: str | None = None
    """The exception's own type, bare or with its module; a subclass is another type."""
    outcome: FailedOutcome | None = None
    """Where both are given, both must be so: ``error`` is a failure of a fixture."""
    issue: str = ""
    condition: Condition = Condition()

    @property
    def is_pattern(self) -> bool:
        return "*" in self.test or "?" in self.test

    def names(self, test_id: str) -> bool:
        """Whether a test is the one, or one of those, this entry is about."""
        return self.test == test_id or (self.is_pattern and _matches(self.test, test_id))

    def expects(self, outcome: str, exception: str | None) -> bool:
        """Whether a failure is the one that is known."""
        if self.outcome is not None and outcome != self.outcome:
            return False
        known = (exception, (exception or "").rpartition(".")[2])
        return self.raises is None or self.raises in known

    @property
    def expected(self) -> str:
        return " in ".join(one for one in (self.raises, self.outcome) if one)


@dataclass(frozen=True)
class Manifest:
    """A file of known failures."""

    name: str
    """The file, as messages call it."""
    entries: tuple[Entry, ...] = ()

    def applying(self, test_id: str, today: Today) -> Entry | None:
        """The entry that speaks of a test today: one that names it alone before a pattern."""
        found = [one for one in self.entries if one.names(test_id) and one.condition.holds(today)]
        return min(found, key=lambda one: one.is_pattern, default=None)

    def place(self, entry: Entry) -> str:
        """Where an entry stands: ``known_failures.toml: known_failure[3] (line 41)``."""
        return f"{self.name}: {KEY}[{entry.index}] (line {entry.line})"


def _matches(pattern: str, text: str) -> bool:
    # Not fnmatch: in an id of pytest brackets are brackets.
    parts = (re.escape(part) for part in re.split(r"([*?])", pattern))
    expression = "".join({r"\*": ".*", r"\?": "."}.get(part, part) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _chip_is(wanted: str | None, host: Host) -> bool:
    if wanted is None:
        return True
    names = {(host.chip or "").removeprefix("Apple "), host.chip or "", host.generation or ""}
    return any(_matches(wanted.lower(), name.lower()) for name in names if name)


def _macos_of(host: Host) -> str | None:
    return host.os_version if host.system == "macOS" else None


def _within(wanted: str | None, found: str | None) -> bool:
    if wanted is None:
        return True
    try:
        # A nightly of 2.14 is a 2.14: to packaging it is neither below nor above.
        return found is not None and SpecifierSet(wanted).contains(Version(found).base_version)
    except InvalidVersion:
        return False


def read(path: Path, name: str | None = None) -> Manifest:
    """The manifest in a file.

    Raises:
        ManifestError: naming file, entry, line, field, value and what is accepted.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(f"{name or path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{name or path}: not UTF-8: {error}") from None
    return parse(text, name or str(path))


def parse(text: str, name: str) -> Manifest:
    """The manifest in a text; ``name`` is what messages call the file.

    Raises:
        ManifestError: see ``read``.
    """
    tables = toml_tables.entries(text, name, KEY, ManifestError)
    lines = header_lines(text)
    # An array written in one line has no headers; its entries stand where it stands.
    lines = lines if len(lines) == len(tables) else [1] * len(tables)
    entries: list[Entry] = []
    for index, (table, line) in enumerate(zip(tables, lines, strict=True)):
        where = f"{name}: {KEY}[{index}] (line {line})"
        entry = _entry(table, index, line, where)
        for other in entries:
            if (other.test, other.condition) == (entry.test, entry.condition):
                raise ManifestError(
                    f"{where}: field test: {entry.test!r} is listed with the same condition by "
                    f"{KEY}[{other.index}] (line {other.line}): remove one of them"
                )
        entries.append(entry)
    return Manifest(name, tuple(entries))


def header_lines(text: str) -> list[int]:
    """The lines, from 1, on which entries begin."""
    return [at for at, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]


_FIELDS = (
    "test",
    "raises",
    "outcome",
    "reason",
    "issue",
    "date",
    "device",
    "chip",
    "macos",
    "torch",
    "simulated",
)


def _entry(table: Any, index: int, line: int, where: str) -> Entry:
    import msgspec

    from pytest_applesilicon.known_failures_schema import KnownFailureField

    try:
        found = msgspec.convert(table, KnownFailureField)
    except msgspec.ValidationError as error:
        raise ManifestError(f"{where}: {_explained(str(error), table)}") from None
    if found.raises is None and found.outcome is None:
        raise ManifestError(
            f"{where}: fields raises and outcome: neither is given; give the exception type, or "
            f"one of {', '.join(OUTCOMES)}"
        )
    if found.raises is not None and found.outcome in ("crashed", "hung"):
        raise ManifestError(
            f"{where}: field raises: {found.raises!r} is not accepted beside outcome "
            f"{found.outcome!r}, which has no exception; give one of them"
        )
    _check_texts(found, where)
    return Entry(
        index,
        line,
        found.test,
        found.reason,
        found.date,
        found.raises,
        found.outcome,
        found.issue,
        Condition(found.device, found.chip, found.macos, found.torch, found.simulated),
    )


def _check_texts(found: Any, where: str) -> None:
    for name in ("test", "reason"):
        if not getattr(found, name).strip():
            raise ManifestError(f"{where}: field {name}: '' is not accepted; give a text")
    for name in ("macos", "torch"):
        value = getattr(found, name)
        try:
            SpecifierSet(value or "")
        except InvalidSpecifier:
            raise ManifestError(
                f"{where}: field {name}: {value!r} is not accepted; give a range of versions "
                'such as ">=15,<26"'
            ) from None
    rules = (
        ("raises", r"[A-Za-z_][\w.]*", "the name of an exception type, such as RuntimeError"),
        ("device", r"cpu|mps|mps-sim|cuda(:[0-9]+)?", "a device: cpu, mps, mps-sim, cuda, cuda:N"),
        ("chip", _CHIP.pattern, "a chip or a generation such as M1, M1 Pro or M4*"),
    )
    for name, expression, choices in rules:
        value = getattr(found, name)
        if value is not None and not re.fullmatch(expression, value):
            raise ManifestError(f"{where}: field {name}: {value!r} is not accepted; give {choices}")


def _explained(message: str, table: Any) -> str:
    """What msgspec says, in words that name field, value and choices."""
    accepted = f"accepted: {', '.join(_FIELDS)}"
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown:
        value = table.get(unknown[1])
        return f"field {unknown[1]}: {value!r} is not accepted; there is no such field; {accepted}"
    missing = re.search(r"missing required field `(.+?)`", message)
    if missing:
        return f"field {missing[1]} is missing; {accepted}"
    at = re.search(r" - at `\$\.(\w+)`", message)
    if at is None or not isinstance(table, dict):
        return f"{table!r} is not a table; {message}"
    choices = {
        "outcome": f"one of {', '.join(OUTCOMES)}",
        "date": "a date such as 2026-11-21",
        "simulated": "true or false",
    }.get(at[1], "a text")
    value = table[at[1]]
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"field {at[1]}: {shown} is not accepted; give {choices}"
