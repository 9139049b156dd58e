"""NumPy formulas of functions that NumPy itself does not have, in the dtype of their operands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def relu(x: Any) -> Any:
    """The larger of a number and zero; NaN stays."""
    import numpy as np

    return np.maximum(x, 0)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    import numpy as np

    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    import numpy as np

    return np.log1p(np.exp(x))


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x), divided by its sum along an axis."""
    import numpy as np

    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of ``softmax``."""
    import numpy as np

    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def conv2d(images: Any, kernel: Any) -> Any:
    """Cross-correlation without padding: (N, H, W, C) by (KH, KW, C, O) to (N, H', W', O)."""
    import numpy as np

    height, width = kernel.shape[:2]
    rows, columns = images.shape[1] - height + 1, images.shape[2] - width + 1
    total = np.zeros((images.shape[0], rows, columns, kernel.shape[3]), images.dtype)
    for down in range(height):
        for right in range(width):
            part = images[:, down : down + rows, right : right + columns]
            total = total + part @ kernel[down, right]
    return total


OF_LAYERS: Mapping[str, Callable[..., Any]] = {
    "relu": relu,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "softmax": softmax,
    "log_softmax": log_softmax,
}
