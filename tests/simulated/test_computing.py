"""Arithmetic, reductions, random numbers, missing operators and synchronisation."""

from __future__ import annotations

import warnings

import pytest
import torch

from pytest_applesilicon.simulate import counters, device

CALLS = {
    "add": lambda x, y: x + y,
    "scalars": lambda x, y: (2 - x) / 3 * 4.5 + 1 - x % 2,
    "power": lambda x, y: x.abs() ** 0.5 + 2**y,
    "compare": lambda x, y: (x > y) & (x != 2) | (y <= 0),
    "matmul": lambda x, y: x @ y.t(),
    "bmm": lambda x, y: torch.bmm(x[None], y.t()[None]),
    "einsum": lambda x, y: torch.einsum("ij,kj->ik", x, y),
    "sum": lambda x, y: x.sum(0),
    "mean": lambda x, y: x.mean((0, 1), keepdim=True),
    "std": lambda x, y: x.std(1),
    "max": lambda x, y: torch.stack([x.max(1).values, y.min(1).values]),
    "argmax": lambda x, y: x.argmax(1),
    "sort": lambda x, y: x.sort(descending=True).values,
    "topk": lambda x, y: x.topk(2).indices,
    "cumsum": lambda x, y: x.cumsum(1),
    "cat": lambda x, y: torch.cat([x, y], 1),
    "stack": lambda x, y: torch.stack([x, y]),
    "where": lambda x, y: torch.where(x > 0, x, 0.0),
    "clamp": lambda x, y: x.clamp(-0.5, 0.5),
    "softmax": lambda x, y: x.softmax(-1),
    "logsumexp": lambda x, y: x.logsumexp(-1),
    "gather": lambda x, y: x.gather(1, y.argsort(1)),
    "scatter": lambda x, y: x.scatter(1, y.argsort(1), 1.5),
    "index_select": lambda x, y: x.index_select(0, torch.tensor([1, 0], device=x.device)),
    "masked_fill": lambda x, y: x.masked_fill(y > 0, -1.0),
    "roll": lambda x, y: x.roll(1, 1),
    "flip": lambda x, y: x.flip(0),
    "norm": lambda x, y: x.norm(),
    "unique": lambda x, y: torch.unique((x * 2).long()),
    "nonzero": lambda x, y: (x > 0).nonzero(),
    "fft": lambda x, y: torch.fft.fft(x).abs(),
    "tril": lambda x, y: x.tril(),
    "prod": lambda x, y: x.prod(1),
    "any": lambda x, y: (x > 1).any(1),
    "lerp": lambda x, y: torch.lerp(x, y, 0.3),
    "addmm": lambda x, y: torch.addmm(torch.zeros(4, 4, device=x.device), x, y.t(), beta=0.5),
    "integers": lambda x, y: (x * 10).int() // 3 + (y * 10).int() * 2,
    "promotion": lambda x, y: (x * 3).int() + 0.5,
    "quantile": lambda x, y: x.quantile(0.5, dim=1),
    "pad": lambda x, y: torch.nn.functional.pad(x, (1, 2)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_what_the_cpu_gives(name):
    draw = torch.Generator().manual_seed(3)
    x, y = torch.randn(4, 5, generator=draw), torch.randn(4, 5, generator=draw)
    found, expected = CALLS[name](x.to("mps"), y.to("mps")), CALLS[name](x, y)

    assert found.device == torch.device("mps:0")
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    torch.testing.assert_close(found.cpu(), expected)


def test_numbers_promote_as_on_the_cpu():
    for value in (2, 2.5, True, 1j):
        for dtype in (torch.int32, torch.bfloat16, torch.bool, torch.complex64):
            for shape in ((), (2,)):
                host = torch.ones(shape, dtype=dtype)
                for op in (torch.add, torch.mul, torch.eq, torch.true_divide):
                    found, expected = op(host.to("mps"), value), op(host, value)
                    assert found.dtype == expected.dtype, (op, value, dtype, shape)


def test_a_missing_operator_raises_the_text_of_mps():
    with pytest.raises(NotImplementedError) as error:
        torch.linalg.eig(torch.eye(2, device="mps"))

    assert "The operator 'aten::linalg_eig' is not currently implemented for the MPS" in str(
        error.value
    )
    assert "PYTORCH_ENABLE_MPS_FALLBACK=1" in str(error.value)
    assert torch.version.git_version in str(error.value)


def test_with_the_fallback_it_warns_once_and_runs(fallback):
    device.installed.pop("warned", None)
    with warnings.catch_warnings(record=True) as caught, counters.counted() as counts:
        warnings.simplefilter("always")
        values = torch.linalg.eigvals(torch.eye(2, device="mps"))
        torch.linalg.eig(torch.eye(2, device="mps"))

    assert values.device.type == "mps"
    assert len(caught) == 1
    assert "will fall back to run on the CPU" in str(caught[0].message)
    assert sum(counts.fallbacks.values()) == 2
    assert counts.fallbacks["aten::linalg_eig"] == 1


def test_an_operator_of_the_always_fallback_list_needs_no_switch():
    with warnings.catch_warnings(), counters.counted() as counts:
        warnings.simplefilter("ignore")
        found = torch.linalg.svd(torch.eye(3, device="mps")).S

    assert found.tolist() == [1, 1, 1]
    assert counts.fallbacks == {"aten::linalg_svd": 1}


def test_a_custom_operator_without_a_kernel_is_missing_too():
    library = torch.library.Library("applesilicon_test", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: x * 2, "CPU")
    with pytest.raises(NotImplementedError, match="applesilicon_test::twice"):
        torch.ops.applesilicon_test.twice(torch.ones(2, device="mps"))


SYNCS = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x.sum() > 0),
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.sum()),
    "if": lambda x: 1 if x[0] > 0 else 0,
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "tolist": lambda x: x.tolist(),
    "synchronize": lambda x: torch.mps.synchronize(),
    "accelerator": lambda x: torch.accelerator.synchronize(),
}


