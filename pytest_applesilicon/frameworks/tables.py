"""The tables of ``frameworks/tables``: one fact a row, each with its source."""

from __future__ import annotations

import csv
import functools
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@functools.cache
def rows(
    table: str, package: str = "pytest_applesilicon.frameworks"
) -> tuple[Mapping[str, str], ...]:
    """The rows of ``tables/<table>.tsv`` in a package, by the names in its first line."""
    file = resources.files(package) / "tables" / f"{table}.tsv"
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    return tuple(csv.DictReader(kept, delimiter="\t", quoting=csv.QUOTE_NONE))
