"""Calls that match a reported bug of the MPS backend: int64 arguments, and memory layouts.

``data/risks.tsv`` has the operator, what the call must have (``int64``, ``strided``: an argument
that is not contiguous, ``offset``: one that begins inside its storage), the newest release that a
report names or ``open``, the issue, and what was reported.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_applesilicon.audit.signatures import Signature
    from pytest_applesilicon.audit_records import Use


@dataclass(frozen=True)
class Risk:
    """One reported bug, as calls can be held against it."""

    operator: str
    """Without overload and without the underscore of its form in place."""
    condition: str
    last: str
    """The newest release, as ``2.13``, in which it was seen; ``open`` where none has a fix."""
    issue: str
    symptom: str

    @property
    def finding(self) -> str:
        return "int64" if self.condition == "int64" else "layout"


@functools.lru_cache(maxsize=1)
def table() -> dict[str, tuple[Risk, ...]]:
    """The risks of each operator."""
    folder = resources.files("pytest_applesilicon.audit") / "data"
    lines = (folder / "risks.tsv").read_text(encoding="utf-8").splitlines()
    found: dict[str, list[Risk]] = {}
    for line in lines:
        if line and line[0] != "#":
            one = Risk(*line.split("\t"))
            found.setdefault(one.operator, []).append(one)
    return {name: tuple(several) for name, several in found.items()}


def found(
    operator: str, several: Sequence[Signature], release: str, use: Callable[..., Use]
) -> list[Use]:
    """The calls of an operator that a reported bug may concern in a release."""
    from packaging.version import Version

    name = operator.rpartition("::")[2].partition(".")[0]
    told = []
    for one in table().get(name, table().get(name.rstrip("_"), ())):
        if one.last != "open" and Version(release).release[:2] > Version(one.last).release:
            continue
        hit = [each for each in several if _has(each, one.condition)]
        if hit:
            told.append(use(operator, one.finding, hit, note=f"{one.symptom} ({one.issue})"))
    return told


def _has(signature: Signature, condition: str) -> bool:
    tensors = signature.tensors()
    return any(_one_has(one, condition) for one in tensors)


def _one_has(tensor: dict[str, Any], condition: str) -> bool:
    if condition == "int64":
        return bool(tensor["tensor"] == "int64")
    return bool({"strided": "stride", "offset": "offset"}[condition] in tensor)
