"""The collector of garbage rests and looks away, and is as before afterwards."""

from __future__ import annotations

import gc

import pytest

from pytest_applesilicon import garbage


@pytest.fixture(autouse=True)
def collector():
    assert gc.isenabled()
    assert not gc.get_freeze_count()
    yield
    gc.unfreeze()
    gc.enable()


def test_the_collector_rests_and_goes_on():
    with garbage.resting():
        assert not gc.isenabled()

    assert gc.isenabled()


def test_it_goes_on_after_an_error():
    with pytest.raises(ValueError, match="a conftest"), garbage.resting():
        raise ValueError("a conftest.py")

    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()

    with garbage.resting():
        pass

    assert not gc.isenabled()


def test_what_is_kept_is_handed_back():
    kept = garbage.Kept()
    kept.keep()
    first = gc.get_freeze_count()
    more = [[] for _ in range(1000)]
    kept.keep()

    assert 0 < first < first + len(more) <= gc.get_freeze_count()
    kept.end()
    assert gc.get_freeze_count() == 0


def test_what_somebody_else_keeps_is_left_to_them():
    gc.freeze()
    kept = garbage.Kept()
    kept.keep()
    kept.end()

    assert gc.get_freeze_count() > 0
