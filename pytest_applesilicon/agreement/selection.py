"""Judging sort, topk, argmax and their like by what they select, not by which of two equals.

A selection copies values, so the values it gives are exactly the oracle's; its indices are
right when they lead to these values and, where each element may be taken only once, differ.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The place of ``dim`` among the arguments, by torch's name of the operator.
_DIM_PLACE = {
    "sort": 1,
    "argsort": 1,
    "topk": 2,
    "kthvalue": 2,
    "median": 1,
    "nanmedian": 1,
    "mode": 1,
    "max": 1,
    "min": 1,
    "argmax": 1,
    "argmin": 1,
    "cummax": 1,
    "cummin": 1,
}

#: Operators judged here, by torch's name.
NAMES = frozenset(_DIM_PLACE)

#: Whose default dimension is the whole, flattened input.
_FLATTENED = ("argmax", "argmin")

#: Which take each element at most once.
_DISTINCT = ("sort", "argsort", "topk")


def problem(
    name: str,
    actual: Sequence[Any],
    exact: Sequence[Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    dtypes: Sequence[str] = (),
) -> str | None:
    """What is wrong with a selection; ``""`` if nothing.

    Args:
        name: torch's name of the operator.
        actual: the leaves of its result as host arrays: values and indices, or indices.
        exact: the oracle's.
        args: its arguments, tensors as host arrays; the first is the input.
        kwargs: its keyword arguments.
        dtypes: not needed here; the other judges' signature has it.

    Returns:
        None where the operator selected nothing: ``median`` without a dimension, ``max`` of two
        tensors. Its values are then judged like any other.
    """
    del dtypes
    import numpy as np

    indices_only = name in ("argsort", "argmax", "argmin")
    if len(actual) != (1 if indices_only else 2) or np.ndim(args[0]) == 0:
        return None
    values, wanted = np.asarray(args[0]), np.asarray(exact[-1])
    dim = _dim(name, args, kwargs)
    chosen = np.asarray(actual[-1])
    if dim is None:
        values, dim = values.reshape(-1), 0
        chosen, wanted = chosen.reshape(-1), wanted.reshape(-1)
    elif chosen.ndim < values.ndim:
        chosen, wanted = np.expand_dims(chosen, dim), np.expand_dims(wanted, dim)
    found = _index_problem(name, chosen, wanted, values.shape[dim], dim, kwargs)
    if found or chosen.size == 0:
        return found
    gathered = np.take_along_axis(values, chosen, dim)
    if name == "mode":
        return _mode_problem(values, gathered, actual, wanted, dim)
    return _value_problem(name, gathered, actual, exact, values, wanted, dim, kwargs)


def _dim(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> int | None:
    place = _DIM_PLACE[name]
    default = None if name in _FLATTENED else -1
    found: int | None = kwargs.get("dim", args[place] if len(args) > place else default)
    return found


def _index_problem(
    name: str, chosen: Any, wanted: Any, length: int, dim: int, kwargs: dict[str, Any]
) -> str:
    import numpy as np

    if chosen.size and (chosen.min() < 0 or chosen.max() >= length):
        return f"an index is outside 0 to {length - 1}: {chosen.min()} to {chosen.max()}"
    if name in _DISTINCT and chosen.size:
        ordered = np.sort(chosen, axis=dim)
        if not np.diff(ordered, axis=dim).all():
            return "an index is taken twice"
    if kwargs.get("stable") and not np.array_equal(chosen, wanted):
        return "equal elements changed their order, although stable=True"
    if name in ("cummax", "cummin"):
        positions = np.arange(length).reshape([-1 if d == 0 else 1 for d in _axes(chosen, dim)])
        if (chosen > positions).any():
            return "an index lies behind its own position"
    return ""


def _axes(array: Any, dim: int) -> list[int]:
    """Zero for the axis ``dim``, one for the others."""
    axes = [1] * array.ndim
    axes[dim] = 0
    return axes


def _value_problem(
    name: str,
    gathered: Any,
    actual: Sequence[Any],
    exact: Sequence[Any],
    values: Any,
    wanted: Any,
    dim: int,
    kwargs: dict[str, Any],
) -> str:
    import numpy as np

    expected = np.take_along_axis(values, wanted, dim)
    if len(actual) == 2:
        given = np.asarray(actual[0]).reshape(gathered.shape)
        if not _same(given, gathered):
            return _told("the input at the indices is not the values", given, gathered)
        expected = np.asarray(exact[0]).reshape(gathered.shape)
    if name == "topk" and not kwargs.get("sorted", True):
        gathered, expected = np.sort(gathered, axis=dim), np.sort(expected, axis=dim)
    if not _same(gathered, expected):
        return _told("other elements were selected", gathered, expected)
    return ""


def _mode_problem(values: Any, gathered: Any, actual: Sequence[Any], wanted: Any, dim: int) -> str:
    """Any of the most frequent values will do."""
    import numpy as np

    given = np.asarray(actual[0]).reshape(gathered.shape)
    if not _same(given, gathered):
        return _told("the input at the indices is not the values", given, gathered)
    expected = np.take_along_axis(values, wanted, dim)
    counts = functools.partial(_count, values, dim)
    if (counts(given) != counts(expected)).any():
        return _told("a less frequent value was selected", given, expected)
    return ""


def _count(values: Any, dim: int, which: Any) -> Any:
    import numpy as np

    same = (values == which) | ((values != values) & (which != which))
    return np.count_nonzero(same, axis=dim)


def _same(left: Any, right: Any) -> bool:
    import numpy as np

    return bool(np.all((left == right) | ((left != left) & (right != right))))


def _told(what: str, actual: Any, expected: Any) -> str:
    """The problem with the first element that shows it."""
    import numpy as np

    same = (actual == expected) | ((actual != actual) & (expected != expected))
    where = np.unravel_index(int(np.argmin(same)), same.shape)
    index = ", ".join(str(int(part)) for part in where)
    return f"{what}: {actual[where]} instead of {expected[where]} at [{index}]"
