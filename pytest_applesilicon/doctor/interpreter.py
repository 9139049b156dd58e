"""Checks of the interpreter: is it native, and did nothing turn it into another architecture?

A translated Python has one cause, and one check reports it: conda's subdir, Homebrew's prefix,
a universal2 binary started as x86_64, or else a Python that has x86_64 code only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_applesilicon.doctor.check import Check, fine, problem, unknown

if TYPE_CHECKING:
    from pytest_applesilicon.doctor.check import Result
    from pytest_applesilicon.doctor.facts import Facts

#: conda's name of each architecture of a Mac (conda-forge/miniforge#165).
_SUBDIRS = {"osx-arm64": "arm64", "osx-64": "x86_64"}

#: Homebrew's prefix on Intel; on Apple silicon it is /opt/homebrew (docs.brew.sh/Installation).
_INTEL_BREW = ("/usr/local/Cellar/", "/usr/local/opt/", "/usr/local/Homebrew/")


def cause(facts: Facts) -> str:
    """Which check reports that this Python is translated; empty where it is not."""
    if not facts.host.translated:
        return ""
    if _SUBDIRS.get(facts.conda_subdir or "") == "x86_64":
        return "conda"
    prefix = facts.python.get("base_prefix", "") or facts.python.get("prefix", "")
    if prefix.startswith(_INTEL_BREW):
        return "homebrew"
    return "universal2" if "arm64" in _slices(facts) else "x86_64"


def _slices(facts: Facts) -> list[str]:
    return facts.python.get("slices", "").replace(",", " ").split()


def _python(facts: Facts) -> str:
    return facts.python.get("executable") or "python3"


def _minor(facts: Facts) -> str:
    return ".".join((facts.python.get("version") or "3.12").split(".")[:2])


def _native(facts: Facts) -> Result:
    if cause(facts) == "x86_64":
        minor = _minor(facts)
        return problem(
            "this Python has x86_64 code only and is translated by Rosetta",
            f"/opt/homebrew/bin/brew install python@{minor}, then: "
            f"/opt/homebrew/bin/python{minor} -m venv .venv",
        )
    return fine(f"runs as {facts.host.interpreter} on {facts.host.machine}")


def _universal2(facts: Facts) -> Result:
    if cause(facts) != "universal2":
        return fine("not a universal2 Python run as x86_64")
    program = facts.python.get("program", "")
    by = f" by {program}" if program else ""
    return problem(
        f"a universal2 Python was started as x86_64: the architecture is inherited{by}",
        f"arch -arm64 {_python(facts)}; and clear 'Open using Rosetta' in the Get Info window of "
        f"{program or 'the terminal or IDE'}",
    )


def _conda(facts: Facts) -> Result:
    subdir = facts.conda_subdir
    if subdir is None:
        return fine("not a conda environment")
    architecture = _SUBDIRS.get(subdir)
    name = facts.environment.get("CONDA_DEFAULT_ENV") or "NAME"
    create = f"CONDA_SUBDIR=osx-arm64 conda create -n {name}-arm64 python={_minor(facts)}"
    if facts.apple_silicon and architecture == "x86_64":
        return problem(f"the conda environment is {subdir}, run by Rosetta", create)
    if architecture and architecture != facts.host.interpreter:
        return problem(
            f"the conda environment is {subdir}, and this Python runs as {facts.host.interpreter}",
            create if facts.apple_silicon else f"conda create -n {name}-new python={_minor(facts)}",
        )
    chosen = facts.environment.get("CONDA_SUBDIR")
    if chosen and chosen != subdir:
        return problem(
            f"CONDA_SUBDIR={chosen} would install {chosen} packages into an environment of "
            f"{subdir}",
            f"conda env config vars set CONDA_SUBDIR={subdir}",
        )
    return fine(f"conda subdir {subdir}")


def _homebrew(facts: Facts) -> Result:
    if cause(facts) != "homebrew":
        return fine("not an Intel Homebrew Python")
    return problem(
        f"this Python is from the Intel Homebrew ({facts.python.get('base_prefix', '/usr/local')})",
        f"/opt/homebrew/bin/brew install python@{_minor(facts)} (if that is missing, install "
        "Homebrew from a shell started with: arch -arm64 zsh)",
    )


def _build_tag(facts: Facts) -> Result:
    tag, runs = facts.python.get("platform_tag", ""), facts.host.interpreter
    if not tag:
        return unknown("sysconfig gave no platform tag")
    forced = facts.environment.get("ARCHFLAGS", "")
    wanted = [word for word in forced.split() if word in ("arm64", "x86_64")]
    if wanted and runs not in wanted:
        return problem(
            f"ARCHFLAGS={forced!r}: pip builds {' '.join(wanted)} code, and this Python runs as "
            f"{runs}",
            "unset ARCHFLAGS",
        )
    override = facts.environment.get("_PYTHON_HOST_PLATFORM", "")
    if override and not override.endswith((runs, "universal2")):
        return problem(
            f"_PYTHON_HOST_PLATFORM={override}: pip builds for another architecture than {runs}",
            "unset _PYTHON_HOST_PLATFORM",
        )
    if not tag.endswith((runs, "universal2")):
        return problem(
            f"packages are built for {tag}, and this Python runs as {runs}",
            f"install a Python built for {runs}, or check sysconfig in "
            f"{facts.python.get('prefix', 'this environment')}",
        )
    return fine(f"packages are built for {tag}")


_ROSETTA = "https://developer.apple.com/documentation/apple-silicon/about-the-rosetta-translation-environment"

CHECKS = (
    Check(
        "interpreter.native",
        "Python runs without Rosetta",
        ("macOS",),
        "fail",
        _ROSETTA,
        _native,
    ),
    Check(
        "interpreter.universal2",
        "a universal2 Python runs as arm64",
        ("macOS",),
        "fail",
        "https://github.com/databricks-solutions/ai-dev-kit/pull/141",
        _universal2,
    ),
    Check(
        "interpreter.conda",
        "conda's subdir is that of this machine",
        ("macOS",),
        "fail",
        "https://github.com/conda-forge/miniforge/issues/165",
        _conda,
    ),
    Check(
        "interpreter.homebrew",
        "Homebrew's Python is the arm64 one",
        ("macOS",),
        "fail",
        "https://docs.brew.sh/Installation",
        _homebrew,
    ),
    Check(
        "interpreter.build-tag",
        "pip builds for the architecture of this Python",
        ("macOS",),
        "fail",
        "https://github.com/conda/conda/issues/11192",
        _build_tag,
    ),
)
