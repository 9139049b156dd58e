"""Installing the simulated device, with a check before and after each step."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate import (
    composites,
    counters,
    generators,
    hooks,
    memory,
    plan,
    python,
    special,
    table,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Callable

#: The torch releases that the tests run on, as ``major.minor``.
SUPPORTED = ("2.13",)

OTHER_WAY = "--mps-audit judges the same tests while they run on the CPU, without this device"


class SimulationError(Exception):
    """The simulated device cannot be installed; the text says what failed and what to do."""


#: Whether the device is installed, and how it treats missing operators; it stays for the
#: life of the process, because what was patched is used by tensors that may live on.
installed: dict[str, Any] = {}


#: Why an earlier attempt in this process failed: a second one would fail as well.
_failure: list[SimulationError] = []


def refusal(system: str, version: str, built_with_mps: bool) -> str | None:
    """Why the device cannot be simulated here; ``None`` where it can.

    Args:
        system: ``sys.platform``.
        version: of torch, for example ``2.13.0+cpu``.
        built_with_mps: whether torch has the real one.
    """
    if system == "darwin":
        return "this is macOS: use the real device, --device=mps"
    if built_with_mps:
        return "this torch is built with MPS: use the real device, --device=mps"
    if system != "linux" or sys.maxsize < 2**32:
        return f"it is written for 64-bit Linux, and this is {system}"
    if ".".join(version.split(".")[:2]) not in SUPPORTED:
        return f"it is tested with torch {', '.join(SUPPORTED)} only"
    return None


def install(fallback: bool | None = None) -> None:
    """Put the simulated device into this process. A second call changes the fallback only.

    Args:
        fallback: whether operators that MPS lacks run on the CPU; by default what
            PYTORCH_ENABLE_MPS_FALLBACK says.

    Raises:
        SimulationError: naming the step that failed, torch's version and the other way.
    """
    import torch

    if fallback is None:
        fallback = os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK", "0").strip() not in ("", "0")
    if _failure:
        raise _failure[0]
    if installed:
        installed["fallback"] = fallback
        return
    reason = refusal(sys.platform, torch.__version__, bool(torch._C._has_mps))
    if reason:
        raise _error("start", reason)
    installed["fallback"] = fallback
    try:
        for name, action in _STEPS:
            _step(name, action)
    except SimulationError as error:
        installed.clear()
        hooks.undo()
        while _kept:
            _kept.pop()._destroy()
        _failure.append(error)
        raise
    counters.reset()


def _step(name: str, action: Callable[[], None]) -> None:
    try:
        action()
    except SimulationError:
        raise
    except Exception as error:
        raise _error(name, f"{type(error).__name__}: {error}") from error


def _error(step: str, reason: str) -> SimulationError:
    import torch

    return SimulationError(
        f"mps-sim cannot be installed in torch {torch.__version__}, at: {step}: {reason}\n"
        f"  remedy: {OTHER_WAY}"
    )


def _check_accelerator() -> None:
    import torch

    found = torch._C._accelerator_getAccelerator().type
    if found != "mps":
        raise memory.LayoutError(f"torch's accelerator is {found}, not mps")


def _check_round_trip() -> None:
    import torch

    host = torch.arange(6.0).reshape(2, 3)
    there = host.to("mps").t()
    back = there.to("cpu")
    if str(there.device) != "mps:0" or back.tolist() != host.t().tolist():
        raise memory.LayoutError(f"a tensor came back from {there.device} as {back.tolist()}")


def _check_backward() -> None:
    import torch

    leaf = torch.ones(2, device="mps", requires_grad=True)
    try:
        # The engine makes its queues, one a device, at the process's first backward pass
        # (torch/csrc/autograd/engine.cpp); a device that comes later has none.
        leaf.mul(2).sum().backward()
    except RuntimeError as error:
        if "device_ready_queues_" not in str(error):
            raise
        raise _error(
            "first backward pass",
            "a backward pass has already run in this process, and torch's autograd engine "
            "takes no device after that: install before it, with --device=mps-sim on the "
            "command line or in the ini file",
        ) from None
    if leaf.grad is None or leaf.grad.tolist() != [2.0, 2.0]:
        raise memory.LayoutError(f"the gradient of 2 * x is {leaf.grad}")


#: Libraries whose kernels end when the object does.
_kept: list[Any] = []


def _register() -> None:
    """Register a kernel for every operator that the installed torch lists for MPS."""
    import torch

    from pytest_applesilicon.simulate.kernels import Kernels

    default = generators.make(seed=torch._C.default_generator.initial_seed())
    tools = Kernels(default)
    installed["kernels"] = tools
    library = torch.library.Library("aten", "IMPL")
    _kept.append(library)
    own = special.kernels(tools)
    listed = table.native(table.path().read_text(encoding="utf-8"))
    for name in sorted((listed | set(own) | set(special.VIEWS)) - special.UNREACHED):
        op = overload(name)
        if op is None:
            continue
        if name in own:
            kernel = own[name]
        elif name in special.VIEWS:
            kernel = tools.view(op)
        else:
            kernel = tools.make(op)
        library.m.impl(f"aten::{name}", "MPS", kernel, False)
    for name in table.ALWAYS_FALLBACK - listed:
        op = overload(name)
        composite = torch._C._dispatch_has_kernel_for_dispatch_key(
            op.name(), "CompositeImplicitAutograd"
        )
        functional = composite and not plan.of(op).written
        kernel = _composite_falls_back(op) if functional else _falls_back(tools, op)
        library.m.impl(f"aten::{name}", "MPS", kernel, False)
    for name in table.native(table.path().read_text(encoding="utf-8"), "SparseMPS"):
        op = overload(name)
        if op is not None:
            kernel = tools.sparse.kernel(name, op)
            library.m.impl(f"aten::{name}", "SparseMPS", kernel, False)
    composites.register(library, tools)
    rest = torch.library.Library("_", "IMPL")
    _kept.append(rest)
    rest.m.fallback("MPS", _missing(tools), False)


#: In this order: nothing is written before what it relies on was checked.
_STEPS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("memory layout", memory.verify),
    ("generator layout", generators.locate),
    ("device guard", hooks.register_guard),
    ("hooks of MPS", hooks.swap_hooks),
    ("accelerator", _check_accelerator),
    ("operators", _register),
    ("round trip", _check_round_trip),
    ("first backward pass", _check_backward),
    ("torch's Python side", lambda: python.patch(installed["kernels"])),
)


def overload(name: str) -> Any:
    """The overload of ``add.out`` or ``relu``; ``None`` where this build has none."""
    import torch

    packet, _, rest = name.partition(".")
    found = getattr(torch.ops.aten, packet, None)
    return getattr(found, rest or "default", None)


def _falls_back(tools: Any, op: Any) -> Callable[..., Any]:
    """The kernel of an operator that runs on the CPU with a warning."""
    made = plan.of(op)
    run = tools.runner(made)

    def kernel(*args: Any, **kwargs: Any) -> Any:
        warn(made.name)
        return tools.call(made, run, args, kwargs)

    return kernel


def _composite_falls_back(op: Any) -> Callable[..., Any]:
    """The kernel of a composite that runs on the CPU with a warning: ``linalg_svd``.

    A composite that has a kernel of its own for MPS has no derivative there, and torch's kernel
    for autograd lets it run as it is, with a warning when a gradient flows (pytorch#104481).
    The copies to the CPU and back are differentiable, and so is what runs between them.
    """
    name = op.name()

    def kernel(*args: Any, **kwargs: Any) -> Any:
        import torch

        warn(name)
        device = next(one.device for one in args if isinstance(one, torch.Tensor))
        host = (one.cpu() if isinstance(one, torch.Tensor) else one for one in args)
        results = op(*host, **kwargs)
        if isinstance(results, torch.Tensor):
            return results.to(device)
        return tuple(one.to(device) for one in results)

    return kernel


def _missing(tools: Any) -> Callable[..., Any]:
    """What happens to every operator without a kernel, those of other libraries too."""
    made: dict[Any, Callable[..., Any]] = {}

    def kernel(op: Any, *args: Any, **kwargs: Any) -> Any:
        if not installed["fallback"]:
            import torch

            commit = torch.version.git_version
            raise NotImplementedError(
                texts.NOT_IMPLEMENTED.format(operator=op.name(), commit=commit)
            )
        if op not in made:
            made[op] = _falls_back(tools, op)
        return made[op](*args, **kwargs)

    return kernel


def warn(name: str) -> None:
    """Count a fallback and warn of it: once a process, or each time where torch is told so."""
    import warnings

    import torch

    counters.fallback(name)
    if installed.get("warned") and not torch.is_warn_always_enabled():
        return
    installed["warned"] = True
    warnings.warn(texts.FALLS_BACK.format(operator=name), UserWarning, stacklevel=2)
