"""Each built-in fault strikes the calls it is about and leaves others alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pytest_applesilicon.simulate import faults
from pytest_applesilicon.simulate.fault_families import BUILT_IN

NAN, INF = float("nan"), float("inf")


def draw(*shape, d, dtype=torch.float32, seed=0):
    """The same numbers on every device: drawn on the CPU without the device's kernels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).to(dtype).to(d)


def whole(*values, d, dtype=torch.int64):
    return torch.tensor(values, dtype=dtype).to(d)


def gradient(function, *shapes, d):
    """The gradients of the sum of ``function``, for inputs of these shapes."""
    leaves = [draw(*shape, d=d, seed=seed).requires_grad_() for seed, shape in enumerate(shapes)]
    function(*leaves).sum().backward()
    return [leaf.grad for leaf in leaves]


def written(view, write):
    write(view)
    return view


def lstm(d, *, layers=1, state=0.0, dropout=0.0, train=False, **options):
    torch.manual_seed(0)
    module = torch.nn.LSTM(3, 4, layers, dropout=dropout, **options).train(train).to(d)
    sides = 2 if options.get("bidirectional") else 1
    states = torch.full((layers * sides, 2, 4), state, device=d)
    with torch.no_grad():
        return module(draw(2, 2, 3, d=d), (states, states))[0]


def attention(d, heads=2, keys=5, queries=5, width=4, **options):
    query = draw(1, 2, queries, 4, d=d)
    key = draw(1, heads, keys, 4, d=d, seed=1)
    return nn.functional.scaled_dot_product_attention(
        query, key, draw(1, heads, keys, width, d=d), **options
    )


def setitems(d):
    x = torch.zeros(4, device=d)
    x[1] = 1
    x[2] = 3
    return x


def batches(d, *sizes):
    weight = draw(4, 3, d=d).requires_grad_()
    found = []
    for size in sizes:
        weight.grad = None
        nn.functional.linear(draw(size, 3, d=d).requires_grad_(), weight).square().sum().backward()
        found.append(weight.grad.clone())
    return found


def into_host(d, start, dtype=torch.float32):
    host = torch.zeros(12, dtype=dtype)
    source = torch.arange(4.0).to(d) + 0.25
    host[start : start + 4].copy_(source)
    return host, source


