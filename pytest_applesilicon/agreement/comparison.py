"""Exact comparison on the host, in this order: type, shape, dtype, device, values.

The device never judges itself: values are copied to the host and compared there, floating
numbers in float64 or complex128, integers and booleans in their own dtype.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import frameworks
from pytest_applesilicon.records import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_applesilicon.frameworks.base import ArrayFacts, Framework

#: What may stand inside a compared value besides arrays.
_SCALARS = (bool, int, float, complex, str, bytes, type(None))

_GIVE = "give arrays of numbers, numbers, or tuples, lists and dicts of them"


def compare(actual: Any, expected: Any, *, device: str | None = None) -> Comparison:
    """Compare two values exactly; containers are walked, the first difference is returned.

    Args:
        actual: an array of any framework, a number, or tuples, lists and dicts of them.
        expected: the same; its arrays may live on the host.
        device: the device spec every array of ``actual`` must live on; ``None``: anywhere.

    Two NaN are the same, and so are the two zeros.

    Raises:
        TypeError: a value is of a type that cannot be compared.
    """
    last = Comparison(None, "", "")
    elements = 0
    for where, one, other in _leaves("", actual, expected):
        last = _compare_leaf(where, one, other, device)
        if last.differs_in:
            return last
        elements += last.total
    return Comparison(None, last.actual, last.expected, total=elements)


def assert_same(actual: Any, expected: Any, *, device: str | None = None) -> None:
    """Fail unless ``actual`` is exactly ``expected``: see ``compare``.

    Raises:
        AssertionError: naming the first property that differs, both values and, for values,
            the worst element and how many differ.
        TypeError: a value is of a type that cannot be compared.
    """
    __tracebackhide__ = True
    found = compare(actual, expected, device=device)
    if found.differs_in:
        raise AssertionError(describe(found))


def describe(comparison: Comparison) -> str:
    """The comparison as the text of a failure."""
    if comparison.differs_in is None:
        return "the same"
    lines = [
        f"{comparison.differs_in} differs{_at(comparison.where)}",
        f"  actual:   {comparison.actual}",
        f"  expected: {comparison.expected}",
    ]
    if comparison.differs_in == "values" and comparison.total:
        share = 100 * comparison.mismatched / comparison.total
        lines.append(
            f"  {comparison.mismatched} of {comparison.total} elements differ ({share:.3g} %), "
            f"{_worst(comparison)}"
        )
    return "\n".join(lines)


def _worst(comparison: Comparison) -> str:
    if math.isnan(comparison.worst_error):
        return "shown is one where one of the two is NaN"
    return f"by at most {comparison.worst_error:.6g}; shown is the worst"


def _leaves(where: str, actual: Any, expected: Any) -> Iterator[tuple[str, Any, Any]]:
    """The pairs of arrays and numbers, in order; a pair that cannot be walked comes as it is."""
    if isinstance(actual, dict) and isinstance(expected, dict) and actual.keys() == expected.keys():
        for key in expected:
            yield from _leaves(f"{where}[{key!r}]", actual[key], expected[key])
    elif (
        isinstance(actual, (tuple, list))
        and type(actual) is type(expected)
        and len(actual) == len(expected)
    ):
        for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
            yield from _leaves(f"{where}[{index}]", one, other)
    else:
        yield where, actual, expected


def _compare_leaf(where: str, actual: Any, expected: Any, device: str | None) -> Comparison:
    left, right = frameworks.adapter_of(actual), frameworks.adapter_of(expected)
    if left is None or right is None:
        return _compare_plain(where, actual, expected)
    facts, wanted = left.facts(actual), right.facts(expected)
    for name in ("type", "shape", "dtype"):
        one, other = getattr(facts, name), getattr(wanted, name)
        if one != other:
            return Comparison(name, str(one), str(other), where)
    if device is not None and not left.on_device(facts, device):
        return Comparison("device", facts.device, device, where)
    values = left.to_host(actual)
    if values.dtype.kind in "OSUMm" or values.dtype.names:
        raise TypeError(f"cannot compare {facts.type} of dtype {facts.dtype}{_at(where)}: {_GIVE}")
    return _compare_values(where, values, right.to_host(expected))


def _compare_plain(where: str, actual: Any, expected: Any) -> Comparison:
    """Compare two values of which at least one is no array."""
    if type(actual) is not type(expected):
        return Comparison("type", _type_name(actual), _type_name(expected), where)
    if isinstance(actual, dict):
        return Comparison("shape", f"keys {list(actual)}", f"keys {list(expected)}", where)
    if isinstance(actual, (tuple, list)):
        return Comparison("shape", f"{len(actual)} items", f"{len(expected)} items", where)
    if not isinstance(actual, _SCALARS):
        raise TypeError(f"cannot compare {_type_name(actual)}{_at(where)}: {_GIVE}")
    same = actual == expected or (actual != actual and expected != expected)
    differs = None if same else "values"
    return Comparison(differs, repr(actual), repr(expected), where)  # type: ignore[arg-type]


def _at(where: str) -> str:
    return f" at {where}" if where else ""


def _type_name(value: Any) -> str:
    adapter: Framework | None = frameworks.adapter_of(value)
    if adapter is not None:
        facts: ArrayFacts = adapter.facts(value)
        return facts.type
    return type(value).__qualname__


def _compare_values(where: str, actual: Any, expected: Any) -> Comparison:
    """Compare two NumPy arrays of one shape and dtype, element by element."""
    import numpy as np

    same = actual == expected
    if actual.dtype.kind in "fc":
        same = same | (np.isnan(actual) & np.isnan(expected))
    mismatched = int(np.size(same) - np.count_nonzero(same))
    if mismatched == 0:
        return Comparison(None, "", "", where, total=int(np.size(same)))
    error = _distance(actual, expected)
    error[same] = -1.0
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
    index = "[" + ", ".join(str(int(part)) for part in worst) + "]" if worst else ""
    return Comparison(
        "values",
        str(actual[worst]),
        str(expected[worst]),
        where + index,
        mismatched,
        int(np.size(same)),
        float(error[worst]),
    )


def _distance(actual: Any, expected: Any) -> Any:
    """Absolute difference as float64, without wrapping around in an integer dtype."""
    import numpy as np

    if actual.dtype.kind in "iub":
        # Python integers: int64 and uint64 differences leave both dtypes and float64.
        difference = abs(actual.astype(object) - expected.astype(object))
        return np.asarray(difference, dtype=np.float64).reshape(actual.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.abs(actual - expected), dtype=np.float64).copy()
