"""Faults of a device: a wrong kernel in place of the right one, switched on by name.

A fault sees one kernel call at a time, as tensors of the CPU that share the memory of the
simulated device, and may compute something else, write something else, or raise.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Call:
    """One kernel call, as a fault sees it."""

    op: Any
    """The ``torch._ops.OpOverload``."""
    name: str
    """For example ``aten::add.Tensor``; an operator without overload name is ``aten::relu``."""
    args: tuple[Any, ...]
    """Arguments as the dispatcher passes them: trailing defaults are absent. Tensors are on
    the CPU and share the simulated device's memory, with its strides and storage offset."""
    kwargs: dict[str, Any]
    run: Callable[..., Any] = field(repr=False)
    """The right kernel, to be called on such arguments."""
    host: frozenset[str] = frozenset()
    """Names of the arguments that really are of the host: one side of a copy may be."""


@dataclass(frozen=True)
class Fault:
    """One way in which a device is wrong."""

    name: str
    op: str
    """Overload names such as ``aten::add.Tensor``: globs, in a comma list."""
    when: Callable[[Call], bool]
    """Whether the fault strikes this call."""
    corrupt: Callable[[Call], Any]
    """What the broken device returns; it may also write into the arguments, or raise."""
    reason: str
    """What this imitates, with the issue it is taken from."""
    family: str = ""
    issues: tuple[str, ...] = ()
    """Where it was reported: ``pytorch#118115``."""

    def touches(self, name: str) -> bool:
        """Whether the fault is about the operator of this name."""
        return any(fnmatchcase(name, glob.strip()) for glob in self.op.split(","))


#: The faults that are switched on, first match wins. Empty in a run without faults.
active: tuple[Fault, ...] = ()

#: What a faulty device keeps from one call to the next; emptied when faults are switched.
kept: dict[Any, Any] = {}


def set_active(faults: tuple[Fault, ...]) -> None:
    """Switch on exactly these faults, for the whole process."""
    global active
    active = tuple(faults)
    touching.cache_clear()
    kept.clear()


@contextmanager
def activate(*faults: Fault) -> Iterator[None]:
    """Switch on exactly these faults while the block runs."""
    before = active
    set_active(faults)
    try:
        yield
    finally:
        set_active(before)


@cache
def touching(name: str) -> tuple[Fault, ...]:
    """The active faults that are about the operator of this name."""
    return tuple(fault for fault in active if fault.touches(name))


def applied(call: Call) -> Any:
    """The result of the call on a device with the active faults."""
    for fault in touching(call.name):
        if fault.when(call):
            return fault.corrupt(call)
    return call.run(*call.args, **call.kwargs)


def through(op: Any, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a kernel that calls others: its tensors may be those of the device."""
    if not active or not touching(op.name()):
        return run(*args, **kwargs)
    return applied(Call(op, op.name(), args, kwargs, run))
