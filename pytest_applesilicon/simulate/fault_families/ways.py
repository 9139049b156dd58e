"""How a device goes wrong, as conditions on a call and as corruptions of it, to be combined.

A condition takes a ``Call`` and tells whether the fault strikes; a corruption takes it and
returns what the broken device returns. Both see tensors of the CPU. Imports nothing of torch
at the top: a list of the faults must not need it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_applesilicon.simulate.faults import Call

    Condition = Callable[[Call], bool]
    Corruption = Callable[[Call], Any]


# looking at a call


def right(call: Call) -> Any:
    """What the right kernel returns."""
    return call.run(*call.args, **call.kwargs)


def place_of(call: Call, name: str) -> int:
    """The position of an argument in the schema; -1 where there is none of this name."""
    names = [one.name for one in call.op._schema.arguments]
    return names.index(name) if name in names else -1


def value(call: Call, name: str) -> Any:
    """An argument by its name in the schema, or its default; ``None`` where there is none."""
    if name in call.kwargs:
        return call.kwargs[name]
    place = place_of(call, name)
    if place < 0:
        return None
    if place < len(call.args):
        return call.args[place]
    return call.op._schema.arguments[place].default_value


def changed(call: Call, **new: Any) -> Any:
    """What the right kernel returns for other values of some arguments."""
    args, kwargs = list(call.args), dict(call.kwargs)
    for name, one in new.items():
        place = place_of(call, name)
        if name in kwargs or place >= len(args):
            kwargs[name] = one
        else:
            args[place] = one
    return call.run(*args, **kwargs)


def is_tensor(one: Any) -> bool:
    """Whether this is a tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(one, torch.Tensor)


def tensors(call: Call) -> Iterator[Any]:
    """The tensors among the arguments, those of lists too."""
    for one in (*call.args, *call.kwargs.values()):
        if is_tensor(one):
            yield one
        elif isinstance(one, (list, tuple)):
            yield from (each for each in one if is_tensor(each))


def first(call: Call) -> Any:
    """The first tensor of a call."""
    return next(tensors(call))


def target(call: Call) -> Any:
    """What the call writes to: ``out``, or what an operator in place works on."""
    return call.kwargs["out"] if "out" in call.kwargs else call.args[0]


def scattered(tensor: Any) -> bool:
    """Whether the elements do not stand in memory one after the other, in order."""
    return is_tensor(tensor) and tensor.numel() > 1 and not tensor.is_contiguous()


def expanded(tensor: Any) -> bool:
    """Whether several elements are one element of memory."""
    return is_tensor(tensor) and any(
        step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True)
    )


def shifted(tensor: Any) -> bool:
    """Whether the tensor begins behind the start of its memory."""
    return is_tensor(tensor) and tensor.storage_offset() != 0


def is_whole(tensor: Any) -> bool:
    """Whether the dtype is an integer one."""
    return (
        is_tensor(tensor)
        and not tensor.is_floating_point()
        and not tensor.is_complex()
        and str(tensor.dtype) != "torch.bool"
    )


def dtype_is(tensor: Any, *names: str) -> bool:
    """Whether the dtype is one of these."""
    return is_tensor(tensor) and str(tensor.dtype).removeprefix("torch.") in names


def has_nan(tensor: Any) -> bool:
    """Whether a floating-point tensor holds a NaN."""
    return is_tensor(tensor) and tensor.is_floating_point() and bool(tensor.isnan().any())


def argument_is(name: str, test: Callable[[Any], bool]) -> Condition:
    """The argument of this name passes the test."""
    return lambda call: bool(test(value(call, name)))


def any_tensor(test: Callable[[Any], bool]) -> Condition:
    """One of the tensors of the call passes the test."""
    return lambda call: any(test(one) for one in tensors(call))


def written_is(test: Callable[[Any], bool]) -> Condition:
    """What is written to passes the test."""
    return lambda call: bool(test(target(call)))


def always(call: Call) -> bool:  # noqa: ARG001 - a condition
    """Whatever the call is."""
    return True


# other readings of the same memory


def packed(tensor: Any) -> Any:
    """The elements in the order of memory: strides ignored, offset kept."""
    import torch

    if not is_tensor(tensor) or not tensor.numel():
        return tensor
    memory = _memory(tensor)
    places = torch.arange(tensor.numel()) + tensor.storage_offset()
    return memory[places.remainder(memory.numel())].reshape(tensor.shape)


def unshifted(tensor: Any) -> Any:
    """The tensor read from the start of its memory: offset ignored, strides kept."""
    if not shifted(tensor):
        return tensor
    return tensor.as_strided(tensor.shape, tensor.stride(), 0)


def _memory(tensor: Any) -> Any:
    length = tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.as_strided((length,), (1,), 0)


def reading(change: Callable[[Any], Any], *names: str) -> Corruption:
    """The call with arguments read wrongly; with every tensor so where none is named."""

    def corrupt(call: Call) -> Any:
        if names:
            return changed(call, **{name: _each(value(call, name), change) for name in names})
        args = [_each(one, change) for one in call.args]
        kwargs = {
            key: one if key == "out" else _each(one, change) for key, one in call.kwargs.items()
        }
        return call.run(*args, **kwargs)

    return corrupt


def _each(one: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(one, (list, tuple)):
        return type(one)(_each(each, change) for each in one)
    return change(one) if is_tensor(one) else one


# what comes out


def lost(call: Call) -> Any:
    """Computed into memory that nobody reads: what is written to stays as it was."""
    return target(call)


def giving(change: Callable[[Any], Any]) -> Corruption:
    """The right result, changed; what is written to, or the first of several, is changed."""

    def corrupt(call: Call) -> Any:
        result = right(call)
        if is_tensor(result):
            return _replaced(result, change)
        if isinstance(result, (list, tuple)):
            return (_replaced(result[0], change), *result[1:])
        return change(result)

    return corrupt


def _replaced(result: Any, change: Callable[[Any], Any]) -> Any:
    return result.copy_(change(result.clone())) if result.numel() else result


def raising(text: str, kind: type[Exception] = RuntimeError) -> Corruption:
    """An error where the CPU has none."""

    def corrupt(call: Call) -> Any:  # noqa: ARG001
        raise kind(text)

    return corrupt


# the end of the process


def aborting(text: str) -> Corruption:
    """An assertion of Metal: its text on standard error, then SIGABRT."""

    def corrupt(call: Call) -> Any:  # noqa: ARG001
        _say(text)
        os.abort()

    return corrupt


def killing(signal_name: str) -> Corruption:
    """The process dies of a signal, without a word."""

    def corrupt(call: Call) -> Any:
        os.kill(os.getpid(), getattr(signal, signal_name))
        return right(call)

    return corrupt


def hanging(call: Call) -> Any:  # noqa: ARG001
    """The command buffer never completes."""
    while True:
        time.sleep(3600)


def _say(text: str) -> None:
    # Past pytest's capture, as Metal's own text goes: the process ends before it is shown.
    os.write(2, text.encode() + b"\n")
