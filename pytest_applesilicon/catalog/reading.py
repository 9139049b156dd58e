"""The catalog: how each overload runs on MPS in each torch release, and since when.

``data/releases.tsv`` has a line for each release, ``data/overloads.tsv`` one for each overload
with its changes: ``M2.0.0 N2.6.0`` was missing from 2.0.0 on and has a kernel from 2.6.0 on.
``data/refused.tsv`` has the dtypes in which PyTorch's own tests expect an operator to fail.
``tools/build_catalog.py`` writes all three from the released macOS wheels; nothing is run.
"""

from __future__ import annotations

import difflib
import functools
from bisect import bisect_right
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Status = Literal["native", "composite", "fallback", "missing", "absent"]

#: What each status is called in the files.
CODES: dict[Status, str] = {
    "native": "N",
    "composite": "C",
    "fallback": "F",
    "missing": "M",
    "absent": "-",
}
_STATUSES: dict[str, Status] = {code: status for status, code in CODES.items()}

#: What each status means, for people.
MEANINGS: dict[Status, str] = {
    "native": "has a kernel on MPS",
    "composite": "is made of other operators; what MPS does follows from those",
    "fallback": "always runs on the CPU, whatever PYTORCH_ENABLE_MPS_FALLBACK says",
    "missing": "has no kernel on MPS",
    "absent": "is not in that release",
}

#: The parts of the catalog: tensors with strides, sparse COO and sparse CSR tensors.
LAYOUTS = ("strided", "sparse_coo", "sparse_csr")


class CatalogError(ValueError):
    """A release or an operator that the catalog does not have; the text says what it has."""


@dataclass(frozen=True)
class Release:
    """A release of torch, as its macOS wheel describes it."""

    version: str
    """``2.13.0``"""
    wheel_macos: str
    """The oldest macOS that pip installs the wheel on."""
    mps_macos: str
    """The oldest macOS that the MPS backend says it supports; empty where it does not say."""
    python: str
    """``Requires-Python`` of the wheel."""
    overloads: int
    """Overloads with an MPS kernel."""
    operators: int
    """Operators (names without overload) with an MPS kernel."""


@dataclass(frozen=True)
class Change:
    """From a release on, an overload has this status."""

    status: Status
    release: str


@dataclass(frozen=True)
class Catalog:
    """Everything that the data files say."""

    releases: tuple[Release, ...]
    """From the oldest to the newest."""
    _changes: Mapping[str, tuple[str, ...]] = field(repr=False)
    """By overload, the changes of each layout as text."""
    _refused: Mapping[str, str] = field(repr=False)

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {one.version: place for place, one in enumerate(self.releases)}

    @functools.cached_property
    def operators(self) -> Mapping[str, tuple[str, ...]]:
        """The overloads of each operator, by its name without overload."""
        found: dict[str, list[str]] = {}
        for name in self._changes:
            found.setdefault(name.partition(".")[0], []).append(name)
        return {name: tuple(several) for name, several in found.items()}

    @property
    def overloads(self) -> Sequence[str]:
        return tuple(self._changes)

    def has(self, overload: str) -> bool:
        """Whether any release has this overload."""
        return overload in self._changes

    def changes(self, overload: str, layout: str = "strided") -> tuple[Change, ...]:
        """The status of an overload since each release in which it changed.

        Raises:
            CatalogError: no release has the overload; names like it are given.
        """
        if overload not in self._changes:
            raise CatalogError(f"{overload}: no such overload{self._like(overload)}")
        return self._parsed(overload, LAYOUTS.index(layout))

    def status(self, overload: str, release: str, layout: str = "strided") -> Status:
        """How an overload runs in a release; ``absent`` for one that no release has."""
        known = self._changes.get(overload)
        if known is None:
            return "absent"
        place = self._places[release]
        kind = LAYOUTS.index(layout)
        found = _at(known[0], place, self._places)
        if not kind or found == "absent":
            return found
        own = _at(known[kind], place, self._places) if kind < len(known) else "absent"
        # A composite serves every layout; a kernel for tensors with strides does not.
        return own if own == "native" else "composite" if found == "composite" else "missing"

    def release(self, text: str) -> Release:
        """The release of ``2.13.0``, or the newest of ``2.13``; ``newest`` is the last one.

        Raises:
            CatalogError: the catalog has none of them.
        """
        if text == "newest":
            return self.releases[-1]
        fitting = [one for one in self.releases if f"{one.version}.".startswith(f"{text}.")]
        if not fitting or not text:
            known = f"{self.releases[0].version} to {self.releases[-1].version}"
            raise CatalogError(f"torch {text!r} is not in the catalog, which has {known}")
        return fitting[-1]

    def find(self, text: str) -> tuple[str, ...]:
        """The overloads that ``linalg_eigh``, ``aten::add.Tensor`` or ``torch.linalg.eigh`` names.

        Raises:
            CatalogError: there is none; names like it are given.
        """
        name = text.removeprefix("aten::").removeprefix("torch.ops.aten.").removesuffix(".default")
        if name in self._changes and "." in name:
            return (name,)
        for candidate in (name, _plain(name)):
            if candidate in self.operators:
                return self.operators[candidate]
        raise CatalogError(f"{text}: no such operator{self._like(_plain(name))}")

    def refused(self, name: str, release: str) -> tuple[str, ...]:
        """The dtypes in which PyTorch's own tests expect an operator to fail on MPS."""
        place = self._places[release]
        found = ""
        for item in self._refused.get(name, "").split():
            since, _, dtypes = item.partition("=")
            if self._places[since] <= place:
                found = dtypes
        return tuple(filter(None, found.split(",")))

    @property
    def tested(self) -> Sequence[str]:
        """The names, as torch's operator database spells them, for which dtypes are known."""
        return tuple(self._refused)

    def _parsed(self, overload: str, kind: int) -> tuple[Change, ...]:
        texts = self._changes[overload]
        text = texts[kind] if kind < len(texts) else ""
        return tuple(Change(_STATUSES[item[0]], item[1:]) for item in text.split())

    def _like(self, name: str) -> str:
        names = [*self.operators, *self._changes]
        near = dict.fromkeys(difflib.get_close_matches(name, names, n=5, cutoff=0.6))
        return f"; near: {', '.join(near)}" if near else ""


