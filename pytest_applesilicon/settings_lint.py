"""Settings of torch's MPS backend that do nothing, or that torch refuses; and the right way.

torch.backends.mps is a plain module: assigning a name it does not have (blog posts recommend
``allow_fallback_to_cpu`` and ``allow_tf32``) raises nothing and changes nothing. Its
environment variables are read once, and a value it cannot parse ends the process or is
refused only when the first tensor is made. Imports no framework.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

_INTEGER = re.compile(r"\s*[+-]?[0-9]+")
_FLOAT = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")

_LOW = "PYTORCH_MPS_LOW_WATERMARK_RATIO"
_HIGH = "PYTORCH_MPS_HIGH_WATERMARK_RATIO"

#: The variables of the MPS backend, and how torch parses each: docs/source/
#: mps_environment_variables.rst, MPSFallback.mm (std::stoi), MPSAllocator.h, MPSProfiler.h.
#: METAL_VERSION is of pytorch#196881.
_VARIABLES: dict[str, str] = {
    "PYTORCH_ENABLE_MPS_FALLBACK": "integer",
    "PYTORCH_DEBUG_MPS_ALLOCATOR": "integer",
    "PYTORCH_MPS_FAST_MATH": "integer",
    "PYTORCH_MPS_PREFER_METAL": "integer",
    "PYTORCH_MPS_LOG_PROFILE_INFO": "integer",
    "PYTORCH_MPS_TRACE_SIGNPOSTS": "integer",
    _HIGH: "ratio",
    _LOW: "ratio",
    "PYTORCH_MPS_METAL_VERSION": "version",
}

#: Defaults and the bound of MPSAllocator.h, on unified memory.
_DEFAULT_HIGH = 1.7
_DEFAULT_LOW = 1.4
_BOUND = 2.0

_PLAIN = (bool, int, float, str, type(None))

#: What to do instead of assigning a name that torch.backends.mps does not have.
_INSTEAD = {
    "allow_fallback_to_cpu": "set PYTORCH_ENABLE_MPS_FALLBACK=1 before torch is imported "
    "(--mps-fallback=allow)",
    "allow_fallback": "set PYTORCH_ENABLE_MPS_FALLBACK=1 before torch is imported "
    "(--mps-fallback=allow)",
    "allow_tf32": "remove it: Apple GPUs have no TF32, and the setting belongs to "
    "torch.backends.cuda.matmul",
    "enabled": "remove it: choose the device of each tensor instead",
    "deterministic": "call torch.use_deterministic_algorithms(True)",
}


def is_ours(name: str) -> bool:
    """Whether a variable is one of the MPS backend, or is named like one."""
    return name in _VARIABLES or name.startswith("PYTORCH_MPS_")


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the MPS backend that are set."""
    return {name: environ[name] for name in environ if is_ours(name)}


def environment_problems(environ: Mapping[str, str] = os.environ) -> list[str]:
    """What torch cannot parse, does not know or refuses among its MPS variables."""
    found = variables(environ)
    problems = [
        problem for name, value in found.items() if (problem := _value_problem(name, value))
    ]
    return problems or _watermark_problems(found)


def _value_problem(name: str, value: str) -> str | None:
    kind = _VARIABLES.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, _VARIABLES, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        return f"{name} is no variable that torch reads{meant}"
    if kind == "integer" and not _INTEGER.match(value) and value.strip():
        return f"{name}={value}: torch parses a whole number; set 1, or 0 for off"
    if kind == "ratio" and not _FLOAT.fullmatch(value):
        return f"{name}={value}: torch parses a number; set a ratio from 0 (no limit) to {_BOUND}"
    if kind == "version" and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return f"{name}={value}: torch parses a version of Metal; set one such as 3.1"
    return None


def _watermark_problems(found: Mapping[str, str]) -> list[str]:
    """A pair of watermarks that torch refuses: ``invalid low watermark ratio 1.4``."""
    if _HIGH not in found and _LOW not in found:
        return []
    high = float(found.get(_HIGH, _DEFAULT_HIGH))
    low = float(found.get(_LOW, _DEFAULT_LOW))
    if not 0 <= high <= _BOUND:
        return [f"{_HIGH}={high:g}: torch refuses it; set a ratio from 0 (no limit) to {_BOUND}"]
    limit = _BOUND if high == 0 else high
    if 0 <= low <= limit:
        return []
    shown = f"{low:g}" + ("" if _LOW in found else ", the default")
    problem = (
        f"{_HIGH}={high:g} with {_LOW}={shown}: torch refuses a low watermark above {limit:g} "
        f"(invalid low watermark ratio); set {_LOW} to at most {limit:g} too, or 0 for none"
    )
    return [problem]


def attribute_problems(modules: Mapping[str, ModuleType] = sys.modules) -> dict[str, str]:
    """The names assigned to torch.backends.mps that it does not have, each with the right way."""
    module = modules.get("torch.backends.mps")
    if module is None:
        return {}
    known = getattr(module, "__all__", ())
    # What looks like a setting: a plain value; TYPE_CHECKING is torch's own import. This is asked
    # after each test.
    return {
        name: _dead(name)
        for name, value in vars(module).items()
        if isinstance(value, _PLAIN)
        and name[:1] != "_"
        and name != "TYPE_CHECKING"
        and name not in known
    }


def _dead(name: str) -> str:
    instead = _INSTEAD.get(name, "remove it, or see the documentation of torch.backends.mps")
    return f"torch.backends.mps.{name} does not exist, and setting it does nothing; {instead}"


class Watch:
    """What changed since the last look, while torch was imported and would not notice."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        modules: Mapping[str, ModuleType] = sys.modules,
    ) -> None:
        self._environ = environ
        self._modules = modules
        self._said: set[str] = set()
        self._last: tuple[Any, ...] = ()
        self._at_import: dict[str, str] | None = None
        if "torch" in modules:
            self._at_import = variables(environ)

    def find_spec(self, name: str, *_: Any) -> None:
        """As a finder of ``sys.meta_path``: note what torch reads when its import begins."""
        if name == "torch" and self._at_import is None:
            self._at_import = variables(self._environ)

    def accept(self, name: str) -> None:
        """Take a variable as it is now: whom it is for was told of it otherwise."""
        if self._at_import is not None and name in self._environ:
            self._at_import[name] = self._environ[name]

    def look(self) -> list[str]:
        """The problems that were not told yet."""
        seen = self._seen()
        if seen == self._last:
            return []
        self._last = seen
        found = [*attribute_problems(self._modules).values(), *self._too_late()]
        found += environment_problems(self._environ) if self._at_import is None else []
        if self._at_import is not None:
            found += environment_problems(self._at_import)
        new = [problem for problem in dict.fromkeys(found) if problem not in self._said]
        self._said.update(new)
        return new

    def _seen(self) -> tuple[Any, ...]:
        """What a look goes by. It is asked after each test, and hardly ever differs."""
        module = self._modules.get("torch.backends.mps")
        names = tuple(vars(module)) if module is not None else ()
        return self._at_import is None, variables(self._environ), names

    def _too_late(self) -> list[str]:
        if self._at_import is None or "torch" not in self._modules:
            return []
        now = variables(self._environ)
        names = [name for name in now if now[name] != self._at_import.get(name)]
        names += [name for name in self._at_import if name not in now]
        return [
            f"{name} was {'set' if name in now else 'removed'} after torch was imported, which "
            f"does not notice: {_right(name, now)}"
            for name in names
        ]


def _right(name: str, now: Mapping[str, str]) -> str:
    return f"{name}={now[name]} pytest ..." if name in now else f"env -u {name} pytest ..."
