"""Decompositions and an ill-conditioned system, judged by their residuals on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_applesilicon.agreement import array_calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("tensorflow", "mlx", "jax", "numpy")

EPS = float(np.finfo(np.float32).eps)

#: Constant of the backward error, in units of n * eps * norm: the theorems on Householder QR, on
#: the symmetric eigenproblem and on the SVD have a modest constant there (Higham, Accuracy and
#: Stability of Numerical Algorithms, theorem 19.4; LAPACK Users' Guide, sections 4.7 and 4.9).
BACKWARD = 4.0

Array = np.ndarray[Any, Any]


def decompose(name: str, applesilicon: AppleSilicon, matrix: Array) -> list[Array]:
    """The factors on the host as float64: of ``qr``, ``eigh`` or ``svd``.

    TensorFlow's are its raw operations, with soft placement off; the others' are those of the
    standard.
    """
    framework, spec = applesilicon.framework, applesilicon.spec
    there = framework.to_device(matrix, spec, framework.dtype("float32"))
    place = array_calls.Place(framework, spec)
    try:
        with array_calls.on(place):
            found = FACTORS[framework.name, name](there)
            return [framework.to_host(one) for one in found]
    except Exception as error:  # whatever a framework raises for a kernel it lacks
        if array_calls.LACKING.search(str(error)):
            pytest.skip(f"unsupported: {error}")
        raise


def _raw(name: str) -> Callable[[Any], Any]:
    def call(matrix: Any) -> Any:
        import tensorflow as tf

        if name == "qr":
            return tf.raw_ops.Qr(input=matrix)
        if name == "eigh":
            found = tf.raw_ops.SelfAdjointEigV2(input=matrix)
            return found.e, found.v
        found = tf.raw_ops.Svd(input=matrix)
        return found.u, found.s, tf.transpose(found.v)

    return call


def _standard(framework: str, name: str) -> Callable[[Any], Any]:
    def call(matrix: Any) -> Any:
        function = array_calls.function_of(framework, name)
        if name == "svd" and framework != "mlx":
            return function(matrix, full_matrices=False)
        return function(matrix)

    return call


NAMES = ("qr", "eigh", "svd")
FACTORS = {
    (framework, name): _raw(name) if framework == "tensorflow" else _standard(framework, name)
    for framework in ("tensorflow", "mlx", "jax", "numpy")
    for name in NAMES
}


def error_of(one: Array, other: Array) -> float:
    """The Frobenius norm of the difference; infinite where it is not a number."""
    found = float(np.linalg.norm(one - other))
    return found if np.isfinite(found) else np.inf


@pytest.mark.parametrize("name", NAMES)
def test_factors_make_the_matrix_again(name: str, applesilicon: AppleSilicon, device: Any) -> None:
    size = 24
    draw = np.random.default_rng(applesilicon.settings.seed)
    matrix = draw.standard_normal((size, size)).astype(np.float32)
    if name == "eigh":
        matrix = matrix + matrix.T
    factors = decompose(name, applesilicon, matrix)

    first, *middle, last = factors
    if name == "eigh":
        values, vectors = factors
        product, orthogonal = (vectors * values) @ vectors.T, [vectors]
        assert (np.diff(values) >= 0).all(), f"the eigenvalues do not ascend: {values}"
    elif name == "svd":
        product, orthogonal = (first * middle[0]) @ last, [first, last]
        assert (np.diff(middle[0]) <= 0).all(), f"the singular values do not descend: {middle[0]}"
    else:
        product, orthogonal = first @ last, [first]
        assert np.abs(np.tril(last, -1)).max() == 0, "R is not upper triangular"
    allowed = BACKWARD * size * EPS
    off = error_of(product, matrix.astype(np.float64)) / float(np.linalg.norm(matrix))
    assert off <= allowed, f"{name}: the product is {off:.3g} off, allowed {allowed:.3g}"
    for one in orthogonal:
        off = error_of(one.T @ one, np.eye(size))
        limit = allowed * size**0.5
        assert off <= limit, f"{name}: a factor is {off:.3g} from orthogonal, allowed {limit:.3g}"


def test_ill_conditioned_system_has_a_small_residual(
    applesilicon: AppleSilicon, device: Any
) -> None:
    """A = R R^T + 1e-12 I is solved with a small residual, though no solution is accurate.

    Every backward stable one has a residual of eps * |A| |x| times what rounding adds up to, in
    practice the square root of n (Higham, section 9.4; Higham and Mary, A New Approach to
    Probabilistic Rounding Error Analysis, 2019).
    """
    size = 1000 if applesilicon.settings.size == "full" else 200
    draw = np.random.default_rng(applesilicon.settings.seed)
    root = draw.standard_normal((size, size))
    matrix = (root @ root.T + 1e-12 * np.eye(size)).astype(np.float32)
    right = draw.standard_normal((size, 1)).astype(np.float32)
    framework, spec = applesilicon.framework, applesilicon.spec
    place = array_calls.Place(framework, spec)
    float32 = framework.dtype("float32")
    there = [framework.to_device(one, spec, float32) for one in (matrix, right)]
    try:
        with array_calls.on(place):
            found = framework.to_host(array_calls.function_of(framework.name, "solve")(*there))
    except Exception as error:  # as above
        if array_calls.LACKING.search(str(error)):
            pytest.skip(f"unsupported: {error}")
        raise

    wide = matrix.astype(np.float64)
    residual = float(np.linalg.norm(wide @ found - right))
    scale = float(np.linalg.norm(wide) * np.linalg.norm(found))
    limit = size**0.5 * EPS
    applesilicon.measure("ill-conditioned solve, error / allowed", residual / scale / limit)
    assert residual / scale <= limit, (
        f"the residual is {residual / scale:.3g} of |A| |x|, allowed {limit:.3g}"
    )
