"""What is known of combinations of TensorFlow, its Metal plugin, NumPy, Python and macOS.

The plugin pins no TensorFlow, so pip never notices a mismatch; ``import tensorflow`` then loads
the plugin and fails, or ends the process. So versions are looked up here before anything is
imported, and what a probe in a child process printed is explained afterwards. Imports nothing
but ``packaging``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_applesilicon import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Outcomes in which nothing computes: the combination is refused before the import.
_REFUSED = ("import fails", "crashes", "unsupported")

#: The last TensorFlow that a release of tensorflow-metal works with, and that release.
LAST_PAIR = "'tensorflow==2.19.1' 'tensorflow-metal==1.2.0'"


@dataclass(frozen=True)
class Versions:
    """What is installed; ``None`` where something is not, or is not known."""

    tensorflow: str | None = None
    metal: str | None = None
    numpy: str | None = None
    python: str | None = None
    macos: str | None = None
    distribution: str = "tensorflow"
    """What ``import tensorflow`` was installed by."""


@dataclass(frozen=True)
class Failure:
    """A row of the table, for these versions."""

    name: str
    outcome: str
    found: str
    remedy: str
    source: str

    def describe(self, versions: Versions) -> str:
        """The row as a reason: what does not work together, why, and who says so."""
        with_plugin = f" with tensorflow-metal {versions.metal}" if versions.metal else ""
        return (
            f"tensorflow {versions.tensorflow}{with_plugin}: {self.outcome}: {self.found} "
            f"({self.source})"
        )


def known_failure(versions: Versions, *, refused_only: bool = True) -> Failure | None:
    """The first row whose versions are these.

    Args:
        versions: what is installed; without a plugin only rows that name none are looked at.
        refused_only: leave out rows of combinations that can be imported.
    """
    for row in tables.rows("pytest_applesilicon.frameworks", "tables/tensorflow_failures.tsv"):
        if refused_only and row["outcome"] not in _REFUSED:
            continue
        if _fits(row, versions):
            return _failure(row, versions)
    return None


def explain(text: str, versions: Versions) -> Failure | None:
    """The row whose recorded error the text contains.

    A row of these versions comes first, then one that names none, then one of other versions.
    """
    found = [
        row
        for row in tables.rows("pytest_applesilicon.frameworks", "tables/tensorflow_failures.tsv")
        if row["pattern"] and re.search(row["pattern"], text)
    ]
    found.sort(key=lambda row: 0 if _fits(row, versions) else 1 + any(map(row.get, _COLUMNS)))
    return _failure(found[0], versions) if found else None


def plugins_for(tensorflow: str) -> tuple[str, ...]:
    """The releases of tensorflow-metal that work with a TensorFlow, best first."""
    release = ".".join(tensorflow.split(".")[:2])
    for row in tables.rows("pytest_applesilicon.frameworks", "tables/tensorflow_metal.tsv"):
        if row["tensorflow"] == release:
            return tuple(row["metal"].split())
    return ()


def _fits(row: Mapping[str, str], versions: Versions) -> bool:
    """Whether the row names versions, and all of them are these."""
    from packaging.specifiers import SpecifierSet

    asked = {name: row[name] for name in _COLUMNS if row[name]}
    for name, accepted in asked.items():
        installed = getattr(versions, name)
        if installed is None or not SpecifierSet(accepted).contains(installed, prereleases=True):
            return False
    return bool(asked)


_COLUMNS = ("tensorflow", "metal", "numpy", "python", "macos")


def _failure(row: Mapping[str, str], versions: Versions) -> Failure:
    plugins = plugins_for(versions.tensorflow or "")
    pair = f"'tensorflow-metal=={plugins[-1]}'" if plugins else LAST_PAIR
    pinned = f"=={versions.tensorflow}" if versions.tensorflow else ""
    remedy = row["remedy"].format(pair=pair, tensorflow=f"'{versions.distribution}{pinned}'")
    return Failure(row["name"], row["outcome"], row["found"], remedy, row["source"])
