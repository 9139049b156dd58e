"""Graphs, constants and memory kept from one call to the next.

The checks call twice, or after other calls, in one process: what is wrong depends on it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-101198")
def second_embedding_of_other_width(case: Case) -> None:
    index = torch.tensor([0, 2, 2, 4])
    for width in (36, 48, 36):
        case.check_gradients(functional.embedding, index, case.randn(5, width))


@regression("pytorch-180744")
def evaluation_by_batch(case: Case) -> None:
    torch.manual_seed(case.seed)
    module = torch.nn.LSTM(4, 4, num_layers=2, dropout=0.5, batch_first=True)
    trained = module.to(case.device)
    x = case.randn(6, 5, 4)

    def step(given: Any) -> None:
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
        trained(given)[0].square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    case.given(step, x)
    frozen = copy.deepcopy(trained).cpu().eval()
    for count in (6, 3):
        case.check_module(frozen, x[:count].contiguous(), gradients=False)


@regression("pytorch-85224")
def first_einsum(case: Case) -> None:
    t = case.randn(1, 2, 2)
    for _ in range(2):
        case.check(lambda a, b: torch.einsum("bid,bjd->bij", a, b), t, case.randn(1, 2, 2))


@regression("pytorch-177116", "linear", "embedding")
def gradients_after_other_batch(case: Case, operator: str) -> None:
    weight = case.randn(8, 4)
    for batch in (64, 8194):
        if operator == "linear":
            case.check_gradients(functional.linear, case.randn(batch, 4), weight)
        else:
            index = torch.arange(batch).remainder(8)
            case.check_gradients(functional.embedding, index, weight)


@regression("pytorch-193487")
def product_after_other_sizes(case: Case) -> None:
    for size in (3, 700, 64, 1000, 17):
        case.given(torch.matmul, case.randn(size, size), case.randn(size, 5))
    a = case.randn(100, 25)
    for _ in range(2):
        case.check(lambda a: a.T @ a, a)
        case.empty_cache()


@regression("pytorch-180776", "bfloat16", "float16")
def linear_called_twice(case: Case, operator: str) -> None:
    dtype = getattr(torch, operator)
    x, weight = case.randn(2, 13, 256, dtype=dtype), case.randn(64, 256, dtype=dtype)

    def call(x: Any, weight: Any) -> Any:
        return functional.linear(x, weight).clone(), functional.linear(x, weight)

    first, second = case.check(call, x, weight)
    case.same(second, first)
