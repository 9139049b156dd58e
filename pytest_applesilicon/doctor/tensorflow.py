"""Checks of TensorFlow and its Metal plugin.

The plugin pins no TensorFlow, so pip never notices a mismatch, and ``import tensorflow`` then
fails: the versions are compared without importing anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from pytest_applesilicon import tables as every_table
from pytest_applesilicon.doctor import tables
from pytest_applesilicon.doctor.check import Check, fine, problem, unknown
from pytest_applesilicon.doctor.facts import release, tensorflow
from pytest_applesilicon.doctor.numpy import abi_problem
from pytest_applesilicon.frameworks.tensorflow_failures import LAST_PAIR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_applesilicon.doctor.check import Result
    from pytest_applesilicon.doctor.facts import Facts


def _row(facts: Facts) -> Mapping[str, str] | None:
    """The row of the installed TensorFlow; ``None`` where no plugin works with it."""
    installed = facts.version(tensorflow(facts) or "")
    wanted = release(installed) if installed else ""
    rows = every_table.rows("pytest_applesilicon.frameworks", "tables/tensorflow_metal.tsv")
    return next((row for row in rows if row["tensorflow"] == wanted), None)


def _pair(facts: Facts) -> Result:
    return pair_problem(facts) or fine(
        f"tensorflow {facts.versions[tensorflow(facts) or '']} with tensorflow-metal "
        f"{facts.versions['tensorflow-metal']}"
    )


def pair_problem(facts: Facts) -> Result | None:
    """That the plugin does not fit TensorFlow, by the table or by the text of the import."""
    name, metal = tensorflow(facts) or "", facts.versions.get("tensorflow-metal")
    if metal is None:
        return None
    row, installed = _row(facts), facts.versions[name]
    if row is None:
        return problem(
            f"no tensorflow-metal works with {name} {installed} ({metal} is installed): importing "
            "it fails",
            f"pip uninstall -y tensorflow-metal (CPU only), or: pip install {LAST_PAIR}",
        )
    best = row["metal"].split()
    if metal not in best:
        return problem(
            f"tensorflow-metal {metal} does not work with {name} {installed}",
            f"pip install 'tensorflow-metal=={best[-1]}'",
        )
    known = tables.known_error(facts.text("import tensorflow"), "tensorflow.metal-pair")
    return problem(known["found"], known["remedy"]) if known else None


def _macos(facts: Facts) -> Result:
    row, macos = _row(facts), facts.macos
    if row is None or macos is None:
        return unknown("this TensorFlow is not in the table")
    if macos < Version(row["min_macos"]):
        return problem(
            f"tensorflow-metal needs macOS {row['min_macos']}, and this is {macos}", "update macOS"
        )
    return fine(f"tensorflow-metal needs macOS {row['min_macos']}, this is {macos}")


def _one(facts: Facts) -> Result:
    both = [facts.version(name) for name in ("tensorflow", "tensorflow-macos")]
    if both[0] and both[1] and both[0] != both[1]:
        newer = max(both[0], both[1])
        keep = "tensorflow" if newer >= Version("2.13") else "tensorflow-macos"
        return problem(
            f"tensorflow {both[0]} and tensorflow-macos {both[1]} overwrite each other's files",
            "pip uninstall -y tensorflow tensorflow-macos; "
            f"pip install --no-cache-dir '{keep}=={newer}'",
        )
    return fine("one TensorFlow is installed")


def _import(facts: Facts) -> Result:
    text = facts.text("import tensorflow").strip()
    if not text:
        return fine("TensorFlow can be imported, or was not asked")
    if abi_problem(facts) or pair_problem(facts) or "incompatible architecture" in text:
        return fine("reported by another check")
    name = tensorflow(facts) or "tensorflow"
    pinned = facts.versions.get(name, "")
    known = tables.known_error(text, "tensorflow.import")
    if known:
        return problem(known["found"], known["remedy"].format(tensorflow=pinned))
    return problem(
        f"import tensorflow fails: {text.splitlines()[-1][:160]}",
        f"pip install --force-reinstall --no-cache-dir '{name}=={pinned}'",
    )


CHECKS = (
    Check(
        "tensorflow.metal-pair",
        "tensorflow-metal is one that works with this TensorFlow",
        ("Apple silicon", "tensorflow", "tensorflow-metal"),
        "fail",
        "https://developer.apple.com/metal/tensorflow-plugin/",
        _pair,
    ),
    Check(
        "tensorflow.macos",
        "macOS is new enough for tensorflow-metal",
        ("Apple silicon", "tensorflow", "tensorflow-metal"),
        "fail",
        "https://developer.apple.com/metal/tensorflow-plugin/",
        _macos,
    ),
    Check(
        "tensorflow.one",
        "one distribution provides tensorflow",
        ("macOS", "tensorflow"),
        "fail",
        "https://developer.apple.com/metal/tensorflow-plugin/",
        _one,
    ),
    Check(
        "tensorflow.import",
        "TensorFlow can be imported",
        ("macOS", "tensorflow"),
        "fail",
        "https://github.com/tensorflow/tensorflow/issues/84167",
        _import,
    ),
)
