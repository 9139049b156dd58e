"""Arrays of tables in a TOML file of ours: ``[[budget]]``, ``[[known_failure]]``."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def entries(text: str, name: str, key: str, error: type[Exception]) -> list[Any]:
    """The tables under ``[[key]]``, not looked into; a document without any has none.

    Args:
        text: the TOML document.
        name: what messages call the file.
        key: of the only array of tables that may stand in it.
        error: what to raise.

    Raises:
        error: the text is no whole document, or has another key; naming file and key.
    """
    reader = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document = reader.loads(text)
    except reader.TOMLDecodeError as problem:
        raise error(f"{name}: not a whole TOML document: {problem}") from None
    unknown = [one for one in document if one != key]
    if unknown:
        raise error(f"{name}: {unknown[0]!r} is not accepted; give [[{key}]] tables only")
    tables = document.get(key, [])
    if not isinstance(tables, list):
        raise error(f"{name}: {key} is one table; give [[{key}]], with two brackets")
    return tables
