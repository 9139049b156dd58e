"""Values are compared exactly, on the host, and the first difference is told in full."""

from __future__ import annotations

import importlib.util
import math
import re
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

from pytest_applesilicon.agreement.comparison import assert_same, compare, describe
from pytest_applesilicon.records import Comparison

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)
Pair = namedtuple("Pair", "left right")

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


# What is the same


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, *COMPLEX, "bool"])
@pytest.mark.parametrize("shape", [(3, 2), (), (0,), (2, 0, 3)], ids=str)
def test_equal_arrays_of_every_dtype_and_shape_are_the_same(dtype: str, shape: tuple[int, ...]):
    found = compare(np.ones(shape, dtype), np.ones(shape, dtype))
    assert found.differs_in is None
    assert found.total == np.ones(shape).size


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_inf_and_both_zeros_are_the_same_as_themselves(dtype: str):
    left = np.array([math.nan, math.inf, -math.inf, 0.0, -0.0], dtype)
    right = np.array([math.nan, math.inf, -math.inf, -0.0, 0.0], dtype)
    assert compare(left, right).differs_in is None


def test_strides_do_not_matter():
    array = np.arange(6.0).reshape(2, 3)
    assert compare(array.T, array.T.copy()).differs_in is None


@pytest.mark.parametrize(
    "value",
    [
        1,
        2.5,
        math.nan,
        1 + 2j,
        True,
        "text",
        b"bytes",
        None,
        (),
        [],
        {},
        [1, "a", None],
        {"a": (1, [2])},
        Pair(1, 2),
        np.float32(1.5),
    ],
    ids=repr,
)
def test_plain_values_are_the_same_as_themselves(value: object):
    assert compare(value, value).differs_in is None


def test_the_elements_of_containers_are_counted():
    value = {"a": np.ones((2, 3)), "b": [np.ones(4)]}
    assert compare(value, value).total == 10


# The order: type, shape, dtype, device, values


class _Elsewhere(np.ndarray):
    """An array that says it is somewhere else."""


@pytest.mark.parametrize(
    ("actual", "expected", "device", "differs_in"),
    [
        pytest.param(np.zeros(2, "f4").view(_Elsewhere), np.ones(3, "i4"), "mps", "type", id="all"),
        pytest.param(np.zeros(2, "f4"), np.ones(3, "i4"), "mps", "shape", id="all but type"),
        pytest.param(np.zeros(2, "f4"), np.ones(2, "i4"), "mps", "dtype", id="dtype and on"),
        pytest.param(np.zeros(2, "f4"), np.ones(2, "f4"), "mps", "device", id="device and on"),
        pytest.param(np.zeros(2, "f4"), np.ones(2, "f4"), "cpu", "values", id="values"),
        pytest.param(np.ones(2, "f4"), np.ones(2, "f4"), "mps", "device", id="the device alone"),
        pytest.param(np.ones(2, "f4"), np.ones(2, "f4"), "cpu", None, id="nothing"),
    ],
)
def test_the_first_difference_in_the_order_is_the_one_that_is_told(
    actual: Any, expected: Any, device: str, differs_in: str | None
):
    assert compare(actual, expected, device=device).differs_in == differs_in


