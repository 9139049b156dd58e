"""Making torch's C++ side believe that MPS is there: a device guard and the hooks' answers.

Two pointers are written, each after what stands there was checked: the slot of MPS in
``c10::impl::device_guard_impl_registry``, and the table of virtual functions of the object
that ``at::detail::getMPSHooks()`` returns. Where each function stands in that table is read
from the headers that ship in torch's wheel.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate import memory

if TYPE_CHECKING:
    from collections.abc import Callable

#: c10/core/DeviceType.h
_MPS, _PRIVATE = 13, 20
_REGISTRY = "_ZN3c104impl26device_guard_impl_registryE"
_TABLE = "_ZTVN2at17MPSHooksInterfaceE"
_GET_HOOKS = "_ZN2at6detail11getMPSHooksEv"

#: at::Context::hasOpenMP(): returns true and looks at no argument.
_TRUE = "_ZN2at7Context9hasOpenMPEv"

#: What is to answer "yes", or 1.
_YES = (
    "isBuilt",
    "isAvailable",
    "hasPrimaryContext",
    "init",
    "deviceCount",
    "hasMPS",
    "isOnMacOSorNewer",
)

#: Answers "no" or 0 without arguments before the swap, so that a wrong slot is noticed.
_NO_BEFORE = ("isBuilt", "isAvailable", "deviceCount", "hasMPS")

_VIRTUAL = re.compile(r"^  virtual [^;{]*?(\w+)\(", re.MULTILINE)

#: What puts back each word that was written, for an installation that fails later.
_undo: list[Callable[[], None]] = []

#: Objects that C++ points to: they live as long as the process.
_kept: list[Any] = []


def slots(accelerator: str, mps: str) -> dict[str, int]:
    """The place of each virtual function behind the table's start, from the two headers.

    A virtual destructor takes two places (Itanium C++ ABI, section 2.5.2).
    """
    names = [name for name in _VIRTUAL.findall(accelerator) if name != "AcceleratorHooksInterface"]
    names += [name for name in _VIRTUAL.findall(mps) if name != "MPSHooksInterface"]
    return {name: place for place, name in enumerate(names, start=2)}


def swap_hooks() -> None:
    """Let the hooks of MPS say that MPS is built, available, and one device.

    Raises:
        memory.LayoutError: a symbol, a header or a slot is not what it should be.
    """
    import torch

    folder = Path(torch.__file__).parent
    library = ctypes.CDLL(str(folder / "lib/libtorch_cpu.so"))
    headers = folder / "include/ATen/detail"
    try:
        texts = [
            (headers / f"{name}HooksInterface.h").read_text() for name in ("Accelerator", "MPS")
        ]
    except OSError as error:
        raise memory.LayoutError(f"a header of torch cannot be read: {error}") from None
    places = slots(*texts)
    missing = [name for name in _YES if name not in places]
    if missing:
        raise memory.LayoutError(f"the headers of torch declare no {', '.join(missing)}")
    get = _function(library, _GET_HOOKS, ctypes.c_void_p)
    hooks = get()
    table = ctypes.addressof(ctypes.c_char.in_dll(library, _TABLE)) + 16
    if memory.read_word(hooks) != table:
        raise memory.LayoutError("the object of getMPSHooks() has another table than its class")
    for name in _NO_BEFORE:
        address = memory.read_word(table + 8 * places[name])
        answer = ctypes.CFUNCTYPE(ctypes.c_uint8, ctypes.c_void_p)(address)(hooks)
        if answer:
            raise memory.LayoutError(f"slot {places[name]} should be {name}, and says {answer}")
    count = len(places) + 2
    # Two words before the table belong to it: the offset to the top and the type.
    copy = (ctypes.c_uint64 * (count + 2)).from_buffer_copy(
        ctypes.string_at(table - 16, 8 * (count + 2))
    )
    yes = ctypes.cast(getattr(library, _TRUE), ctypes.c_void_p).value
    for name in _YES:
        copy[2 + places[name]] = yes or 0
    _kept.append(copy)
    _undo.append(lambda: memory.write_word(hooks, table))
    memory.write_word(hooks, ctypes.addressof(copy) + 16)


def register_guard() -> None:
    """Give MPS a device guard: the one that torch lets Python define for PrivateUse1, moved.

    Raises:
        memory.LayoutError: a slot of the registry is not what it should be.
    """
    import torch

    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib/libc10.so"))
    try:
        registry = (ctypes.c_void_p * (_PRIVATE + 1)).in_dll(library, _REGISTRY)
    except ValueError:
        raise memory.LayoutError(f"libc10 exports no {_REGISTRY}") from None
    for place in (_MPS, _PRIVATE):
        if registry[place]:
            raise memory.LayoutError(f"slot {place} of the guard registry is in use")
    if not registry[0]:
        raise memory.LayoutError("slot 0 of the guard registry, the CPU's, is empty")

    class Guard(torch._C._acc.DeviceGuard):  # type: ignore[misc]
        def type_(self) -> Any:
            return torch._C._autograd.DeviceType.MPS

    guard = Guard()
    _kept.append(guard)
    torch._C._acc.register_python_privateuseone_device_guard(guard)
    if not registry[_PRIVATE]:
        raise memory.LayoutError(f"slot {_PRIVATE} of the guard registry stayed empty")
    registry[_MPS], registry[_PRIVATE] = registry[_PRIVATE], None

    def empty() -> None:
        registry[_MPS] = None

    _undo.append(empty)


def undo() -> None:
    """Put back what was written: torch has no MPS again."""
    while _undo:
        _undo.pop()()


def _function(library: ctypes.CDLL, name: str, result: Any) -> Any:
    try:
        found = getattr(library, name)
    except AttributeError:
        raise memory.LayoutError(f"libtorch_cpu exports no {name}") from None
    found.restype, found.argtypes = result, []
    return found
