"""Random generators of the simulated device: the CPU's, whose device says ``mps:0``.

The device stands in the generator's own memory, so that torch itself refuses a generator of
the wrong device, with its own text. A kernel lends the generator to the CPU while it runs.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate import memory, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.RLock()

#: Offset of ``device_`` in a GeneratorImpl, in bytes; found by ``locate``.
_place: list[int] = []

#: A c10::Device: one byte of type, one of index, in the low half of a word.
_CPU_DEVICE, _MPS_DEVICE = 0xFF00, 0x000D


def locate() -> None:
    """Find where a generator keeps its device.

    Raises:
        memory.LayoutError: it is not found, or torch does not read it there.
    """
    import torch

    probe = torch._C.Generator(device="cpu")
    for place in range(16, 160, 2):
        address = probe._cdata + place
        if memory.read_half(address) != _CPU_DEVICE:
            continue
        memory.write_half(address, _MPS_DEVICE)
        try:
            moved = probe.device.type == "mps"
        except RuntimeError:  # the word was another one
            moved = False
        memory.write_half(address, _CPU_DEVICE)
        if moved:
            _place[:] = [place]
            return
    raise memory.LayoutError("the device of a torch.Generator was not found in its memory")


def make(seed: int | None = None) -> Any:
    """A generator whose device is ``mps:0``."""
    import torch

    made = torch._C.Generator(device="cpu")
    if seed is not None:
        made.manual_seed(seed)
    return adopt(made)


def adopt(generator: Any) -> Any:
    """Give a generator of the CPU to the device, for good."""
    memory.write_half(generator._cdata + _place[0], _MPS_DEVICE)
    return generator


@contextmanager
def lent(given: Any, default: Any) -> Iterator[Any]:
    """The generator of a call, usable by the CPU while the block runs.

    Raises:
        RuntimeError: the generator is not one of the device.
    """
    generator = default if given is None else given
    if generator.device.type != "mps":
        raise RuntimeError(texts.GENERATOR.format(found=generator.device.type))
    address = generator._cdata + _place[0]
    with _lock:
        memory.write_half(address, _CPU_DEVICE)
        try:
            yield generator
        finally:
            memory.write_half(address, _MPS_DEVICE)
