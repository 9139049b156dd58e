"""Does a wheel for a Mac exist? Asked of the package index through pip, requirement by requirement.

pip decides what fits a Python, a macOS and an architecture, and it is asked by its own options
(``--dry-run --report``), so its configuration (indexes, certificates, proxies) holds here too.
Answers are kept for a day in the user's cache folder.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from pytest_applesilicon.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Status = Literal["newest", "older", "none", "skipped", "unknown"]

#: Seconds an answer is believed: releases appear, and do not go away.
_FRESH_S = 24 * 3600

#: Seconds for one question; pip itself tries again when the network fails.
_LIMIT_S = 120

_WORKERS = 6

#: Where else a release may have a wheel: what has no source and none for this Mac is a release
#: all the same. Named, so that the answer does not depend on the machine that asks.
_ELSEWHERE = ("win_amd64", "manylinux2014_x86_64", "manylinux_2_28_x86_64", "macosx_14_0_arm64")

#: Questions to pip about several requirements at once, side by side.
_GROUPS = 3

#: Releases for a later Python that are passed over; each costs a question.
_MOST_REFUSED = 20


class WheelsError(ValueError):
    """The requirements or the target cannot be understood; the text says which line."""


@dataclass(frozen=True)
class Target:
    """What a wheel must fit."""

    python: str
    """``3.12``"""
    macos: str
    """``14`` or ``14.0``"""
    architecture: str
    """``arm64`` or ``x86_64``"""

    @property
    def platform(self) -> str:
        major, _, minor = self.macos.partition(".")
        return f"macosx_{major}_{minor or 0}_{self.architecture}"

    def environment(self) -> dict[str, str]:
        """The values of environment markers on such a machine."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "sys_platform": "darwin",
            "platform_system": "Darwin",
            "platform_machine": self.architecture,
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }


@dataclass(frozen=True)
class Answer:
    """Whether there is a wheel for one requirement."""

    requirement: str
    architecture: str
    status: Status
    version: str = ""
    """The last version that has a wheel."""
    newest: str = ""
    """The newest version the requirement allows, wheel or not."""
    kind: str = ""
    """``arm64``, ``x86_64``, ``universal2`` or ``pure``."""
    note: str = ""


if TYPE_CHECKING:
    #: Exit status, output and errors of pip with these arguments.
    Pip = Callable[[Sequence[str]], tuple[int, str, str]]


def parse_target(python: str, macos: str, architecture: str) -> Target:
    """The target of the command's options.

    Raises:
        WheelsError: naming the option, the value and what is accepted.
    """
    if not re.fullmatch(r"3\.\d{1,2}", python):
        raise WheelsError(f"--python: {python!r} is not accepted; give a version such as 3.12")
    if not re.fullmatch(r"\d{2}(\.\d{1,2})?", macos):
        raise WheelsError(f"--macos: {macos!r} is not accepted; give a version such as 14 or 14.4")
    return Target(python, macos, architecture)


def read_requirements(path: Path) -> tuple[list[Requirement], list[str]]:
    """The requirements of a file, and the lines that name none (options, local paths).

    Raises:
        WheelsError: the file cannot be read, or a line is no requirement.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WheelsError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    found: list[Requirement] = []
    others: list[str] = []
    joined = re.sub(r"\\\r?\n", " ", text)
    for number, raw in enumerate(joined.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        line = re.sub(r"\s--hash=\S+", "", line).strip()
        if not line:
            continue
        if line.startswith(("-", ".", "/")) or "://" in line.partition("@")[0]:
            others.append(line)
            continue
        try:
            found.append(Requirement(line))
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            raise WheelsError(f"{path}: line {number}: {line!r}: {reason}") from None
    return found, others


def run_pip(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Run this interpreter's pip."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"ERROR: no answer in {_LIMIT_S} s"
    return done.returncode, done.stdout, done.stderr


def cache_folder() -> Path:
    """Where answers are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("pytest-applesilicon")) / "wheels"


