"""A pytest plugin that installs the fault of a framework that an environment variable names.

After collection, so that the modules of the suites are there to be changed.
"""

from __future__ import annotations

import os

import faults_frameworks
import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    patch = pytest.MonkeyPatch()
    session.config.add_cleanup(patch.undo)
    fault = faults_frameworks.fault_named(os.environ.get("SUITES_FAULT", ""))
    if fault is not None:
        fault.install(patch)
