"""Calls that devices got wrong because of a shape, a layout, a dtype or a value.

Each is one call on small inputs; the host in float64 judges it.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from .share import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.fixtures import AppleSilicon

pytestmark = pytest.mark.frameworks("torch")

NAN = float("nan")
F = nn.functional


def whole(*values: Any, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    """A tensor of integers on the host."""
    return torch.tensor(values, dtype=dtype)


def gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    """The gradients of the sum of a function, of its floating-point inputs."""

    def call(*given: torch.Tensor) -> Any:
        with torch.enable_grad():
            inputs = [one.detach().clone().requires_grad_(one.is_floating_point()) for one in given]
            leaves = [one for one in inputs if one.requires_grad]
            return torch.autograd.grad(function(*inputs).sum(), leaves)

    return call


def attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **options: Any) -> torch.Tensor:
    """Scaled dot product attention."""
    return F.scaled_dot_product_attention(q, k, v, **options)


#: A call, and its inputs: shapes of normal numbers, or tensors.
TRAPS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "clamp-transposed-bounds": (lambda x, y: x.clamp(y.t() - 1, y.t() + 1), ((3, 3), (3, 3))),
    "clamp-bound-of-higher-rank": (lambda x, y: x.clamp(min=y), ((2, 3), (1, 2, 3))),
    "clamp-integers-by-float": (lambda x: x.clamp_min(1.5), (whole(1, 2, 3),)),
    "clamp-nan": (lambda x: x.clamp(0, 1), (torch.tensor([1.0, NAN]),)),
    "gelu-backward-transposed": (
        gradients(lambda x, y: F.gelu(x.t()) * y),
        ((3, 4), (4, 3)),
    ),
    "batch-norm-backward-channels-last": (
        gradients(
            lambda x, w: (
                F.batch_norm(
                    x.contiguous(memory_format=torch.channels_last), None, None, w, training=True
                )
                ** 2
            )
        ),
        ((2, 3, 4, 4), (3,)),
    ),
    "batch-norm-permuted": (
        lambda x: F.batch_norm(x.permute(0, 4, 1, 2, 3), None, None, training=True),
        ((2, 2, 3, 4, 3),),
    ),
    "pool-offset": (
        lambda x: F.avg_pool2d(x[:, 1:].reshape(1, 4, 4, 2).permute(0, 3, 1, 2), 2),
        ((1, 17, 2),),
    ),
    "stack-of-steps": (lambda x: torch.cat((x[..., 1::2], x[..., ::2])), ((3, 8),)),
    "cumsum-of-booleans": (lambda x: x.cumsum(0), (torch.ones(130, dtype=torch.bool),)),
    "cumsum-far-axis": (lambda x: x.cumsum(0), ((1, 2, 1, 2, 2),)),
    "topk-far-axis": (lambda x: x.topk(1, 0).values, ((2, 2, 1, 2, 2),)),
    "unique-large": (lambda x: x.unique(), (whole(2**24 + 1, 2**24, 2**28 + 3),)),
    "unique-three-dimensions": (lambda x: x.unique(), (whole([[0, 1]]),)),
    "unique-counts": (lambda x: x.unique(return_counts=True)[1], (whole(1, 2, 1, 1),)),
    "sum-wraps": (lambda x: x.sum(dtype=torch.uint8), (whole(255, 2, dtype=torch.uint8),)),
    "fmax-mixed": (lambda x, y: x.fmax(y), ((3,), torch.arange(3.0).half())),
    "embedding-widths": (
        gradients(
            lambda index, x, y: (
                (F.embedding(index, x) ** 2).sum() + (F.embedding(index, y) ** 2).sum()
            )
        ),
        (whole(0, 2), (4, 3), (4, 5)),
    ),
    "embedding-padding": (
        gradients(lambda index, x: F.embedding(index, x, padding_idx=1)),
        (whole(0, 1, 1), (3, 2)),
    ),
    "embedding-frequency": (
        gradients(lambda index, x: F.embedding(index, x, scale_grad_by_freq=True)),
        (whole(0, 1, 1), (3, 2)),
    ),
    "embedding-bag-last-offset": (
        lambda index, offsets, x: F.embedding_bag(
            index, x, offsets, mode="sum", include_last_offset=True
        ),
        (whole(0, 1, 2), whole(0, 2, 3), (4, 4)),
    ),
    "pad-in-time": (lambda x: F.pad(x, (0, 0, 0, 0, 2, 0)), ((1, 1, 2, 3, 3),)),
    "pad-one-column": (lambda x: F.pad(x, (1, 1, 1, 1)), ((2, 1),)),
    "pad-bottom": (lambda x: F.pad(x, (0, 0, 0, 1)), ((1, 1, 3, 2),)),
    "linear-one-output-summed": (gradients(F.linear), ((4, 3), (1, 3))),
    "linear-weight-of-one-dimension": (F.linear, ((2, 3), (3,))),
    "linear-expanded-input": (
        lambda x, w: F.linear(x.expand(3, 2, 4), w),
        ((1, 2, 4), (4, 4)),
    ),
    "std-negative-axis": (lambda x: x.std(dim=-2), ((2, 3, 4),)),
    "var-of-a-scalar": (lambda x: x.var(correction=0), ((),)),
    "var-of-nothing": (lambda x: x.var(dim=1, correction=0), ((3, 0, 2),)),
    "where-condition-of-lower-rank": (
        lambda x, y: torch.where(y > 0, x, y),
        ((2, 3, 3), (3, 3)),
    ),
    "attention-value-width": (attended, ((1, 1, 4, 4), (1, 1, 4, 4), (1, 1, 4, 6))),
    "attention-one-query": (attended, ((1, 2, 1, 4), (1, 2, 4, 4), (1, 2, 4, 4))),
    "attention-grouped-mask": (
        lambda q, k, v, mask: attended(q, k, v, attn_mask=mask, enable_gqa=True),
        ((1, 4, 3, 4), (1, 2, 3, 4), (1, 2, 3, 4), (3, 3)),
    ),
    "irfft-odd": (lambda x: torch.fft.irfft(torch.fft.rfft(x), 5), ((5,),)),
    "repeat-interleave-slice": (
        lambda x, counts: x.repeat_interleave(counts[1:3], dim=0),
        ((2, 3), whole(0, 1, 2)),
    ),
    "cat-empty": (lambda x, y: torch.cat((x, y)), ((0,), (2,))),
    "index-select-empty": (lambda x, i: x.index_select(0, i), ((3, 2), whole())),
    "all-of-nothing": (lambda x: x.all(dim=1), (torch.ones(3, 0, dtype=torch.bool),)),
    "beta-zero": (
        lambda x, y, z: torch.baddbmm(x, y, z, beta=0),
        (torch.full((1, 1, 1), NAN), (1, 3, 3), (1, 3, 3)),
    ),
    "max-of-nan": (lambda x: x.max(), (torch.tensor([1.0, NAN, 3.0]),)),
    "argmax-of-nan": (lambda x: x.argmax(), (torch.tensor([1.0, NAN, 3.0]),)),
    "relu-of-nan": (lambda x: x.relu(), (torch.tensor([1.0, NAN, -3.0]),)),
    "linear-half-twice": (
        lambda x, w: [F.linear(x, w) for _ in range(2)],
        (torch.ones(2, 3, 4).half(), torch.ones(4, 4).half()),
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_trap(name: str, applesilicon: AppleSilicon, device: Any) -> None:
    call, inputs = TRAPS[name]
    generator = torch.Generator().manual_seed(applesilicon.settings.seed)
    given = tuple(
        one
        if isinstance(one, torch.Tensor)
        else torch.randn(*one, generator=generator)
        if one
        else torch.randn((), generator=generator)
        for one in inputs
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the variance of nothing is NaN, and torch says so
        actual = call(*[one.to(device) for one in given])
    dtype = torch.float16 if name == "linear-half-twice" else torch.float32
    judge(actual, call, given, {}, dtype)


def test_streams_of_random_numbers(device: Any) -> None:
    def drawn() -> list[torch.Tensor]:
        torch.manual_seed(1)
        return [torch.randn(8, device=device).cpu(), torch.randn(8, device=device).cpu()]

    (first, second), (again, _) = drawn(), drawn()
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    generator = torch.Generator(device=device).manual_seed(3)
    once = torch.empty(4).to(device).exponential_(generator=generator).cpu()
    generator.manual_seed(3)
    assert torch.equal(once, torch.empty(4).to(device).exponential_(generator=generator).cpu())


def test_impossible_and_certain_draws(device: Any) -> None:
    assert torch.bernoulli(torch.ones(9).to(device)).cpu().tolist() == [1.0] * 9
    for _ in range(4):
        assert torch.multinomial(torch.tensor([0.0, 0.5]).to(device), 1).item() == 1
    odds = torch.tensor([[0.5, 0.5]] * 64).t().contiguous().to(device).t()
    assert torch.multinomial(odds, 1).unique().numel() == 2
    assert torch.randn_like(torch.empty(4, 2, 1, 1, 1).to(device)).unique().numel() > 1
    uniform = torch.empty(64).to(device).uniform_().cpu()
    assert 0 < float(uniform.median()) < 1


@pytest.mark.parametrize("name", ["index_select", "output_padding", "nan_probability"])
def test_refused(name: str, device: Any) -> None:
    x = torch.ones(1, 1, 3).to(device)
    calls: dict[str, Callable[[], Any]] = {
        "index_select": lambda: x.index_select(2, torch.tensor([5]).to(device)),
        "output_padding": lambda: F.conv_transpose1d(x, x, stride=1, output_padding=2),
        "nan_probability": lambda: F.binary_cross_entropy(x * NAN, x),
    }
    with pytest.raises((RuntimeError, IndexError)):
        calls[name]().cpu()
