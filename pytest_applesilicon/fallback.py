"""Torch's CPU fallback for operators that MPS lacks: switching it, and who was too early.

torch reads PYTORCH_ENABLE_MPS_FALLBACK once, when its library is loaded, and parses it as an
integer (MPSFallback.mm; pytorch#92821). A value set later has no effect, so this module
sets it early or says who imported torch before that.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.frameworks.pytorch import FALLBACK_VARIABLE, FALLBACK_WARNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

_VALUES = {"error": "0", "allow": "1"}


def in_force(environ: Mapping[str, str]) -> str:
    """``allow`` or ``error``: what the variable says now. Unset, and 0, mean error."""
    return "error" if environ.get(FALLBACK_VARIABLE, "0").strip() in ("", "0") else "allow"


def switch(
    wanted: str,
    environ: MutableMapping[str, str] = os.environ,
    modules: Mapping[str, ModuleType] = sys.modules,
) -> Callable[[], None] | None:
    """Set the variable for a torch that is not imported yet.

    Returns:
        What puts the old value back; ``None`` when nothing was changed, because it says so
        already or because torch is imported and would not notice.
    """
    if "torch" in modules or in_force(environ) == wanted:
        return None
    before = environ.get(FALLBACK_VARIABLE)
    environ[FALLBACK_VARIABLE] = _VALUES[wanted]

    def restore() -> None:
        if before is None:
            environ.pop(FALLBACK_VARIABLE, None)
        else:
            environ[FALLBACK_VARIABLE] = before

    return restore


def too_late(
    wanted: str,
    environ: Mapping[str, str] = os.environ,
    modules: Mapping[str, ModuleType] = sys.modules,
) -> str | None:
    """Why ``wanted`` cannot be had any more, and what to do; ``None`` when it is in force."""
    now = in_force(environ)
    if "torch" not in modules or now == wanted:
        return None
    return (
        f"--mps-fallback={wanted}: torch was imported by {importer_of('torch', modules)} while "
        f"{FALLBACK_VARIABLE} said {now}, and torch reads it only once.\n"
        f"  remedy: {FALLBACK_VARIABLE}={_VALUES[wanted]} pytest ..., "
        f"or import torch later, or accept --mps-fallback={now}"
    )


def importer_of(name: str, modules: Mapping[str, ModuleType] = sys.modules) -> str:
    """The module that imported ``name`` first, with its file.

    Python moves a module to the end of sys.modules when its body has run, so the importer is
    the nearest one after ``name`` that holds it; one whose body still runs stands before.
    """
    names = list(modules)
    position = names.index(name)
    for candidate in [*names[position + 1 :], *reversed(names[:position])]:
        if candidate.partition(".")[0] != name and _holds(modules[candidate], name):
            file = getattr(modules[candidate], "__file__", None)
            return f"{candidate} ({file})" if file else candidate
    return "a module that is no longer loaded"


def _holds(module: ModuleType, name: str) -> bool:
    try:
        values = list(vars(module).values())
    except TypeError:  # an object put into sys.modules that has no __dict__
        return False
    return any(
        isinstance(value, ModuleType) and value.__name__.partition(".")[0] == name
        for value in values
    )


@contextmanager
def watch() -> Iterator[dict[str, None]]:
    """Collect the operators that ran on the CPU while the block runs.

    torch names only the first one of a process unless every warning is wanted
    (TORCH_WARN_ONCE; c10/util/Exception.h). The warnings still reach whoever listens.
    """
    seen: dict[str, None] = {}
    torch = sys.modules.get("torch")
    before = torch.is_warn_always_enabled() if torch is not None else False
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=FALLBACK_WARNING)
        show = warnings.showwarning

        def note(message: Warning | str, *rest: Any, **named: Any) -> None:
            found = re.match(FALLBACK_WARNING, str(message))
            if found:
                seen[found["operator"]] = None
            show(message, *rest, **named)

        warnings.showwarning = note
        if torch is not None:
            torch.set_warn_always(True)
        try:
            yield seen
        finally:
            if torch is not None:
                torch.set_warn_always(before)
