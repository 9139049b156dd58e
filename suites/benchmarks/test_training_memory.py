"""Memory of training: checkpointed layers, the largest batch, batches of varying size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("torch", reason="written for torch")

import torch
from torch.utils import checkpoint as checkpoints

from . import wide
from .bench import nothing
from .kept import held, kept_bytes
from .resident import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bench import DeviceBench

pytestmark = pytest.mark.frameworks("torch")

BLOCKS = 8
WIDTH = {"quick": 256, "full": 1024}
BATCH = {"quick": 256, "full": 1024}

#: With checkpoints the input of each block is kept, and no more: of the five tensors of WIDTH
#: that a block keeps otherwise, one. Half leaves room for what an allocator rounds.
LEAST_SAVED = 0.5

#: Bytes that a search for the largest batch may keep.
LIMIT = {"quick": 16_000_000, "full": 256_000_000}

#: Batches of a pass, in an order in which an allocator cannot reuse the block before.
VARYING = (64, 1, 96, 17, 128, 33, 80, 5, 112, 49)

#: Bytes that memory may grow by between the passes: an allocator moves in blocks of megabytes.
FLAT = 8_000_000


def blocks(width: int, seed: int) -> torch.nn.ModuleList:
    """Blocks of two layers each, drawn on the host."""
    torch.manual_seed(seed)
    return torch.nn.ModuleList(
        torch.nn.Sequential(
            torch.nn.Linear(width, width),
            torch.nn.GELU(),
            torch.nn.Linear(width, width),
            torch.nn.GELU(),
        )
        for _ in range(BLOCKS)
    )


class Work:
    """A network of blocks with one batch, plain or checkpointed."""

    def __init__(self, bench: DeviceBench, batch: int, *, checkpointed: bool = False) -> None:
        width, seed = WIDTH[bench.settings.size], bench.settings.seed
        self.network = blocks(width, seed).to(bench.device)
        draw = torch.Generator().manual_seed(seed)
        self.values = torch.randn(batch, width, generator=draw).to(bench.device)
        self.checkpointed = checkpointed

    def forward(self) -> torch.Tensor:
        """The loss of the batch."""
        value = self.values
        for block in self.network:
            if self.checkpointed:
                value = checkpoints.checkpoint(block, value, use_reentrant=False)
            else:
                value = block(value)
        return value.square().mean()

    def step(self) -> None:
        """Forward and backward."""
        self.network.zero_grad()
        self.forward().backward()

    def gradients(self) -> wide.Results:
        """The gradient of each parameter by the last step."""
        return {name: one.grad for name, one in self.network.named_parameters()}


def gradients_of(network: Any, values: torch.Tensor) -> wide.Results:
    """What ``Work.gradients`` gives, computed without checkpoints."""
    value = values
    network.zero_grad(set_to_none=True)
    for block in network:
        value = block(value)
    value.square().mean().backward()
    return {name: one.grad for name, one in network.named_parameters()}


@pytest.mark.parametrize("way", ["plain", "checkpointed"])
def test_checkpointing(way: str, bench: DeviceBench) -> None:
    batch = BATCH[bench.settings.size]
    plain = Work(bench, batch)
    work = Work(bench, batch, checkpointed=way == "checkpointed")

    bench.time(work.step, rounds=bench.pick(quick=5, full=10), warmup=1)

    wide.check(
        work.network, work.gradients(), gradients_of, work.values.cpu(), seed=bench.settings.seed
    )
    most, kept = kept_bytes(plain.forward, bench), kept_bytes(work.forward, bench)
    bench.leave_time(f"step, {way}", "ms")
    bench.leave(f"step, {way}: kept for backward", kept / 1e6, "MB")
    if way == "checkpointed":
        assert 0 < kept <= LEAST_SAVED * most, (
            f"with checkpoints {kept:,} bytes are kept for the backward pass, without {most:,}"
        )


def largest(fits: Callable[[int], bool], most: int = 2**16) -> int:
    """The largest batch that fits, of those up to ``most``; 0 where none does."""
    good, bad = 0, 1
    while bad <= most and fits(bad):
        good, bad = bad, 2 * bad
    bad = min(bad, most + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def test_batch_size_search(bench: DeviceBench) -> None:
    limit = LIMIT[bench.settings.size]

    def kept(batch: int) -> int:
        return kept_bytes(Work(bench, batch).forward, bench)

    def fits(batch: int) -> bool:
        bench.say(f"batch {batch:,}")
        return kept(batch) <= limit

    found = bench.time(lambda: largest(fits), rounds=1, warmup=0, setup=nothing)

    assert found > 0, f"no batch fits into {limit:,} bytes"
    # What autograd keeps grows in proportion to the batch.
    inside, outside = kept(found), kept(2 * found)
    assert inside <= limit < outside, (
        f"batch {found:,} keeps {inside:,} bytes and one of {2 * found:,} {outside:,}: "
        f"the largest under {limit:,} was asked for"
    )
    share = inside / found * (found + 1)
    assert share > 0.9 * limit, f"batch {found:,} keeps {inside:,} bytes of {limit:,}"
    bench.leave_time(f"search of a batch under {limit // 10**6:,} MB")
    bench.leave(f"largest batch under {limit // 10**6:,} MB", found, "")


def test_varying_batches(bench: DeviceBench) -> None:
    work = Work(bench, max(VARYING))
    values = work.values
    repeats = bench.pick(quick=3, full=20)

    def passes() -> None:
        for batch in VARYING * repeats:
            work.values = values[:batch]
            work.step()

    passes()
    before = memory(bench)
    bench.time(passes, rounds=2, warmup=1, setup=nothing)
    grown = memory(bench) - before

    assert all(bool(torch.isfinite(one).all()) for one in work.gradients().values())
    assert grown <= FLAT, (
        f"memory grew by {grown:,} bytes over {repeats} passes of batches of {VARYING}"
    )
    steps = len(VARYING) * repeats
    bench.leave_time("step of a varying batch", "ms", calls=steps)
    bench.leave("memory grown by varying batches", grown / 1e6, "MB")


def memory(bench: DeviceBench) -> int:
    """Bytes on the device, or where nobody tells the resident bytes of this process."""
    found: Any = held(bench)
    return int(found) if found is not None else resident_bytes()