def cached(pip: Pip, folder: Path, now: Callable[[], float] = time.time) -> Pip:
    """The same pip, whose answers of the last day are read from a folder."""

    def ask(arguments: Sequence[str]) -> tuple[int, str, str]:
        key = hashlib.sha256(json.dumps([sys.executable, *arguments]).encode()).hexdigest()
        file = folder / f"{key[:32]}.json"
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            if 0 <= now() - kept["at"] < _FRESH_S:
                return int(kept["status"]), str(kept["out"]), str(kept["err"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing kept, or nothing that can be read: ask again
        status, out, err = pip(arguments)
        if status == 0 or _no_match(err):
            folder.mkdir(parents=True, exist_ok=True)
            kept = {"at": now(), "status": status, "out": out, "err": err}
            write_whole(file, json.dumps(kept))
        return status, out, err

    return ask


def check(
    requirements: Sequence[Requirement], targets: Sequence[Target], pip: Pip
) -> Iterator[Answer]:
    """An answer for each requirement and target, in their order, as soon as it is there."""
    with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
        jobs = []
        for target in targets:
            groups = [requirements[start::_GROUPS] for start in range(_GROUPS)]
            together = [pool.submit(_together, group, target, pip) for group in groups]
            jobs += [
                pool.submit(ask, one, target, pip, together[index % _GROUPS].result)
                for index, one in enumerate(requirements)
            ]
        for job in jobs:
            yield job.result()


def _together(requirements: Sequence[Requirement], target: Target, pip: Pip) -> dict[str, _Found]:
    """The wheels of several requirements, asked at once; none where one of them has none.

    A process of pip for each would spend a third of its time on starting.
    """
    wanted = [_wanted(one) for one in requirements if not _skipped(one, target)]
    if len(wanted) < 2:
        return {}
    try:
        return _wheels(wanted, target, pip)
    except _PipError:
        return {}


def _skipped(requirement: Requirement, target: Target) -> str:
    """Why a requirement is not asked for; empty where it is."""
    if requirement.url:
        return "given by its address"
    if requirement.marker and not requirement.marker.evaluate(target.environment()):
        return "its marker is false there"
    return ""


def _wanted(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"


def ask(
    requirement: Requirement,
    target: Target,
    pip: Pip,
    known: Callable[[], dict[str, _Found]] = dict,
) -> Answer:
    """Whether there is a wheel of what the requirement allows, and of which version.

    ``known`` gives answers that were asked for together, by normalised name.
    """
    nothing = Answer(str(requirement), target.architecture, "none")
    skipped = _skipped(requirement, target)
    if skipped:
        return dataclasses.replace(nothing, status="skipped", note=skipped)
    try:
        newest = _newest(requirement, target, pip)
        found = known().get(canonicalize_name(requirement.name))
        if found is None or not found.fits(target):
            found = _last(_wanted(requirement), target, pip)
        if found is None and requirement.specifier:
            last = _last(requirement.name, target, pip)
            if last is not None:
                note = f"outside {requirement.specifier}, {last.version} has one"
                return dataclasses.replace(nothing, newest=newest, note=note)
    except _PipError as error:
        return dataclasses.replace(nothing, status="unknown", note=str(error))
    if found is None:
        return dataclasses.replace(nothing, newest=newest)
    older = _is_older(found.version, newest)
    return dataclasses.replace(
        nothing,
        status="older" if older else "newest",
        version=found.version,
        newest=newest if older else found.version,
        kind=_kind(found.file),
    )


@dataclass(frozen=True)
class _Found:
    """A wheel that pip would install."""

    version: str
    file: str
    requires_python: str

    def fits(self, target: Target) -> bool:
        """Whether it is for this Python; pip itself asks that of the Python that runs it."""
        try:
            return SpecifierSet(self.requires_python).contains(f"{target.python}.99")
        except InvalidSpecifier:
            return True


def _last(wanted: str, target: Target, pip: Pip) -> _Found | None:
    """The newest wheel that fits; ``None`` where there is none."""
    refused: list[str] = []
    comma = "," if Requirement(wanted).specifier else ""
    for _ in range(_MOST_REFUSED):
        without = ",".join(f"!={one}" for one in refused)
        asked = f"{wanted}{comma}{without}" if refused else wanted
        found = next(iter(_wheels([asked], target, pip).values()), None)
        if found is None or found.fits(target):
            return found
        refused.append(found.version)
    return None


class _PipError(Exception):
    """pip failed for another reason than that there is nothing."""


def _no_match(error: str) -> bool:
    return "No matching distribution found" in error


def _wheels(wanted: Sequence[str], target: Target, pip: Pip) -> dict[str, _Found]:
    """The wheels pip would install, by normalised name; empty where it finds none.

    Raises:
        _PipError: pip failed otherwise.
    """
    # pip wants a folder for a platform that is not its own; --dry-run makes and writes nothing.
    place = str(Path(tempfile.gettempdir()) / "applesilicon-wheels-nothing")
    # ``pip install`` holds Requires-Python against the Python that runs it, whatever
    # --python-version says: it is left to ``_Found.fits``.
    arguments = [
        "install", "--dry-run", "--quiet", "--report", "-", "--no-deps", "--only-binary=:all:",
        "--ignore-installed", "--ignore-requires-python", "--target", place,
        "--platform", target.platform, "--python-version", target.python, *wanted,
    ]  # fmt: skip
    status, out, err = pip(arguments)
    if status:
        if _no_match(err):
            return {}
        raise _PipError(_said(err))
    try:
        return {
            canonicalize_name(one["metadata"]["name"]): _Found(
                str(one["metadata"]["version"]),
                one["download_info"]["url"].rpartition("/")[2].partition("#")[0],
                one["metadata"].get("requires_python") or "",
            )
            for one in json.loads(out)["install"]
        }
    except (ValueError, LookupError, TypeError, AttributeError):
        raise _PipError("pip gave no report; remedy: pip install --upgrade pip") from None


def _kind(filename: str) -> str:
    """What a wheel holds, by its tags."""
    from urllib.parse import unquote

    try:
        tags = parse_wheel_filename(unquote(filename))[3]
    except InvalidWheelFilename:
        return filename
    platforms = {tag.platform for tag in tags}
    if platforms == {"any"}:
        return "pure"
    for name in ("universal2", "arm64", "x86_64"):
        if any(platform.endswith(name) for platform in platforms):
            return name
    return "+".join(sorted(platforms))


def _newest(requirement: Requirement, target: Target, pip: Pip) -> str:
    """The newest version that the requirement and the Python allow, as wheel or as source."""
    platforms = [part for one in (*_ELSEWHERE, target.platform) for part in ("--platform", one)]
    python = ["--python-version", target.python]
    arguments = ["index", "versions", *python, *platforms, requirement.name]
    status, out, err = pip(arguments)
    if status:
        if _no_match(err):
            return ""
        raise _PipError(_said(err))
    match = re.search(r"(?m)^Available versions: (.+)$", out)
    listed = match[1].split(",") if match else []
    versions = [version for text in listed if (version := _version(text.strip())) is not None]
    allowed = list(requirement.specifier.filter(versions))
    return str(max(allowed)) if allowed else ""


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _is_older(version: str, newest: str) -> bool:
    one, other = _version(version), _version(newest)
    return one is not None and other is not None and one < other


def _said(error: str) -> str:
    lines = [line for line in error.splitlines() if line.startswith("ERROR")]
    return (lines or error.strip().splitlines() or ["pip failed"])[-1][:200]