@pytest.mark.parametrize(
    ("actual", "expected", "comparison"),
    [
        (np.ones(2), [1.0, 1.0], Comparison("type", "numpy.ndarray", "list")),
        (np.float64(1), 1.0, Comparison("type", "numpy.float64", "float")),
        (np.ones(()), np.float64(1), Comparison("type", "numpy.ndarray", "numpy.float64")),
        (1, 1.0, Comparison("type", "int", "float")),
        (True, 1, Comparison("type", "bool", "int")),
        ([1], (1,), Comparison("type", "list", "tuple")),
        (Pair(1, 2), (1, 2), Comparison("type", "Pair", "tuple")),
        (None, np.ones(1), Comparison("type", "NoneType", "numpy.ndarray")),
        (np.ones((2, 3)), np.ones((3, 2)), Comparison("shape", "(2, 3)", "(3, 2)")),
        (np.ones(()), np.ones(1), Comparison("shape", "()", "(1,)")),
        (np.ones((0, 2)), np.ones((2, 0)), Comparison("shape", "(0, 2)", "(2, 0)")),
        (np.ones(2, "f4"), np.ones(2, "f8"), Comparison("dtype", "float32", "float64")),
        (np.ones(2, "u1"), np.ones(2, "?"), Comparison("dtype", "uint8", "bool")),
        (np.ones(0, "f4"), np.ones(0, "f2"), Comparison("dtype", "float32", "float16")),
        ([1, 2], [1], Comparison("shape", "2 items", "1 items")),
        ({"a": 1}, {"b": 1}, Comparison("shape", "keys ['a']", "keys ['b']")),
        ({"a": 1, "b": 2}, {"a": 1}, Comparison("shape", "keys ['a', 'b']", "keys ['a']")),
        (1, 2, Comparison("values", "1", "2")),
        ("a", "b", Comparison("values", "'a'", "'b'")),
        (math.nan, 1.0, Comparison("values", "nan", "1.0")),
    ],
)
def test_both_sides_of_a_difference_are_told(actual: Any, expected: Any, comparison: Comparison):
    assert compare(actual, expected) == comparison


@pytest.mark.parametrize(
    ("actual", "expected", "where"),
    [
        ([1, [2, 3]], [1, [2, 4]], "[1][1]"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "['a']['b']"),
        ({"a": (1, np.zeros((2, 2)))}, {"a": (1, np.eye(2))}, "['a'][1][0, 0]"),
        ({"a": [1]}, {"a": [1, 2]}, "['a']"),
        ([{"a": 1}], [{"b": 1}], "[0]"),
        (Pair(1, 2), Pair(1, 3), "[1]"),
        ({"b": 1, "a": 1}, {"a": 2, "b": 2}, "['a']"),
        ([np.float32(1)], [np.float32(2)], "[0]"),
    ],
)
def test_the_path_into_containers_is_told(actual: Any, expected: Any, where: str):
    found = compare(actual, expected)
    assert found.differs_in is not None
    assert found.where == where


# Values that differ


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, *COMPLEX, "bool"])
def test_one_wrong_element_of_every_dtype_is_caught(dtype: str):
    actual, expected = np.zeros((2, 3), dtype), np.zeros((2, 3), dtype)
    actual[1, 2] = 1
    found = compare(actual, expected)
    assert (found.differs_in, found.where, found.mismatched, found.total) == (
        "values",
        "[1, 2]",
        1,
        6,
    )
    assert found.worst_error == 1.0


@pytest.mark.parametrize(
    ("dtype", "actual", "expected", "error"),
    [
        ("int64", 2**53 + 1, 2**53, 1.0),
        ("int64", 2**63 - 1, 2**63 - 2, 1.0),
        ("int64", -(2**63), 2**63 - 1, float(2**64 - 1)),
        ("uint64", 2**64 - 1, 2**64 - 2, 1.0),
        ("uint8", 0, 255, 255.0),
        ("int8", -128, 127, 255.0),
        ("bool", True, False, 1.0),
        ("float16", 65504, -65504, 131008.0),
        ("float32", 1 + 2**-23, 1, 2.0**-23),
        ("float64", 5e-324, 0, 5e-324),
        ("float64", 1e308, -1e308, math.inf),
        ("float32", math.inf, 1, math.inf),
        ("float32", math.inf, -math.inf, math.inf),
        ("complex64", 1 + 1j, 1 - 1j, 2.0),
        ("complex64", complex(0, math.inf), 0, math.inf),
    ],
)
def test_the_smallest_and_the_largest_errors_are_caught_and_measured(
    dtype: str, actual: Any, expected: Any, error: float
):
    for shape in ((), (1,)):
        found = compare(np.full(shape, actual, dtype), np.full(shape, expected, dtype))
        assert (found.differs_in, found.mismatched) == ("values", 1)
        assert found.worst_error == error


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("side", [0, 1])
def test_nan_on_one_side_alone_is_a_difference(dtype: str, side: int):
    both = [np.ones(3, dtype), np.ones(3, dtype)]
    both[side][1] = math.nan
    found = compare(*both)
    assert (found.differs_in, found.where, found.mismatched) == ("values", "[1]", 1)
    assert math.isnan(found.worst_error)


