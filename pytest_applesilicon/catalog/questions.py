"""What people ask the catalog: about an operator, two releases, and what is missing in one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_applesilicon.catalog import advice
from pytest_applesilicon.catalog.reading import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_applesilicon.catalog.reading import Catalog, Change, Status


@dataclass(frozen=True)
class Answer:
    """What is known of an operator."""

    release: str
    """The release that dtypes and advice are for."""
    changes: Mapping[str, tuple[Change, ...]]
    """By overload."""
    other_layouts: Mapping[str, Mapping[str, str]]
    """By layout, the overloads with a kernel for it and since when."""
    refused: Mapping[str, tuple[str, ...]]
    """By name in torch's operator database, the dtypes that are expected to fail."""
    advice: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """What two releases do differently, by overload."""

    older: str
    newer: str
    changed: Mapping[tuple[Status, Status], tuple[str, ...]]


@dataclass(frozen=True)
class Missing:
    """What a release does not run on MPS, by operator."""

    release: str
    operators: tuple[str, ...]
    came: Mapping[str, str]
    """The operators of these that a later release has, and since when."""
    fallbacks: tuple[str, ...]
    hidden: int
    """How many internal operators are left out."""


def about(catalog: Catalog, text: str, release: str) -> Answer:
    """What is known of ``linalg_eigh``, ``add.Tensor`` or ``torch.linalg.eigh``.

    Raises:
        CatalogError: no release has such an operator or there is no such release.
    """
    names = catalog.find(text)
    chosen = catalog.release(release).version
    operator = names[0].partition(".")[0]
    others = {
        layout: found
        for layout in LAYOUTS[1:]
        if (found := {
            name: one.release
            for name in names
            for one in catalog.changes(name, layout)
            if one.status == "native"
        })
    }  # fmt: skip
    refused = {
        name: dtypes
        for name in catalog.tested
        if _operator(name) == operator and (dtypes := catalog.refused(name, chosen))
    }
    changes = {name: catalog.changes(name) for name in names}
    unsupported = any(catalog.status(name, chosen) in ("missing", "fallback") for name in names)
    told = advice.of(operator, catalog, names, chosen) if unsupported else ()
    return Answer(chosen, changes, others, refused, told)


def _operator(name: str) -> str:
    """The operator behind a name of the database: ``nn.functional.gelu``, ``linalg.norm``."""
    return name.removeprefix("nn.functional.").replace(".", "_")


def difference(catalog: Catalog, first: str, second: str) -> Difference:
    """What changed from the older of two releases to the newer one.

    Raises:
        CatalogError: there is no such release.
    """
    chosen = (catalog.release(first), catalog.release(second))
    older, newer = (one.version for one in sorted(chosen, key=catalog.releases.index))
    changed: dict[tuple[Status, Status], list[str]] = {}
    for name in catalog.overloads:
        pair = catalog.status(name, older), catalog.status(name, newer)
        if pair[0] != pair[1]:
            changed.setdefault(pair, []).append(name)
    ordered = sorted(changed, key=lambda pair: (pair[1] != "native", pair[0] == "absent", pair))
    return Difference(older, newer, {pair: tuple(changed[pair]) for pair in ordered})


def missing(catalog: Catalog, release: str, everything: bool = False) -> Missing:
    """The operators of which an overload lacks a kernel in a release and none has one.

    Internal operators (a name that begins with ``_``) and those of other backends are left out
    unless ``everything`` is asked for.

    Raises:
        CatalogError: there is no such release.
    """
    chosen = catalog.release(release)
    lacking, fallbacks, hidden = [], [], 0
    for operator, names in catalog.operators.items():
        found = {catalog.status(name, chosen.version) for name in names}
        if "missing" in found and "native" not in found:
            if everything or not advice.internal(operator):
                lacking.append(operator)
            else:
                hidden += 1
        elif "fallback" in found and "native" not in found:
            fallbacks.append(operator)
    came = {name: since for name in lacking if (since := _came(catalog, name, chosen.version))}
    return Missing(chosen.version, tuple(lacking), came, tuple(fallbacks), hidden)


def _came(catalog: Catalog, operator: str, after: str) -> str:
    """The first later release that has a kernel for an overload of an operator."""
    versions = [one.version for one in catalog.releases]
    for version in versions[versions.index(after) + 1 :]:
        if any(catalog.status(name, version) == "native" for name in catalog.operators[operator]):
            return version
    return ""
