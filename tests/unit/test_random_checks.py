"""Random operators on the CPU: every one has a specification, and a wrong device is found."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")
pytest.importorskip("scipy")

from pytest_applesilicon import opinfo  # noqa: E402
from pytest_applesilicon.agreement import (  # noqa: E402
    goodness,
    random_checks,
    random_draws,
)


def check(name, direction="distribution", dtype="float32", seed=0):
    return random_checks.check(name, dtype, device="cpu", direction=direction, seed=seed)


def test_every_random_operator_has_a_specification_or_a_reason():
    random = {one.name for one in opinfo.operators() if one.kind == "random"}

    assert random == (set(random_draws.JUDGED) - set(random_draws.ADDED)) | set(
        random_draws.LEFT_OUT
    )
    assert not set(random_draws.JUDGED) & set(random_draws.LEFT_OUT)
    assert not random & set(random_draws.ADDED)
    assert all(random_draws.LEFT_OUT.values())


def test_a_run_of_all_tests_raises_a_false_alarm_in_fewer_than_one_of_a_thousand():
    tests = sum(len(dtypes) for dtypes in random_checks.names().values())

    assert tests * goodness.SIGNIFICANCE < 1e-3


def test_dtypes_of_the_functions_that_the_database_lacks_are_those_of_the_cpu():
    for name, dtypes in random_draws.ADDED.items():
        for dtype in opinfo.DTYPES:
            runs = check(name, "reproducible", dtype).outcome == "native"
            assert runs == (dtype in dtypes), (name, dtype)


def test_the_generator_is_left_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)

    torch.manual_seed(5)
    check("rand")
    check("rand", "reproducible")

    assert torch.equal(torch.rand(3), expected)


def spoil(monkeypatch, name, change, owner=torch):
    right = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args, **kwargs: change(right(*args, **kwargs)))


@pytest.mark.parametrize(
    ("operator", "name", "change", "says"),
    [
        ("rand", "rand", lambda x: x * 0.95, "Kolmogorov-Smirnov"),
        ("randn", "randn", lambda x: x.abs(), "Kolmogorov-Smirnov"),
        ("randn", "randn", lambda x: x.clamp(-3, 3), "tail"),
        ("randn_like", "randn_like", lambda x: x[:512].repeat(len(x) // 512), "independence"),
        ("randint", "randint", lambda x: x + 1, "support"),
        ("randperm", "randperm", lambda x: x.sort().values, "independence"),
        ("bernoulli", "bernoulli", lambda x: 1 - x, "chi-square"),
        ("poisson", "poisson", lambda x: x + 1, "chi-square"),
        ("multinomial", "multinomial", lambda x: x.flip(-1), "chi-square"),
        ("normal", "normal", lambda x: x.flip(0), "Kolmogorov-Smirnov"),
    ],
)
def test_wrong_draws_are_found(operator, name, change, says, monkeypatch):
    assert check(operator).outcome == "native"

    spoil(monkeypatch, name, change)
    found = check(operator)

    assert found.outcome == "wrong"
    assert says in found.reason


def test_lost_writes_into_a_strided_tensor_are_found(monkeypatch):
    right = torch.Tensor.exponential_

    def fill(self, *args):
        return right(self, *args) if self.is_contiguous() else self

    monkeypatch.setattr(torch.Tensor, "exponential_", fill)
    found = check("exponential")

    assert found.outcome == "wrong"
    assert "into a strided tensor" in found.reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("fixed", "two draws in succession are the same"),
        ("unseeded", "the same seed"),
        ("one-seed", "give the same values"),
        ("state", "the generator's state, put back"),
    ],
)
def test_wrong_seeding_is_found(change, says, monkeypatch):
    assert check("rand", "reproducible").outcome == "native"

    generator = random_checks.Generator
    if change == "fixed":
        spoil(monkeypatch, "rand", lambda x: x.fill_(0.5))
    elif change == "unseeded":
        monkeypatch.setattr(generator, "seed", lambda self, seed: None)
    elif change == "one-seed":
        monkeypatch.setattr(
            generator, "seed", lambda self, seed: torch.default_generator.manual_seed(0)
        )
    else:
        monkeypatch.setattr(generator, "restore", lambda self, state: None)
    found = check("rand", "reproducible")

    assert found.outcome == "wrong"
    assert says in found.reason


def test_missing_kernel_is_unsupported_and_another_error_wrong(monkeypatch):
    def lacks(*args, **kwargs):
        raise NotImplementedError("'aten::rand' is not currently implemented for the MPS device")

    def breaks(*args, **kwargs):
        raise RuntimeError("command buffer exited")

    monkeypatch.setattr(torch, "rand", lacks)
    assert check("rand").outcome == "unsupported"
    monkeypatch.setattr(torch, "rand", breaks)
    found = check("rand")
    assert (found.outcome, found.reason) == (
        "wrong",
        "rand raised RuntimeError: command buffer exited",
    )
