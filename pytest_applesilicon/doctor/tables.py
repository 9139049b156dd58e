"""The tables of ``doctor/tables``: one fact a row, each with its source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_applesilicon import tables

if TYPE_CHECKING:
    from collections.abc import Mapping


def rows(table: str) -> tuple[Mapping[str, str], ...]:
    """The rows of ``tables/<table>.tsv`` by the names in its first line."""
    return tables.rows("pytest_applesilicon.doctor", f"tables/{table}.tsv")


def known_error(text: str, check: str) -> Mapping[str, str] | None:
    """The row of ``errors.tsv`` that belongs to this check, if the text is its error.

    The first row that matches decides, whichever check it belongs to: one cause, one finding.
    """
    for row in rows("errors"):
        if re.search(row["pattern"], text):
            return row if row["check"] == check else None
    return None
