"""Long sums of products may be added in any order, and no product may be lost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from terms import EPS, magnitude, magnitudes, sample  # noqa: E402

from pytest_applesilicon.agreement import oracle  # noqa: E402

F = torch.nn.functional


def one_by_one(terms: Any) -> Any:
    """The sum over the last dimension in the order of its elements, each partial sum rounded."""
    total = torch.zeros(terms.shape[:-1], dtype=terms.dtype)
    for place in range(terms.shape[-1]):
        total = total + terms[..., place]
    return total


def judged(actual: Any, call: Any, *args: Any, dtype: Any = torch.float32) -> Any:
    return oracle.judge_sample(actual, call, args, {}, dtype)


FIRST, SECOND = sample(40, 2000), sample(2000, 30).flip(0)
GIVEN, KERNEL = sample(2, 300, 3, 3), sample(8, 300, 3, 3).flip(0)

#: A call, its operands, and the products that each element is the sum of.
CALLS = {
    "mm": (torch.mm, (FIRST, SECOND), FIRST[:, None] * SECOND.T[None]),
    "bmm": (torch.bmm, (FIRST[None], SECOND[None]), (FIRST[:, None] * SECOND.T[None])[None]),
    "mv": (torch.mv, (FIRST, SECOND[:, 0]), FIRST * SECOND[:, 0]),
    "linear": (F.linear, (FIRST, SECOND.T), FIRST[:, None] * SECOND.T[None]),
    "einsum": (
        lambda a, b: torch.einsum("nk,km->nm", a, b),
        (FIRST, SECOND),
        FIRST[:, None] * SECOND.T[None],
    ),
    "conv2d": (
        F.conv2d,
        (GIVEN, KERNEL),
        (GIVEN[:, None] * KERNEL[None]).flatten(2)[:, :, None, None],
    ),
    "addbmm": (
        torch.addbmm,
        (sample(40, 30), FIRST.reshape(40, 4, 500).transpose(0, 1), SECOND.reshape(4, 500, 30)),
        FIRST[:, None] * SECOND.T[None],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_products_may_be_added_one_by_one(name):
    call, args, products = CALLS[name]
    actual = one_by_one(products) + (args[0] if name == "addbmm" else 0)

    assert judged(actual, call, *args).agrees


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("wrong", ["one product lost", "fewer bits"])
def test_what_is_wrong_is_found_still(name, wrong):
    call, args, products = CALLS[name]
    if wrong == "one product lost":
        products = products.clone()
        products[..., 1] = 0
    else:  # The 10 bits of the mantissa that some hardware multiplies with.
        products = products.half().float()
    actual = products.sum(-1) + (args[0] if name == "addbmm" else 0)

    assert not judged(actual, call, *args).agrees


@pytest.mark.parametrize("function", [torch.dot, torch.vdot])
def test_vectors_of_complex_numbers(function):
    first, second = sample(20_000, dtype=torch.complex64), sample(20_000, dtype=torch.complex64)
    second = second.flip(0)
    width, exact = magnitude(function, first, second, dtype="complex64")
    squares = (first.abs() ** 2 * second.abs() ** 2).sum().item()
    expected = 2 * EPS * np.sqrt(20_001 / 6 * (squares + 2 * abs(exact) ** 2))
    assert width == pytest.approx(expected, rel=0.05)

    left = first.conj() if function is torch.vdot else first
    total = torch.complex(
        *(one_by_one(part) for part in ((left * second).real, (left * second).imag))
    )
    assert judged(total, function, first, second, dtype=torch.complex64).agrees
    assert not judged(total + 0.1, function, first, second, dtype=torch.complex64).agrees


def test_size_of_the_rounding_is_the_mean_over_all_orders():
    terms = sample(500).double()
    generator = torch.Generator().manual_seed(1)
    orders = torch.stack([torch.randperm(500, generator=generator) for _ in range(4000)])
    measured = terms[orders].cumsum(1).square().sum(1).mean().item()

    width, _ = magnitude(torch.dot, terms.float(), torch.ones(500))

    # Four ULP of half an epsilon each; the square is of the partial sums.
    assert (width / (2 * EPS)) ** 2 == pytest.approx(measured, rel=0.05)


def test_gradients_of_a_convolution_are_sums_over_places():
    given, weight = sample(2, 3, 40, 40), sample(4, 3, 5, 5)
    upstream = sample(2, 4, 36, 36)

    def backward(upstream: Any, given: Any, weight: Any) -> Any:
        return torch.ops.aten.convolution_backward.default(
            upstream, given, weight, [4], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True] * 3
        )

    widths, exact = magnitudes(backward, upstream, given, weight)

    for width, values, length in zip(
        widths, exact, (4 * 25, 2 * 36 * 36, 2 * 36 * 36), strict=True
    ):
        share = (width / np.abs(values).mean() / EPS).mean()
        assert 0.5 * np.sqrt(length / 3) < share < 4 * np.sqrt(length / 3)


def test_transposed_convolution_adds_over_its_input_channels():
    given, weight = sample(1, 400, 2, 2), sample(400, 3, 1, 1)
    squares = F.conv_transpose2d(given.double() ** 2, weight.double() ** 2).numpy()

    width, exact = magnitude(F.conv_transpose2d, given, weight)

    # The element itself may be off by four ULP besides, in either direction.
    expected = 2 * EPS * np.sqrt(401 / 6 * (squares + 2 * exact**2))
    assert np.abs(width - expected).max() < 4.01 * EPS * np.abs(exact).max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_accumulated_in_single(dtype):
    first, second = FIRST.to(dtype), SECOND[:, 0].to(dtype)
    products = (first * second).to(dtype)

    assert not judged(one_by_one(products), torch.mv, first, second, dtype=dtype).agrees


@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_what_is_infinite_or_not_a_number_stays_decided(special):
    first, second = sample(4, 6), sample(6, 3)
    first[1, 2] = special
    right = first @ second
    right[0, 0] += 1e-6 * right[0, 0]  # beyond the dtype bound: more terms are looked at

    assert judged(right, torch.mm, first, second).agrees
    for wrong in (0.0, math.inf, -math.inf, math.nan):
        actual = right.clone()
        if actual[1, 0].item() == wrong or (actual[1, 0].isnan() and math.isnan(wrong)):
            continue
        actual[1, 0] = wrong
        assert not judged(actual, torch.mm, first, second).agrees, wrong


def test_one_product_rounds_no_sum():
    width, _ = magnitude(torch.mm, sample(4, 1), sample(1, 3))

    assert not width.any()


def test_integers_have_no_rounding():
    first = torch.arange(12).reshape(3, 4)

    assert judged(first @ first.T, torch.mm, first, first.T, dtype=torch.int64).agrees
