"""What torch's Python side must be told: generators, storages, ``torch.mps``.

Every entry replaced here is a stub in a torch without MPS: it raises, or says "no".
"""

from __future__ import annotations

import threading
import time
from typing import Any

from pytest_applesilicon.simulate import counters, generators

#: What ``torch.backends.mps.get_name()`` answers: the name of a Metal device on a Mac.
NAME = "simulated MPS device"


def patch(tools: Any) -> None:
    """Replace the entries of ``torch._C`` that are stubs without MPS, and two classes."""
    import torch

    entries = {**_device(), **_memory(), **_events(), **_profiler(tools.default_generator)}
    for name, value in entries.items():
        setattr(torch._C, name, value)
    torch.mps._is_in_bad_fork = lambda: False
    for name in ("is_available", "is_macos_or_newer", "is_macos13_or_newer", "get_name"):
        cached: Any = getattr(torch.backends.mps, name)
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()
    torch.Generator = _generator_class(torch)
    _patch_storage(torch)
    torch.mps.compile_shader = _no_metal


def _device() -> dict[str, Any]:
    return {
        "_has_mps": True,
        "_mps_is_available": lambda: True,
        "_mps_is_in_bad_fork": lambda: False,
        # macOS 14 is what the wheels of torch need (their platform tag is macosx_14_0_arm64).
        "_mps_is_on_macos_or_newer": lambda major, minor: (major, minor) <= (14, 0),
        "_mps_get_name": lambda: NAME,
        "_mps_get_core_count": lambda: 8,
        "_mps_deviceSynchronize": lambda: counters.sync("synchronize"),
        "_accelerator_synchronizeDevice": lambda *_: counters.sync("synchronize"),
    }


def _memory() -> dict[str, Any]:
    """Memory is the CPU's own, and not counted."""
    return {
        "_mps_emptyCache": lambda: None,
        "_mps_setMemoryFraction": lambda fraction: None,  # noqa: ARG005
        "_mps_currentAllocatedMemory": lambda: 0,
        "_mps_driverAllocatedMemory": lambda: 0,
        "_mps_recommendedMaxMemory": lambda: 2**33,
        "_mps_host_alias_storage": _host_alias,
    }


def _host_alias(storage: Any) -> Any:
    import torch

    from pytest_applesilicon.simulate.memory import retagger

    _, as_cpu = retagger()
    whole = torch.empty(0, dtype=torch.uint8, device="mps").set_(storage)
    return as_cpu(whole).untyped_storage()


def _events() -> dict[str, Any]:
    """Events whose work is done when they are recorded: kernels here run at once."""
    times: dict[int, float] = {}
    lock = threading.Lock()

    def acquire(enable_timing: bool) -> int:  # noqa: ARG001
        with lock:
            number = max(times, default=0) + 1
            times[number] = 0.0
        return number

    def record(number: int) -> None:
        times[number] = time.perf_counter()

    return {
        "_mps_acquireEvent": acquire,
        "_mps_releaseEvent": lambda number: times.pop(number, None),
        "_mps_recordEvent": record,
        "_mps_waitForEvent": lambda number: None,  # noqa: ARG005
        "_mps_synchronizeEvent": lambda number: counters.sync("event.synchronize"),  # noqa: ARG005
        "_mps_queryEvent": lambda number: True,  # noqa: ARG005
        "_mps_elapsedTimeOfEvents": lambda start, end: (times[end] - times[start]) * 1e3,
    }


def _profiler(default: Any) -> dict[str, Any]:
    return {
        "_mps_get_default_generator": lambda: default,
        "_mps_profilerStartTrace": lambda mode, wait: None,  # noqa: ARG005
        "_mps_profilerStopTrace": lambda: None,
        "_mps_isCaptureEnabled": lambda: False,
        "_mps_isCapturing": lambda: False,
        "_mps_startCapture": _no_metal,
        "_mps_stopCapture": _no_metal,
        "_mps_compileShader": _no_metal,
    }


def _no_metal(*_: Any, **__: Any) -> Any:
    raise RuntimeError("the simulated MPS device has no Metal: no shader and no capture runs on it")


def _generator_class(torch: Any) -> Any:
    """``torch.Generator`` that also makes generators of ``mps``.

    torch asks a hook for those that is not built; an instance is always one of torch's own
    class, so that ``isinstance`` and the kernels see what they know.
    """
    real = torch._C.Generator

    class Meta(type):
        def __call__(cls, device: Any = None) -> Any:
            if device is None:
                device = torch.get_default_device()
            wanted = torch.device(device)
            return generators.make() if wanted.type == "mps" else real(device=wanted)

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

        def __getattr__(cls, name: str) -> Any:
            return getattr(real, name)

    return Meta("Generator", (), {"__doc__": real.__doc__, "__module__": "torch"})


def _patch_storage(torch: Any) -> None:
    """``UntypedStorage(n, device="mps")``, which load and map_location use, has no allocator."""
    base = torch.UntypedStorage
    original = base.__new__

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        device = kwargs.get("device")
        if device is not None and torch.device(device).type == "mps":
            size = args[0] if args and isinstance(args[0], int) else 0
            return torch.empty(size, dtype=torch.uint8, device=device).untyped_storage()
        return original(cls, *args, **kwargs)

    base.__new__ = staticmethod(new)
