"""Checks of NumPy: which BLAS it uses, and whether TensorFlow was built for it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from pytest_applesilicon.doctor import tables
from pytest_applesilicon.doctor.check import Check, fine, problem, unknown
from pytest_applesilicon.doctor.facts import tensorflow

if TYPE_CHECKING:
    from pytest_applesilicon.doctor.check import Result
    from pytest_applesilicon.doctor.facts import Facts

#: The first NumPy with wheels that use Accelerate, for macOS 14 and later
#: (numpy.org/doc/stable/release/2.0.0-notes.html).
_ACCELERATE = Version("2.0")


def blas(facts: Facts) -> str | None:
    """``accelerate``, ``openblas`` ... as NumPy's own configuration names it."""
    text = facts.text("numpy")
    match = re.search(r'"?blas"?\s*:\s*\{?\s*"?name"?\s*:\s*"?([\w.-]+)', text)
    if match:
        return match[1].lower()
    # Up to 1.25 show_config printed sections such as openblas_info: libraries = ['openblas'].
    if re.search(r"(?i)accelerate", text):
        return "accelerate"
    return "openblas" if re.search(r"(?i)libraries = \[.*openblas", text) else None


def _blas(facts: Facts) -> Result:
    name = blas(facts)
    if name is None:
        return unknown("NumPy's configuration names no BLAS")
    if name in ("none", "lapack_lite") or (name == "unknown"):
        return problem(
            "NumPy was built without an optimised BLAS: matrix products are many times slower",
            "pip install --force-reinstall --no-cache-dir --only-binary=numpy numpy",
        )
    installed, macos = facts.version("numpy"), facts.macos
    late = facts.apple_silicon and not facts.host.translated and macos and macos.major >= 14
    if late and "openblas" in name and installed and installed >= _ACCELERATE:
        if facts.conda_subdir:
            return problem(
                f"NumPy {installed} uses OpenBLAS, not Apple's Accelerate",
                "conda install 'libblas=*=*accelerate'",
            )
        return problem(
            f"NumPy {installed} uses OpenBLAS; its wheel for macOS 14 uses Accelerate",
            f"pip install --force-reinstall --no-cache-dir numpy=={installed}",
        )
    return fine(f"NumPy {installed} uses {name}")


def _range(facts: Facts) -> SpecifierSet | None:
    """What TensorFlow says it needs of NumPy."""
    match = re.search(r"(?m)^numpy\s*:\s*(.+)$", facts.text("requirements"))
    try:
        return SpecifierSet(match[1].strip()) if match else None
    except InvalidSpecifier:
        return None


def abi_problem(facts: Facts) -> Result | None:
    """That TensorFlow and NumPy do not match, by their metadata or by the text of the import."""
    name, installed, wanted = tensorflow(facts), facts.version("numpy"), _range(facts)
    pinned = facts.versions.get(name or "", "")
    remedy = f"pip install 'numpy{wanted if wanted is not None else ''}'"
    if installed and wanted is not None and not wanted.contains(installed, prereleases=True):
        return problem(f"{name} {pinned} needs numpy{wanted}, and {installed} is installed", remedy)
    row = tables.known_error(facts.text("import tensorflow"), "numpy.abi")
    if row:
        text = row["remedy"].format(tensorflow=pinned, numpy_range=wanted or "")
        return problem(
            f"{row['found']} ({installed})", text.replace("tensorflow==", f"{name}==", 1)
        )
    return None


def _abi(facts: Facts) -> Result:
    return abi_problem(facts) or fine(
        f"{tensorflow(facts)} accepts NumPy {facts.versions.get('numpy', 'none')}"
    )


CHECKS = (
    Check(
        "numpy.blas",
        "NumPy uses an optimised BLAS, on a Mac Accelerate",
        ("numpy",),
        "warn",
        "https://numpy.org/doc/stable/release/2.0.0-notes.html",
        _blas,
    ),
    Check(
        "numpy.abi",
        "NumPy is one that TensorFlow was built for",
        ("tensorflow", "numpy"),
        "fail",
        "https://github.com/deepfakes/faceswap/issues/1292",
        _abi,
    ),
)
