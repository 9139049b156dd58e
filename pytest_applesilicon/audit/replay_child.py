"""The child process of a replay: it runs signatures on a device and judges what comes out."""

from __future__ import annotations

import faulthandler
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from pytest_applesilicon.audit import describing
from pytest_applesilicon.audit.signatures import Signature, parse
from pytest_applesilicon.isolation import Channel

#: Factories of memory that nobody has written: only shape and dtype can be judged.
_UNWRITTEN = ("empty", "new_empty", "_empty", "resize", "_efficientzerotensor")

#: What to say of an operator that the installed torch does not have.
_NO_OPERATOR = "the installed torch has no such operator"


def main(requests: int, replies: int) -> None:
    """Answer requests until one says ``stop``."""
    faulthandler.enable()
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1)
    warnings.simplefilter("ignore")
    channel = Channel(requests, replies)
    device = ""
    while (request := channel.receive()) is not None:
        if request.get("stop"):
            channel.send({"done": True})
            return
        if "device" in request:
            device = begin(request["device"], request["faults"])
            _warm_up()
            channel.send({"done": True})
            continue
        (signature,), _ = parse(request["signature"])
        outcome, reason = replay(signature, device, request["seed"])
        channel.send({"done": True, "outcome": outcome, "reason": reason})


def begin(spec: str, faults: str) -> str:
    """Get the device ready; returns torch's name for it."""
    if spec != "mps-sim":
        return spec
    from pytest_applesilicon.simulate import device, fault_names
    from pytest_applesilicon.simulate import faults as switched

    device.install(fallback=False)
    if faults:
        switched.set_active(fault_names.load(faults, Path.cwd()))
    return "mps"


def _warm_up() -> None:
    """Import what judging needs, which takes seconds, before a call has a time limit."""
    tensor = {"tensor": "float32", "shape": [2]}
    replay(Signature("aten::neg", (tensor,), {}, (), False, 1, 1, "", ""), "cpu", 0)


def replay(signature: Signature, device: str, seed: int) -> tuple[str, str]:
    """The outcome of one signature on a device, and why."""
    op = overload(signature.operator)
    if op is None:
        return "not-run", _NO_OPERATOR
    try:
        args = tuple(describing.make(one, seed) for one in signature.args)
        kwargs = {name: describing.make(one, seed) for name, one in signature.kwargs.items()}
    except (describing.NotDescribedError, ValueError, RuntimeError) as error:
        return "not-run", str(error)
    from pytest_applesilicon.agreement import walking

    call = _calling(op, walking)
    try:
        call(*args, **kwargs)
    except Exception as error:  # the host refuses it as well: it tells nothing
        return "not-run", f"the CPU raises {_first_line(error)}"
    return _on_device(op, call, args, kwargs, device, walking)


def overload(operator: str) -> Any:
    """The overload of ``aten::add.Tensor``; ``None`` where the installed torch has none."""
    import torch

    space, _, rest = operator.rpartition("::")
    packet, _, name = rest.partition(".")
    found = getattr(getattr(torch.ops, space or "aten"), packet, None)
    return getattr(found, name or "default", None)


def _calling(op: Any, walking: Any) -> Any:
    """A call on copies, which returns the results and what was written into."""
    written = [one.name for one in op._schema.arguments
               if one.alias_info is not None and one.alias_info.is_write]  # fmt: skip
    places = [one.name for one in op._schema.arguments]

    def call(*args: Any, **kwargs: Any) -> Any:
        here, named = walking.copied(args), walking.copied(kwargs)
        result = op(*here, **named)
        if not written:
            return result
        passed = {**dict(zip(places, here, strict=False)), **named}
        return [result, *(passed[name] for name in written if name in passed)]

    return call


def _on_device(
    op: Any, call: Any, args: Any, kwargs: Any, device: str, walking: Any
) -> tuple[str, str]:
    import torch

    from pytest_applesilicon.agreement import lacking
    from pytest_applesilicon.fallback import watch

    def moved(value: Any) -> Any:
        def leaf(one: Any) -> Any:
            if isinstance(one, torch.Tensor):
                return _there(one, device)
            return torch.device(device) if isinstance(one, torch.device) else one

        return walking.mapped(value, leaf)

    try:
        there, named = moved(args), moved(kwargs)
        with watch() as fell_back:
            actual = call(*there, **named)
            torch.sum(torch.ones(1, device=device)).item()  # what failed late is raised here
    except Exception as error:
        if lacking.is_lacking(error):
            return "unsupported", _first_line(error)
        return "wrong", f"raised {_first_line(error)}; the CPU does not"
    try:
        reason = _problem(op, call, args, kwargs, actual)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return "not-run", f"no oracle: {_first_line(error)}"
    if reason:
        return "wrong", reason
    return ("fallback", ", ".join(fell_back)) if fell_back else ("native", "")


def _there(tensor: Any, device: str) -> Any:
    """The tensor on the device, as the same view of the same memory."""
    if tensor.is_contiguous() and not tensor.storage_offset():
        return tensor.detach().to(device).requires_grad_(tensor.requires_grad)
    size = tensor.untyped_storage().nbytes() // tensor.element_size()
    memory = tensor.detach().as_strided((size,), (1,), 0).to(device)
    return memory.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())


def _problem(op: Any, call: Any, args: Any, kwargs: Any, actual: Any) -> str:
    """In what a result differs from the oracle; empty where it does not."""
    from pytest_applesilicon.agreement import oracle, telling, walking

    dtype = next(
        (one.dtype for one in walking.leaves([args, kwargs]) if hasattr(one, "dtype")), None
    )
    if dtype is None:
        import torch

        dtype = torch.float32
    found = oracle.judge_sample(
        actual, call, args, kwargs, dtype, name=_known_as(op), kind=_kind(op)
    )
    return "" if found.agrees else str(telling.told(found, f"result {found.leaf}", "")).strip()


def _known_as(op: Any) -> str:
    """The name that tells the agreement of selections and decompositions."""
    packet = op._schema.name.rpartition("::")[2].lstrip("_")
    known = packet.replace("linalg_", "linalg.", 1) if packet.startswith("linalg_") else packet
    return str(known)


def _kind(op: Any) -> str:
    import torch

    packet = op._schema.name.rpartition("::")[2]
    if packet.startswith(_UNWRITTEN):
        return "metadata"
    random = torch.Tag.nondeterministic_seeded in op.tags or any(
        one.name == "generator" for one in op._schema.arguments
    )
    return "random" if random else "floating"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"


if __name__ == "__main__":
    main(*(int(one) for one in sys.argv[1:]))
