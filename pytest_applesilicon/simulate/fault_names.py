"""From what ``--faults`` is given to faults: built-in names and files of one's own."""

from __future__ import annotations

import difflib
import runpy
from typing import TYPE_CHECKING

from pytest_applesilicon.simulate.fault_families import BUILT_IN, size_limits
from pytest_applesilicon.simulate.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path


class FaultError(ValueError):
    """A fault cannot be had; the text says which and what is accepted."""


def load(text: str, folder: Path) -> tuple[Fault, ...]:
    """The faults of a comma list of built-in names and paths of Python files.

    ``NAME@LIMIT`` is a fault of a size limit with another limit. A file defines ``FAULTS``, a
    list or tuple of ``pytest_applesilicon.Fault``; its path is relative to ``folder``.

    Raises:
        FaultError: a name is unknown, or a file cannot be loaded or has no faults.
    """
    found: dict[str, Fault] = {}
    for part in (one.strip() for one in text.split(",")):
        is_file = part.endswith(".py") or "/" in part
        for fault in _of_file(folder / part) if is_file else (_built_in(part),):
            found[fault.name] = fault
    return tuple(found.values())


def _built_in(text: str) -> Fault:
    name, at, limit = text.partition("@")
    if name not in BUILT_IN:
        near = ", ".join(difflib.get_close_matches(name, BUILT_IN, n=3)) or "none"
        raise FaultError(f"{name!r} is no fault; near names: {near}; --faults=help lists all")
    if not at:
        return BUILT_IN[name]
    if not limit.isdecimal() or int(limit) < 1:
        raise FaultError(f"{text!r} is not accepted; the limit is a whole number from 1")
    scaled = size_limits.scaled(name, int(limit))
    if scaled is None:
        raise FaultError(f"{text!r} is not accepted; {name} has no limit")
    return scaled


def _of_file(path: Path) -> tuple[Fault, ...]:
    if not path.is_file():
        raise FaultError(f"{path}: there is no such file")
    try:
        names = runpy.run_path(str(path), run_name="applesilicon_faults")
    except Exception as error:  # whatever the file raises
        raise FaultError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from None
    faults = names.get("FAULTS")
    if not isinstance(faults, (list, tuple)) or not faults:
        raise FaultError(f"{path}: has no FAULTS, a list of pytest_applesilicon.Fault")
    for place, one in enumerate(faults):
        if not isinstance(one, Fault):
            raise FaultError(
                f"{path}: FAULTS[{place}] is a {type(one).__name__}, "
                "not a pytest_applesilicon.Fault"
            )
    return tuple(faults)
