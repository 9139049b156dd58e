"""Tables that ship with the package: tab-separated, one fact a row, ``#`` starts a comment."""

from __future__ import annotations

import csv
import functools
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@functools.cache
def rows(package: str, path: str) -> tuple[Mapping[str, str], ...]:
    """The rows of the table at ``path`` in ``package``, by the names in its first line."""
    text = resources.files(package).joinpath(path).read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if line and not line.startswith("#")]
    return tuple(csv.DictReader(kept, delimiter="\t", quoting=csv.QUOTE_NONE))
