"""Our own modules are imported as Python has compiled them, and pytest does not rewrite them.

pytest rewrites the assertions of all modules that come with a plugin, so that a helper may assert
for a test. Ours raise errors of their own; only the bundled suites assert. Rewriting compiles
each module once more: 0.3 s of a run that has no bytecode of pytest yet, as in a fresh container.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

    import pytest

_PACKAGE = __name__.rpartition(".")[0] + "."

#: What asserts for tests, and is rewritten.
_SUITES = _PACKAGE + "suites"


class _Finder:
    """Stands before pytest's own finder in ``sys.meta_path``, and knows our modules alone."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, *_: Any) -> ModuleSpec | None:
        """Where a module of ours is, with the loader of any source file."""
        if not name.startswith(_PACKAGE) or name.startswith(_SUITES):
            return None
        return PathFinder.find_spec(name, path)


def begin(config: pytest.Config) -> None:
    """From now on, until the end of the run."""
    finder: Any = _Finder()
    sys.meta_path.insert(0, finder)
    config.add_cleanup(lambda: sys.meta_path.remove(finder))
