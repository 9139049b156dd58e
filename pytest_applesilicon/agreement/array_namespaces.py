"""The functions of the array API standard as each framework has them.

Frameworks are imported inside functions, the one that is asked only.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import array_functions
from pytest_applesilicon.agreement.array_functions import OLD_NAMES
from pytest_applesilicon.agreement.raw_ops import RAW_OPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.agreement.array_functions import Function

#: Where a framework keeps the functions of the standard. TensorFlow's are its raw operations.
_NAMESPACES = {
    "numpy": ("numpy", "numpy.linalg", "numpy.fft"),
    "mlx": ("mlx.core", "mlx.core.linalg", "mlx.core.fft", "mlx.nn"),
    "jax": ("jax.numpy", "jax.numpy.linalg", "jax.numpy.fft", "jax.nn"),
}

#: What a framework says where a kernel is missing, or does not take a dtype.
LACKING = re.compile(
    r"not (yet )?(currently )?(implemented|supported)|unsupported|Could not find device for node|"
    r"Could not satisfy|No OpKernel was registered|has no kernel|not in the list of allowed|"
    r"Cannot calculate VJP|does(n't| not) (support|accept)|only supports",
    re.IGNORECASE,
)


class LackingError(Exception):
    """The framework does not have the function, or not for this dtype on this device."""


def function_of(framework: str, name: str) -> Callable[..., Any]:
    """The framework's own function of this name.

    Raises:
        LackingError: it has none.
    """
    if framework == "tensorflow":
        if name not in RAW_OPS:
            raise LackingError(f"no raw operation computes {name}")
        import tensorflow as tf

        call = RAW_OPS[name]
        return lambda *args, **kwargs: call(tf.raw_ops, *args, **kwargs)
    if (framework, name) in _OWN:
        return _OWN[framework, name]
    for path in _NAMESPACES[framework]:
        space = _space(path)
        for known in (name, OLD_NAMES.get(name, name)):
            if callable(getattr(space, known, None)):
                found: Callable[..., Any] = getattr(space, known)
                return found
    raise LackingError(f"{framework} has no {name}")


def _conv2d_of_mlx(images: Any, kernel: Any) -> Any:
    import mlx.core as mx

    return mx.conv2d(images, mx.transpose(kernel, (3, 0, 1, 2)))


def _conv2d_of_jax(images: Any, kernel: Any) -> Any:
    import jax

    return jax.lax.conv_general_dilated(
        images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


_OWN = {("mlx", "conv2d"): _conv2d_of_mlx, ("jax", "conv2d"): _conv2d_of_jax}


def functions_for(framework: str) -> list[Function]:
    """The functions that are asked of a framework.

    Of TensorFlow those that one raw operation computes; of NumPy no layers, and no Fourier
    transforms before 2.0, which computes all of them in double precision (its release notes).
    """
    if framework == "tensorflow":
        return [one for one in array_functions.FUNCTIONS if one.name in RAW_OPS]
    if framework == "numpy":
        import numpy as np

        left_out = {"nn"} if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else {"nn", "fft"}
        return [one for one in array_functions.FUNCTIONS if one.category not in left_out]
    return list(array_functions.FUNCTIONS)


def _space(path: str) -> Any:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:  # mlx.core.linalg is no module that can be imported
        parent, _, last = path.rpartition(".")
        return getattr(importlib.import_module(parent), last)
