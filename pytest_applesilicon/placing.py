"""A test computes on its device, in its set-up and in its body, where a framework has a default."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import frameworks, marks
from pytest_applesilicon.selection import selection_of, usable

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager


class Placing:
    """The hooks around the set-up and the body of a test."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        with _on_its_device(item):
            yield
        if marks.has_own_device(item):
            marks.skip_on_own_device(item, selection_of(item.config))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        with _on_its_device(item):
            yield


def _on_its_device(item: pytest.Item) -> AbstractContextManager[Any]:
    """What runs inside computes on the device of the test."""
    target = marks.target_of(item)
    if target is None or not usable(target.health):
        return nullcontext()
    return frameworks.load(target.framework).running_on(target.device)
