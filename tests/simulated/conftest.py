"""Puts the simulated device into this process, which therefore runs no other tests.

It cannot be taken out again, and it must come before the first backward pass: run these with
``pytest tests/simulated``, apart from the rest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    pytest.importorskip("torch")
    from pytest_applesilicon.simulate import device

    if not device.installed:
        device.install(fallback=False)


@pytest.fixture
def fallback():
    """Let missing operators run on the CPU."""
    from pytest_applesilicon.simulate import device

    device.installed["fallback"] = True
    yield
    device.installed["fallback"] = False
