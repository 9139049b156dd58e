"""The tables of ``doctor/tables``: one fact a row, each with its source."""

from __future__ import annotations

import csv
import functools
import re
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@functools.cache
def rows(table: str) -> tuple[Mapping[str, str], ...]:
    """The rows of ``tables/<table>.tsv`` by the names in its first line."""
    file = resources.files("pytest_applesilicon.doctor") / "tables" / f"{table}.tsv"
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    return tuple(csv.DictReader(kept, delimiter="\t", quoting=csv.QUOTE_NONE))


def known_error(text: str, check: str) -> Mapping[str, str] | None:
    """The row of ``errors.tsv`` that belongs to this check, if the text is its error.

    The first row that matches decides, whichever check it belongs to: one cause, one finding.
    """
    for row in rows("errors"):
        if re.search(row["pattern"], text):
            return row if row["check"] == check else None
    return None
