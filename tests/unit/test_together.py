"""Results that are judged together are judged as they are alone."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from pytest_applesilicon.agreement import blocks, operators, oracle, sample_runs  # noqa: E402
from pytest_applesilicon.agreement.tally import Found, Tally  # noqa: E402
from pytest_applesilicon.agreement.together import MOST_ELEMENTS, Together  # noqa: E402

INF, NAN = math.inf, math.nan


def given(actual: Any, call: Any, *args: Any) -> oracle.Unjudged:
    found = oracle.prepared(actual, call, args, {}, torch.float32)
    assert isinstance(found, oracle.Unjudged)
    return found


def off(units: float, count: int = 5) -> oracle.Unjudged:
    """Ones, of which one is that many ULP off."""
    right = torch.ones(count)
    wrong = right.clone()
    wrong[-1] += units * 2.0**-23
    return given(wrong, torch.clone, right)


def worst(*several: oracle.Unjudged) -> list[tuple[float, float]]:
    together = Together()
    assert all(together.takes(one) for one in several)
    return together.judged()


def test_each_result_has_the_ratio_it_has_alone():
    several = [off(units, count) for units, count in [(0, 1), (1, 5), (4, 7), (2, 300)]]

    found = worst(*several)

    assert found == [(0.0, 0.0), (0.25, 1.0), (1.0, 4.0), (0.5, 2.0)]
    for one, (ratio, ulp) in zip(several, found, strict=True):
        judgement = one.judged().judgement
        assert judgement is not None
        assert (judgement.error_envelope, judgement.error_ulp) == (ratio, ulp)


def test_result_outside_of_the_dtype_bound_says_so_and_the_others_stay_inside():
    inside, outside, beside = worst(off(3), off(5), off(1))

    assert (inside[0], outside[0], beside[0]) == (0.75, 1.25, 0.25)


@pytest.mark.parametrize(
    ("actual", "exact", "is_inside"),
    [(INF, INF, True), (-INF, INF, False), (NAN, NAN, False), (NAN, 1.0, False), (1.0, NAN, False)],
)
def test_nan_is_for_others_to_judge_and_equal_infinities_are_inside(actual, exact, is_inside):
    one = given(torch.tensor([1.0, actual]), torch.clone, torch.tensor([1.0, exact]))

    ((ratio, _), other) = worst(one, off(1))

    assert (ratio <= 1.0) is is_inside
    assert other[0] == 0.25


def test_nan_of_one_leaf_is_not_hidden_by_the_next():
    def call(x: Any) -> Any:
        return x, x

    one = given((torch.tensor([NAN]), torch.tensor([1.0])), call, torch.tensor([1.0]))

    assert math.isnan(worst(one)[0][0])


def test_large_results_complex_ones_and_wrong_integers_are_judged_alone():
    def sorting(x: Any) -> Any:
        return tuple(x.sort())

    values = torch.tensor([2.0, 1.0])
    right = tuple(values.sort())
    swapped = right[0], right[1].flip(0)
    complex_one = torch.ones(3, dtype=torch.complex64)

    alone = {
        "large": off(0, count=MOST_ELEMENTS + 1),
        "complex": given(complex_one, torch.clone, complex_one),
        "wrong integers": given(swapped, sorting, values),
    }
    together = Together()
    assert {name: together.takes(one) for name, one in alone.items()} == dict.fromkeys(alone, False)
    assert together.takes(given(right, sorting, values))
    assert len(together.judged()) == 1
    assert together.judged() == []


def test_all_samples_of_an_operator_show_what_each_shows_alone(monkeypatch):
    def check() -> Any:
        return [
            operators.check(name, "float32", device="cpu")
            for name in ("add", "softmax.with_dtype", "nn.functional.max_pool1d", "sub", "prod")
        ]

    queued = check()
    monkeypatch.setattr(Together, "takes", lambda self, one: False)

    assert queued == check()
    assert min(one.samples for one in queued) > 5


class Sample:
    """One that ran, and of which what waits to be judged is given."""

    def __init__(self, unjudged: oracle.Unjudged) -> None:
        self.unjudged = unjudged

    def judged(self, ran: sample_runs.Ran, _: Any) -> Any:
        return sample_runs.Waiting(ran.run, self.unjudged, torch.clone, ran.where())

    def told(self, *_: Any) -> Found:
        return Found("wrong", "judged alone")


def ran(units: float, elements: int = 1) -> sample_runs.Ran:
    """A sample of which one element is that many ULP off."""
    sample: Any = Sample(off(units))
    call = oracle.Call(torch.clone, (torch.ones(1),), {})
    return sample_runs.Ran(sample, call, [torch.ones(elements)], [])


def test_the_first_of_two_wrong_samples_is_told_wherever_they_are_judged():
    """The first waits to be judged, the second does not."""
    tally = Tally()
    queue = sample_runs.Queue(tally)
    queue.add(ran(1), 0)
    queue.add(ran(1000), 1)
    queue.add(Found("wrong", "raised"), 2)
    assert tally.samples == 0
    queue.finish()

    assert (tally.samples, tally.position) == (3, 1)
    assert tally.worst == Found("wrong", "judged alone")
    assert (tally.ulp, tally.envelope) == (1.0, 0.25)


def test_what_is_large_does_not_wait():
    tally = Tally()
    queue = sample_runs.Queue(tally)
    queue.add(ran(1, elements=MOST_ELEMENTS), 0)
    assert tally.samples == 0
    queue.add(ran(2), 1)

    assert tally.samples == 2


def test_samples_do_not_wait_for_ever():
    tally = Tally()
    queue = sample_runs.Queue(tally)
    for position in range(sample_runs.MOST_WAITING):
        queue.add(Found("native"), position)

    assert tally.samples == sample_runs.MOST_WAITING


# Blocks


def spread(size: int) -> Any:
    return np.random.default_rng(0).uniform(1.0, 1000.0, size)


@pytest.mark.parametrize("size", [1, blocks.BLOCK, blocks.BLOCK + 1, 3 * blocks.BLOCK + 7])
def test_what_is_found_does_not_depend_on_where_a_block_ends(size: int):
    exact = spread(size)
    actual = exact.copy()
    wrong = sorted({0, size // 2, size - 1})
    actual[wrong] *= 1 + 1e-5

    found = blocks.outside(actual, exact, "float32")

    assert list(found.at) == wrong
    assert found.ratio == (0.0 if size > 1 else -1.0)
    assert blocks.is_same(exact, exact.copy())
    assert not blocks.is_same(actual, exact)
    assert blocks.largest_distance(actual, exact) == np.abs(actual - exact).max()


def test_worst_element_inside_is_found_in_any_block():
    exact = np.ones(3 * blocks.BLOCK)
    actual = exact.copy()
    actual[2 * blocks.BLOCK + 5] += 3 * 2.0**-23
    actual[5] += 2 * 2.0**-23

    found = blocks.outside(actual, exact, "float32")

    assert (found.ratio, found.place, len(found.at)) == (0.75, 2 * blocks.BLOCK + 5, 0)


def test_what_the_host_is_off_is_asked_for_once_and_only_where_it_is_needed():
    exact = spread(2 * blocks.BLOCK)
    asked = []

    def host() -> Any:
        asked.append(1)
        return exact * (1 + 1e-5)

    assert not len(blocks.outside(exact, exact, "float32", host=host).at)
    assert not asked
    found = blocks.outside(exact * (1 + 1.9e-5), exact, "float32", host=host)
    assert (len(found.at), found.by_host, len(asked)) == (0, True, 1)
    assert 0.9 < found.ratio <= 1.0
    found = blocks.outside(exact * (1 + 2.1e-5), exact, "float32", host=host)
    assert (len(found.at), found.by_host) == (exact.size, False)


def test_infinity_of_the_host_excuses_no_finite_error():
    exact = np.ones(4)
    host = np.array([INF, NAN, 1.0, 1.5])

    found = blocks.outside(np.full(4, 1.0005), exact, "float32", host=lambda: host)

    assert list(found.at) == [0, 1, 2]
