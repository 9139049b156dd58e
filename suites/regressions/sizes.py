"""Sizes beyond 2**15, 2**16 and 2**24: an index or a count with too few bits."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .case import sum_gradients
from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-129207", "conv1d", "conv2d")
def many_channels(case: Case, operator: str) -> None:
    lengths = (3,) if operator == "conv1d" else (3, 1)
    convolve = getattr(functional, operator)
    case.check(convolve, torch.ones(1, 1, *lengths), case.randn(65537, 1, *(1,) * len(lengths)))


@regression("pytorch-96225", "conv1d", "conv2d")
def many_images(case: Case, operator: str) -> None:
    lengths = (1,) * (1 if operator == "conv1d" else 2)
    convolve = getattr(functional, operator)

    def call(x: Any, weight: Any) -> Any:
        return convolve(x, weight).mean()

    case.check(
        lambda x, weight: sum_gradients(lambda one: call(x, one), weight),
        torch.ones(65536, 1, *lengths),
        torch.ones(1, 1, *lengths),
    )


@regression("pytorch-189495")
def many_batches_with_bias(case: Case) -> None:
    case.check(functional.linear, case.randn(65537, 2, 8), case.randn(8, 8), case.randn(8))


@regression("pytorch-116769", "mm", "linear", "addmm")
def wide_product(case: Case, operator: str) -> None:
    def call(left: Any, right: Any) -> Any:
        if operator == "linear":
            product = functional.linear(left, right.t().contiguous())
        elif operator == "addmm":
            product = torch.addmm(right, left, right)
        else:
            product = torch.mm(left, right)
        return product[:, ::127], product[:, -1:]

    def host(left: Any, right: Any) -> Any:
        # Every 127th column, and the last one: 33 million numbers in float64 are too many.
        parts = right[:, ::127], right[:, -1:]
        return tuple(left * one + (one if operator == "addmm" else 0) for one in parts)

    case.check_as(call, host, case.randn(1025, 1), case.randn(1, 32769))


@regression("pytorch-195163", "bmm", "baddbmm", "einsum")
def long_inner_dimension(case: Case, operator: str) -> None:
    left, right = case.randn(2, 16, 32768), case.randn(2, 32768, 16)
    if operator == "einsum":
        case.check(lambda a, b: torch.einsum("bij,bjk->bik", a, b), left, right)
    elif operator == "baddbmm":
        case.check(torch.baddbmm, case.randn(2, 16, 16), left, right)
    else:
        case.check(torch.bmm, left, right)


@regression("pytorch-196949", "reflect", "stft")
def long_reflected_signal(case: Case, operator: str) -> None:
    def padded(x: Any, scale: Any) -> Any:
        return functional.pad(x, (4, 4), mode="reflect") * scale

    def spectrum(x: Any, scale: Any) -> Any:
        window = torch.ones_like(scale[0, :64])
        found = torch.stft(x, 64, 64, window=window, center=True, return_complex=True)
        return torch.view_as_real(found).square()

    length = 65537 + 32
    scale = torch.arange(length + 8.0).remainder(97).reshape(1, -1)
    run = padded if operator == "reflect" else spectrum
    case.check(
        lambda x, scale: sum_gradients(lambda one: run(one, scale), x),
        case.randn(1, length),
        scale,
    )


@regression("pytorch-194922")
def large_planes_padded(case: Case) -> None:
    case.check(lambda x: functional.pad(x, (0, 0, 0, 0, 2, 0)), case.randn(1, 1, 2, 256, 256))


@regression("pytorch-111173")
def many_counted(case: Case) -> None:
    case.check(
        lambda x: x.remainder(2).unique(return_counts=True), torch.arange(1_000_000), kind="exact"
    )


@regression("pytorch-153957")
def large_vocabulary(case: Case) -> None:
    def call(x: Any, inner: Any, outer: Any) -> Any:
        return functional.linear(functional.linear(x, inner), outer)

    case.check(
        lambda x, inner, outer: sum_gradients(lambda one: call(x, one, outer), inner),
        case.randn(4, 130),
        case.randn(130, 130),
        case.randn(50257, 130),
    )


#: Sums squares on the device until its standard input is closed.
_BUSY = """
import sys, threading, torch
x = torch.ones(10, 3, 352, 352, device=sys.argv[1])
threading.Thread(target=lambda: (sys.stdin.read(), done.append(1)), daemon=True).start()
done = []
print("ready", flush=True)
while not done:
    x.var().item()
"""

#: How many other processes use the device meanwhile.
_OTHERS = 7


@regression("pytorch-197235", "var", "std", "var_mean")
def variance_while_others_run(case: Case, operator: str) -> None:
    x = case.randn(10, 3, 352, 352)
    # Where the device is the CPU, or simulated, no other process can disturb it.
    others = [_busy(case) for _ in range(_OTHERS if case.is_shared else 0)]
    try:
        for _ in range(8 if others else 2):
            case.check(lambda x: getattr(torch, operator)(x), x)
    finally:
        for other in others:
            other.kill()
            other.wait()


def _busy(case: Case) -> Any:
    command = [sys.executable, "-c", _BUSY, str(case.device)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    return started
