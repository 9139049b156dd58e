"""What the unit tests share."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import settings

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

# How long an example takes says nothing where other processes share the cores.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture
def program(monkeypatch):
    """Imports a program of ``benchmarks/``, anew in each test; skips where there are none."""
    if not BENCHMARKS.is_dir():
        pytest.skip("the benchmarks are not installed")
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    yield importlib.import_module
    for name in {one.stem for one in BENCHMARKS.glob("*.py")} - before:
        sys.modules.pop(name, None)
