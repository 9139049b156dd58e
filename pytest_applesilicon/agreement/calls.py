"""The one place where the bundled suites and ``assert_agrees`` call something on the device.

A fault that is planted here is one of the device: the oracle and the host's own results are
computed elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def on_device(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the call gives, its tensors being on the device."""
    return call(*args, **kwargs)
