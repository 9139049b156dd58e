"""Calls that ended the process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-167154")
def linear_of_expanded(case: Case) -> None:
    def call(x: Any, weight: Any, bias: Any) -> Any:
        return functional.linear(x.expand(5, 9, 8), weight, bias)

    case.check(call, case.randn(1, 9, 8), case.randn(8, 8), case.randn(8))


@regression("pytorch-190645")
def batch_norm_of_permuted(case: Case) -> None:
    def call(x: Any) -> Any:
        return functional.batch_norm(x.permute(0, 4, 1, 2, 3), None, None, training=True)

    case.check(call, case.randn(2, 4, 3, 4, 5))


@regression("pytorch-167924")
def repeated_by_sliced_counts(case: Case) -> None:
    def call(x: Any, counts: Any) -> Any:
        return x.repeat_interleave(counts[1:3], dim=0)

    case.check(call, case.randn(2, 3), torch.tensor([5, 1, 2]))


@regression("pytorch-116095")
def class_indices(case: Case) -> None:
    case.check_gradients(
        lambda x, classes: functional.cross_entropy(x, classes),
        case.randn(4, 5),
        torch.tensor([0, 4, 2, 2]),
    )


@regression("pytorch-197805")
def second_thread(case: Case) -> None:
    def call(x: Any) -> Any:
        def work(_: int) -> Any:
            found = x
            for _ in range(60):
                found = torch.sin(found)
            return found

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(work, range(4)))

    case.check(call, case.randn(16, 16))
