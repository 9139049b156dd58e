"""Which entries of a manifest match no test that this run would have collected.

A run of one folder says nothing of the tests of another, and a deselected test is still there.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_applesilicon.selection import test_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.known_failures import Entry

#: The first part of the test ids of the bundled suites.
_SUITES = "suites/"


class Scope:
    """What the arguments of a run cover."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def stale(self, entries: Sequence[Entry], items: Sequence[pytest.Item]) -> set[int]:
        """The indices of ``entries`` that match none of ``items``, though they were in reach.

        Args:
            entries: those whose condition holds today.
            items: everything that was collected, before anything was deselected.
        """
        if self._config.getoption("lf", default=False):  # skips files without collecting them
            return set()
        names = {test_id(item.nodeid, item.path) for item in items}
        files = {item.path for item in items}
        unmatched = [
            entry
            for entry in entries
            if entry.test not in names
            and not (entry.is_pattern and any(entry.names(name) for name in names))
        ]
        return {entry.index for entry in unmatched if self.reaches(entry.test, files)}

    def reaches(self, test: str, files: set[Path]) -> bool:
        """Whether this run would have collected a test, or one that a pattern names.

        Args:
            test: a test id; ``*`` and ``?`` make it a pattern.
            files: those from which tests were collected.
        """
        literal = re.split(r"[*?]", test.partition("::")[0])[0]
        whole = literal == test.partition("::")[0]
        for path in self._paths(literal):
            if whole and path.exists() and path not in files:
                return False  # ignored, or it could not be imported, which is red by itself
            if self._covers(path if whole else path.parent):
                return True
        return False

    def _paths(self, literal: str) -> list[Path]:
        found = [self._config.rootpath / literal]
        if literal.startswith(_SUITES):
            spec = importlib.util.find_spec("pytest_applesilicon.suites")
            folders = spec.submodule_search_locations or () if spec is not None else ()
            found += [Path(folder) / literal.removeprefix(_SUITES) for folder in folders]
        return [path.resolve() for path in found]

    def _covers(self, path: Path) -> bool:
        if self._config.args_source is not pytest.Config.ArgsSource.ARGS:
            return True
        return any(path.is_relative_to(root) for root in map(self._root, self._config.args) if root)

    def _root(self, argument: str) -> Path | None:
        """The file or folder that an argument collects whole; ``None`` for a single test."""
        if "::" in argument:
            return None
        path = self._config.invocation_params.dir / argument
        if not path.exists() and self._config.getoption("pyargs", default=False):
            spec = importlib.util.find_spec(argument)
            if spec is not None and spec.submodule_search_locations:
                path = Path(next(iter(spec.submodule_search_locations)))
            elif spec is not None and spec.origin:
                path = Path(spec.origin)
        return path.resolve()
