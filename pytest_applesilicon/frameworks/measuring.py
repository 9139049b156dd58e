"""What a framework offers to whoever times it: waiting, device events, the allocator's peak.

Each function asks one framework, which its caller has chosen, and imports it inside.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import frameworks

if TYPE_CHECKING:
    from collections.abc import Callable

#: Frameworks whose calls have finished on the CPU when they return.
_DONE_ON_CPU = ("torch", "numpy", "tensorflow")


def synchronizer(framework: str, spec: str) -> Callable[[], None] | None:
    """What waits for the device; ``None`` where a call has finished when it returns."""
    if spec == "cpu" and framework in _DONE_ON_CPU:
        return None
    return partial(frameworks.load(framework).synchronize, spec)


def finisher(framework: str, *, wait: bool) -> Callable[[Any], object] | None:
    """What makes a lazy framework compute a result; ``None`` where a call computes by itself.

    Args:
        framework: its name.
        wait: whether to wait for the result too, or only to start it.
    """
    if framework != "mlx":
        return None
    import mlx.core as mx

    evaluate: Callable[[Any], object] = mx.eval if wait else mx.async_eval
    return evaluate


def event_seconds(framework: str, spec: str, call: Callable[[], object]) -> float | None:
    """Seconds between two events of the device around ``call``; ``None`` where it has none."""
    if framework != "torch" or not (spec == "mps" or spec.startswith("cuda")):
        return None
    import torch

    if spec == "mps":
        start, end = (torch.mps.event.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
    else:
        with torch.cuda.device(spec):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            end.record()
            end.synchronize()
    return float(start.elapsed_time(end)) / 1e3


def reset_peak(framework: str, spec: str) -> None:
    """Begin to look for the most memory that is held on the device.

    torch's MPS backend keeps no peak; what it took from the driver never shrinks but by
    ``empty_cache``, so after that it is a peak.
    """
    found = _PEAKS.get(framework)
    if found is not None and spec != "cpu":
        found[0](spec)


def peak_bytes(framework: str, spec: str) -> int | None:
    """The most bytes held on the device since ``reset_peak``; ``None`` where nobody tells."""
    found = _PEAKS.get(framework)
    if found is None or spec == "cpu":
        return None
    return found[1](spec)


def _reset_torch(spec: str) -> None:
    import torch

    if spec.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(spec)
    elif spec == "mps":
        torch.mps.synchronize()
        torch.mps.empty_cache()


def _torch_peak(spec: str) -> int | None:
    import torch

    if spec.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(spec))
    return int(torch.mps.driver_allocated_memory()) if spec == "mps" else None


def _reset_mlx(_spec: str) -> None:
    import mlx.core as mx

    # Older releases have it in mx.metal.
    (getattr(mx, "reset_peak_memory", None) or mx.metal.reset_peak_memory)()


def _mlx_peak(_spec: str) -> int | None:
    import mlx.core as mx

    return int((getattr(mx, "get_peak_memory", None) or mx.metal.get_peak_memory)())


def _reset_tensorflow(spec: str) -> None:
    import tensorflow as tf

    try:
        tf.config.experimental.reset_memory_stats(_tensorflow_place(spec))
    except ValueError:  # the device does not count
        return


def _tensorflow_peak(spec: str) -> int | None:
    import tensorflow as tf

    try:
        return int(tf.config.experimental.get_memory_info(_tensorflow_place(spec))["peak"])
    except ValueError:  # the device does not count
        return None


def _tensorflow_place(spec: str) -> str:
    return f"GPU:{spec.partition(':')[2] or '0'}"


_PEAKS: dict[str, tuple[Callable[[str], None], Callable[[str], int | None]]] = {
    "torch": (_reset_torch, _torch_peak),
    "mlx": (_reset_mlx, _mlx_peak),
    "tensorflow": (_reset_tensorflow, _tensorflow_peak),
}
