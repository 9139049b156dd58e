"""The benchmarks' own rules: what counts as a wrong result, and the faults that make one."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the benchmarks of operators need torch")
pytest.importorskip("expecttest", reason="torch's operator database needs expecttest")


@pytest.fixture
def planted(program):
    return program("planted")


@pytest.fixture
def sensitivity(program):
    return program("sensitivity")


def one_plus(ulps: int) -> torch.Tensor:
    return torch.tensor([1.0, 1.0 + ulps * 2.0**-23])


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (one_plus(0), ""),
        (one_plus(32), ""),
        (one_plus(33), "values"),
        (one_plus(0).double(), "dtype"),
        (one_plus(0)[None], "shape"),
        ([one_plus(0), one_plus(0)], "type"),
        (1.0, "type"),
        (torch.tensor([1.0, float("nan")]), "values"),
        (torch.tensor([1.0, float("inf")]), "values"),
    ],
)
def test_effect_is_the_first_property_that_is_wrong(planted, wrong, expected):
    assert planted.effect(one_plus(0), wrong, 32.0) == expected


def test_one_integer_or_boolean_is_an_effect(planted):
    assert planted.effect(torch.tensor([2**24]), torch.tensor([2**24 + 1]), 32.0) == "values"
    assert planted.effect(torch.tensor([True]), torch.tensor([False]), 32.0) == "values"
    assert planted.effect(torch.tensor([5]), torch.tensor([5]), 32.0) == ""


def test_equal_special_values_are_no_effect(planted):
    special = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0])

    assert planted.effect(special, special.clone(), 32.0) == ""
    assert planted.effect(special, -special, 32.0) == "values"


def test_zero_that_becomes_tiny_is_an_effect(planted):
    assert planted.effect(torch.tensor([0.0]), torch.tensor([1e-30]), 32.0) == "values"


def test_complex_numbers_move_by_their_modulus(planted):
    right = torch.tensor([1.0 + 1.0j])

    assert planted.effect(right, right + 2.0**-20, 32.0) == ""
    assert planted.effect(right, right + 2.0**-16, 32.0) == "values"


def test_long_sums_may_move_further(planted):
    assert planted.limit_of("pointwise") == 32.0
    assert planted.limit_of("reduction") == planted.limit_of("linear algebra") == 64.0


def test_torch_tells_apart_what_is_beyond_its_tolerances(planted):
    right = torch.tensor([1.0, float("nan")])

    assert not planted.torch_notices(right, right + 1e-6)
    assert planted.torch_notices(right, right + 1e-4)
    assert planted.torch_notices(right, right.double())
    assert planted.torch_notices((right, right), (right,))


def test_rounding_to_half_leaves_ten_bits(planted):
    assert planted.in_half(torch.tensor([1.0 + 2.0**-12])).tolist() == [1.0]
    assert planted.in_half(torch.tensor([1.0 + 2.0**-12]).double()).item() != 1.0


def test_last_element_is_dropped_alone(planted):
    assert planted.without_last(torch.ones(2, 2)).tolist() == [[1, 1], [1, 0]]
    assert planted.without_last(torch.ones(0)).tolist() == []
    assert planted.without_last(torch.tensor(3)).item() == 0


def test_nan_alone_becomes_zero(planted):
    given = torch.tensor([1.0, float("nan"), float("inf")])

    assert planted.nan_as_zero(given).tolist() == [1.0, 0.0, float("inf")]


def test_infinity_alone_becomes_the_largest_number(planted):
    given = torch.tensor([1.0, float("nan"), float("inf"), float("-inf")])
    largest = torch.finfo(torch.float32).max

    found = planted.infinity_as_largest(given)

    assert found.isnan().tolist() == [False, True, False, False]
    assert found[[0, 2, 3]].tolist() == [1.0, largest, -largest]
    assert planted.infinity_as_largest(torch.tensor([3])).tolist() == [3]


def test_ignored_offset_reads_what_stands_before(planted):
    found = planted.offset_ignored(lambda a, b: a + b, (torch.tensor([1, 2, 3]), 10), {})

    assert found.tolist() == [13, 11, 12]
    with pytest.raises(planted.NotReached):
        planted.offset_ignored(torch.neg, (torch.tensor([1]),), {})


def test_input_is_returned_unchanged(planted):
    assert planted.input_unchanged(torch.neg, (torch.tensor([1]),), {}).tolist() == [1]
    with pytest.raises(planted.NotReached):
        planted.input_unchanged(torch.ones, (3,), {})


def test_write_in_place_is_lost_on_what_is_not_contiguous(planted):
    def negate(first: torch.Tensor) -> torch.Tensor:
        return first.neg_()

    assert planted.write_lost(negate, (torch.tensor([1.0, 2.0]),), {}).tolist() == [1.0, 2.0]
    with pytest.raises(planted.NotReached):
        planted.write_lost(negate, (torch.tensor([1.0]),), {})


def test_integers_beyond_float32_are_rounded_and_others_kept(planted):
    beyond = torch.tensor([planted.BEYOND_FLOAT32, 7])

    assert planted.through_float32(torch.clone, (beyond,), {}).tolist() == [2**24, 7]


def test_beta_is_taken_for_one(planted):
    def addmm(given: float, beta: float = 1.0) -> float:
        return beta * given

    assert planted.beta_ignored(addmm, (3.0,), {"beta": 0.5}) == 3.0
    with pytest.raises(planted.NotReached):
        planted.beta_ignored(addmm, (3.0,), {})


def test_every_fault_is_named_once(planted):
    assert len({fault.name for fault in planted.FAULTS}) == len(planted.FAULTS) == 10


def test_judge_catches_half_precision_of_exp(planted, sensitivity):
    from pytest_applesilicon.agreement import operators

    fault = planted.FAULTS[0]

    pair = sensitivity.pair_of(operators.find("exp"), fault, seed=0, count=3)

    assert pair.effective
    assert pair.caught
    assert not pair.excluded


def test_fault_without_effect_does_not_count(planted, sensitivity):
    from pytest_applesilicon.agreement import operators

    identity = planted.Fault("none", lambda call, args, kwargs: call(*args, **kwargs))

    pair = sensitivity.pair_of(operators.find("exp"), identity, seed=0, count=3)

    assert not pair.effective
    assert pair.excluded == sensitivity.SMALL


def test_table_counts_what_escapes(sensitivity, capsys):
    name = "rounds to half"
    pairs = [
        sensitivity.Pair("exp", name, effective=2, caught=True),
        sensitivity.Pair("sin", name, effective=1, torch_caught=True),
        sensitivity.Pair("neg", name),
    ]

    assert sensitivity.print_table(pairs) == 0.5
    sensitivity.print_lists(pairs)

    printed = capsys.readouterr().out
    assert "rounds to half                       2       1   50.00%       1   50.00%" in printed
    assert "  rounds to half: sin (1, ; torch's tolerances notice)" in printed
    assert "  rounds to half: 1: no sample in this direction and dtype" in printed
