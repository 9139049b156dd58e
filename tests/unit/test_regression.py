"""Is it slower? Rounds made by hand, with the noise that a shared machine adds."""

from __future__ import annotations

import math
import random

import pytest

pytest.importorskip("scipy", reason="the interval of a regression needs SciPy")

from pytest_applesilicon import budgets
from pytest_applesilicon.regression import (
    blocks,
    compare,
    drift,
    interval_of_median,
    judge,
    quantile,
)
from pytest_applesilicon.timing import Round

REFERENCE = (1e-3, 2e-3, 3e-3)


def measured(seconds, *, seed=0, count=120, machine=1.0, busy=0.0, told=True):
    """Rounds of a workload on a machine that is ``machine`` times slower and ``busy``.

    A busy machine takes the CPU away for 4 ms in that share of the rounds; ``told`` says
    whether the system says how long.
    """
    draw = random.Random(seed)
    rounds = []
    for _ in range(count):
        waited = 4e-3 if draw.random() < busy else 0.0
        noise = 1 + 0.01 * abs(draw.gauss(0, 1))
        rounds.append(
            Round(
                seconds * machine * noise + waited,
                tuple(one * machine for one in REFERENCE),
                waited if told else 0.0,
                bool(waited),
            )
        )
    return blocks(rounds, 1)


def test_block_has_the_time_of_a_call_and_of_each_reference():
    found = blocks([Round(2.0, REFERENCE, 0.5)] * 30, iterations=3)

    assert len(found) == 10
    assert found[0] == (0.5, *REFERENCE)


def test_no_block_without_a_reference():
    assert blocks([Round(1.0)] * 30, 1) == ()


def test_round_of_which_nothing_is_left_is_left_out():
    nothing = [
        Round(1.0, REFERENCE, 1.0),
        Round(1.0, (1.0, 0.0, 1.0)),
        Round(1.0, (1.0, -1e-9, 1.0)),
    ]

    assert blocks(nothing, 1) == ()
    assert blocks([*nothing, Round(1.0, REFERENCE)], 1) == ((1.0, *REFERENCE),)


def test_interrupted_rounds_are_left_out_where_waits_are_not_told():
    rounds = [Round(9.0, REFERENCE, 0.0, interrupted=True), Round(1.0, REFERENCE)] * 20

    assert {block[0] for block in blocks(rounds, 1)} == {1.0}


def test_interrupted_rounds_are_kept_where_there_are_no_others():
    assert blocks([Round(9.0, REFERENCE, 0.0, interrupted=True)] * 20, 1)[0][0] == 9.0


@pytest.mark.parametrize("busy", [0.0, 0.5, 0.9])
def test_equal_work_is_no_change_on_a_busy_machine(busy):
    change = compare(measured(1e-3), measured(1e-3, seed=1, busy=busy))

    assert change.value == pytest.approx(0.0, abs=0.01)
    assert change.low < 0 < change.high < 0.05


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("busy", [0.0, 0.5])
def test_twenty_percent_more_work_is_found_on_a_busy_machine(busy, told):
    change = compare(measured(1e-3), measured(1.2e-3, seed=1, busy=busy, told=told))

    assert change.value == pytest.approx(0.2, abs=0.02)
    assert change.low > 0.1


@pytest.mark.parametrize("machine", [0.7, 1.3, 2.0])
def test_drift_of_the_machine_is_taken_off(machine):
    change = compare(measured(1e-3), measured(1e-3, seed=1, machine=machine))

    # What a reference moves by itself, 3 %, stays.
    assert change.value == pytest.approx(0.0, abs=0.04)
    assert change.drift == pytest.approx(machine - 1, rel=0.15)
    slower = compare(measured(1e-3), measured(1.2e-3, seed=1, machine=machine))
    assert slower.value == pytest.approx(0.2, abs=0.05)


def test_reference_that_moves_a_little_is_no_drift():
    assert drift(measured(1e-3), measured(1e-3, machine=1.02), "auto") == 0.0


def test_kind_of_the_reference_can_be_chosen():
    # Arithmetic alone has become slower: what it has in common with calls is nothing.
    now = [(block[0], 2 * block[1], *block[2:]) for block in measured(1e-3)]

    assert drift(measured(1e-3), now, "compute") == pytest.approx(math.log(2 / 1.03))
    assert drift(measured(1e-3), now, "dispatch") == 0.0
    assert drift(measured(1e-3), now, "auto") == 0.0


def test_interval_is_wider_for_a_noisier_measurement():
    calm = compare(measured(1e-3), measured(1e-3, seed=1))
    noisy = [
        (block[0] * (1 + 0.05 * at), *block[1:]) for at, block in enumerate(measured(1e-3, seed=1))
    ]
    change = compare(measured(1e-3), noisy)

    assert change.high - change.low > 1.2 * (calm.high - calm.low)


# the second measurement


def verdict(now, *later):
    budget = budgets.make("marker", "t", None, {"max_regression": 0.1})
    more = iter(later)
    return judge(budget, measured(1e-3), now, lambda: next(more))


def test_regression_is_exceeded_only_where_a_second_measurement_confirms_it():
    found = verdict(measured(1.3e-3), measured(1.3e-3, seed=3))

    assert found.state == "exceeded"
    assert "confirmed by a second measurement" in found.reason
    assert found.low > 0.1


def test_disturbance_of_the_first_measurement_is_not_called():
    found = verdict(measured(1.3e-3), measured(1e-3, seed=3))

    assert found.state == "met"


def test_regression_that_no_later_measurement_shows_is_inconclusive():
    # All together is above the limit; no later measurement alone is.
    now = [block for seed in range(4) for block in measured(1.5e-3, seed=seed)]
    found = verdict(now, measured(1.05e-3)[:1], measured(1.05e-3)[:1])

    assert found.state == "inconclusive"
    assert found.low > 0.1
    assert "a second measurement does not confirm it: +5" in found.reason


def test_clear_result_is_not_measured_again():
    assert verdict(measured(1e-3, seed=3)).state == "met"


def test_change_near_the_limit_is_inconclusive():
    near = [measured(1.1e-3, seed=seed) for seed in range(3)]

    assert verdict(*near).state == "inconclusive"


# quantiles


def test_quantile_interpolates():
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0, 2.0], 0.25) == 1.25
    assert quantile([5.0], 0.9) == 5.0


def test_interval_of_the_median_holds_it_in_95_of_100():
    draw = random.Random(0)
    inside = 0
    for _ in range(400):
        low, high = interval_of_median([draw.gauss(1, 0.1) for _ in range(120)])
        inside += low <= 1.0 <= high

    assert inside >= 0.92 * 400
    assert inside < 400


def test_interval_of_the_median_of_few_rounds_is_not_known():
    assert interval_of_median([1.0] * 4) == (None, None)
    assert interval_of_median([1.0, 2.0, 3.0, 4.0, 5.0]) == (1.0, 5.0)
