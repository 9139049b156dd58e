"""Judging decompositions by what they promise, since their factors are not unique.

A result passes when its test ratios are small, as in LAPACK's own tests (LAPACK Working Note
41, Installation Guide for LAPACK): the residual of the reconstruction over
``n * eps * norm``, and the departure from orthogonality over ``n * eps``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement.envelope import DTYPE_INFO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    #: A label, what remains (to be zero), and the scale it is measured by; matrices in batches.
    Residual = tuple[str, Any, Any]

#: The largest test ratio that passes: the threshold of the input files that LAPACK Working
#: Note 41 shows for LAPACK's own tests (https://www.netlib.org/lapack/lawn41/node81.html).
THRESHOLD = 20.0


@dataclass(frozen=True)
class _Case:
    """A decomposed matrix, or a batch of them, and what came of it."""

    matrix: Any
    actual: Sequence[Any]
    exact: Sequence[Any]
    args: Sequence[Any]
    kwargs: dict[str, Any]


def problem(
    name: str,
    actual: Sequence[Any],
    exact: Sequence[Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    dtypes: Sequence[str] = (),
) -> str | None:
    """What is wrong with a decomposition; ``""`` if nothing.

    Args:
        name: torch's name of the operator.
        actual: the leaves of its result as host arrays in double precision.
        exact: the oracle's.
        args: its arguments, tensors as host arrays; the first is the matrix.
        kwargs: its keyword arguments.
        dtypes: of the leaves in the sample's dtype.

    Returns:
        None where this call gives nothing that is not unique, such as singular values only.
    """
    import numpy as np

    matrix = np.asarray(args[0])
    if matrix.size == 0 or any(one is None for one in actual):
        return None
    case = _Case(matrix, actual, exact, args, kwargs)
    if not all(np.isfinite(one).all() for one in _numbers(args)):
        if _shows(exact) and not _shows(actual):
            return "an argument has NaN or infinities, and the result has none"
        part = _finite_part(case)
        if part is None:
            return ""
        case = part
    residuals = _RESIDUALS[name](case)
    eps = max(DTYPE_INFO[one].eps for one in dtypes if one in DTYPE_INFO)
    length = max(matrix.shape[-2:])
    judged = False
    for label, remains, scale in residuals:
        judged = True
        found = _ratio(remains, scale, length * eps)
        if not found <= THRESHOLD:
            return f"{label}: the test ratio is {found:.3g}, at most {THRESHOLD:g} passes"
    return "" if judged else None


def _numbers(values: Sequence[Any]) -> list[Any]:
    """The floating and complex arrays among values."""
    return [one for one in values if getattr(getattr(one, "dtype", None), "kind", "") in ("f", "c")]


def _shows(leaves: Sequence[Any]) -> bool:
    """Whether a result has a NaN or an infinity."""
    import numpy as np

    return not all(np.isfinite(one).all() for one in _numbers(leaves))


def _finite_part(case: _Case) -> _Case | None:
    """The matrices of a batch whose arguments are finite; None where they cannot be told.

    What is no number decomposes into nothing in particular: LAPACK promises nothing of it, and
    how far a NaN spreads depends on the implementation.
    """
    import numpy as np

    batch = case.matrix.shape[:-2]
    arrays = [one for one in (*case.args, *case.actual, *case.exact) if isinstance(one, np.ndarray)]
    if not batch or any(one.shape[: len(batch)] != batch for one in arrays):
        return None
    rows = [one.reshape(*batch, -1) for one in _numbers(case.args)]
    kept = np.logical_and.reduce([np.isfinite(one).all(axis=-1) for one in rows])
    if not kept.any():
        return None

    def part(values: Sequence[Any]) -> list[Any]:
        return [one[kept] if isinstance(one, np.ndarray) else one for one in values]

    return _Case(
        case.matrix[kept], part(case.actual), part(case.exact), part(case.args), case.kwargs
    )


def _ratio(remains: Any, scale: Any, unit: float) -> float:
    """The largest test ratio of the batch; infinite where something is not finite."""
    import numpy as np

    remains, scale = np.asarray(remains), np.asarray(scale)
    if remains.size == 0:
        return 0.0
    if not np.isfinite(remains).all():
        return float("inf")
    size = _norm(remains) if remains.ndim >= 2 else np.abs(remains)
    if not np.any(size):
        return 0.0
    smallest = np.finfo(np.float64).tiny
    return float(np.max(size / np.maximum(scale * unit, smallest)))


def _norm(matrix: Any) -> Any:
    """The 1-norm of every matrix of the batch, as LAPACK's tests take it."""
    import numpy as np

    if matrix.shape[-1] == 0 or matrix.shape[-2] == 0:
        return np.zeros(matrix.shape[:-2])
    return np.abs(matrix).sum(axis=-2).max(axis=-1)