#: Name of the fault; a program whose result it changes; one that it leaves alone.
CASES = {
    "addcdiv-inplace-strided-lost": (
        lambda d: draw(3, 2, d=d).t().addcdiv_(draw(2, 3, d=d), draw(2, 3, d=d).abs() + 1),
        lambda d: draw(2, 3, d=d).addcdiv_(draw(2, 3, d=d), draw(2, 3, d=d).abs() + 1),
    ),
    "random-inplace-strided-lost": (
        lambda d: bool((torch.full((3, 4), 9.0).to(d).t().uniform_(0, 1) <= 1).all()),
        lambda d: bool((torch.full((3, 4), 9.0).to(d).uniform_(0, 1) <= 1).all()),
    ),
    "pointwise-inplace-strided-lost": (
        lambda d: draw(3, 2, d=d).t().add_(1),
        lambda d: draw(3, 2, d=d).add_(1),
    ),
    "matmul-out-strided-lost": (
        lambda d: written(
            torch.zeros(4, 6, device=d)[:, 2:6],
            lambda out: torch.mm(draw(4, 4, d=d), draw(4, 4, d=d), out=out),
        ),
        lambda d: written(
            torch.zeros(4, 4, device=d),
            lambda out: torch.mm(draw(4, 4, d=d), draw(4, 4, d=d), out=out),
        ),
    ),
    "scatter-add-offset-lost": (
        lambda d: torch.zeros(2, 4, device=d)[1].scatter_add_(
            0, whole(3, 2, d=d), torch.ones(2).to(d)
        ),
        lambda d: torch.zeros(2, 4, device=d)[0].scatter_add_(
            0, whole(3, 2, d=d), torch.ones(2).to(d)
        ),
    ),
    "bool-view-written-before": (
        lambda d: (
            torch.zeros(8, dtype=torch.bool, device=d)
            .narrow(0, 1, 4)
            .index_add_(0, whole(0, 2, d=d), torch.ones(2, dtype=torch.bool).to(d))
        ),
        lambda d: (
            torch.zeros(8, dtype=torch.bool, device=d)
            .narrow(0, 4, 4)
            .index_add_(0, whole(0, 2, d=d), torch.ones(2, dtype=torch.bool).to(d))
        ),
    ),
    "setitem-writes-one-before": (setitems, lambda d: written(draw(4, d=d)[2:], torch.zero_)),
    "where-strided-condition": (
        lambda d: torch.where(torch.ones(3, 3).bool().to(d).t(), draw(3, 3, d=d), 0.0),
        lambda d: torch.where(torch.ones(3, 3).bool().to(d), draw(3, 3, d=d), 0.0),
    ),
    "masked-fill-strided-mask": (
        lambda d: draw(4, 2, d=d).masked_fill_(
            whole([0, 0, 1, 1], [1, 1, 1, 1], d=d).bool().t(), 1
        ),
        lambda d: draw(2, 4, d=d).masked_fill_(whole([0, 0, 1, 1], [1, 1, 1, 1], d=d).bool(), 1),
    ),
    "activation-strided": (
        lambda d: nn.functional.gelu(draw(3, 4, d=d).t()),
        lambda d: nn.functional.gelu(draw(3, 4, d=d)[1:]),
    ),
    "linear-strided-weight": (
        lambda d: nn.functional.linear(draw(4, 6, d=d), draw(6, 5, d=d).t()),
        lambda d: nn.functional.linear(draw(6, 4, d=d).t(), draw(5, 6, d=d)),
    ),
    "cat-strided-parts": (
        lambda d: torch.cat([draw(3, 3, d=d).t(), draw(3, 3, d=d)]),
        lambda d: torch.cat([draw(4, 3, d=d)[1:], draw(3, 3, d=d)]),
    ),
    "scatter-strided-source": (
        lambda d: torch.zeros(3, 2, device=d).scatter_(
            0, whole([0, 1], [1, 2], d=d), draw(2, 2, d=d).t()
        ),
        lambda d: torch.zeros(3, 2, device=d).scatter_(
            0, whole([0, 1], [1, 2], d=d), draw(2, 2, d=d)
        ),
    ),
    "batch-norm-backward-channels-last": (
        lambda d: gradient(
            lambda x, w: nn.functional.batch_norm(
                x.contiguous(memory_format=torch.channels_last), None, None, w, training=True
            ).square(),
            (2, 3, 4, 4),
            (3,),
            d=d,
        ),
        lambda d: gradient(
            lambda x, w: nn.functional.batch_norm(x, None, None, w, training=True).square(),
            (2, 3, 4, 4),
            (3,),
            d=d,
        ),
    ),
    "expanded-gradient-mostly-zero": (
        lambda d: draw(4, 3, d=d)[:, :1].expand(4, 3) @ draw(3, 2, d=d),
        lambda d: draw(4, 3, d=d) @ draw(3, 2, d=d),
    ),
    "compare-offset-scalars": (
        lambda d: (lambda a: (a[0] > a[1], a[1] < a[0]))(torch.tensor([0.8, -1.0]).to(d)),
        lambda d: torch.tensor([0.8, -1.0]).to(d) > torch.tensor([0.7, 1.0]).to(d),
    ),
    "inverse-offset": (
        lambda d: torch.linalg.inv((torch.stack([torch.eye(2) * 2, torch.eye(2) * 4])).to(d)[1]),
        lambda d: torch.linalg.inv((torch.stack([torch.eye(2) * 2, torch.eye(2) * 4])).to(d)[0]),
    ),
    "activation-offset": (
        lambda d: draw(6, d=d)[2:].relu(),
        lambda d: draw(6, d=d)[:4].relu(),
    ),
    "copy-to-host-fills-gaps": (
        lambda d: torch.zeros(8)[::2].copy_(torch.arange(8.0).to(d)[::2])._base,
        lambda d: torch.zeros(8).copy_(torch.arange(8.0).to(d)),
    ),
    "copy-to-host-overwrites-source": (
        lambda d: into_host(d, 2, torch.float16)[1],
        lambda d: into_host(d, 0, torch.float16)[1],
    ),
    "copy-to-host-ignores-offset": (lambda d: into_host(d, 2)[0], lambda d: into_host(d, 0)[0]),
    "copy-from-host-ignores-strides": (
        lambda d: torch.arange(6.0).view(2, 3).t().to(d, copy=True) + torch.zeros((), device=d),
        lambda d: torch.arange(6.0).view(2, 3).to(d),
    ),
    "cumsum-bool-in-bytes": (
        lambda d: torch.ones(130, dtype=torch.bool).to(d).cumsum(0),
        lambda d: torch.ones(130, dtype=torch.int32).to(d).cumsum(0),
    ),
    "max-int64-is-first": (lambda d: whole(0, 4, 2, d=d).max(), lambda d: draw(3, d=d).max()),
    "integers-added-through-float32": (
        lambda d: whole(2**24 + 1, d=d) + whole(2, d=d),
        lambda d: whole(2**20 + 1, d=d) + whole(2, d=d),
    ),
    "unique-keys-through-float32": (
        lambda d: whole(2**24 + 1, 2**24, d=d).unique(),
        lambda d: whole(2, 1, d=d).unique(),
    ),
    "sum-uint8-saturates": (
        lambda d: whole(255, 2, d=d, dtype=torch.uint8).sum(dtype=torch.uint8),
        lambda d: whole(255, 2, d=d, dtype=torch.uint8).sum(),
    ),
    "clamp-integers-float-bound": (
        lambda d: whole(1, 2, d=d).clamp_min(1.5),
        lambda d: whole(1, 2, d=d).clamp_min(2),
    ),
    "rsub-rounded": (lambda d: 1.0 - draw(3, d=d), lambda d: draw(3, d=d) - 1.0),
    "stale-number": (
        lambda d: [draw(3, d=d) + number for number in (1, 2)],
        lambda d: [draw(size, d=d) + size for size in (1, 2)],
    ),
    "stale-axes": (
        lambda d: [draw(3, 3, d=d).sum(axis) for axis in (0, 1)],
        lambda d: [draw(3, size, d=d).sum(size - 3) for size in (3, 4)],
    ),
    "first-product-transposed": (
        lambda d: draw(1, 2, 3, d=d) @ draw(1, 3, 2, d=d, seed=1),
        lambda d: draw(2, 3, d=d) @ draw(3, 2, d=d),
    ),
    "product-after-other-size": (
        lambda d: [draw(size, 3, d=d) @ draw(3, 4, d=d) for size in (2, 5)],
        lambda d: [draw(2, 3, d=d) @ draw(3, 4, d=d) for _ in range(2)],
    ),
    "stale-backward-after-other-batch": (
        lambda d: batches(d, 2, 5),
        lambda d: batches(d, 2, 2),
    ),
    "convolution-channels-limit": (
        lambda d: nn.functional.conv1d(draw(1, 1, 5, d=d), draw(4, 1, 3, d=d)),
        lambda d: nn.functional.conv1d(draw(1, 1, 5, d=d), draw(2, 1, 3, d=d)),
    ),
    "cat-output-limit": (
        lambda d: torch.cat([draw(5, d=d)] * 2),
        lambda d: torch.cat([draw(4, d=d)] * 2),
    ),
    "copy-into-view-offset-limit": (
        lambda d: written(torch.zeros(8, device=d), lambda x: x[3:].copy_(draw(5, d=d))),
        lambda d: written(torch.zeros(8, device=d), lambda x: x[1:].copy_(draw(7, d=d))),
    ),
    "variance-negative-axis": (
        lambda d: draw(2, 3, 4, d=d).std(dim=-2),
        lambda d: draw(2, 3, 4, d=d).std(dim=1),
    ),
    "cumulative-high-rank-axis": (
        lambda d: draw(2, 3, 4, d=d).cumsum(0),
        lambda d: draw(3, 4, d=d).cumsum(0),
    ),
    "variance-of-scalar-refused": (
        lambda d: torch.tensor(1.0).to(d).var(correction=0),
        lambda d: draw(4, d=d).var(),
    ),
    "unique-high-rank-loses": (
        lambda d: whole([[0, 1]], d=d).unique(),
        lambda d: whole([0, 1], d=d).unique(),
    ),
    "attention-causal-leaks": (
        lambda d: attention(d, is_causal=True),
        lambda d: attention(d),
    ),
    "attention-value-width": (lambda d: attention(d, width=6), lambda d: attention(d)),
    "irfft-odd-length": (
        lambda d: torch.fft.irfft(torch.fft.rfft(draw(5, d=d)), 5),
        lambda d: torch.fft.irfft(torch.fft.rfft(draw(4, d=d)), 4),
    ),
    "cat-empty-refused": (
        lambda d: torch.cat([torch.empty(0).to(d), draw(2, d=d)]),
        lambda d: torch.cat([draw(1, d=d), draw(2, d=d)]),
    ),
    "all-over-nothing-is-false": (
        lambda d: torch.ones(3, 0, dtype=torch.bool).to(d).all(dim=1),
        lambda d: torch.ones(3, 1, dtype=torch.bool).to(d).all(dim=1),
    ),
    "beta-zero-keeps-nan": (
        lambda d: torch.addmm(
            torch.full((2, 2), NAN).to(d), draw(2, 3, d=d), draw(3, 2, d=d), beta=0
        ),
        lambda d: torch.addmm(draw(2, 2, d=d), draw(2, 3, d=d), draw(3, 2, d=d), beta=0),
    ),
    "reduction-drops-nan": (
        lambda d: torch.tensor([1.0, NAN, 3.0]).to(d).max(),
        lambda d: torch.tensor([1.0, INF, 3.0]).to(d).max(),
    ),
    "floor-division-infinity": (
        lambda d: torch.div(
            torch.tensor([1.0, -1.0]).to(d),
            torch.tensor([-INF, INF]).to(d),
            rounding_mode="floor",
        ),
        lambda d: torch.div(
            torch.tensor([1.0, -1.0]).to(d), torch.tensor([2.0, 3.0]).to(d), rounding_mode="floor"
        ),
    ),
    "batch-norm-training": (
        lambda d: nn.functional.batch_norm(draw(4, 3, d=d), None, None, training=True),
        lambda d: nn.functional.layer_norm(draw(4, 3, d=d), (3,)),
    ),
    "lstm-state-ignored": (lambda d: lstm(d, state=1.0), lambda d: lstm(d)),
    "lstm-second-direction": (
        lambda d: lstm(d, bidirectional=True),
        lambda d: lstm(d, state=1.0),
    ),
    "lstm-evaluation-by-batch": (
        lambda d: lstm(d, layers=2, dropout=0.5),
        lambda d: lstm(d, layers=2),
    ),
    "random-state-not-advanced": (
        lambda d: bool(torch.equal(torch.randn(4, device=d), torch.randn(4, device=d))),
        lambda d: torch.zeros(4, device=d),
    ),
    "random-seed-ignored": (
        lambda d: torch.equal(*[(torch.manual_seed(1), torch.randn(4, device=d))[1] for _ in "ab"]),
        lambda d: torch.equal(
            *[(torch.manual_seed(1), torch.empty(4, device=d).exponential_())[1] for _ in "ab"]
        ),
    ),
    "bernoulli-certain-is-zero": (
        lambda d: torch.bernoulli(torch.ones(4).to(d)),
        lambda d: torch.bernoulli(torch.zeros(4).to(d)),
    ),
    "multinomial-impossible-class": (
        lambda d: torch.multinomial(torch.tensor([0.0, 0.5]).to(d), 1),
        lambda d: torch.multinomial(torch.tensor([0.5]).to(d), 1),
    ),
}

