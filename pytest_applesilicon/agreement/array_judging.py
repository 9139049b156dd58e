"""Judging what a function of arrays gives by NumPy in float64, with the envelope of ``envelope``.

What ``oracle`` does for torch, whose kernels can be watched, for frameworks of which only calls
are seen: the dtype bound, the condition (the reference on moved inputs) and the host's own error
in the same dtype. There is no magnitude term, because intermediate results are not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import envelope
from pytest_applesilicon.agreement.evidence import DRAWS
from pytest_applesilicon.agreement.judging import Judgement, Judging, judge_exact

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Steps of the differences, relative to one: rounding of float64 over the step, 2e-13, and the
#: truncation, its fourth power, are then both far below the epsilon of float32, 1.2e-7.
STEP = 1e-3


def judge_call(
    actual: Any,
    reference: Callable[..., Any],
    operands: Sequence[Any],
    dtype: str,
    *,
    seed: int = 0,
    same_dtype: Any = None,
    own_error: Any = 0.0,
) -> Judgement:
    """How far a result lies from what the reference gives in float64 for the same operands.

    Args:
        actual: the result on the host; float64 or complex128, integers or booleans.
        reference: NumPy's function of the operands.
        operands: on the host, float64 or complex128 where they are floating.
        dtype: the dtype under test.
        seed: of the signs by which operands are moved.
        same_dtype: what the host gives in the dtype itself; ``None`` where it is what is judged.
        own_error: half widths of an envelope that is allowed besides: what differences are off
            as gradients, what a composed function rounds inside.
    """
    import numpy as np

    exact = np.asarray(reference(*operands))
    if exact.dtype.kind not in "fc":
        return judge_exact(actual, exact)
    of_result = real_dtype(dtype) if exact.dtype.kind == "f" else dtype
    if exact.size == 0:
        return Judgement((), None, None, 0.0, 0.0, 0.0, 0, 0)
    judging = Judging(actual, exact, of_result)
    if not judging.agrees and np.any(own_error):
        judging.widen("dtype bound", np.broadcast_to(own_error, exact.shape).flat[judging.open])
    done = 0
    moved = np.zeros(exact.shape)
    undecided = np.zeros(exact.shape, bool)
    for draws in DRAWS:
        if judging.agrees:
            break
        for number in range(done, draws):
            run = reference(*move(operands, dtype, [seed, number], flush=number == 1))
            distance, unsure = _difference(np.asarray(run), exact)
            moved, undecided = np.maximum(moved, distance), undecided | unsure
        done = draws
        width = envelope.condition_factor(of_result) * moved
        judging.widen("condition", width.flat[judging.open], undecided.flat[judging.open])
    if not judging.agrees and same_dtype is not None:
        _by_same_dtype(judging, exact, of_result, moved, undecided, same_dtype)
    return judging.judgement()


def _by_same_dtype(
    judging: Judging, exact: Any, dtype: str, moved: Any, undecided: Any, same: Any
) -> None:
    import numpy as np

    terms = envelope.Terms(
        exact,
        envelope.dtype_terms(exact, dtype).dtype_bound,
        condition=envelope.condition_factor(dtype) * moved,
        undecided=undecided,
    )
    values = np.asarray(same, exact.dtype)
    with np.errstate(all="ignore"):
        term = envelope.same_dtype_term(np.abs(values - exact), terms, dtype)
    here = judging.open
    judging.widen("same dtype", term.reshape(-1)[here], other=values.reshape(-1)[here])


def real_dtype(dtype: str) -> str:
    """The dtype of the components of a complex one."""
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def move(operands: Sequence[Any], dtype: str, seed: Any, *, flush: bool = False) -> list[Any]:
    """The operands with every floating number moved by one epsilon, up or down.

    With ``flush``, subnormal numbers of the dtype become zero.
    """
    import numpy as np

    info = envelope.DTYPE_INFO.get(dtype)
    draw = np.random.default_rng(seed)
    found = []
    for one in operands:
        if info is None or one.dtype.kind not in "fc":
            found.append(one)
            continue
        signs = draw.integers(0, 2, one.shape) * 2 - 1
        with np.errstate(all="ignore"):
            # A complex infinity times a number has NaN in the other component.
            moved = np.where(np.isinf(one), one, one * (1 + signs * info.eps))
            found.append(np.where(np.abs(one) < info.smallest_normal, 0, moved) if flush else moved)
    return found


def _difference(run: Any, exact: Any) -> tuple[Any, Any]:
    import numpy as np

    with np.errstate(all="ignore"):
        distance = np.abs(run - exact)
        usable = np.isfinite(distance)
        same = (run == exact) | (np.isnan(run) & np.isnan(exact))
    return np.where(usable, distance, 0.0), ~usable & ~same


def gradients(
    reference: Callable[..., Any], operands: Sequence[Any], upstream: Any, step: float = STEP
) -> list[Any]:
    """The gradients of ``sum(upstream * reference(*operands))``, by differences of order four.

    Args:
        reference: of float64 operands, smooth within two steps of them.
        operands: float64 arrays; others have no gradient and give ``None``.
        upstream: in the shape of the result.
        step: relative to the size of each number, or to one where it is smaller.
    """
    import numpy as np

    found: list[Any] = []
    for place, operand in enumerate(operands):
        if operand.dtype.kind != "f":
            found.append(None)
            continue
        gradient = np.zeros(operand.shape)
        for index in np.ndindex(operand.shape):
            width = step * max(1.0, abs(operand[index]))
            total = 0.0
            # Fornberg's weights of the first derivative on five points.
            for times, weight in ((1, 8.0), (-1, -8.0), (2, -1.0), (-2, 1.0)):
                shifted = operand.copy()
                shifted[index] += times * width
                moved = [*operands[:place], shifted, *operands[place + 1 :]]
                total += weight * float((upstream * (reference(*moved))).sum())
            gradient[index] = total / (12 * width)
        found.append(gradient)
    return found
