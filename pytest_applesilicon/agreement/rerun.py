"""A program of three lines that shows a failure of ``assert_agrees`` again.

The inputs are a user's own, so they are saved; the function is imported by its module and
name, or saved with them where it has none and can be.
"""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import sys
import sysconfig
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from pytest_applesilicon.files import write_whole

#: Where torch's own functions are, which do not tell their module.
_TORCH = ("torch", "torch.nn.functional", "torch.linalg", "torch.special", "torch.fft")


def function_program(
    fn: Any, inputs: tuple[Any, ...], options: dict[str, Any], keep: Any = None
) -> str:
    """The program for ``assert_agrees(fn, *inputs, **options)``, ready to be printed.

    Args:
        fn: the function.
        inputs: its arguments.
        options: keyword arguments of ``assert_agrees``, which ``repr`` writes as Python.
        keep: the folder for the inputs; ``None`` for one in the system's temporary directory.
    """
    place = _place(fn)
    module, name = place or (_module_of(fn), "fn")
    try:
        path = _saved(tuple(inputs) if place else (fn, *inputs), keep)
    except Exception as error:
        return _cannot(fn, error)
    target = f"{module}.{name}" if place else name
    given = "inputs" if place else "fn, *inputs"
    return _program(
        module,
        f"{given} = torch.load({str(path)!r}, weights_only=False)",
        "assert_agrees",
        f"{target}, *inputs, {_written(options)}",
    )


def module_program(
    module: Any, args: tuple[Any, ...], kwargs: Any, options: dict[str, Any], keep: Any = None
) -> str:
    """The program for ``assert_module_agrees(module, args, kwargs=kwargs, **options)``."""
    try:
        path = _saved((module, args, dict(kwargs)), keep)
    except Exception as error:
        return _cannot(type(module), error)
    return _program(
        type(module).__module__,
        f"module, args, kwargs = torch.load({str(path)!r}, weights_only=False)",
        "assert_module_agrees",
        f"module, args, kwargs=kwargs, {_written(options)}",
    )


def _program(module: str, load: str, check: str, call: str) -> str:
    imports = f"torch, {module}" if module not in ("", "torch", "builtins") else "torch"
    folder = _folder(module)
    path = f"import sys; sys.path.insert(0, {folder!r}); " if folder else ""
    return (
        "reproduce:\n"
        f"  {path}import {imports}; from pytest_applesilicon import {check}\n"
        f"  {load}\n"
        f"  {check}({call})"
    )


def _written(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _place(fn: Any) -> tuple[str, str] | None:
    """The module and the qualified name under which ``fn`` is found again."""
    name = str(getattr(fn, "__qualname__", None) or getattr(fn, "__name__", ""))
    known: list[tuple[str | None, str]] = [(getattr(fn, "__module__", None), name)]
    known += [(module, getattr(fn, "__name__", "")) for module in _TORCH]
    for module, path in known:
        found: Any = sys.modules.get(module) if module and module != "__main__" else None
        for part in path.split("."):
            found = getattr(found, part, None)
        if module and path and found is fn:
            return module, path
    return None


def _module_of(fn: Any) -> str:
    """The module in which what is saved is found again, when it is loaded."""
    while isinstance(fn, partial):
        fn = fn.func
    return getattr(fn, "__module__", None) or type(fn).__module__


def _folder(module: str) -> str:
    """The folder to import the module from; empty where it is installed."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if not file:
        return ""
    path = Path(file).resolve()
    above = module.count(".") + (path.name == "__init__.py")
    root = path.parents[above]
    installed = {Path(one).resolve() for one in sysconfig.get_paths().values()}
    return "" if root in installed else str(root)


def _saved(value: Any, keep: Any) -> Path:
    """The file in which the value is, named by its content; written whole."""
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    content = buffer.getvalue()
    folder = Path(keep) if keep else Path(tempfile.gettempdir()) / "pytest-applesilicon"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"inputs-{hashlib.sha256(content).hexdigest()[:12]}.pt"
    if not path.exists():
        write_whole(path, content)
    return path


def _cannot(what: Any, error: Exception) -> str:
    """Why there is no program, and the command that runs the test again."""
    name = getattr(what, "__qualname__", None) or type(what).__qualname__
    reason = str(error).partition("\n")[0]
    # pytest sets it: the node id, and in which step of the test it is.
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    command = f"pytest {shlex.quote(test)}" if test else "the program that failed"
    return f"reproduce: no other process can import {name} ({reason}); run again\n  {command}"