def _adjoint(matrix: Any) -> Any:
    import numpy as np

    return np.conj(np.swapaxes(matrix, -1, -2))


def _row(vectors: Any) -> Any:
    """Vectors as matrices of one row: the norm is then that of the largest element."""
    return vectors[..., None, :]


def _info(actual: Any, exact: Any) -> Residual:
    """LAPACK's report is the oracle's."""
    import numpy as np

    return "info", np.abs(np.asarray(actual, float) - np.asarray(exact, float)).max(initial=0), 0.0


def _orthogonality(label: str, factor: Any) -> Residual:
    """The columns of a factor are orthonormal."""
    import numpy as np

    product = _adjoint(factor) @ factor
    return f"{label} is not orthogonal", product - np.eye(factor.shape[-1]), 1.0


def _svd_residuals(case: _Case, left: Any, values: Any, right: Any) -> Iterator[Residual]:
    import numpy as np

    matrix = case.matrix
    yield "singular values", _row(values - case.exact[1]), _norm(matrix)
    if left.size == 0 or right.size == 0 or not np.any(case.exact[0]):
        return  # compute_uv=False: there are no factors.
    count = values.shape[-1]
    rebuilt = (left[..., :, :count] * values[..., None, :]) @ right[..., :count, :]
    yield "U S Vh is not the matrix", rebuilt - matrix, _norm(matrix)
    yield _orthogonality("U", left)
    yield _orthogonality("V", _adjoint(right))


def _svd(case: _Case) -> Iterator[Residual]:
    """``torch.svd`` gives V, ``torch.linalg.svd`` its adjoint."""
    if len(case.actual) == 3:
        left, values, right = case.actual
        yield from _svd_residuals(case, left, values, _adjoint(right))


def _linalg_svd(case: _Case) -> Iterator[Residual]:
    if len(case.actual) == 3:
        yield from _svd_residuals(case, *case.actual)


def _eigh(case: _Case) -> Iterator[Residual]:
    import numpy as np

    matrix, actual, exact, args, kwargs = (
        case.matrix,
        case.actual,
        case.exact,
        case.args,
        case.kwargs,
    )
    upper = kwargs.get("UPLO", args[1] if len(args) > 1 else "L") in ("U", "u")
    half = np.triu(matrix) if upper else np.tril(matrix)
    strict = np.triu(matrix, 1) if upper else np.tril(matrix, -1)
    matrix = half + _adjoint(strict)
    # The imaginary part of the diagonal is not referenced.
    diagonal = np.arange(matrix.shape[-1])
    matrix[..., diagonal, diagonal] = matrix[..., diagonal, diagonal].real
    values, vectors = actual
    yield "eigenvalues", _row(values - exact[0]), _norm(matrix)
    yield "A V is not V L", matrix @ vectors - vectors * values[..., None, :], _norm(matrix)
    yield _orthogonality("V", vectors)


