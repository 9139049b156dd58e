"""The oracle is the float64 result, and a sample is judged by it with as few terms as it takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.agreement import (  # noqa: E402
    envelope,
    evidence,
    oracle,
    perturbing,
    same_dtype,
    walking,
)
from pytest_applesilicon.agreement.evidence import Evidence  # noqa: E402
from pytest_applesilicon.agreement.judging import Judging  # noqa: E402
from pytest_applesilicon.agreement.oracle import judge_sample  # noqa: E402


def sample(*shape: int, dtype: Any = torch.float32, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


# Widening


def test_floating_and_complex_arguments_are_widened_and_others_are_not():
    given = [sample(2), (sample(2, dtype=torch.complex64), torch.arange(3)), {"n": 3}, "sum"]
    wide = walking.widen(given)
    assert wide[0].dtype is torch.float64
    assert wide[1][0].dtype is torch.complex128
    assert wide[1][1].dtype is torch.int64
    assert wide[2:] == [{"n": 3}, "sum"]


def test_a_dtype_argument_is_widened_as_well():
    assert walking.widen({"dtype": torch.float32}) == {"dtype": torch.float64}
    assert walking.widen({"dtype": torch.int32}) == {"dtype": torch.int32}


def test_a_call_that_writes_into_its_arguments_leaves_them_as_they_were():
    given = sample(3)
    before = given.clone()
    found = judge_sample(given.clone().mul_(2), lambda x: x.mul_(2), (given,), {}, torch.float32)
    assert found.agrees
    assert torch.equal(given, before)


def test_integers_give_an_oracle_in_float64():
    (found,) = oracle.evaluate(torch.sin, (torch.arange(4),), {})
    assert found.tolist() == np.sin(np.arange(4.0)).tolist()
    assert torch.get_default_dtype() is torch.float32


# Perturbing


def test_perturbed_arguments_depend_on_the_seed_alone():
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    given = walking.widen([sample(50)])
    one, same, other = (perturbing.perturbed(given, torch.float32, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_every_element_moves_by_one_epsilon():
    given = torch.ones(100_000, dtype=torch.float64)
    moved = perturbing.perturbed([given], torch.float32, 0)[0] - 1.0
    assert moved.abs().unique().tolist() == [2.0**-23]
    assert abs(float(moved.sign().mean())) < 0.02


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_infinity_and_nan_do_not_move(dtype: Any):
    given = torch.tensor([math.inf, -math.inf, math.nan], dtype=dtype).repeat(100)
    moved = perturbing.perturbed([given], torch.float32, 0)[0]
    assert torch.equal(moved.isnan(), given.isnan())
    assert torch.equal(moved[~moved.isnan()], given[~given.isnan()])


@pytest.mark.parametrize("function", [torch.exp, torch.atan, torch.mul, torch.mm, torch.logaddexp])
@pytest.mark.parametrize("special", [math.inf, -math.inf])
def test_what_is_lost_of_an_infinite_input_is_found(function: Any, special: float):
    given = sample(5, 5)
    given[2, 3] = special
    args = (given, sample(5, 5).abs()) if function not in (torch.exp, torch.atan) else (given,)
    right = function(*args)
    assert judge_sample(right, function, args, {}, torch.float32).agrees
    lost = function(given.nan_to_num(0.0, 0.0, 0.0), *args[1:])
    wrong = torch.where(torch.isclose(right, lost, equal_nan=True), right, lost)
    assert not judge_sample(wrong, function, args, {}, torch.float32).agrees


def test_subnormal_numbers_of_the_dtype_are_flushed_on_request():
    given = torch.tensor([1e-40, 1.0], dtype=torch.float64)
    assert perturbing.perturbed([given], torch.float32, 0, flush=True)[0][0] == 0.0


def evidence_of(call: Any, args: tuple[Any, ...], dtype: str = "float32") -> Evidence:
    return Evidence(call, args, {}, dtype, 0, oracle.evaluate(call, args, {}))


def test_the_condition_of_a_difference_is_that_of_its_terms():
    left, right = torch.tensor([1000.0]), torch.tensor([999.0])
    found = evidence_of(torch.sub, (left, right))
    assert found.exact[0].tolist() == [1.0]
    width, undecided = found.condition(0, 8, [0], "float32")
    assert 2 * 1000 * 2.0**-23 < width[0] < 2 * 2001 * 2.0**-23
    assert not undecided[0]


@pytest.mark.parametrize("given", [torch.arange(3), torch.empty(0)], ids=["integers", "empty"])
def test_nothing_is_perturbed_where_nothing_can_move(given: Any):
    calls = []

    def call(x: Any) -> Any:
        calls.append(x)
        return x

    assert judge_sample(given.clone(), call, (given,), {}, given.dtype).agrees
    assert len(calls) == 2  # the oracle, and the dtypes


def test_terms_are_looked_at_where_the_dtype_bound_is_exceeded_and_nowhere_else():
    exact = np.arange(1.0, 1001.0)
    actual = exact.copy()
    actual[[7, 70]] *= 1 + 1e-5
    judging = Judging(actual, exact, "float32")
    assert judging.open.tolist() == [7, 70]
    judging.widen("condition", np.array([1.0, 0.0]))
    assert judging.open.tolist() == [70]
    judging.widen("magnitude", np.array([1.0]))
    found = judging.judgement()
    assert (found.agrees, found.saved_by, found.total) == (True, "magnitude", 1000)


# Judging


def wrong_at(result: Any, units: float, place: int) -> Any:
    """A copy with one element that many ULP off."""
    wrong = result.clone()
    exact = result.flatten()[place].double()
    wrong.view(-1)[place] = exact + units * envelope.ulp(float(exact), "float32")
    return wrong


OPERATORS = {
    "exp": (torch.exp, (sample(300, 300),)),
    "softmax": (torch.softmax, (sample(30, 30), -1)),
    "log_softmax": (torch.log_softmax, (sample(10, 10) * 30, -1)),
    "gelu": (torch.nn.functional.gelu, (sample(100) * 4,)),
    "matmul": (torch.matmul, (sample(40, 50), sample(50, 30, seed=1))),
    "conv": (torch.nn.functional.conv2d, (sample(2, 3, 8, 8), sample(4, 3, 3, 3, seed=1))),
    "layer_norm": (torch.nn.functional.layer_norm, (sample(20, 30), (30,))),
    "cumsum": (torch.cumsum, (sample(500), 0)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", OPERATORS)
def test_what_the_host_computes_passes(name: str, dtype: Any):
    call, given = OPERATORS[name]
    args = walking.mapped(given, lambda one: one.to(dtype) if torch.is_tensor(one) else one)
    assert judge_sample(call(*args), call, args, {}, dtype).agrees


@pytest.mark.parametrize("name", ["exp", "softmax", "layer_norm"])
def test_one_element_that_is_off_is_found_whatever_the_size(name: str):
    call, args = OPERATORS[name]
    result = call(*args)
    found = judge_sample(wrong_at(result, 64, 77), call, args, {}, torch.float32)
    assert found.differs_in == "values"
    assert found.judgement is not None
    assert found.judgement.outside == 1
    index = np.unravel_index(77, tuple(result.shape))
    assert found.judgement.index == tuple(int(part) for part in index)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "fault",
    [
        lambda result: result.half().float(),
        lambda result: result * 0.99,
        lambda result: result.flatten().index_fill(0, torch.tensor([3]), 0.0).view_as(result),
    ],
    ids=["rounded to half", "scaled", "one element lost"],
)
def test_a_fault_is_found_in_every_kind_of_operator(name: str, fault: Any):
    call, args = OPERATORS[name]
    assert not judge_sample(fault(call(*args)), call, args, {}, torch.float32).agrees


def test_a_jump_at_the_input_itself_is_no_condition():
    args = (torch.tensor([2.0, 3.5]),)
    assert judge_sample(torch.tensor([2.0, 3.0]), torch.floor, args, {}, torch.float32).agrees
    assert not judge_sample(torch.tensor([1.0, 3.0]), torch.floor, args, {}, torch.float32).agrees


def test_a_dropped_nan_is_found():
    args = (torch.tensor([float("nan"), 1.0]),)
    assert judge_sample(torch.exp(*args), torch.exp, args, {}, torch.float32).agrees
    wrong = torch.tensor([0.0, 1.0]).exp()
    assert not judge_sample(wrong, torch.exp, args, {}, torch.float32).agrees


def test_the_rounding_of_an_inner_sum_is_the_magnitude_term():
    def call(x: Any) -> Any:
        return (x + 1000.0).sub(1000.0).exp()

    args = (torch.tensor([1e-3, 0.3, 0.123]),)
    found = judge_sample(call(*args), call, args, {}, torch.float32, same_dtype_last=True)
    assert found.agrees
    assert found.judgement is not None
    assert found.judgement.saved_by == "magnitude"


def test_a_call_that_reads_the_storage_itself_is_judged_by_the_oracle_alone():
    args = (sample(9), (3, 3), (1, 3))
    result = torch.as_strided(*args)
    assert judge_sample(result, torch.as_strided, args, {}, torch.float32).agrees
    assert not judge_sample(result * 0.99, torch.as_strided, args, {}, torch.float32).agrees


def test_a_write_that_was_lost_is_found():
    given = sample(3)
    for call in (torch.Tensor.zero_, torch.Tensor.exp_, torch.nn.functional.gelu):
        assert not judge_sample(given.clone(), call, (given,), {}, torch.float32).agrees


# Type, shape and dtype come before values


@pytest.mark.parametrize(
    ("actual", "differs_in"),
    [
        ([1.0, 2.0], "type"),
        ((torch.zeros(2), torch.zeros(2)), "type"),
        (1.0, "type"),
        (torch.zeros(3), "shape"),
        (torch.zeros(2, dtype=torch.float64), "dtype"),
        (torch.zeros(2, dtype=torch.float16), "dtype"),
        (torch.zeros(2), "values"),
        (torch.ones(2), None),
    ],
)
@pytest.mark.parametrize("name", ["", "exp"])
def test_the_first_property_that_differs_is_told(actual: Any, differs_in: str | None, name: str):
    args = (torch.zeros(2),)
    found = judge_sample(actual, torch.exp, args, {}, torch.float32, name=name)
    assert found.differs_in == differs_in


def test_the_dtype_is_the_hosts_in_the_same_dtype():
    args = (torch.zeros(2),)
    for call, dtype in ((torch.Tensor.double, torch.float64), (torch.Tensor.float, torch.float32)):
        for given in (torch.float64, torch.float32):
            found = judge_sample(torch.zeros(2, dtype=given), call, args, {}, torch.float32)
            assert found.agrees is (given is dtype)


def test_a_number_is_judged_like_an_element_of_the_samples_dtype():
    args = (torch.tensor(0.1),)
    assert judge_sample(args[0].item(), torch.Tensor.item, args, {}, torch.float32).agrees
    assert not judge_sample(0.11, torch.Tensor.item, args, {}, torch.float32).agrees


@pytest.mark.parametrize("kind", ["random", "metadata"])
def test_of_random_results_only_type_shape_and_dtype_are_judged(kind: str):
    args = (torch.zeros(2),)
    good = judge_sample(torch.ones(2), torch.rand_like, args, {}, torch.float32, kind=kind)
    assert (good.agrees, good.judged_by) == (True, "none")
    bad = judge_sample(torch.ones(3), torch.rand_like, args, {}, torch.float32, kind=kind)
    assert bad.differs_in == "shape"


def test_integers_are_exact():
    args = (torch.arange(5), 3)
    assert judge_sample(torch.arange(5) * 3, torch.mul, args, {}, torch.int64).agrees
    wrong = torch.tensor([0, 3, 6, 9, 13])
    assert not judge_sample(wrong, torch.mul, args, {}, torch.int64).agrees


def test_selections_and_decompositions_are_judged_by_what_they_promise():
    args = (torch.tensor([1.0, 1.0, 0.0]), 0)
    values = torch.tensor(1.0)
    for index, right in ((0, True), (1, True), (2, False)):
        given = (values, torch.tensor(index))
        found = judge_sample(given, torch.max, args, {}, torch.float32, name="max")
        assert (found.agrees, found.judged_by) == (right, "selection")
    matrix = (sample(4, 4),)
    factors = [-one for one in torch.linalg.qr(*matrix)]
    found = judge_sample(factors, torch.linalg.qr, matrix, {}, torch.float32, name="linalg.qr")
    assert (found.agrees, found.judged_by) == (True, "decomposition")


def test_a_call_that_takes_no_float64_is_judged_by_its_own_dtype_and_says_so():
    def call(x: Any) -> Any:
        if x.dtype is not torch.float32:
            raise RuntimeError("float32 only")
        return x * 2

    args = (sample(3),)
    found = judge_sample(args[0] * 2, call, args, {}, torch.float32)
    assert (found.agrees, found.oracle_same_dtype) == (True, True)
    assert not judge_sample(args[0] * 3, call, args, {}, torch.float32).agrees


@pytest.mark.parametrize("name", OPERATORS)
def test_the_verdict_does_not_depend_on_the_order_of_the_terms(name: str):
    """Errors from none to a thousand ULP: some inside of each term, and some of none."""
    call, args = OPERATORS[name]
    result = call(*args)
    verdicts = set()
    for units in (0, 3, 5, 8, 13, 21, 50, 1000):
        wrong = wrong_at(result, units, 77)
        first, last = (
            judge_sample(wrong, call, args, {}, torch.float32, same_dtype_last=one)
            for one in (False, True)
        )
        assert first.agrees == last.agrees
        assert first.needs_same_dtype or not last.needs_same_dtype
        verdicts.add(first.agrees)
    assert verdicts == {True, False}


def test_what_the_host_is_off_is_looked_at_before_what_costs_more(monkeypatch: pytest.MonkeyPatch):
    call, args = torch.log_softmax, (sample(10, 10) * 30, -1)
    monkeypatch.setattr(evidence, "perturbed_run", None)  # it would raise
    found = judge_sample(call(*args), call, args, {}, torch.float32)
    assert (found.agrees, found.needs_same_dtype) == (True, True)
    with pytest.raises(TypeError):
        judge_sample(call(*args), call, args, {}, torch.float32, same_dtype_last=True)


def test_the_whole_envelope_is_found_on_request_and_does_not_change_the_verdict():
    call, args = OPERATORS["matmul"]
    result = call(*args)
    for given in (result, wrong_at(result, 1e5, 7)):
        lazy = judge_sample(given, call, args, {}, torch.float32)
        full = judge_sample(given, call, args, {}, torch.float32, full=True)
        assert lazy.agrees == full.agrees
        assert full.judgement is not None
        assert full.judgement.median_allowed_ulp >= envelope.SINGLE_ULP


def test_the_other_path_has_the_same_values_with_other_strides():
    for given in (sample(4, 3), sample(5), sample()):
        other = same_dtype.other_path([given])[0]
        assert torch.equal(other, given)
        assert given.dim() == 0 or other.stride() != given.stride()


def test_result_without_a_value_beside_a_tensor_is_judged():
    """As of attention whose weights nobody asked for: the tensor needs a wider term."""

    def call(x):
        return x.exp().sum().log(), None

    given = sample(1000)
    actual = call(given)
    one_ulp = torch.nextafter(actual[0], torch.tensor(float("inf")))
    found = oracle.judge_sample((one_ulp, None), call, (given,), {}, torch.float32, full=True)
    assert found.agrees