def _plain(name: str) -> str:
    """``linalg_eigh`` for ``torch.linalg.eigh``, ``gelu`` for ``torch.nn.functional.gelu``."""
    name = name.removeprefix("torch.").removeprefix("Tensor.")
    for prefix in ("nn.functional.", "F."):
        name = name.removeprefix(prefix)
    return name.replace(".", "_")


def _at(changes: str, place: int, places: Mapping[str, int]) -> Status:
    found: Status = "absent"
    for item in changes.split():
        if places[item[1:]] > place:
            break
        found = _STATUSES[item[0]]
    return found


def at_most(releases: Sequence[Release], version: str) -> Release:
    """The newest release that is not newer than ``version``; the oldest if all are."""
    from packaging.version import Version

    wanted = Version(Version(version).public)
    place = bisect_right([Version(one.version) for one in releases], wanted)
    return releases[max(place - 1, 0)]


@functools.lru_cache(maxsize=1)
def load() -> Catalog:
    """The shipped catalog.

    Raises:
        CatalogError: a data file is missing or has another form.
    """
    folder = resources.files("pytest_applesilicon.catalog") / "data"
    names = ("releases.tsv", "overloads.tsv", "refused.tsv")
    try:
        texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"the catalog cannot be read: {error}") from None
    return parse(*texts)


def parse(releases: str, overloads: str, refused: str = "") -> Catalog:
    """The catalog in the text of its three files.

    Raises:
        CatalogError: naming the file and the line that has another form.
    """
    found = []
    for number, fields in _rows(releases):
        if len(fields) != 6 or not fields[4].isdigit() or not fields[5].isdigit():
            raise CatalogError(f"releases.tsv: line {number}: not the six fields of a release")
        version, wheel_macos, mps_macos, python, count, operators = fields
        found.append(Release(version, wheel_macos, mps_macos, python, int(count), int(operators)))
    if not found:
        raise CatalogError("releases.tsv: it has no release")
    changes = {}
    for number, (name, *columns) in _rows(overloads):
        if not 1 <= len(columns) <= len(LAYOUTS):
            raise CatalogError(f"overloads.tsv: line {number}: {len(columns)} columns of changes")
        changes[name] = tuple(columns)
    _check(changes, {one.version for one in found})
    kept = {fields[0]: fields[-1] for _, fields in _rows(refused)}
    return Catalog(tuple(found), changes, kept)


def _rows(text: str) -> list[tuple[int, list[str]]]:
    lines = enumerate(text.splitlines(), 1)
    return [(number, line.split("\t")) for number, line in lines if line and line[0] != "#"]


def _check(changes: Mapping[str, tuple[str, ...]], versions: set[str]) -> None:
    """Refuse a change that no reader would understand; each text is looked at once."""
    accepted = {code + version for code in CODES.values() for version in versions}
    for text in {column for columns in changes.values() for column in columns}:
        wrong = [item for item in text.split() if item not in accepted]
        if wrong:
            raise CatalogError(f"overloads.tsv: {wrong[0]!r} is no change since a known release")
