"""The same tests in one interpreter of each architecture, by pytest-xdist's own workers.

``--arch=arm64,x86_64`` becomes ``--dist=each`` with one ``popen`` worker for each architecture,
named after it. The interpreters are asked before anything is collected, so that a missing one
is exit status 4 with the command that installs it. The workers take turns, test by test: two
timings at the same time would disturb each other.

Must not import pytest at run time beyond what ``options`` gives.
"""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import __version__
from pytest_applesilicon import host as hosts
from pytest_applesilicon.doctor import macho
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.options import INTERPRETERS, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from pytest_applesilicon.records import Host

#: Seconds; a translated Python is compiled on its first start.
_LIMIT_S = 60

_ASK = """
import importlib.metadata as m, json, platform, sys
def version(name):
    try:
        return m.version(name)
    except m.PackageNotFoundError:
        return None
plugin = version("pytest-applesilicon")
if plugin is not None:
    # What is imported: of an editable installation the metadata are as old as itself.
    import pytest_applesilicon
    plugin = pytest_applesilicon.__version__
try:
    import msgspec._core as core
    compiled, error = core.__file__, ""
except Exception as problem:
    compiled, error = "", f"{type(problem).__name__}: {problem}"
print("applesilicon-arch " + json.dumps({
    "architecture": platform.machine(), "prefix": sys.prefix,
    "plugin": plugin, "xdist": version("pytest-xdist"),
    "compiled": compiled, "error": error}))
"""

#: Listing options: nothing is run, so no worker is started.
_NOT_A_RUN = ("help", "version", "markers", "showfixtures", "show_fixtures_per_test", "collectonly")


@dataclass(frozen=True)
class Interpreter:
    """A Python of one architecture, as it was found."""

    architecture: str
    command: tuple[str, ...]
    """How it is started."""
    prefix: str
    """Its ``sys.prefix``, against which the worker checks itself."""

    @property
    def spec(self) -> str:
        """As pytest-xdist and execnet take it."""
        return f"popen//python={shlex.join(self.command)}//id={self.architecture}"


def wanted(settings: Settings) -> tuple[str, ...]:
    """The architectures of a run in several of them; none where there is one interpreter."""
    names = tuple(dict.fromkeys(settings.arch.split(",")))
    return names if len(names) > 1 else ()


def start(config: pytest.Config, settings: Settings) -> None:
    """Make pytest-xdist start one worker for each architecture.

    Raises:
        OptionError: an interpreter cannot be had, or the options contradict each other.
    """
    if any(config.getoption(name, default=False) for name in _NOT_A_RUN):
        return
    option: Any = config.option
    if not config.pluginmanager.has_plugin("xdist"):
        raise OptionError(f"--arch={settings.arch} needs pytest-xdist, which is switched off")
    if option.numprocesses or option.tx:
        raise OptionError(
            f"--arch={settings.arch} starts a worker for each architecture\n"
            "  remedy: leave out -n and --tx"
        )
    found = find_all(wanted(settings), settings, hosts.detect(), config.rootpath)
    option.tx = [one.spec for one in found]
    option.dist = "each"
    config.stash[INTERPRETERS] = found


def find_all(
    names: Sequence[str], settings: Settings, host: Host, root: Path
) -> tuple[Interpreter, ...]:
    """An interpreter of each architecture.

    Raises:
        OptionError: naming the architecture, what was tried, and how to install it.
    """
    with ThreadPoolExecutor() as pool:
        return tuple(pool.map(lambda name: _find(name, settings, host, root), names))


def _find(name: str, settings: Settings, host: Host, root: Path) -> Interpreter:
    tried = []
    given = dict(settings.arch_python)
    for command in candidates(name, given.get(name), host, root):
        said = ask(command)
        problem = refuse(name, command, said)
        if not problem:
            return Interpreter(name, command, str(said["prefix"]))
        tried.append(problem)
    if not tried:
        tried = [f"no {name} Python was found"]
    raise OptionError(
        f"--arch={settings.arch}: {tried[0]}\n  remedy: {remedy(name, tried[0], host)}\n"
        f"  or name one: --arch-python={name}=PATH"
    )