#: Families whose faults end the process: tested in child processes.
ENDING = {"crash", "hang"}


def outcome(program, d):
    """The result on the host, or the text of what was raised."""
    try:
        result = program(d)
    except (RuntimeError, IndexError) as error:
        return str(error)
    return result


def same(left, right) -> bool:
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        pairs = zip(left, right, strict=True)
        return len(left) == len(right) and all(same(one, other) for one, other in pairs)
    if not (isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor)):
        return type(left) is type(right) and left == right
    left, right = left.detach().cpu(), right.detach().cpu()
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if not left.is_floating_point():
        return torch.equal(left, right)
    # Both are kernels of the CPU: what differs, differs by the order of sums alone.
    return torch.allclose(left, right, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("name", CASES)
def test_the_programs_agree_without_a_fault(name):
    for program in CASES[name]:
        assert same(outcome(program, "cpu"), outcome(program, "mps"))


@pytest.mark.parametrize("name", CASES)
def test_a_fault_strikes_where_it_should(name):
    strikes, _ = CASES[name]
    expected = outcome(strikes, "cpu")
    with faults.activate(BUILT_IN[name]):
        found = outcome(strikes, "mps")

    assert not same(expected, found)


@pytest.mark.parametrize("name", CASES)
def test_a_fault_leaves_other_calls_alone(name):
    _, spares = CASES[name]
    expected = outcome(spares, "cpu")
    with faults.activate(BUILT_IN[name]):
        found = outcome(spares, "mps")

    assert same(expected, found)


def test_every_family_has_a_case():
    families = {BUILT_IN[name].family for name in CASES}

    assert {fault.family for fault in BUILT_IN.values()} - families <= ENDING | {
        "intermittent",
        "integers through float32",
    }


def test_what_a_fault_keeps_is_forgotten_when_faults_are_switched():
    program, _ = CASES["stale-number"]
    with faults.activate(BUILT_IN["stale-number"]):
        program("mps")
        assert faults.kept
    assert not faults.kept


def test_a_limit_can_be_another_one():
    from pytest_applesilicon.simulate.fault_families.size_limits import scaled

    program = CASES["cat-output-limit"][0]
    fault = scaled("cat-output-limit", 64)
    assert fault is not None
    with faults.activate(fault):
        assert same(program("cpu"), program("mps"))
    assert scaled("stale-number", 64) is None
