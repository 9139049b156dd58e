"""Asking the system: every answer is kept as text, and parsed elsewhere (``facts``).

Nothing here decides anything. A source that gives no answer is absent. On a Mac a few small
programs are started and, where torch or TensorFlow is installed, a child process that imports
it; elsewhere nothing is started and no framework is imported.
"""

from __future__ import annotations

import ast
import concurrent.futures
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import sysconfig
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_applesilicon import host as hosts
from pytest_applesilicon import host_reading
from pytest_applesilicon.doctor import macho
from pytest_applesilicon.doctor.facts import normalised

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Variables that change what is built, installed or computed.
_VARIABLES = re.compile(
    r"(PYTORCH_.*|ARCHFLAGS|_PYTHON_HOST_PLATFORM|CONDA_(SUBDIR|PREFIX|DEFAULT_ENV)|ImageOS"
    r"|ImageVersion|GITHUB_ACTIONS|TERM_PROGRAM)"
)

_PROGRAMS = {
    "pmset": ("/usr/bin/pmset", "-g"),
    "pmset batt": ("/usr/bin/pmset", "-g", "batt"),
    "pmset therm": ("/usr/bin/pmset", "-g", "therm"),
    "system_profiler": ("/usr/sbin/system_profiler", "SPDisplaysDataType"),
    "swap": ("/usr/sbin/sysctl", "vm.swapusage"),
}
_PROGRAM_LIMIT_S = 10.0

#: Seconds. The first import on a cold disk took 32 s on one Mac.
_IMPORT_LIMIT_S = 120.0

#: Files and folders of the user's project that are read for settings: a home folder must not
#: take minutes.
_MOST_FILES = 1000
_MOST_FOLDERS = 500
_MOST_BYTES = 200_000
_NOT_SOURCES = frozenset({"node_modules", "site-packages", "build", "dist", "__pycache__"})

_ASK_TORCH = """
import json, torch
m = torch.backends.mps
print("applesilicon-doctor " + json.dumps([m.is_built(), m.is_available()]))
"""


def read(folder: Path | None = None, *, imports: bool = True) -> dict[str, str]:
    """Ask the system about itself, this interpreter and what is installed.

    Args:
        folder: whose ``*.py`` files are read for settings; the current one where not given.
        imports: whether torch and TensorFlow are imported in child processes (on a Mac only).
    """
    mac = platform.system() == "Darwin"
    texts = {
        **_host(),
        "python": _lines(_python()),
        "environment": "\n".join(
            f"{name}={value}" for name, value in os.environ.items() if _VARIABLES.fullmatch(name)
        ),
        "conda": _conda(Path(sys.prefix)),
        "sources": "\n".join(source_lines(folder or Path.cwd())),
    }
    distributions = _distributions()
    texts["packages"] = "\n".join(_package_line(one) for one in distributions.values())
    texts["numpy"] = _numpy(distributions.get("numpy"))
    texts["requirements"] = _requirements(distributions)
    if mac:
        found = binaries(list(distributions.values()))
        texts["binaries"] = "\n".join(found)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = {name: pool.submit(_output, command) for name, command in _PROGRAMS.items()}
            if imports:
                texts |= _imports(distributions)
            texts |= {name: answer.result() for name, answer in answers.items()}
        texts["sysctl"] += "\n" + texts.pop("swap")
    return {name: text for name, text in texts.items() if text.strip()}


def _host() -> dict[str, str]:
    readings = host_reading.read()
    return {
        "platform": _lines({"system": readings.system, "machine": readings.machine}),
        "sysctl": _lines(dict(readings.sysctl)),
        **readings.texts,
    }


