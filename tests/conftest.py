"""What all tests share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

# Before pytester runs a test in this process: it takes out again what that imported, and NumPy
# cannot be loaded twice.
import numpy  # noqa: F401

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]

#: One changes torch for a whole process, the other needs playwright: each runs by its name.
_APART = [Path(__file__).parent / name for name in ("simulated", "browser")]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what runs apart unless it was named."""
    if collection_path not in _APART:
        return None
    named = [config.invocation_params.dir / arg.partition("::")[0] for arg in config.args]
    return None if any(path.is_relative_to(collection_path) for path in named) else True
