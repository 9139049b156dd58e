"""The dtypes of a result are the host's, looked up once for calls that promote alike."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon import opinfo  # noqa: E402
from pytest_applesilicon.agreement import oracle, result_dtypes  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_known():
    result_dtypes.forget()
    yield
    result_dtypes.forget()


def expected(call: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
    (found,) = oracle.oracles([oracle.Call(call, args, kwargs, "name")])
    return found.dtypes


def of_half(x: Any) -> Any:
    """Half precision in single precision, as a softmax of half precision can give it."""
    return x.float() if x.dtype == torch.float16 else x


HALF, SINGLE = torch.ones(2, dtype=torch.float16), torch.ones(2)


@pytest.mark.parametrize(
    ("call", "several"),
    [
        (torch.add, [(HALF, HALF), (HALF, SINGLE), (HALF, SINGLE[0]), (HALF[0], SINGLE[0])]),
        (torch.add, [(HALF, 1), (HALF, 1.0), (torch.ones(2, dtype=torch.int32), 1.0)]),
        (torch.cat, [([HALF, HALF],), ([HALF, SINGLE],)]),
        (lambda x, wide: of_half(x) if wide else x, [(HALF, False), (HALF, True)]),
        (lambda x, name: of_half(x) if name == "up" else x, [(HALF, "up"), (HALF, "")]),
        (lambda x, dtype: x.to(dtype), [(HALF, torch.float32), (HALF, torch.float16)]),
        (lambda x, count: (x,) * count, [(HALF, 1), (HALF, 3)]),
    ],
)
def test_each_call_has_its_own_dtypes_whatever_was_called_before(call: Any, several: Any):
    for args in [*several, *reversed(several)]:
        assert expected(call, *args) == result_dtypes.in_own_dtype(call, args, {})


def test_a_flag_inside_of_a_keyword_argument_counts():
    def call(x: Any, *, flags: dict[str, bool]) -> Any:
        return of_half(x) if flags["up"] else x

    assert expected(call, HALF, flags={"up": False}) == ("float16",)
    assert expected(call, HALF, flags={"up": True}) == ("float32",)


def test_the_host_is_asked_once_for_calls_that_promote_alike():
    asked = []

    def call(x: Any, number: int) -> Any:
        asked.append(x.dtype)
        return x * number

    for size in range(1, 5):
        assert expected(call, torch.ones(size, size), size) == ("float32",)

    assert asked.count(torch.float32) == 1
    assert asked.count(torch.float64) == 4


def test_a_dtype_that_a_device_got_wrong_is_found_by_the_call_before():
    right = oracle.judge_sample(SINGLE, torch.clone, (SINGLE,), {}, torch.float32, name="name")
    wrong = oracle.judge_sample(
        SINGLE.half(), torch.clone, (torch.ones(3),), {}, torch.float32, name="name"
    )

    assert right.agrees
    assert (wrong.differs_in, wrong.actual, wrong.expected) == ("shape", "(2,)", "(3,)")
    again = oracle.judge_sample(
        torch.ones(3).half(), torch.clone, (torch.ones(3),), {}, torch.float32, name="name"
    )
    assert (again.differs_in, again.actual, again.expected) == ("dtype", "float16", "float32")


def of_database(dtype: str, count: int) -> Any:
    for operator in opinfo.operators():
        if dtype in operator.dtypes:
            for sample in operator.samples(dtype, seed=0, count=count):
                yield operator, sample


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_no_operator_of_the_database_gives_another_dtype_than_the_call_before(dtype: str):
    others, calls = [], 0
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for operator, sample in of_database(dtype, count=4):
            call = oracle.Call(operator.function, sample.args, dict(sample.kwargs), operator.name)
            try:
                own = result_dtypes.in_own_dtype(*call[:3])
            except Exception:  # what the host refuses has no dtype
                continue
            (found,) = oracle.oracles([call])
            calls += 1
            if found.dtypes != own:
                others.append(operator.name)
    assert others == []
    assert calls > 500
