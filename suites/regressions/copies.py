"""Copies between the host and the device, and between dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .registry import regression

if TYPE_CHECKING:
    from .case import Case

#: Stands for the device in the arguments of a check.
DEVICE = torch.device("cpu")


@regression("pytorch-189961")
def gaps_stay(case: Case) -> None:
    def call(x: Any) -> Any:
        host = torch.full((20,), -1.0, dtype=x.dtype)
        host[::2].copy_(x[::2])
        return host

    case.check(call, torch.arange(20.0))


@regression("pytorch-189563")
def source_stays(case: Case) -> None:
    def call(x: Any) -> Any:
        host = torch.zeros(10, dtype=torch.float16)
        host[2:].copy_(x)
        return x, host

    case.check(call, torch.arange(8.0) + 0.25)


@regression("pytorch-108978")
def elements_into_host(case: Case) -> None:
    def call(x: Any) -> Any:
        host, rows = torch.zeros(5, dtype=x.dtype), torch.zeros(5, 2, dtype=x.dtype)
        for place in range(5):
            host[place] = x[place]
            rows[place] = x[place : place + 2]
        return host, rows

    case.check(call, torch.arange(6.0) + 1)


@regression("pytorch-86185")
def host_element_into_all(case: Case) -> None:
    def call(x: Any) -> Any:
        x[:] = torch.tensor([3, 4])[1]
        return x

    case.check(call, torch.ones(10))


@regression("pytorch-85967")
def strided_host_tensor(case: Case) -> None:
    def call(device: Any) -> Any:
        numbers = torch.arange(12.0)
        return (
            numbers.reshape(3, 4)[:, :2].to(device),
            numbers.reshape(3, 4).t().to(device) + 1,
            torch.from_numpy(numbers.numpy().reshape(3, 4).T).to(device),
        )

    case.check(call, DEVICE)


@regression("pytorch-139550")
def source_freed_early(case: Case) -> None:
    def call(device: Any) -> Any:
        copies = [torch.full((1,), float(i)).to(device, non_blocking=True) for i in range(64)]
        return torch.cat(copies)

    case.check(call, DEVICE)
