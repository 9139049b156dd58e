"""The memory of the device: what ``empty_cache`` gives back, and limits that are kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch", reason="written for torch")

import torch

from . import child
from .bench import nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch")

#: Bytes that are taken and let go.
TAKEN = 256_000_000


def reserved(spec: str) -> Callable[[], int] | None:
    """What tells the bytes that the allocator holds; ``None`` where it keeps none."""
    if spec == "mps":
        return lambda: int(torch.mps.driver_allocated_memory())
    if spec.startswith("cuda"):
        return lambda: int(torch.cuda.memory_reserved(spec))
    return None


def test_empty_cache(bench: DeviceBench) -> None:
    holds = reserved(bench.spec)
    if holds is None:
        pytest.skip(f"the allocator of {bench.spec} keeps no memory")
    kept = torch.arange(1000, device=bench.device)
    bench.framework.empty_cache(bench.spec)
    before = holds()

    taken = []

    def take() -> None:
        torch.ones(TAKEN // 4, device=bench.device)
        bench.applesilicon.synchronize()
        taken.append(holds())

    bench.time(lambda: bench.framework.empty_cache(bench.spec), rounds=1, warmup=0, setup=take)
    after = holds()

    check_given_back(before, taken[-1], after)
    assert kept.tolist() == list(range(1000)), "empty_cache changed a tensor that is in use"
    bench.leave_time("empty_cache of 256 MB", "ms")
    bench.leave("given back by empty_cache", (taken[-1] - after) / 1e6, "MB")


def check_given_back(before: int, taken: int, after: int) -> None:
    """Fail unless the allocator kept what was let go, and then gave back nearly all of it."""
    assert taken - before >= 0.9 * TAKEN, (
        f"the allocator keeps {taken - before:,} bytes of {TAKEN:,} that were let go"
    )
    assert taken - after >= 0.9 * TAKEN, (
        f"empty_cache gave back {taken - after:,} bytes of {TAKEN:,}"
    )


#: Takes memory until the limit stops it; prints the bytes it got, and why no more.
FILL = """
import torch
{limit}
got, step, held = 0, {step}, []
try:
    while got < {most}:
        held.append(torch.empty(step, dtype=torch.uint8, device="{device}"))
        got += step
    print(got, "no limit")
except RuntimeError as error:
    print(got, str(error).splitlines()[0])
"""

LOW, HIGH = "PYTORCH_MPS_LOW_WATERMARK_RATIO", "PYTORCH_MPS_HIGH_WATERMARK_RATIO"

#: Of the memory that the device recommends, what a process may take.
SHARE = 0.1


@pytest.mark.parametrize("way", ["watermark", "memory fraction"])
def test_memory_limit(way: str, bench: DeviceBench) -> None:
    total = capacity(bench.spec)
    if total is None:
        pytest.skip(f"torch limits no memory on {bench.spec}")
    if way == "watermark" and bench.spec != "mps":
        pytest.skip(f"watermarks limit mps, not {bench.spec}")
    code, environment = limited(way, bench.spec, total)

    said = bench.time(
        lambda: child.run(code, environment=environment), rounds=1, warmup=0, setup=nothing
    )

    check_limit(said, total)
    bench.leave_time(f"memory up to the {way}")
    bench.leave(f"memory got under the {way}", int(said.split(maxsplit=1)[0]) / 1e6, "MB")


def capacity(spec: str) -> int | None:
    """The bytes that a share is of; ``None`` where torch has no limit."""
    if spec == "mps":
        return int(torch.mps.recommended_max_memory())
    if spec.startswith("cuda"):
        return int(torch.cuda.get_device_properties(spec).total_memory)
    return None


def limited(way: str, spec: str, total: int) -> tuple[str, dict[str, str]]:
    """The program that takes memory, and the variables of its process."""
    environment = dict(os.environ)
    limit = ""
    if way == "watermark":
        # The high one alone is refused below 1.4, where the low one stands (pytorch#105839).
        environment |= {LOW: str(SHARE / 2), HIGH: str(SHARE)}
    else:
        limit = f"torch.{spec.partition(':')[0]}.set_per_process_memory_fraction({SHARE})"
    step = max(int(total * SHARE / 20), 1_000_000)
    code = FILL.format(limit=limit, step=step, most=int(3 * SHARE * total), device=spec)
    return code, environment


def check_limit(said: str, total: int) -> None:
    """Fail unless memory was got up to the limit, and then refused for want of memory."""
    got, _, why = said.strip().partition(" ")
    limit = SHARE * total
    assert "out of memory" in why, f"{int(got):,} bytes were taken under {limit:,.0f}: {why}"
    assert 0.5 * limit <= int(got) <= 1.1 * limit, (
        f"{int(got):,} bytes were got under a limit of {limit:,.0f}"
    )
