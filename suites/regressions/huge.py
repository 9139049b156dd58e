"""Sizes beyond 2**31 and 2**32 elements.

``case.limit`` stands for 2**32: with a smaller one the same code runs in little memory. Tensors
are built on the device, and a part of the result is held against what the host computes of
that part alone. Values differ from batch to batch, so that a batch taken for another shows.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .registry import regression

if TYPE_CHECKING:
    from .case import Case

#: Values that repeat neither after a power of two nor after few batches.
PERIOD = 13


def _numbered(like: Any, count: int) -> Any:
    """1 to 13 in turn, one for each batch, as a column of the dtype and device of a tensor."""
    return (torch.arange(count, device=like.device) % PERIOD + 1).to(like.dtype)


def _number(place: int) -> int:
    return place % PERIOD + 1


@regression("pytorch-111634", needs=lambda limit: limit // 3)
def zeros_times_ones(case: Case) -> None:
    # 32769 columns at the real limit.
    columns = isqrt(case.limit) // 2 + 1
    batches = 911

    def call(x: Any) -> Any:
        product = x.new_zeros(batches, 9, 1) @ x.new_ones(1, columns)
        return product.amax(), product.amin(), product[-1]

    def host(x: Any) -> Any:
        return x.new_zeros(()), x.new_zeros(()), x.new_zeros(9, columns)

    case.check_as(call, host, torch.zeros(1))


@regression("pytorch-197636", needs=lambda limit: 3 * limit + limit // 2)
def many_transposed_batches(case: Case) -> None:
    length = 256
    batches = case.limit // length**2 + 16
    last = 16

    def call(a: Any, b: Any) -> Any:
        left = a.mul(_numbered(a, batches).reshape(-1, 1, 1))
        right = b.expand(batches, -1, -1).contiguous()
        return torch.bmm(left, right.mT)[-last:, ::51, ::51]

    def host(a: Any, b: Any) -> Any:
        numbers = [_number(one) for one in range(batches - last, batches)]
        scale = torch.tensor(numbers, dtype=a.dtype).reshape(-1, 1, 1)
        return torch.bmm(a * scale, b.expand(last, -1, -1).mT)[:, ::51, ::51]

    dtype = torch.float16
    case.check_as(
        call, host, case.randn(1, length, 64, dtype=dtype), case.randn(1, length, 64, dtype=dtype)
    )


@regression("pytorch-189960", needs=lambda limit: 5 * limit // 4)
def joined_beyond_2_31(case: Case) -> None:
    side = isqrt(case.limit // 4)

    def call(x: Any) -> Any:
        parts = [x.expand(side + 1, side) + one for one in (1, 2)]
        joined = torch.cat(parts, dim=1)
        return joined[-1], joined[0], joined[:, side]

    def host(x: Any) -> Any:
        row = torch.cat([x.expand(side) + 1, x.expand(side) + 2])
        return row, row, x.expand(side + 1) + 2

    case.check_as(call, host, torch.zeros(1, dtype=torch.int8))


@regression("pytorch-188756", "index_select", "embedding", "getitem", needs=lambda limit: 2 * limit)
def rows_beyond_2_31(case: Case, operator: str) -> None:
    width = 256
    rows = case.limit // 2 // width + 16
    wanted = [0, 1, rows - 2, rows - 1]

    def call(x: Any, index: Any) -> Any:
        source = _numbered(x, rows).reshape(-1, 1).expand(rows, width).contiguous()
        if operator == "index_select":
            return source.index_select(0, index)
        return functional.embedding(index, source) if operator == "embedding" else source[index]

    def host(x: Any, index: Any) -> Any:
        numbers = torch.tensor([_number(one) for one in wanted], dtype=x.dtype)
        return numbers.reshape(-1, 1).expand(-1, width)

    case.check_as(call, host, torch.ones(1, dtype=torch.bfloat16), torch.tensor(wanted))


@regression("pytorch-182052", needs=lambda limit: 2 * limit + limit // 4)
def written_beyond_2_32(case: Case) -> None:
    width = 256
    rows = case.limit // width + 32

    def call(x: Any) -> Any:
        target = x.new_zeros(rows, width)
        target[-8:, ::2] = x
        target[-16:-8, 1::2].copy_(x.expand(8, width // 2))
        return target[-32:], target[:32]

    def host(x: Any) -> Any:
        last = x.new_zeros(32, width)
        last[-8:, ::2] = x
        last[-16:-8, 1::2] = x
        return last, x.new_zeros(32, width)

    case.check_as(call, host, torch.ones(1, dtype=torch.float16))


@regression("pytorch-149261", needs=lambda limit: 3 * limit)
def many_scores(case: Case) -> None:
    heads = 12
    # More than the limit of bytes in float32.
    length = isqrt(case.limit // (4 * heads)) + 1

    def call(q: Any, k: Any, v: Any) -> Any:
        return functional.scaled_dot_product_attention(q, k, v)[..., -4:, :]

    def host(q: Any, k: Any, v: Any) -> Any:
        return functional.scaled_dot_product_attention(q[..., -4:, :], k, v)

    q, k, v = [case.randn(1, heads, length, 64) for _ in range(3)]
    # Positive values: a mean of both signs loses digits, and differently in each order.
    case.check_as(call, host, q, k, v.abs())


@regression("pytorch-153560", needs=lambda limit: 3 * limit)
def batches_of_large_product(case: Case) -> None:
    batches = 11
    side = isqrt(case.limit // batches) + 16
    wanted = [10, 0, 7]

    def call(a: Any, b: Any, index: Any) -> Any:
        scale = _numbered(a, batches).reshape(-1, 1, 1)
        product = torch.bmm(a.expand(batches, side, 8) * scale, b.expand(batches, 8, side))
        return product[index][:, -1, -4:], product[index, -1][:, -4:]

    def host(a: Any, b: Any, index: Any) -> Any:
        scale = torch.tensor([_number(one) for one in wanted], dtype=a.dtype).reshape(-1, 1, 1)
        product = torch.bmm(a.expand(3, 1, 8) * scale, b.expand(3, 8, 4))[:, 0]
        return product, product

    dtype = torch.bfloat16
    case.check_as(
        call,
        host,
        case.randn(1, 1, 8, dtype=dtype),
        case.randn(1, 8, 1, dtype=dtype),
        torch.tensor(wanted),
    )


@regression(
    "pytorch-194460",
    "max_pool2d",
    "avg_pool2d",
    "adaptive_avg_pool2d",
    needs=lambda limit: 3 * limit,
)
def pooled_beyond_2_32(case: Case, operator: str) -> None:
    # 8192 at the real limit.
    side, images = isqrt(case.limit) // 8, 66

    def call(x: Any) -> Any:
        scale = _numbered(x, images).reshape(-1, 1, 1, 1)
        given = scale.expand(images, 1, side, side).contiguous()
        size = side // 2 if operator.startswith("adaptive") else 2
        pooled = getattr(functional, operator)(given, size)
        return pooled[-1, 0, -2:, -2:], pooled[:, 0, -1, -1]

    def host(x: Any) -> Any:
        numbers = _numbered(x, images)
        return numbers[-1].expand(2, 2), numbers

    case.check_as(call, host, torch.ones(1, dtype=torch.float16))