def test_the_worst_element_is_the_one_that_is_shown():
    expected = np.zeros((2, 2, 2))
    actual = expected.copy()
    actual[0, 0, 1], actual[1, 0, 1], actual[1, 1, 1] = 1.0, -7.0, 3.0
    found = compare(actual, expected)
    assert found == Comparison("values", "-7.0", "0.0", "[1, 0, 1]", 3, 8, 7.0)


def test_nan_on_one_side_is_worse_than_any_finite_error():
    found = compare(np.array([1e300, math.nan, 2.0]), np.zeros(3))
    assert (found.where, found.actual, found.mismatched) == ("[1]", "nan", 3)


def test_an_equal_infinity_is_not_the_worst_element():
    found = compare(np.array([math.inf, 1.0]), np.array([math.inf, 2.0]))
    assert (found.where, found.mismatched, found.worst_error) == ("[1]", 1, 1.0)


# The text of a failure


@pytest.mark.parametrize(
    ("actual", "expected", "device", "text"),
    [
        pytest.param(
            {"w": np.array([1.0, 2.0, 3.5, 4.0])},
            {"w": np.array([1.0, 2.0, 3.0, 4.0])},
            None,
            "values differs at ['w'][2]\n"
            "  actual:   3.5\n"
            "  expected: 3.0\n"
            "  1 of 4 elements differ (25 %), by at most 0.5; shown is the worst",
            id="values",
        ),
        pytest.param(
            np.array([math.nan, 1.0, 2.0]),
            np.array([1.0, 1.0, 1.0]),
            None,
            "values differs at [0]\n"
            "  actual:   nan\n"
            "  expected: 1.0\n"
            "  2 of 3 elements differ (66.7 %), shown is one where one of the two is NaN",
            id="NaN",
        ),
        pytest.param(
            np.float32(1),
            np.float32(2),
            None,
            "values differs\n"
            "  actual:   1.0\n"
            "  expected: 2.0\n"
            "  1 of 1 elements differ (100 %), by at most 1; shown is the worst",
            id="a scalar of NumPy",
        ),
        pytest.param(1, 2, None, "values differs\n  actual:   1\n  expected: 2", id="a number"),
        pytest.param(
            [np.ones(1)],
            [np.ones(1)],
            "mps",
            "device differs at [0]\n  actual:   cpu\n  expected: mps",
            id="device",
        ),
        pytest.param(
            np.ones(1, "f4"),
            np.ones(1),
            None,
            "dtype differs\n  actual:   float32\n  expected: float64",
            id="dtype",
        ),
    ],
)
def test_a_failure_tells_what_differs_where_and_by_how_much(
    actual: Any, expected: Any, device: str | None, text: str
):
    with pytest.raises(AssertionError) as failed:
        assert_same(actual, expected, device=device)
    assert str(failed.value) == text


def test_what_is_the_same_passes_and_reads_so():
    assert assert_same(np.ones(2), np.ones(2), device="cpu") is None
    assert describe(compare(1, 1)) == "the same"


