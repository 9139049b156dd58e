"""The calls of a test run: one signature for all calls that look the same to a device.

A signature file is JSON with a version of its own: ``--mps-audit-signatures`` writes it and
``applesilicon replay`` reads it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: Raised when a field changes its meaning or a new one must be understood.
VERSION = 1

#: An operator and what it called, as far as it was watched: ``("put", (("put_", ()),))``.
Tree = tuple[str, tuple[Any, ...]]


class SignatureError(ValueError):
    """A file holds no signatures that this version can read; the text says why."""


@dataclass(frozen=True)
class Signature:
    """Calls of an operator with arguments of the same description."""

    operator: str
    """``aten::add.Tensor``; the default overload has no name: ``aten::relu``."""
    args: tuple[Any, ...]
    """One description for each positional argument (``describing``)."""
    kwargs: dict[str, Any]
    results: tuple[str, ...]
    """Dtypes of the results."""
    gradient: bool
    """A gradient flowed: an argument required one, or the call was part of a backward pass."""
    calls: int
    tests: int
    """In how many tests; calls outside of tests count as one."""
    first_test: str
    """The id of the first test that made the call."""
    line: str
    """The innermost line outside of torch that made it: ``library/file.py:12``."""
    called: tuple[Tree, ...] = ()
    """What it called, where it is made of other operators."""

    @property
    def name(self) -> str:
        """The overload as the catalog has it; empty for an operator of another library."""
        space, _, name = self.operator.rpartition("::")
        return name if space in ("aten", "") else ""

    def tensors(self) -> list[dict[str, Any]]:
        """The descriptions of the tensors among the arguments."""
        found: list[dict[str, Any]] = []
        for one in (*self.args, *self.kwargs.values()):
            if isinstance(one, dict) and "tensor" in one:
                found.append(one)
            elif isinstance(one, dict) and "list" in one:
                found += [inner for inner in one["list"] if isinstance(inner, dict)]
        return found

    def dtypes(self) -> tuple[str, ...]:
        """The dtypes of arguments and results, each once, in their order."""
        return tuple(dict.fromkeys([*(one["tensor"] for one in self.tensors()), *self.results]))

    def layout(self) -> str:
        """The layout that decides where the call goes: that of the first sparse argument."""
        return next((one["layout"] for one in self.tensors() if "layout" in one), "strided")


def merged(several: Iterable[Iterable[Signature]]) -> list[Signature]:
    """The signatures of several processes as those of one run, in the order of their names."""
    found: dict[str, Signature] = {}
    for one in (signature for part in several for signature in part):
        key = json.dumps([one.operator, one.gradient, *_without_values(one)])
        known = found.get(key)
        if known is None:
            found[key] = one
            continue
        first = min(known, one, key=lambda each: (each.first_test == "", each.first_test))
        found[key] = dataclasses.replace(
            first, calls=known.calls + one.calls, tests=known.tests + one.tests
        )
    return [found[key] for key in sorted(found)]


def _without_values(one: Signature) -> list[Any]:
    drop = ("bytes", "low", "high")

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items() if key not in drop}
        return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    return [plain(one.args), plain(one.kwargs)]


def to_json(signatures: Iterable[Signature], torch: str) -> str:
    """The signature file: a line for each signature."""
    head = json.dumps({"signatures_version": VERSION, "torch": torch})[1:-1]
    lines = ",\n".join(json.dumps(dataclasses.asdict(one)) for one in signatures)
    return f'{{{head}, "signatures": [\n{lines}\n]}}\n'


def write(path: Path, signatures: Iterable[Signature], torch: str) -> None:
    """Write a signature file, whole or not at all."""
    write_whole(path, to_json(signatures, torch))


def read(path: Path) -> tuple[list[Signature], str]:
    """The signatures in a file, and the version of the torch that made them.

    Raises:
        SignatureError: naming the file and what is wrong with it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SignatureError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    try:
        return parse(text)
    except SignatureError as error:
        raise SignatureError(f"{path}: {error}") from None


def parse(text: str) -> tuple[list[Signature], str]:
    """The signatures in the text of a file.

    Raises:
        SignatureError: it is not whole, of another version, or of another form.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SignatureError(f"not a whole JSON document: {error}") from None
    version = document.get("signatures_version") if isinstance(document, dict) else None
    if version is None:
        raise SignatureError("not a signature file: it has no signatures_version")
    if version != VERSION:
        raise SignatureError(f"signatures_version is {version!r}, accepted: {VERSION}")
    names = {one.name for one in dataclasses.fields(Signature)}
    found = []
    for place, fields in enumerate(document.get("signatures", ())):
        if not isinstance(fields, dict) or set(fields) != names:
            raise SignatureError(f"signatures[{place}] does not have the fields of a signature")
        changed = {name: tuple(fields[name]) for name in ("args", "results")}
        called = tuple(_tree(one) for one in fields["called"])
        found.append(Signature(**{**fields, **changed, "called": called}))
    return found, str(document.get("torch", ""))


def _tree(value: Any) -> Tree:
    return str(value[0]), tuple(_tree(one) for one in value[1])
