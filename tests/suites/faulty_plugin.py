"""A pytest plugin that installs the fault an environment variable names: ``-p faulty_plugin``."""

from __future__ import annotations

import os
import sys

import faults
import faults_random
import pytest

_PATCH = pytest.StashKey[pytest.MonkeyPatch]()


def pytest_configure(config: pytest.Config) -> None:
    patch = config.stash[_PATCH] = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    name = os.environ.get(faults.VARIABLE)
    if name:
        (faults_random.fault_named(name) or faults.fault_named(name)).install(patch)


def pytest_collection_finish(session: pytest.Session) -> None:
    # The name of the module depends on how the suites are started.
    for name, module in list(sys.modules.items()):
        if name.endswith("suites.training.loop"):
            faults.watch_digits(module, session.config.stash[_PATCH])


def pytest_runtest_setup() -> None:
    faults.Device.in_use = False
