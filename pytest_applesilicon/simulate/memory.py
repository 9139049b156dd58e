"""A tensor of one device as a tensor of the other, over the same memory.

DLPack names the device of what it carries, and kDLMetal (8) becomes ``mps:0`` on every build
of torch (dlpack.h; aten/src/ATen/DLConvertor.cpp). So a tensor is exported, the device in the
capsule is changed, and it is imported again: about a microsecond, no copy, strides kept.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: DLDeviceType of dlpack.h.
CPU, METAL = 1, 8

#: Offsets in bytes: the pointer in a PyCapsule, behind the object's head (pycapsule.c), and
#: ``device.device_type`` in a DLTensor, behind ``void* data`` (dlpack.h).
_POINTER, _DEVICE = 16, 8

#: The memory of this process as words, so that one word is read without making an object.
_WORDS = (ctypes.c_uint64 * (2**60 - 1)).from_address(0)
_HALVES = (ctypes.c_int32 * (2**61 - 1)).from_address(0)
_SHORTS = (ctypes.c_uint16 * (2**62 - 1)).from_address(0)


class LayoutError(Exception):
    """A structure of Python or torch is not laid out as expected; the text says which."""


def retagger() -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Two functions: a CPU tensor as one of MPS, and back.

    Conjugation, negation and gradients are lost on the way: the caller takes care of them.
    A tensor without elements has no memory and must not be given.
    """
    import torch

    export, load = torch._C._to_dlpack, torch._C._from_dlpack
    words, halves = _WORDS, _HALVES

    def as_mps(tensor: Any) -> Any:
        capsule = export(tensor)
        halves[(words[(id(capsule) + 16) >> 3] + 8) >> 2] = 8
        return load(capsule)

    def as_cpu(tensor: Any) -> Any:
        capsule = export(tensor)
        halves[(words[(id(capsule) + 16) >> 3] + 8) >> 2] = 1
        return load(capsule)

    return as_mps, as_cpu


def verify() -> None:
    """Check where a capsule keeps its pointer and DLPack its device, before anything is written.

    Raises:
        LayoutError: the word that would be read or written is not what it should be.
    """
    import torch

    capsule = torch._C._to_dlpack(torch.ones(3))
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    pointer = get(capsule, b"dltensor")
    if _WORDS[(id(capsule) + _POINTER) >> 3] != pointer:
        raise LayoutError("the pointer of a PyCapsule is not where CPython 3.10 to 3.14 keep it")
    if _HALVES[(pointer + _DEVICE) >> 2] != CPU:
        raise LayoutError("the device of a DLTensor is not where DLPack 1 keeps it")


def read_word(address: int) -> int:
    """The 8 bytes at an address that is known to be valid."""
    return int(_WORDS[address >> 3])


def write_word(address: int, value: int) -> None:
    """Write 8 bytes at an address that is known to be valid."""
    _WORDS[address >> 3] = value


def read_half(address: int) -> int:
    """The 2 bytes at an even address that is known to be valid."""
    return int(_SHORTS[address >> 1])


def write_half(address: int, value: int) -> None:
    """Write 2 bytes at an even address that is known to be valid."""
    _SHORTS[address >> 1] = value