def candidates(name: str, given: str | None, host: Host, root: Path) -> list[tuple[str, ...]]:
    """Commands that may start a Python of this architecture, the likeliest first."""
    if given:
        command = (str(Path(given).expanduser()),)
        both = host.system == "macOS" and name in _slices(command[0]) and name != host.interpreter
        return [("arch", f"-{name}", *command) if both else command]
    found: list[tuple[str, ...]] = []
    if name == host.interpreter:
        found.append((sys.executable,))
    for folder in (f".venv-{name}", f"venv-{name}"):
        python = root / folder / "bin" / "python"
        if python.exists():
            found.append((str(python),))
    if host.system == "macOS" and host.machine == "arm64" and name in _slices(sys.executable):
        found.append(("arch", f"-{name}", sys.executable))
    return list(dict.fromkeys(found))


def _slices(python: str) -> tuple[str, ...]:
    try:
        return macho.architectures(Path(python).resolve())
    except macho.MachOError:
        return ()


def ask(command: Sequence[str]) -> dict[str, Any]:
    """What an interpreter says of itself; ``{"failed": text}`` where it does not start."""
    try:
        done = subprocess.run(
            [*command, "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
        )
    except OSError as error:
        return {"failed": error.strerror or str(error)}
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer in {_LIMIT_S} s"}
    for line in done.stdout.splitlines():
        if line.startswith("applesilicon-arch "):
            said: dict[str, Any] = json.loads(line.partition(" ")[2])
            return said
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return {"failed": last[:200]}


def refuse(name: str, command: Sequence[str], said: dict[str, Any]) -> str:
    """Why an interpreter cannot run the tests of this architecture; empty where it can."""
    shown = shlex.join(command)
    if "failed" in said:
        return f"{shown} does not start: {said['failed']}"
    if hosts.architecture(said["architecture"]) != name:
        return f"{shown} runs as {said['architecture']}, not as {name}"
    if said["plugin"] is None or said["xdist"] is None:
        return f"pytest-applesilicon is not installed for {shown}"
    if said["plugin"] != __version__:
        return f"pytest-applesilicon {said['plugin']} is installed for {shown}, not {__version__}"
    if said["error"]:
        return f"the packages of {shown} cannot be loaded: {said['error']}"
    return ""


def remedy(name: str, problem: str, host: Host) -> str:
    """How to get the interpreter that is missing."""
    if "pytest-applesilicon" in problem or "cannot be loaded" in problem:
        command = problem.partition(" for ")[2].partition(", not ")[0]
        command = command or problem.partition("packages of ")[2].partition(" cannot be")[0]
        again = "--force-reinstall --no-cache-dir " if "cannot be loaded" in problem else ""
        return f"{command} -m pip install {again}'pytest-applesilicon=={__version__}'"
    if host.system != "macOS" or host.machine != "arm64":
        return f"run on Apple silicon, which has both; this is {host.system} on {host.machine}"
    if "Bad CPU type" in problem:
        return "softwareupdate --install-rosetta --agree-to-license"
    version = ".".join(platform.python_version_tuple()[:2])
    return (
        f"install a universal2 Python {version} from python.org, then: "
        f"arch -{name} python{version} -m venv .venv-{name} && "
        f".venv-{name}/bin/pip install 'pytest-applesilicon=={__version__}'"
    )


def wrong_here(wanted_prefix: str, wanted_architecture: str) -> str:
    """Why this worker is not the interpreter it should be; empty where it is.

    pytest-xdist copies the controller's ``sys.path`` into a ``popen`` worker, and then a
    compiled package of the controller's would be loaded.
    """
    import importlib

    compiled = importlib.import_module("msgspec._core")

    problems = []
    if Path(sys.prefix).resolve() != Path(wanted_prefix).resolve():
        problems.append(f"sys.prefix is {sys.prefix}, not {wanted_prefix}")
    found = hosts.detect().interpreter
    if found != wanted_architecture:
        problems.append(f"it runs as {found}")
    file = str(compiled.__file__)
    if not any(Path(file).is_relative_to(folder) for folder in _own_folders()):
        problems.append(f"msgspec is loaded from {file}")
    return f"worker {wanted_architecture}: " + "; ".join(problems) if problems else ""


def _own_folders() -> list[str]:
    import sysconfig

    paths = sysconfig.get_paths()
    return [paths["platlib"], paths["purelib"]]
