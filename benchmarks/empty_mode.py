"""A pytest plugin: each test runs under a ``TorchDispatchMode`` that does nothing but call on.

What it costs is the least that any record of ATen calls in Python costs (``audit_overhead.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Generator


class Empty(TorchDispatchMode):  # type: ignore[misc]
    """Calls each operator, as the audit does."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = func._op  # noqa: SLF001 - as the audit does: without a frame of Python between
        return call(*args, **kwargs) if kwargs else call(*args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Run a test under the mode."""
    with Empty():
        return (yield)
