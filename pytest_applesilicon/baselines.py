"""Baselines: what each test took on one machine, in a file of its own for each identity.

A file says itself which machine it is of, and a file of another machine is never read as this
one's, whatever it is called. Knows nothing of pytest.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.files import write_whole
from pytest_applesilicon.machine import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Raised when a field changes its meaning.
SCHEMA_VERSION = 1


class BaselineError(ValueError):
    """A baseline cannot be used; the text names the file, and the field or the difference."""


@dataclass(frozen=True)
class Entry:
    """What one test took."""

    size: str
    """The value of ``--size``, which decides how large a bundled workload is."""
    mode: str
    median_s: float
    blocks: tuple[tuple[float, ...], ...]
    """See ``regression.blocks``."""
    date: str
    reason: str


@dataclass(frozen=True)
class Baseline:
    """The entries of one identity, and when and why they were moved."""

    identity: Identity
    tests: Mapping[str, Entry] = field(default_factory=dict)
    accepted: tuple[Mapping[str, Any], ...] = ()
    """``date``, ``reason`` and ``tests`` of every time, oldest first."""

    def moved(self, entries: Mapping[str, Entry], reason: str, date: str) -> Baseline:
        """This baseline with ``entries`` in place of its own for the same tests."""
        note = {"date": date, "reason": reason, "tests": sorted(entries)}
        return Baseline(self.identity, {**self.tests, **entries}, (*self.accepted, note))


def path_of(folder: Path, identity: Identity) -> Path:
    """The file of an identity."""
    return folder / f"{identity.slug}.json"


def find(folder: Path, identity: Identity) -> Baseline | None:
    """The baseline of this machine; ``None`` where the folder has no baseline at all.

    Raises:
        BaselineError: the folder has baselines of other machines only, a file of another
            machine stands in the place of this one's, or a file cannot be read.
    """
    path = path_of(folder, identity)
    if path.exists():
        found = read(path)
        if found.identity != identity:
            raise BaselineError(
                f"{path}: is a baseline of another machine\n  "
                + "\n  ".join(identity.differences(found.identity))
            )
        return found
    others = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not others:
        return None
    nearest = min(
        (read(other) for other in others), key=lambda one: len(identity.differences(one.identity))
    )
    raise BaselineError(
        f"{folder}: no baseline of this machine; the nearest is of another one: "
        f"{path_of(folder, nearest.identity).name}\n  "
        + "\n  ".join(identity.differences(nearest.identity))
        + '\n  remedy: record one here with --budgets-accept="why"'
    )


def write(folder: Path, baseline: Baseline) -> Path:
    """Write the file of this identity whole; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, baseline.identity)
    document = {
        "schema_version": SCHEMA_VERSION,
        "identity": dataclasses.asdict(baseline.identity),
        "accepted": list(baseline.accepted),
        "tests": {name: dataclasses.asdict(one) for name, one in sorted(baseline.tests.items())},
    }
    write_whole(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
    return path


def read(path: Path) -> Baseline:
    """The baseline in a file.

    Raises:
        BaselineError: naming the file, and the field or the position.
    """
    import msgspec

    from pytest_applesilicon.baselines_schema import Document

    try:
        content = path.read_bytes()
    except OSError as error:
        raise BaselineError(f"{path}: {error.strerror}") from None
    try:
        found = msgspec.json.decode(content, type=Document)
    except msgspec.ValidationError as error:
        raise BaselineError(f"{path}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path}: not a whole JSON document: {error}") from None
    if found.schema_version != SCHEMA_VERSION:
        raise BaselineError(
            f"{path}: schema_version is {found.schema_version}, accepted: {SCHEMA_VERSION}"
        )
    plain: dict[str, Any] = msgspec.to_builtins(found)
    tests = {
        name: Entry(**{**one, "blocks": tuple(tuple(block) for block in one["blocks"])})
        for name, one in plain["tests"].items()
    }
    return Baseline(Identity(**plain["identity"]), tests, tuple(plain["accepted"]))
