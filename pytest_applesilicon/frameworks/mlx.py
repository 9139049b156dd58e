"""MLX: the GPU through Metal or CUDA, and the CPU.

An MLX array has no device: memory is unified, and each operation says where it runs, by its
``stream`` or else by the default device (docs of MLX, "Unified Memory"). So ``device`` makes
the device of a test the default one, and the device told of an array is the default device.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.frameworks.base import ArrayFacts, DeviceAbsentError
from pytest_applesilicon.frameworks.cuda import cuda_absent
from pytest_applesilicon.frameworks.product import check_product, products
from pytest_applesilicon.frameworks.versions import version_of, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import numpy

    from pytest_applesilicon.frameworks.base import Framework
    from pytest_applesilicon.records import Host

#: What the extras ``mlx[cuda]``, ``[cuda12]`` and ``[cuda13]`` install, or did.
_CUDA_DISTRIBUTIONS = ("mlx-cuda-13", "mlx-cuda-12", "mlx-cuda")


class MlxAdapter:
    """MLX behind the Framework protocol."""

    name = "mlx"
    distribution = "mlx"

    def absent(self, spec: str, host: Host) -> tuple[str, str] | None:
        kind = spec.partition(":")[0]
        if kind == "mps":
            return _metal_absent(host)
        if kind == "cuda":
            return _cuda_absent(host)
        if spec != "cpu":
            return (f"MLX has no device {spec}", "use --device=mps or --device=cpu")
        return None

    def probe(self, spec: str) -> Iterator[str]:
        yield "import mlx"
        import mlx.core as mx

        yield "find the device"
        _find(mx, spec)
        device = _device(mx, spec)
        yield "allocate 1 element"
        mx.eval(mx.zeros(1, stream=device))
        yield "allocate 16 MB"
        mx.eval(mx.zeros(4 * 1024 * 1024, stream=device))
        for product in products():
            yield product.step
            left = mx.array(product.left)
            if product.bias is None:
                result = mx.matmul(left, mx.array(product.right), stream=device)
            else:
                # As mlx.nn.Linear does it: the weight is stored transposed.
                weight = mx.transpose(mx.array(product.right.T.copy()), stream=device)
                result = mx.addmm(mx.array(product.bias), left, weight, stream=device)
            judged = self.to_host(result)
            check_product(product.name, judged, product.left, product.right, product.bias)
        yield "synchronize"
        self.synchronize(spec)

    def device(self, spec: str) -> Any:
        """The device, made the default one: that is where operations without a stream run."""
        import mlx.core as mx

        device = _device(mx, spec)
        mx.set_default_device(device)
        return device

    def running_on(self, spec: str) -> AbstractContextManager[Any]:
        import mlx.core as mx

        context: AbstractContextManager[Any] = mx.stream(_device(mx, spec))
        return context

    def on_device(self, facts: ArrayFacts, spec: str) -> bool:
        """Whether an operation on the array runs on the device; see ``facts``."""
        return facts.device == _place(spec)

    def dtype(self, name: str) -> Any:
        import mlx.core as mx

        found = getattr(mx, "bool_" if name == "bool" else name, None)
        return found if isinstance(found, mx.Dtype) else None

    def to_device(self, value: Any, spec: str, dtype: Any = None) -> Any:
        import mlx.core as mx

        device = _device(mx, spec)
        with mx.stream(device):
            if dtype is None:
                array = mx.array(value)
            elif self.is_array(value):
                array = value.astype(dtype)
            else:
                array = mx.array(value, dtype)
            mx.eval(array)
        return array

    def is_array(self, value: Any) -> bool:
        # Not the package mlx: importing it does not import its arrays.
        mx = sys.modules.get("mlx.core")
        return mx is not None and isinstance(value, mx.array)

    def facts(self, array: Any) -> ArrayFacts:
        """Type, shape and dtype; as device the default one, because an array has none."""
        import mlx.core as mx

        return ArrayFacts(
            type="mlx.core.array",
            shape=tuple(array.shape),
            dtype=str(array.dtype).removeprefix("mlx.core."),
            device=_default_place(mx),
            strides=None,
        )

    def to_host(self, array: Any) -> numpy.ndarray[Any, Any]:
        import mlx.core as mx
        import numpy as np

        from pytest_applesilicon.frameworks.numpy import to_wide

        if array.dtype == mx.bfloat16:
            # Exact, and needed: the buffer protocol has no such format.
            array = array.astype(mx.float32, stream=mx.cpu)
        return to_wide(np.array(array))

    def synchronize(self, spec: str) -> None:
        """Wait for what was evaluated; MLX is lazy, and the rest has not started."""
        import mlx.core as mx

        mx.synchronize(mx.default_stream(_device(mx, spec)))

    def empty_cache(self, spec: str) -> None:
        import mlx.core as mx

        if spec != "cpu":
            # Older releases have it in mx.metal.
            (getattr(mx, "clear_cache", None) or mx.metal.clear_cache)()

    def memory(self, spec: str) -> int | None:
        import mlx.core as mx

        if spec == "cpu":
            return None
        # Older releases tell it in mx.metal.
        tell = getattr(mx, "get_active_memory", None) or mx.metal.get_active_memory
        return int(tell())

    def versions(self) -> dict[str, str]:
        return versions_of("mlx", "mlx-metal", "mlx-cpu", *_CUDA_DISTRIBUTIONS)

    def seed(self, seed: int) -> None:
        import mlx.core as mx

        mx.random.seed(seed)


def _place(spec: str) -> str:
    """``cpu:0``, ``gpu:0``, ``gpu:1`` ...: the kind of device as MLX calls it, and its number."""
    kind, _, index = spec.partition(":")
    return f"{'cpu' if kind == 'cpu' else 'gpu'}:{index or 0}"


def _device(mx: Any, spec: str) -> Any:
    kind, _, index = _place(spec).partition(":")
    return mx.Device(getattr(mx, kind), int(index))


def _default_place(mx: Any) -> str:
    # "Device(gpu, 0)": the number is told nowhere else.
    kind, _, index = str(mx.default_device()).removeprefix("Device(").rstrip(")").partition(", ")
    return f"{kind}:{index}"


def _metal_absent(host: Host) -> tuple[str, str] | None:
    if host.system != "macOS":
        return (
            f"MLX uses the GPU through Metal, on macOS, and this is {host.system}",
            "run on a Mac with Apple silicon, or use --device=cpu here",
        )
    if host.interpreter != "arm64":
        return (
            f"MLX uses Apple silicon, and this is an {host.interpreter} Python",
            "install an arm64 Python and install mlx there",
        )
    return None


def _cuda_absent(host: Host) -> tuple[str, str] | None:
    if host.system != "macOS" and not any(version_of(name) for name in _CUDA_DISTRIBUTIONS):
        return (
            "mlx is installed without its CUDA backend",
            "pip install 'mlx[cuda13]' (or [cuda12]), or use --device=cpu",
        )
    return cuda_absent(host)


def _find(mx: Any, spec: str) -> None:
    """Raise DeviceAbsentError unless MLX has the device."""
    kind, _, index = spec.partition(":")
    if kind == "mps" and not mx.metal.is_available():
        raise DeviceAbsentError(
            "MLX finds no Metal device",
            "run in a session with access to the GPU (not a sandbox), on macOS 14 or newer",
        )
    if kind == "cuda":
        if not mx.cuda.is_available():
            raise DeviceAbsentError(
                "MLX finds no CUDA device", "check the driver, or use --device=cpu"
            )
        count = mx.device_count(mx.gpu)
        if int(index or 0) >= count:
            raise DeviceAbsentError(
                f"there is no {spec}: MLX finds {count} CUDA device{'s' if count > 1 else ''}",
                f"use a number below {count}",
            )


ADAPTER: Framework = MlxAdapter()
