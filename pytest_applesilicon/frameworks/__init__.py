"""The frameworks: which are installed, and the adapter of each.

``find_spec`` tells what is installed without importing it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pytest_applesilicon.frameworks.base import Framework

#: In the order in which the default is chosen: framework, the module users import, our adapter.
_MODULES: dict[str, tuple[str, str]] = {
    "torch": ("torch", "pytorch"),
    "tensorflow": ("tensorflow", "tensorflow"),
    "mlx": ("mlx", "mlx"),
    "jax": ("jax", "jax"),
    "numpy": ("numpy", "numpy"),
}

NAMES = tuple(_MODULES)


def is_installed(name: str) -> bool:
    """Whether the framework can be found; it is not imported."""
    return found(_MODULES[name][0])


def found(module: str) -> bool:
    """Whether a module can be found; it is not imported."""
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def first_installed() -> str:
    """The framework a run uses when none is named; NumPy is always installed with us."""
    return next(name for name in NAMES if is_installed(name))


def load(name: str) -> Framework:
    """The adapter of a framework; the framework itself is imported on first use."""
    module: Any = importlib.import_module(f"pytest_applesilicon.frameworks.{_MODULES[name][1]}")
    return cast("Framework", module.ADAPTER)


def adapter_of(value: Any) -> Framework | None:
    """The adapter whose array ``value`` is; ``None`` for anything else.

    Only frameworks that are imported already can have made the value.
    """
    for name in NAMES:
        if _MODULES[name][0] in sys.modules:
            adapter = load(name)
            if adapter.is_array(value):
                return adapter
    return None