@pytest.mark.parametrize("name", SYNCS)
def test_a_synchronisation_is_counted_with_its_line(name):
    x = torch.ones(3, device="mps")
    with counters.counted() as counts:
        SYNCS[name](x)

    assert sum(counts.syncs.values()) == 1, counts.syncs
    (where,) = counts.syncs
    assert "test_computing.py:" in where


def test_a_copy_to_the_device_does_not_wait():
    with counters.counted() as counts:
        torch.ones(3).to("mps").add(1)

    assert counts.syncs == {}
    assert counts.operators["aten::add.Tensor"] == 1


def test_random_numbers_follow_the_seed_and_leave_the_cpus_alone():
    torch.manual_seed(5)
    first, host = torch.randn(4, device="mps"), torch.randn(4)
    torch.manual_seed(5)
    again = torch.randn(4, device="mps")

    assert torch.equal(first, again)
    assert torch.equal(host, torch.randn(4))
    assert not torch.equal(again, torch.randn(4, device="mps"))


def test_mps_has_a_seed_and_a_state_of_its_own():
    torch.mps.manual_seed(7)
    state = torch.mps.get_rng_state()
    first = torch.rand(3, device="mps")
    torch.mps.set_rng_state(state)

    assert torch.equal(first, torch.rand(3, device="mps"))


def test_a_generator_of_mps():
    draw = torch.Generator(device="mps").manual_seed(1)
    first = torch.randn(3, generator=draw, device="mps")

    assert draw.device == torch.device("mps:0")
    assert isinstance(draw, torch.Generator)
    assert isinstance(torch.Generator(), torch.Generator)
    draw.manual_seed(1)
    assert torch.equal(first, torch.randn(3, generator=draw, device="mps"))
    assert torch.randperm(4, generator=draw, device="mps").sort().values.tolist() == [0, 1, 2, 3]


def test_a_generator_of_the_other_device_is_refused():
    with pytest.raises(RuntimeError, match="Expected a 'cpu' device type for generator"):
        torch.rand(3, generator=torch.Generator(device="mps"))
    with pytest.raises(RuntimeError, match="Expected a 'mps' device type for generator"):
        torch.rand(3, generator=torch.Generator(), device="mps")


def test_fork_rng_restores_the_state_of_mps():
    torch.manual_seed(0)
    with torch.random.fork_rng(device_type="mps"):
        inside = torch.rand(2, device="mps")
    assert torch.equal(inside, torch.rand(2, device="mps"))


def test_what_torch_says_of_the_device():
    assert torch.backends.mps.is_available()
    assert torch.backends.mps.is_built()
    assert torch.mps.is_available()
    assert torch.accelerator.current_accelerator() == torch.device("mps")
    assert torch.accelerator.is_available()
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.mps.current_allocated_memory() == 0
    torch.mps.empty_cache()


def test_events():
    start, end = torch.mps.Event(enable_timing=True), torch.mps.Event(enable_timing=True)
    start.record()
    end.record()
    end.synchronize()

    assert end.query()
    assert start.elapsed_time(end) >= 0


def test_there_is_no_metal():
    with pytest.raises(RuntimeError, match="has no Metal"):
        torch.mps.compile_shader("kernel void f() {}")


def test_the_default_device_can_be_mps():
    torch.set_default_device("mps")
    try:
        assert torch.ones(2).device == torch.nn.Linear(2, 2).weight.device == torch.device("mps:0")
    finally:
        torch.set_default_device(None)


def test_assert_close_works_on_the_device():
    x = torch.ones(3, device="mps")
    torch.testing.assert_close(x, x + 1e-9)
    with pytest.raises(AssertionError, match="not close"):
        torch.testing.assert_close(x, x + 1)
