"""The same values in an array of a framework, stored in other ways.

The storage is copied to the device and the view is made there: a copy would often make it
contiguous, and hide a kernel that ignores strides. A framework without strides makes the view a
computation, which is then what is tested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.frameworks.base import Framework

#: How many elements of other values stand before those of ``offset``: an odd number, so that a
#: kernel that loads four at once finds the first one unaligned.
OFFSET = 3

LAYOUTS = ("transposed", "strided", "offset", "expanded", "reversed")


def same_values(values: Any, layout: str) -> Any:
    """The values that an operand in a layout has: of ``expanded`` all rows are the first one."""
    import numpy as np

    if layout == "expanded" and values.ndim:
        return np.broadcast_to(values[:1], values.shape).copy()
    return values


def view(framework: Framework, spec: str, values: Any, dtype: Any, layout: str) -> Any:
    """An array on the device with these values, in a layout; ``None`` where it has none.

    Args:
        framework: its adapter.
        spec: of the device.
        values: a NumPy array; for ``expanded`` with equal rows.
        dtype: the framework's, or ``None`` for that of the values.
        layout: one of ``LAYOUTS``.
    """
    if values.ndim < (2 if layout in ("transposed", "expanded") else 1):
        return None

    def there(storage: Any) -> Any:
        return framework.to_device(storage, spec, dtype)

    with framework.running_on(spec):
        return _BUILDERS[layout](there, values, _namespace(framework.name))


def _transposed(there: Callable[[Any], Any], values: Any, space: Any) -> Any:
    import numpy as np

    order = list(reversed(range(values.ndim)))
    return space.transpose(there(np.ascontiguousarray(values.transpose(order))), order)


def _strided(there: Callable[[Any], Any], values: Any, space: Any) -> Any:  # noqa: ARG001
    import numpy as np

    both = np.stack([values, np.ones_like(values)], axis=-1)
    return there(both.reshape(*values.shape[:-1], -1))[..., ::2]


def _offset(there: Callable[[Any], Any], values: Any, space: Any) -> Any:
    import numpy as np

    before = np.ones(OFFSET, values.dtype)
    flat = there(np.concatenate([before, values.reshape(-1)]))
    return space.reshape(flat[OFFSET:], values.shape)


def _expanded(there: Callable[[Any], Any], values: Any, space: Any) -> Any:
    return space.broadcast_to(there(values[:1]), values.shape)


def _reversed(there: Callable[[Any], Any], values: Any, space: Any) -> Any:  # noqa: ARG001
    import numpy as np

    return there(np.ascontiguousarray(values[::-1]))[::-1]


_BUILDERS = {
    "transposed": _transposed,
    "strided": _strided,
    "offset": _offset,
    "expanded": _expanded,
    "reversed": _reversed,
}


def _namespace(framework: str) -> Any:
    import importlib

    return importlib.import_module(
        {"mlx": "mlx.core", "jax": "jax.numpy"}.get(framework, framework)
    )