@pytest.mark.parametrize(
    ("actual", "expected", "text"),
    [
        (
            {1},
            {1},
            "^cannot compare set: give arrays of numbers, numbers, or tuples, lists and dicts",
        ),
        ([object()], [object()], r"cannot compare object at \[0\]: give arrays"),
        ({"a": len}, {"a": len}, r"cannot compare builtin_function_or_method at \['a'\]: give"),
    ],
)
def test_a_value_that_cannot_be_compared_is_an_error(actual: Any, expected: Any, text: str):
    with pytest.raises(TypeError, match=text):
        compare(actual, expected)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (np.array(["a"]), np.array(["b"])),
        (np.array(["2020-01-01"], "M8[D]"), np.array(["2020-01-02"], "M8[D]")),
        (np.array([None], object), np.array([1], object)),
    ],
    ids=["text", "time", "object"],
)
def test_arrays_that_hold_no_numbers_are_an_error_that_names_the_dtype(actual: Any, expected: Any):
    text = f"cannot compare numpy.ndarray of dtype {actual.dtype} at [0]: give arrays of numbers"
    with pytest.raises(TypeError, match=re.escape(text)):
        compare([actual], [expected])


# Torch


@needs_torch
@pytest.mark.parametrize(
    "dtype",
    ["float16", "bfloat16", "float32", "float64", "complex64", "int64", "uint8", "bool"],
)
def test_torch_tensors_of_every_dtype_are_compared_by_value(dtype: str, torch: Any):
    kind = getattr(torch, dtype)
    right, wrong = torch.zeros(2, 2, dtype=kind), torch.zeros(2, 2, dtype=kind)
    wrong[1, 0] = 1
    assert compare(right, right.clone(), device="cpu").differs_in is None
    found = compare(wrong, right)
    assert (found.differs_in, found.where, found.mismatched) == ("values", "[1, 0]", 1)


@needs_torch
def test_the_smallest_step_of_bfloat16_is_caught(torch: Any):
    one = torch.ones((), dtype=torch.bfloat16)
    found = compare(one + 2**-7, one)
    assert (found.differs_in, found.worst_error) == ("values", 2.0**-7)


@needs_torch
def test_int64_of_torch_above_two_to_53_is_compared_exactly(torch: Any):
    assert compare(torch.tensor([2**53 + 1]), torch.tensor([2**53])).worst_error == 1.0


@needs_torch
def test_a_parameter_is_compared_like_the_tensor_it_holds(torch: Any):
    parameter = torch.nn.Parameter(torch.ones(2))
    assert compare(parameter, torch.ones(2)).differs_in is None
    assert compare(torch.ones(2), parameter).differs_in is None
    assert compare(parameter, torch.zeros(2)).differs_in == "values"


@needs_torch
def test_a_tensor_with_a_gradient_is_compared_by_value(torch: Any):
    tensor = torch.ones(2, requires_grad=True)
    assert compare(tensor * 2, torch.full((2,), 2.0)).differs_in is None
    assert compare(tensor * 3, torch.full((2,), 2.0)).differs_in == "values"
    assert tensor.requires_grad


@needs_torch
def test_torch_and_numpy_differ_in_type(torch: Any):
    found = compare(torch.ones(2), np.ones(2, "f4"))
    assert found == Comparison("type", "torch.Tensor", "numpy.ndarray")


@needs_torch
@pytest.mark.parametrize(("shape", "total"), [((), 1), ((0,), 0), ((2, 0), 0)])
def test_scalars_and_empty_tensors_of_torch_are_compared(
    shape: tuple[int, ...], total: int, torch: Any
):
    assert compare(torch.ones(shape), torch.ones(shape)).total == total
    assert compare(torch.ones(shape), torch.ones(1, 1)).differs_in == "shape"


@needs_torch
def test_the_state_of_a_model_is_compared_by_its_keys(torch: Any):
    left, right = torch.nn.Linear(2, 2).state_dict(), torch.nn.Linear(2, 2).state_dict()
    assert compare(left, dict(left)).differs_in is None
    found = compare(left, right)
    assert found.differs_in == "values"
    assert found.where.startswith("['weight'][")


@needs_torch
def test_a_tensor_on_another_device_is_told_before_its_values_are_read(torch: Any):
    found = compare(torch.ones(2, device="meta"), torch.ones(2), device="mps")
    assert found == Comparison("device", "meta", "mps")
