"""Writing what failed into ``known_failures.toml``, with its comments and its layout kept."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.files import write_whole
from pytest_applesilicon.known_failures import KEY, ManifestError, header_lines, parse

if TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from pytest_applesilicon.known_failures import Manifest

NEEDS_TOMLKIT = (
    "--known-failures-record needs tomlkit, which keeps the comments of the file\n"
    "  remedy: pip install 'pytest-applesilicon[cli]'"
)


@dataclass(frozen=True)
class Failure:
    """What a new entry, or the new expectation of an old one, is made from."""

    test: str
    outcome: str
    raises: str | None
    reason: str
    device: str | None = None
    simulated: bool = False


@dataclass(frozen=True)
class Changes:
    """What a run found that its manifest does not say."""

    added: tuple[Failure, ...] = ()
    changed: Mapping[int, Failure] = field(default_factory=dict)
    """By index of the entry: how its test fails now."""
    removed: Collection[int] = ()
    """Indices of entries whose test passes."""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def edited(text: str, manifest: Manifest, changes: Changes, today: datetime.date) -> str:
    """The text of the manifest with the changes, everything else as it was.

    Raises:
        ManifestError: the layout of the file is one that cannot be edited without loss.
    """
    import tomlkit

    document = tomlkit.parse(text)
    tables: Any = document.get(KEY, [])
    for index, failure in changes.changed.items():
        table = tables[index]
        expected = _expectation(failure)
        for name in ("raises", "outcome"):
            if name in expected:
                table[name] = expected[name]
            else:
                table.pop(name, None)
        table["date"] = today
    lines = _without(tomlkit.dumps(document), changes.removed)
    new_text = "".join(lines)
    for failure in changes.added:
        new_text += ("\n" if new_text.strip() else "") + _as_toml(failure, today)
    _verify(new_text, manifest, changes)
    return new_text


def _expectation(failure: Failure) -> dict[str, str]:
    """The fields that say how a test fails."""
    if failure.raises is None:
        return {"outcome": failure.outcome}
    # A test can pass and its fixture fail: only "error" tells to wait for that.
    also = {"outcome": "error"} if failure.outcome == "error" else {}
    return {"raises": failure.raises, **also}


def _as_toml(failure: Failure, today: datetime.date) -> str:
    import tomlkit

    table = tomlkit.table()
    table["test"] = failure.test
    for name, value in _expectation(failure).items():
        table[name] = value
    table["reason"] = failure.reason
    table["issue"] = ""
    table["date"] = today
    if failure.device is not None:
        table["device"] = failure.device
    if failure.simulated:
        table["simulated"] = True
    return f"[[{KEY}]]\n{tomlkit.dumps(table)}"


def _without(text: str, removed: Collection[int]) -> list[str]:
    """The lines without those entries; comments before and after an entry stay."""
    lines = text.splitlines(keepends=True)
    starts = [line - 1 for line in header_lines(text)]
    dropped: set[int] = set()
    for index in removed:
        end = starts[index + 1] if index + 1 < len(starts) else len(lines)
        # What follows the last value, comments and empty lines, belongs to what comes next.
        while re.match(r"\s*(#|$)", lines[end - 1]):
            end -= 1
        if end < len(lines) and not lines[end].strip():
            end += 1  # the empty line that parted it from the next
        dropped.update(range(starts[index], end))
    return [line for at, line in enumerate(lines) if at not in dropped]


def _verify(new_text: str, manifest: Manifest, changes: Changes) -> None:
    """Every other entry must be what it was: a file is never made poorer."""
    found = parse(new_text, manifest.name).entries
    kept = [one for one in manifest.entries if one.index not in changes.removed]
    right = len(found) == len(kept) + len(changes.added) and all(
        (new.test, new.reason, new.condition) == (old.test, old.reason, old.condition)
        for new, old in zip(found, kept, strict=False)
    )
    if not right:
        raise ManifestError(
            f"{manifest.name}: cannot be edited without loss; write each entry as a "
            f"[[{KEY}]] table of its own; nothing was written"
        )


def write(path: Path, manifest: Manifest, changes: Changes, today: datetime.date) -> None:
    """Write the manifest with the changes; an interrupted run leaves the old file whole.

    Raises:
        ManifestError: it cannot be edited or written; the file is as it was.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        write_whole(path, edited(text, manifest, changes, today))
    except OSError as error:
        raise ManifestError(f"{path}: cannot be written: {error}") from None