def _lines(pairs: dict[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in pairs.items())


def _python() -> dict[str, str]:
    base = Path(getattr(sys, "_base_executable", None) or sys.executable)
    try:
        slices = ",".join(macho.architectures(base.resolve()))
    except macho.MachOError:
        slices = ""
    return {
        "version": platform.python_version(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        # Homebrew's virtual environments have the Cellar in base_prefix.
        "base_prefix": str(Path(sys.base_prefix).resolve()),
        "platform_tag": sysconfig.get_platform(),
        "slices": slices,
        "program": os.environ.get("TERM_PROGRAM", ""),
    }


def _conda(prefix: Path) -> str:
    """The subdir of the environment's own Python, as conda recorded it."""
    for file in sorted(prefix.glob("conda-meta/python-3*.json")):
        match = re.search(r'"subdir"\s*:\s*"[\w-]+"', host_reading.read_text(str(file)))
        if match:
            return match[0].replace('"', "")
    return ""


def _distributions() -> dict[str, importlib.metadata.Distribution]:
    """By normalised name; the first on the path is the one that is imported."""
    found: dict[str, importlib.metadata.Distribution] = {}
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"] if one.metadata is not None else None
        if name:
            found.setdefault(normalised(name), one)
    return found


def _package_line(one: importlib.metadata.Distribution) -> str:
    tags = re.findall(r"(?m)^Tag:\s*(\S+)", one.read_text("WHEEL") or "")
    return f"{one.metadata['Name']}=={one.version} {' '.join(tags)}".rstrip()


def _numpy(one: importlib.metadata.Distribution | None) -> str:
    """The part of NumPy's own configuration that names its BLAS, without importing it."""
    if one is None:
        return ""
    text = host_reading.read_text(str(one.locate_file("numpy/__config__.py")))
    match = re.search(r'"?blas"?\s*:\s*\{[^}]*\}', text)
    return match[0] if match else ""


def _requirements(distributions: dict[str, importlib.metadata.Distribution]) -> str:
    for name in ("tensorflow", "tensorflow-macos", "tensorflow-cpu"):
        for line in (distributions[name].requires or []) if name in distributions else []:
            match = re.match(r"numpy\s*\(?([<>=!~][^;)]*)", line)
            if match:
                return f"numpy: {match[1].strip()}"
    return ""


def binaries(distributions: Sequence[importlib.metadata.Distribution]) -> list[str]:
    """Name, path and architectures of every compiled file, as ``facts`` reads them."""
    return [line for one in distributions for line in _binary_lines(one)]


def _binary_lines(one: importlib.metadata.Distribution) -> Iterator[str]:
    for file in one.files or []:
        if file.suffix not in (".so", ".dylib"):
            continue
        path = Path(str(file.locate()))
        if path.is_symlink() or not path.exists():
            continue
        try:
            held = ",".join(macho.architectures(path))
        except macho.MachOError as error:
            held = f"! {error}"
        yield f"{one.metadata['Name']}\t{file}\t{held}"


def _output(command: Sequence[str], limit_s: float = _PROGRAM_LIMIT_S) -> str:
    return host_reading.output(command, limit_s)


def _imports(distributions: dict[str, importlib.metadata.Distribution]) -> dict[str, str]:
    """What torch says of MPS, and the text of an import that fails."""
    texts: dict[str, str] = {}
    if "torch" in distributions:
        texts |= _torch()
    if {"tensorflow", "tensorflow-macos"} & set(distributions):
        texts["import tensorflow"] = _import_error("import tensorflow")
    return texts


def _torch() -> dict[str, str]:
    from pytest_applesilicon import health

    done = _child(_ASK_TORCH)
    match = re.search(r"applesilicon-doctor \[(\w+), (\w+)\]", done[1])
    if match is None:
        return {"import torch": done[2] or "it ended without an answer"}
    said = {"built": match[1].capitalize(), "available": match[2].capitalize()}
    if match[2] == "true":
        found = health.probe("torch", "mps", hosts.detect())
        said |= {"state": found.state, "reason": found.reason, "remedy": found.remedy}
    return {"torch": _lines({name: " ".join(value.split()) for name, value in said.items()})}


def _import_error(code: str) -> str:
    status, _, error = _child(code)
    return "" if status == 0 else error or f"it ended with exit status {status}"


def _child(code: str) -> tuple[int | None, str, str]:
    """Exit status, output and errors of Python code run apart: an import may crash or hang."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_IMPORT_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, "", f"it hung for {_IMPORT_LIMIT_S:.0f} s"
    return (
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )


def source_lines(folder: Path) -> list[str]:
    """The lines of ``*.py`` files under a folder that set something torch reads."""
    found: list[str] = []
    for path in _source_files(folder):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if "backends.mps" in text or "PYTORCH_" in text:
            found += _setting_lines(str(path.relative_to(folder)), text)
    return found


_SETTING = re.compile(
    r"^\s*(torch\.backends\.mps\.\w+\s*=[^=]"
    r"|os\.environ\[['\"]PYTORCH_\w*MPS\w*['\"]\]\s*=[^=]"
    r"|os\.environ\.setdefault\(['\"]PYTORCH_\w*MPS|os\.putenv\(['\"]PYTORCH_\w*MPS)"
)
_IMPORT = re.compile(r"^\s*(import torch\b|from torch\b.* import )")


def _setting_lines(name: str, text: str) -> Iterator[str]:
    imported = "-"
    quoted = _quoted_lines(text)
    for number, line in enumerate(text.splitlines(), 1):
        if number in quoted:
            continue
        if imported == "-" and _IMPORT.match(line):
            imported = str(number)
        if _SETTING.match(line):
            yield f"{name}\t{number}\t{imported}\t{line.strip()}"


def _quoted_lines(text: str) -> set[int]:
    """The lines that begin inside a string: documentation, or a program that is data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an escape that somebody else's file gets wrong
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return set()
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr))
        for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
    }


def _source_files(folder: Path) -> Iterator[Path]:
    files = 0
    for count, (root, folders, names) in enumerate(os.walk(folder)):
        if count >= _MOST_FOLDERS:
            return
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith((".", "venv")) and name not in _NOT_SOURCES
        ]
        for name in sorted(names):
            path = Path(root) / name
            if name.endswith(".py") and _size(path) <= _MOST_BYTES:
                files += 1
                if files > _MOST_FILES:
                    return
                yield path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return _MOST_BYTES + 1
