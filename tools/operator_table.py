"""The overloads of a torch release, from the operator table that its wheel carries.

The table is ``torchgen/packaged/ATen/native/native_functions.yaml``; what its fields mean stands
in ``aten/src/ATen/native/README.md`` of PyTorch. It is read line by line, because every entry
has one form, and a reader of YAML takes seconds for each release.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_applesilicon.catalog.reading import Status

MEMBER = "torchgen/packaged/ATen/native/native_functions.yaml"

_FUNC = re.compile(r"- func: ([\w.]+)\(")
_FIELD = re.compile(r"  (\w+): ?(.*?)(?:\s+#.*)?$")
_KERNEL = re.compile(r"    ([\w, ]+): \S+")

#: Alias keys under which one kernel serves every backend (torchgen/model.py). Where an entry has
#: no ``dispatch`` at all, the first is meant.
_IMPLICIT = "CompositeImplicitAutograd"
_COMPOSITES = frozenset(
    {_IMPLICIT, "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional"}
)


class TableError(ValueError):
    """The operator table has another form; the text says what is missing."""


@dataclass(frozen=True)
class Overload:
    """One entry of the table, or one that torchgen generates from an entry."""

    keys: frozenset[str]
    """Dispatch keys that have a kernel of their own, alias keys included."""
    delegate: str = ""
    """The ``out`` overload whose kernel this one calls."""


def parse(text: str) -> dict[str, Overload]:
    """Every overload by name: ``add.Tensor``, ``relu``.

    Raises:
        TableError: the text holds no operator, or none that delegates.
    """
    found: dict[str, Overload] = {}
    for lines in _entries(text):
        match = _FUNC.match(lines[0])
        if match is None:
            raise TableError(f"the operator table has an entry of another form: {lines[0][:60]!r}")
        fields = {one[1]: one[2] for line in lines[1:] if (one := _FIELD.match(line))}
        keys = {
            key
            for line in lines
            if (kernel := _KERNEL.match(line))
            for key in kernel[1].split(", ")
        }
        if "dispatch" not in fields and "structured_delegate" not in fields:
            keys.add(_IMPLICIT)
        found[match[1]] = Overload(frozenset(keys), fields.get("structured_delegate", ""))
        # Variants that torchgen generates call the operator that they are generated from.
        for name in filter(None, re.split(r",\s*", fields.get("autogen", ""))):
            found.setdefault(name, Overload(frozenset({"CompositeExplicitAutograd"})))
    if not any(one.delegate for one in found.values()):
        raise TableError("the operator table holds no operator that delegates to another")
    return found


def _entries(text: str) -> Iterator[list[str]]:
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("- func:"):
            if lines:
                yield lines
            lines = [line]
        elif lines:
            lines.append(line)
    if lines:
        yield lines


def listed(table: dict[str, Overload], key: str) -> frozenset[str]:
    """The overloads for which the table lists a kernel under ``key``, or delegates to one."""
    own = {name for name, one in table.items() if key in one.keys}
    return frozenset(own | {name for name, one in table.items() if one.delegate in own})


def statuses(
    table: dict[str, Overload], kernels: frozenset[str], fallbacks: frozenset[str]
) -> dict[str, Status]:
    """How each overload runs on a backend that registers these kernels and fallbacks."""

    def status(name: str, one: Overload) -> Status:
        if name in kernels or one.delegate in kernels:
            return "native"
        if name in fallbacks or one.delegate in fallbacks:
            return "fallback"
        # A functional overload of a structured operator makes its result and calls ``out``: what
        # is missing there is missing here, unless the entry has a composite of its own.
        return "composite" if one.keys & _COMPOSITES else "missing"

    return {name: status(name, one) for name, one in table.items()}
