"""Our modules are imported without pytest's rewriting; what asserts for tests is left to it."""

from __future__ import annotations

import importlib.machinery
import sys

import pytest_applesilicon
from pytest_applesilicon import compiled


class _Config:
    def __init__(self):
        self.cleanups = []

    def add_cleanup(self, call):
        self.cleanups.append(call)


def test_finds_our_modules_alone_and_not_the_suites():
    config = _Config()
    compiled.begin(config)
    finder = sys.meta_path[0]
    try:
        found = finder.find_spec("pytest_applesilicon.running", pytest_applesilicon.__path__)
        others = [
            finder.find_spec(name, pytest_applesilicon.__path__)
            for name in ("pytest_applesilicon.suites", "pytest_applesilicon.suites.ops", "pytest")
        ]
    finally:
        config.cleanups.pop()()

    assert isinstance(found.loader, importlib.machinery.SourceFileLoader)
    assert others == [None] * 3
    assert finder not in sys.meta_path
