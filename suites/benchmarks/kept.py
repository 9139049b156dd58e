"""The memory that a forward pass keeps for the backward pass, in bytes."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .bench import DeviceBench


def kept_bytes(forward: Callable[[], torch.Tensor], bench: DeviceBench) -> int:
    """Bytes that stay allocated after the forward pass for as long as its loss does.

    By the allocator of the device, which counts whole blocks. The CPU has none that counts:
    there it is the size of what autograd saves, each storage once.
    """
    if bench.framework.memory(bench.spec) is None:
        return saved_bytes(forward)
    before = held(bench) or 0
    loss = forward()
    after = held(bench) or 0
    del loss
    return after - before


def held(bench: DeviceBench) -> int | None:
    """Bytes allocated on the device; ``None`` where nobody tells."""
    gc.collect()  # tensors in a cycle are in nobody's use
    bench.applesilicon.synchronize()
    return bench.framework.memory(bench.spec)


def saved_bytes(forward: Callable[[], torch.Tensor]) -> int:
    """The size of what autograd saves, without the parameters, which are there anyway."""
    sizes: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> Any:
        if not isinstance(tensor, torch.nn.Parameter) and not _of_parameter(tensor):
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = forward()
    found = sum(sizes.values())
    del loss  # so long no storage was freed, and none has the address of another
    return found


def _of_parameter(tensor: torch.Tensor) -> bool:
    """Whether it is a view of a parameter, such as the transpose that a linear layer saves."""
    return isinstance(tensor._base, torch.nn.Parameter)  # noqa: SLF001
