"""The matrix products a probe asks of a device, and the judgement of its answers on the host.

NumPy only, inside functions; it knows no framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.frameworks.base import DeviceMiscomputesError

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True)
class Product:
    """Operands of ``left @ right + bias`` on the host, in float32."""

    step: str
    """What the probe does, as its step is called."""
    name: str
    """What is judged, as a message calls it."""
    left: numpy.ndarray[Any, Any]
    right: numpy.ndarray[Any, Any]
    bias: numpy.ndarray[Any, Any] | None


def products() -> tuple[Product, ...]:
    """What every probe multiplies.

    The operands are multiples of 1/64 with at most 8 significant bits. So TF32 and bfloat16
    hold them exactly, and a device that rounds the operands of float32 products to those, as
    MLX on M5 (ml-explore/mlx#3534) and TensorFlow and JAX on NVIDIA GPUs do by default, is
    held to the same bound as any other and passes it.
    """
    import numpy as np

    draw = np.random.default_rng(0)

    def some(*shape: int) -> numpy.ndarray[Any, Any]:
        return (draw.integers(-128, 129, size=shape) / 64).astype(np.float32)

    # The second was wrong by 3.8 on a hosted virtual GPU whose matmul was right
    # (pytorch#192934).
    return (
        Product("multiply 64x64 matrices", "64x64 matmul", some(64, 64), some(64, 64), None),
        Product(
            "3-D linear with bias",
            "3-D linear with bias",
            some(2, 8, 64),
            some(64, 32),
            some(32),
        ),
    )


def check_product(
    name: str,
    result: numpy.ndarray[Any, Any],
    left: numpy.ndarray[Any, Any],
    right: numpy.ndarray[Any, Any],
    bias: numpy.ndarray[Any, Any] | None,
) -> None:
    """Raise unless ``result`` is ``left @ right + bias`` within float32's own bound.

    The bound is the classic one for a sum of k products, k * eps * (|A| |B| + |bias|)
    (Higham, Accuracy and Stability of Numerical Algorithms, section 3.5); the reference is
    float64 on the host.

    Raises:
        DeviceMiscomputesError: saying by how much, and what float32 allows.
    """
    import numpy as np

    left, right = left.astype(np.float64), right.astype(np.float64)
    wide_bias = np.float64(0) if bias is None else bias.astype(np.float64)
    expected = left @ right + wide_bias
    if result.shape != expected.shape:
        raise DeviceMiscomputesError(
            f"{name} has the shape {result.shape}, and {expected.shape} is right"
        )
    terms = left.shape[-1] + 1
    allowed = terms * np.finfo(np.float32).eps * (np.abs(left) @ np.abs(right) + np.abs(wide_bias))
    error = np.abs(result.astype(np.float64) - expected)
    if not (error <= allowed).all():  # also where an error is NaN
        raise DeviceMiscomputesError(
            f"{name} is wrong by {float(error.max()):.3g}, "
            f"and float32 allows {float(allowed.max()):.3g}"
        )
