"""The envelope lets rounding pass and nothing else: every rule is shown to fail as well."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_applesilicon.agreement import decomposition, envelope, selection
from pytest_applesilicon.agreement.envelope import DTYPE_INFO, Terms, ulp
from pytest_applesilicon.agreement.judging import judge, judge_exact

RANDOM = np.random.default_rng(0)


def plain(exact: Any, dtype: str = "float32") -> Terms:
    return envelope.dtype_terms(np.asarray(exact), dtype)


def off_by(values: Any, units: float, where: int, dtype: str = "float32") -> Any:
    """A copy with one element that many ULP off."""
    wrong = values.copy()
    wrong.flat[where] += units * ulp(values.flat[where], dtype)
    return wrong


# What dtypes hold


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_known_of_a_dtype_is_what_numpy_knows(dtype: str):
    info, numpy = DTYPE_INFO[dtype], np.finfo(dtype)
    assert info.eps == float(numpy.eps)
    assert info.max == float(numpy.max)
    assert info.smallest_normal == float(numpy.smallest_normal)
    assert info.smallest_subnormal == float(numpy.smallest_subnormal)


def test_bfloat16_is_the_upper_half_of_float32():
    info = DTYPE_INFO["bfloat16"]
    assert info.eps == 2.0**-7
    assert info.max == float(np.uint32(0x7F7F0000).view(np.float32))
    assert info.smallest_subnormal == float(np.uint32(0x00010000).view(np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_ulp_is_the_distance_of_the_neighbours(dtype: str):
    values = np.array([1.0, 1.5, -3.0, 1e-3, 60000.0, 0.0], dtype)
    assert ulp(values.astype(float), dtype).tolist() == np.spacing(np.abs(values)).tolist()


def test_the_ulp_of_subnormal_numbers_is_the_smallest_one():
    assert ulp(1e-40, "float32") == 2.0**-149
    assert ulp(0.0, "float16") == 2.0**-24


def test_the_ulp_beyond_the_largest_number_is_the_one_below_it():
    assert ulp(1e300, "float32") == 2.0**104
    assert ulp(math.inf, "float16") == 32.0


# What passes and what does not


def test_a_correctly_rounded_result_passes():
    exact = RANDOM.standard_normal(1000)
    found = judge(exact.astype(np.float32).astype(float), plain(exact), "float32")
    assert found.agrees
    assert found.error_ulp <= 0.5
    assert found.saved_by == "dtype bound"
    assert found.median_allowed_ulp == envelope.SINGLE_ULP


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_one_element_32_ulp_off_in_a_large_array_is_found(dtype: str):
    exact = RANDOM.standard_normal(100_000)
    if dtype == "complex64":
        exact = exact + 1j * RANDOM.standard_normal(100_000)
    found = judge(off_by(exact, 32.0, 77_777, dtype), plain(exact, dtype), dtype)
    assert not found.agrees
    assert (found.index, found.outside, found.total) == ((77_777,), 1, 100_000)
    assert found.error_ulp == pytest.approx(32.0)
    assert found.error_envelope > 1.0


def test_an_outlier_elsewhere_does_not_hide_an_error():
    exact = RANDOM.uniform(1.0, 2.0, 1000)
    host_error = np.zeros(1000)
    host_error[3] = 1e-4
    terms = plain(exact)
    terms = replace(terms, same_dtype=envelope.same_dtype_term(host_error, terms, "float32"))
    assert judge(off_by(exact, 1e3, 3), terms, "float32").needs_same_dtype
    found = judge(off_by(exact, 32.0, 4), terms, "float32")
    assert (found.agrees, found.index) == (False, (4,))


def test_a_host_that_is_off_everywhere_allows_as_much_at_elements_where_it_is_not():
    exact = RANDOM.uniform(1.0, 2.0, 1000)
    host_error = 10.0 * ulp(exact, "float32")
    host_error[5] = 0.0
    terms = plain(exact)
    terms = replace(terms, same_dtype=envelope.same_dtype_term(host_error, terms, "float32"))
    assert judge(off_by(exact, 15.0, 5), terms, "float32").needs_same_dtype
    assert not judge(off_by(exact, 25.0, 5), terms, "float32").agrees


def test_a_host_that_computes_something_else_allows_nothing():
    """Of weights that were drawn anew in float64, for one."""
    exact = RANDOM.uniform(1.0, 2.0, 1000)
    terms = plain(exact)
    term = envelope.same_dtype_term(RANDOM.uniform(0.1, 0.5, 1000), terms, "float32")
    assert not judge(exact * 1.03, replace(terms, same_dtype=term), "float32").agrees


def test_the_term_that_was_needed_is_told():
    exact = np.array([1.0, 2.0])
    wrong = off_by(exact, 10.0, 0)
    wide = 20.0 * ulp(exact, "float32")
    terms = plain(exact)
    assert judge(wrong, terms, "float32").saved_by == "none"
    assert judge(wrong, replace(terms, condition=wide), "float32").saved_by == "condition"
    assert judge(wrong, replace(terms, magnitude=wide), "float32").saved_by == "magnitude"
    assert judge(wrong, replace(terms, same_dtype=wide), "float32").saved_by == "same dtype"


def test_the_condition_widens_only_its_own_element():
    exact = np.array([1.0, 1.0])
    terms = replace(plain(exact), condition=np.array([1e-3, 0.0]))
    assert judge(np.array([1.0005, 1.0]), terms, "float32").agrees
    assert not judge(np.array([1.0, 1.0005]), terms, "float32").agrees


# NaN, infinities, overflow, subnormal numbers


@pytest.mark.parametrize(
    ("actual", "exact"),
    [
        (0.0, math.nan),
        (math.nan, 0.0),
        (math.inf, math.nan),
        (math.nan, math.inf),
        (-math.inf, math.inf),
        (math.inf, 1.0),
        (3e38, math.inf),
        (-math.inf, 1e39),
    ],
)
def test_a_nan_or_infinity_that_is_not_the_oracles_fails(actual: float, exact: float):
    found = judge(np.array([1.0, actual]), plain([1.0, exact]), "float32")
    assert (found.agrees, found.index, found.error) == (False, (1,), math.inf)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_oracles_own_nan_and_infinities_pass(value: float):
    assert judge(np.array([value]), plain([value]), "float32").agrees


@pytest.mark.parametrize(("exact", "dtype"), [(1e39, "float32"), (-65_520.0, "float16")])
def test_an_oracle_beyond_the_largest_number_becomes_infinite(exact: float, dtype: str):
    assert judge(np.array([math.copysign(math.inf, exact)]), plain([exact], dtype), dtype).agrees
    assert not judge(np.array([0.0]), plain([exact], dtype), dtype).agrees


def test_the_largest_number_of_the_dtype_stands_for_the_oracles_own():
    largest = np.finfo(float).max
    assert judge(
        np.array([DTYPE_INFO["float16"].max]), plain([largest], "float16"), "float16"
    ).agrees
    assert not judge(
        np.array([-DTYPE_INFO["float16"].max]), plain([largest], "float16"), "float16"
    ).agrees


def test_what_the_perturbed_runs_left_undecided_may_be_nan_but_not_wrong():
    terms = replace(plain([2.0]), undecided=np.array([True]))
    assert judge(np.array([math.nan]), terms, "float32").agrees
    assert not judge(np.array([3.0]), terms, "float32").agrees


def test_the_hosts_own_infinity_on_another_path_is_the_same_dtype_term():
    terms = replace(plain([2.0]), same_dtype_values=np.array([math.inf]))
    assert judge(np.array([math.inf]), terms, "float32").needs_same_dtype
    assert not judge(np.array([-math.inf]), terms, "float32").agrees


def test_a_subnormal_result_may_be_flushed_to_zero_and_nothing_more():
    exact = np.array([1e-40, -1e-40])
    assert judge(np.zeros(2), plain(exact), "float32").agrees
    assert not judge(-exact, plain(exact), "float32").agrees
    smallest = DTYPE_INFO["float32"].smallest_normal
    assert not judge(np.zeros(1), plain([smallest]), "float32").agrees


# Shapes and complex numbers


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)], ids=str)
def test_an_array_without_elements_agrees(shape: tuple[int, ...]):
    found = judge(np.zeros(shape), plain(np.zeros(shape)), "float32")
    assert (found.agrees, found.total) == (True, 0)


def test_an_array_without_dimensions_is_judged_like_any_other():
    assert judge(np.array(1.0), plain(1.0), "float32").agrees
    found = judge(np.array(1.1), plain(1.0), "float32")
    assert (found.agrees, found.index, found.outside) == (False, (), 1)


def test_complex_numbers_are_judged_by_the_modulus_of_the_difference():
    exact = np.array([1.0 + 1e-20j])
    assert judge(np.array([1.0 + 0j]), plain(exact, "complex64"), "complex64").agrees
    assert not judge(np.array([1.0 + 1e-5j]), plain(exact, "complex64"), "complex64").agrees


def test_a_component_that_is_nan_or_infinite_is_the_oracles():
    exact = np.array([complex(math.inf, math.nan)])
    assert judge(exact.copy(), plain(exact, "complex64"), "complex64").agrees
    for wrong in (complex(-math.inf, math.nan), complex(math.inf, 0), complex(math.nan, math.nan)):
        assert not judge(np.array([wrong]), plain(exact, "complex64"), "complex64").agrees


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_integers_and_booleans_are_exact(dtype: str):
    exact = np.ones(100, dtype)
    wrong = exact.copy()
    wrong[42] = 0
    assert judge_exact(exact.copy(), exact).agrees
    found = judge_exact(wrong, exact)
    assert (found.agrees, found.index, found.outside) == (False, (42,), 1)


def test_integers_beyond_the_precision_of_float64_are_told_apart():
    exact = np.array([2**62 + 1])
    assert not judge_exact(exact - 1, exact).agrees


# Selections

TIES = np.array([3.0, 1.0, 3.0, 2.0])


def chosen(name: str, values: list[float], indices: list[int], **kwargs: Any) -> str | None:
    exact = [np.array([3.0, 3.0]), np.array([0, 2])]
    given = [np.array(values), np.array(indices)]
    return selection.problem(name, given, exact, [TIES, 2], kwargs)


def test_either_of_two_equal_elements_may_be_selected():
    assert chosen("topk", [3.0, 3.0], [0, 2]) == ""
    assert chosen("topk", [3.0, 3.0], [2, 0]) == ""


@pytest.mark.parametrize(
    ("values", "indices", "said"),
    [
        ([3.0, 3.0], [0, 0], "taken twice"),
        ([3.0, 3.0], [0, 1], "not the values"),
        ([3.0, 2.0], [0, 3], "other elements"),
        ([3.0, 3.0], [0, 4], "outside"),
        ([3.0, 3.0], [0, -1], "outside"),
    ],
)
def test_a_wrong_selection_is_told(values: list[float], indices: list[int], said: str):
    assert said in (chosen("topk", values, indices) or "")


def test_a_stable_sort_keeps_the_order_of_equal_elements():
    exact = [np.sort(TIES), np.array([1, 3, 0, 2])]
    swapped = [np.sort(TIES), np.array([1, 3, 2, 0])]
    assert selection.problem("sort", swapped, exact, [TIES], {}) == ""
    assert "order" in (selection.problem("sort", swapped, exact, [TIES], {"stable": True}) or "")


def test_argmax_may_give_any_place_of_the_largest():
    assert selection.problem("argmax", [np.array(2)], [np.array(0)], [TIES], {}) == ""
    assert selection.problem("argmax", [np.array(1)], [np.array(0)], [TIES], {})


def test_mode_may_give_any_of_the_most_frequent_values():
    values = np.array([1.0, 1.0, 2.0, 2.0, 3.0])
    exact = [np.array(1.0), np.array(1)]
    for value, index, right in ((2.0, 3, True), (3.0, 4, False), (2.0, 0, False)):
        given = [np.array(value), np.array(index)]
        assert (selection.problem("mode", given, exact, [values], {}) == "") is right


# Decompositions

MATRIX = RANDOM.standard_normal((2, 5, 4))


def svd_problem(left: Any, values: Any, right: Any) -> str | None:
    exact = np.linalg.svd(MATRIX, full_matrices=False)
    given = [left, values, right]
    return decomposition.problem("linalg.svd", given, list(exact), [MATRIX], {}, ["float32"] * 3)


def test_other_signs_of_the_singular_vectors_are_as_good():
    left, values, right = np.linalg.svd(MATRIX, full_matrices=False)
    assert svd_problem(left, values, right) == ""
    assert svd_problem(-left, values, -right) == ""


def test_factors_that_do_not_give_the_matrix_are_told():
    left, values, right = np.linalg.svd(MATRIX, full_matrices=False)
    assert "not the matrix" in (svd_problem(-left, values, right) or "")
    assert "singular values" in (svd_problem(left, values * 0.999, right) or "")
    assert svd_problem(left * np.nan, values, right)


def test_eigenvalues_come_in_any_order_and_must_be_those_of_the_matrix():
    matrix = RANDOM.standard_normal((3, 4, 4))
    values = np.linalg.eigvals(matrix).astype(complex)
    other = np.array([2.0, 2.0, 2.0, np.trace(matrix[0]) - 6.0]) + 0j
    args = ("linalg.eigvals", [values[:, ::-1]], [values], [matrix], {}, ["complex64"])
    assert decomposition.problem(*args) == ""
    wrong = values.copy()
    wrong[0] = other
    assert "not an eigenvalue" in (
        decomposition.problem("linalg.eigvals", [wrong], [values], [matrix], {}, ["complex64"])
        or ""
    )
    twice = values.copy()
    twice[1, 0] = twice[1, 1] = values[1, 2]
    assert decomposition.problem("linalg.eigvals", [twice], [values], [matrix], {}, ["complex64"])


def test_factors_that_are_not_orthogonal_are_told():
    factor, upper = np.linalg.qr(MATRIX)
    exact, dtypes = [factor, upper], ["float32"] * 2
    assert decomposition.problem("linalg.qr", [-factor, -upper], exact, [MATRIX], {}, dtypes) == ""
    scaled = [factor * 2, upper / 2]
    said = decomposition.problem("linalg.qr", scaled, exact, [MATRIX], {}, dtypes)
    assert "orthogonal" in (said or "")


def test_an_ill_conditioned_solution_passes_by_its_residual():
    matrix = np.vander(np.linspace(0.1, 1.0, 6))
    right = np.ones((6, 1))
    exact = np.linalg.solve(matrix, right)
    backward = np.linalg.solve(matrix * (1 + 1e-7 * RANDOM.standard_normal((6, 6))), right)
    assert np.abs(backward / exact - 1).max() > 1e-6
    arguments = ([exact], [matrix, right], {}, ["float32"])
    assert decomposition.problem("linalg.solve", [backward], *arguments) == ""
    assert decomposition.problem("linalg.solve", [exact * 0.99], *arguments)


def solved(matrices: Any, rights: Any) -> Any:
    """What a device gives where a matrix or a right side has a NaN: NaN here and there."""
    found = np.linalg.solve(np.nan_to_num(matrices), np.nan_to_num(rights))
    for matrix, right, solution in zip(matrices, rights, found, strict=True):
        if np.isnan(matrix).any() or np.isnan(right).any():
            solution[0] = np.nan
    return found


def test_of_a_matrix_with_nan_nothing_is_promised_and_its_neighbours_are_judged():
    matrices = np.random.default_rng(0).normal(size=(3, 4, 4))
    rights = np.random.default_rng(1).normal(size=(3, 4, 2))
    matrices[0, 1, 1] = rights[1, 0, 0] = np.nan
    actual = solved(matrices, rights)
    exact = np.linalg.solve(matrices, rights)
    given = [exact], [matrices, rights], {}, ["float32"]

    assert decomposition.problem("linalg.solve", [actual], *given) == ""
    wrong = actual.copy()
    wrong[2] *= 1.01
    assert "A X is not B" in str(decomposition.problem("linalg.solve", [wrong], *given))
    said = decomposition.problem("linalg.solve", [np.nan_to_num(actual)], *given)
    assert said == "an argument has NaN or infinities, and the result has none"


def test_single_matrix_with_nan_needs_a_nan_and_no_more():
    matrix = np.eye(3)
    matrix[0, 0] = np.nan
    for name, leaves in (("linalg.lstsq", 4), ("linalg.solve", 1)):
        exact = [np.full((3, 1), np.nan)] * leaves
        given = exact, [matrix, np.ones((3, 1))], {}, ["float32"] * leaves
        partly = [np.array([[np.nan], [1.0], [1.0]])] * leaves
        assert decomposition.problem(name, partly, *given) == ""
        assert decomposition.problem(name, [np.ones((3, 1))] * leaves, *given)


def test_whole_number_beyond_int64_that_is_off_is_told_without_overflow():
    exact = np.asarray(2**64 - 1, dtype=np.uint64)

    found = judge_exact(np.asarray(0, dtype=np.uint64), exact)

    assert not found.agrees
    assert found.error == float(2**64 - 1)