def _eig(case: _Case) -> Iterator[Residual]:
    import numpy as np

    matrix, actual = case.matrix, case.actual
    values, vectors = actual
    scale = _norm(matrix) * np.maximum(_norm(vectors), 1.0)
    yield "A V is not V L", matrix @ vectors - vectors * values[..., None, :], scale
    yield "eigenvectors are not of norm one", _row(np.linalg.norm(vectors, axis=-2) - 1.0), 1.0
    remains = values.sum(-1, keepdims=True) - np.trace(matrix, axis1=-2, axis2=-1)[..., None]
    yield "the eigenvalues do not sum to the trace", _row(remains), _norm(matrix)


def _eigvals(case: _Case) -> Iterator[Residual]:
    """Eigenvalues come in no order: each must be one of a matrix close by (Weyl, Eckart-Young).

    The distance to the nearest matrix that has a number for an eigenvalue is the smallest
    singular value of ``A - number * I``.
    """
    import numpy as np

    matrix, values = case.matrix, case.actual[0]
    shifted = matrix[..., None, :, :] - values[..., :, None, None] * np.eye(matrix.shape[-1])
    distance = np.linalg.svd(np.nan_to_num(shifted), compute_uv=False)[..., -1]
    distance = np.where(np.isfinite(values), distance, np.inf)
    yield "a value is not an eigenvalue", _row(distance), _norm(matrix)
    remains = values.sum(-1, keepdims=True) - np.trace(matrix, axis1=-2, axis2=-1)[..., None]
    yield "the eigenvalues do not sum to the trace", _row(remains), _norm(matrix)


def _qr(case: _Case) -> Iterator[Residual]:
    import numpy as np

    matrix, actual = case.matrix, case.actual
    factor, upper = actual
    yield "R is not triangular", np.tril(upper, -1), 0.0
    if factor.size == 0:  # mode="r"
        # The Gram matrix squares the condition: its own scale is the norm squared.
        gram = _adjoint(upper) @ upper - _adjoint(matrix) @ matrix
        yield "R^H R is not A^H A", gram, _norm(matrix) ** 2
        return
    yield "Q R is not the matrix", factor @ upper - matrix, _norm(matrix)
    yield _orthogonality("Q", factor)


def _geqrf(case: _Case) -> Iterator[Residual]:
    import numpy as np

    matrix, actual = case.matrix, case.actual
    packed, tau = actual
    count, rows = tau.shape[-1], matrix.shape[-2]
    upper = np.triu(packed)
    rebuilt = upper
    for step in reversed(range(count)):
        vector = np.where(np.arange(rows) > step, packed[..., :, step], 0.0)
        vector[..., step] = 1.0
        dot = np.conj(vector)[..., None, :] @ rebuilt
        rebuilt = rebuilt - tau[..., step, None, None] * vector[..., :, None] @ dot
    yield "Q R is not the matrix", rebuilt - matrix, _norm(matrix)


def _permuted(pivots: Any, rows: int) -> Any:
    """The permutation matrices P (A = P L U) of LAPACK's pivots, counted from one."""
    import numpy as np

    flat = pivots.reshape(-1, pivots.shape[-1])
    found = np.zeros((flat.shape[0], rows, rows))
    for batch, swaps in enumerate(flat):
        order = np.arange(rows)
        for row, other in enumerate(swaps):
            order[[row, other - 1]] = order[[other - 1, row]]
        found[batch, order, np.arange(rows)] = 1.0
    return found.reshape(*pivots.shape[:-1], rows, rows)


def _lu_product(matrix: Any, permutation: Any, lower: Any, upper: Any) -> Iterator[Residual]:
    import numpy as np

    # Partial pivoting: no element of L is larger than one.
    if lower.size and float(np.abs(lower).max()) > 1.5 and permutation is not None:
        yield "pivoting left an element of L above one", np.abs(lower).max() - 1.0, 0.0
    product = lower @ upper if permutation is None else permutation @ lower @ upper
    # Without pivoting the factors may grow: their own norms are the scale (Higham, 9.3).
    scale = np.maximum(_norm(matrix), _norm(np.abs(lower) @ np.abs(upper)))
    yield "P L U is not the matrix", product - matrix, scale


