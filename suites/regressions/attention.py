"""Scaled dot product attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .registry import regression

if TYPE_CHECKING:
    from .case import Case

attend = functional.scaled_dot_product_attention


@regression("pytorch-181133")
def permuted_heads(case: Case) -> None:
    # The reports are of head sizes from 64 on.
    parts = [case.randn(8, 3, 3, 64) for _ in range(3)]
    case.check(lambda *parts: attend(*[one.permute(0, 2, 1, 3) for one in parts]), *parts)


@regression("pytorch-176767")
def narrower_values(case: Case) -> None:
    case.check(attend, case.randn(1, 1, 8, 4), case.randn(1, 1, 8, 4), case.randn(1, 1, 8, 2))


@regression("pytorch-149132")
def grouped_heads_with_mask(case: Case) -> None:
    def call(q: Any, k: Any, v: Any, mask: Any) -> Any:
        return attend(q, k, v, attn_mask=mask, enable_gqa=True)

    keys = [case.randn(2, 2, 3, 8) for _ in range(2)]
    case.check(call, case.randn(2, 4, 3, 8), *keys, torch.tensor([[0.0, 1.0, 2.0]] * 3))


@regression("pytorch-174861", "float32", "bfloat16")
def one_query_of_grouped_heads(case: Case, operator: str) -> None:
    dtype = getattr(torch, operator)
    parts = [case.randn(1, heads, length, 32, dtype=dtype) for heads, length in _GROUPED]
    case.check(lambda q, k, v: attend(q, k, v, enable_gqa=True), *parts)


#: Heads and length of query, key and value: the second pass of the kernel starts at 1024 keys.
_GROUPED = ((8, 1), (2, 1024), (2, 1024))


@regression("pytorch-195910", "float16", "bfloat16", "float32")
def later_tokens_leak(case: Case, operator: str) -> None:
    def call(q: Any, k: Any, v: Any) -> Any:
        return attend(q, k, v, is_causal=True)

    dtype = getattr(torch, operator)
    parts = [case.randn(1, 2, 16, 16, dtype=dtype) for _ in range(2)]
    # A row that sees a later token has a value far outside of its own.
    steps = torch.arange(16.0).mul(4).reshape(1, 1, 16, 1).expand(1, 2, 16, 16)
    case.check(call, *parts, steps.to(dtype).contiguous())
