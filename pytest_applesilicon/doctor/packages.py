"""Checks of the installed packages: is every compiled file for this process?"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from packaging.version import Version

from pytest_applesilicon.doctor import tables
from pytest_applesilicon.doctor.check import Check, fine, problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_applesilicon.doctor.check import Result
    from pytest_applesilicon.doctor.facts import Binary, Facts

#: The first pip that takes macosx_10_9_universal2 on arm64: its packaging 20.9 has
#: pypa/packaging#379 and #380 (read in the wheels of pip 21.0 and 21.0.1).
_PIP_ARM64 = Version("21.0.1")

#: The first pip that judged the platform of a translated Python rightly (report of an M1 user,
#: 2021-01: earlier ones built NumPy from source).
_PIP_X86_64 = Version("20.3.3")

_MOST_NAMED = 4


def _names(binaries: Iterable[Binary]) -> list[str]:
    return list(dict.fromkeys(one.distribution for one in binaries))


def _named(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _reinstall(facts: Facts, names: list[str]) -> str:
    pinned = [
        f"{name}=={facts.versions[name]}" if name in facts.versions else name for name in names
    ]
    return f"pip install --force-reinstall --no-deps --no-cache-dir {' '.join(pinned)}"


def _runs(held: tuple[str, ...], architecture: str) -> bool:
    # An arm64e library is not loaded by an arm64 process; the reverse neither.
    return architecture in held


def _foreign(facts: Facts) -> list[Binary]:
    """The files this process cannot load, of distributions that have none it can.

    A wheel may carry a helper of another architecture beside its own (a debugger's, say).
    """
    here = facts.host.interpreter
    loads = Counter(one.distribution for one in facts.binaries if _runs(one.architectures, here))
    return [
        one
        for one in facts.binaries
        if not one.problem and not _runs(one.architectures, here) and not loads[one.distribution]
    ]


def _architectures(facts: Facts) -> Result:
    here = facts.host.interpreter
    foreign = _foreign(facts)
    if foreign:
        names = _names(foreign)
        held = "+".join(sorted({each for one in foreign for each in one.architectures}))
        return problem(
            f"{len(foreign)} compiled files are {held} only, and this Python runs as {here}: "
            f"{_named(names)}",
            _reinstall(facts, names),
        )
    for source in ("import numpy", "import torch", "import tensorflow"):
        row = tables.known_error(facts.text(source), "packages.architectures")
        match = re.search(row["pattern"], facts.text(source)) if row else None
        if row and match:
            name = source.removeprefix("import ")
            return problem(
                f"{source}: a binary is {match['have']}, and this Python needs {match['need']}",
                row["remedy"].format(package=name),
            )
    count = sum(not one.problem for one in facts.binaries)
    return fine(f"{count} compiled files can be loaded as {here}")


def _one_slice(facts: Facts) -> Result:
    wide = {name for name, tags in facts.tags.items() if any("universal2" in tag for tag in tags)}
    foreign = {one.path for one in _foreign(facts)}
    thin = [
        one
        for one in facts.binaries
        if one.distribution in wide
        and not one.problem
        and one.path not in foreign
        and not {"arm64", "x86_64"} <= set(one.architectures)
    ]
    if thin:
        names = _names(thin)
        held = "+".join(sorted({each for one in thin for each in one.architectures}))
        return problem(
            f"tagged universal2, holds {held} only: {_named(names)}; the other architecture "
            "cannot use it",
            _reinstall(facts, names),
        )
    return fine(f"{len(wide)} packages are tagged universal2, and are")


def _unreadable(facts: Facts) -> Result:
    bad = [one for one in facts.binaries if one.problem]
    if bad:
        return problem(
            f"{bad[0].path}: {bad[0].problem}" + (f"; {len(bad) - 1} more" if bad[1:] else ""),
            _reinstall(facts, _names(bad)),
        )
    return fine("every compiled file is a whole Mach-O file")


def _pip(facts: Facts) -> Result:
    installed, macos = facts.version("pip"), facts.macos
    needed = _PIP_ARM64 if facts.host.interpreter == "arm64" else _PIP_X86_64
    late = macos is not None and macos.major >= 11
    if installed is not None and late and installed < needed:
        built = [name for name, tags in facts.tags.items() if _built_here(facts, tags)]
        so = f"; built from source so far: {_named(built)}" if built else ""
        return problem(
            f"pip {installed} does not know the wheels for macOS {macos} on "
            f"{facts.host.interpreter}, and builds from source{so}",
            f"{facts.python.get('executable') or 'python3'} -m pip install --upgrade pip",
        )
    return fine(f"pip {installed} knows the wheels for macOS {macos}")


def _built_here(facts: Facts, tags: tuple[str, ...]) -> bool:
    """Whether the tag is the one this interpreter gives what it builds itself."""
    own = facts.python.get("platform_tag", "").replace("-", "_").replace(".", "_")
    return bool(own) and any(tag.endswith(f"-{own}") for tag in tags)


def _abandoned(facts: Facts) -> Result:
    for row in tables.rows("abandoned"):
        partner = facts.version(row["with"])
        if row["package"] in facts.versions and partner and partner >= Version(row["below"]):
            return problem(f"{row['found']}; {row['with']} {partner} is installed", row["remedy"])
    return fine("no plugin that nobody maintains")


CHECKS = (
    Check(
        "packages.architectures",
        "every compiled package can be loaded by this Python",
        ("macOS",),
        "fail",
        "https://github.com/odysseus-dev/odysseus/issues/3008",
        _architectures,
    ),
    Check(
        "packages.universal2",
        "packages tagged universal2 hold both architectures",
        ("macOS", "binaries"),
        "warn",
        "https://github.com/pypa/setuptools/issues/2520",
        _one_slice,
    ),
    Check(
        "packages.unreadable",
        "every compiled file is whole",
        ("macOS", "binaries"),
        "fail",
        "https://github.com/apple-oss-distributions/xnu/blob/main/EXTERNAL_HEADERS/mach-o/loader.h",
        _unreadable,
    ),
    Check(
        "packages.pip",
        "pip knows the wheels of this macOS",
        ("macOS", "pip"),
        "warn",
        "https://github.com/pypa/packaging/pull/380",
        _pip,
    ),
    Check(
        "packages.abandoned",
        "no plugin that stopped at an older release",
        ("macOS",),
        "fail",
        "https://github.com/jax-ml/jax/issues/26968",
        _abandoned,
    ),
)