def _linalg_lu(case: _Case) -> Iterator[Residual]:
    matrix, actual, kwargs = case.matrix, case.actual, case.kwargs
    pivot = kwargs.get("pivot", True)
    return _lu_product(matrix, actual[0] if pivot else None, actual[1], actual[2])


def _lu_factor(case: _Case) -> Iterator[Residual]:
    import numpy as np

    matrix, actual, exact = case.matrix, case.actual, case.exact
    packed, pivots = actual[0], actual[1]
    rows, columns = matrix.shape[-2:]
    if pivots.size and (pivots.min() < 1 or pivots.max() > rows):
        yield "a pivot is outside the matrix", float(pivots.max()), 0.0
        return
    count = min(rows, columns)
    lower = np.tril(packed[..., :, :count], -1) + np.eye(rows, count)
    upper = np.triu(packed[..., :count, :])
    yield from _lu_product(matrix, _permuted(pivots, rows), lower, upper)
    if len(actual) > 2:
        yield _info(actual[2], exact[2])


def _lstsq(case: _Case) -> Iterator[Residual]:
    import numpy as np

    matrix, actual, args = case.matrix, case.actual, case.args
    right = np.asarray(args[1])
    solution = actual[0]
    if right.ndim == matrix.ndim - 1 and solution.ndim == right.ndim:
        right, solution = right[..., None], solution[..., None]
    if solution.size == 0:
        return
    remains = right - matrix @ solution
    # Least squares: what remains is orthogonal to the columns.
    scale = _norm(matrix) * _norm(_adjoint(matrix)) * _norm(solution) + _norm(
        _adjoint(matrix)
    ) * _norm(right)
    yield "the residual is not orthogonal to the matrix", _adjoint(matrix) @ remains, scale
    if matrix.shape[-2] < matrix.shape[-1]:
        # Of many solutions the shortest: it has no part in the null space.
        inside = np.linalg.pinv(matrix) @ (matrix @ solution) - solution
        condition = np.linalg.cond(matrix, 1 if matrix.shape[-1] == matrix.shape[-2] else 2)
        yield "the solution is not the shortest", inside, condition * _norm(solution)


def _solve(case: _Case) -> Iterator[Residual]:
    """Backward stable: the residual is small even where the solution is off (Higham, 9.4)."""
    import numpy as np

    matrix, actual, exact, args, kwargs = (
        case.matrix,
        case.actual,
        case.exact,
        case.args,
        case.kwargs,
    )
    right, solution = np.asarray(args[1]), actual[0]
    if not kwargs.get("left", True):
        matrix, right = np.swapaxes(matrix, -1, -2), np.swapaxes(right, -1, -2)
        solution = np.swapaxes(solution, -1, -2)
    # As torch tells them apart: one vector, or a batch of them.
    if right.ndim == 1 or (right.ndim == matrix.ndim - 1 and right.shape == matrix.shape[:-1]):
        right, solution = right[..., None], solution[..., None]
    scale = _norm(matrix) * _norm(solution) + _norm(right)
    yield "A X is not B", matrix @ solution - right, scale
    if len(actual) > 1:
        # Between them ``_linalg_solve_ex`` has factors: of the matrix or, by its layout, of the
        # transposed one (BatchLinearAlgebra.cpp), as the backend likes.
        yield _info(actual[-1], exact[-1])


_RESIDUALS: dict[str, Callable[[_Case], Iterator[Residual]]] = {
    "svd": _svd,
    "linalg.svd": _linalg_svd,
    "linalg.eigh": _eigh,
    "linalg.eig": _eig,
    "linalg.eigvals": _eigvals,
    "linalg.qr": _qr,
    "qr": _qr,
    "geqrf": _geqrf,
    "linalg.lu": _linalg_lu,
    "linalg.lu_factor": _lu_factor,
    "linalg.lu_factor_ex": _lu_factor,
    "lu": _lu_factor,
    "linalg.lstsq": _lstsq,
    "linalg.solve": _solve,
    "linalg.solve_ex": _solve,
}

#: Operators judged here, by torch's name.
NAMES = frozenset(_RESIDUALS)
