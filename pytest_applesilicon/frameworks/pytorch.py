"""PyTorch: MPS, CUDA and the CPU."""

from __future__ import annotations

import ctypes
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.frameworks.base import (
    ArrayFacts,
    DeviceAbsentError,
    DeviceMiscomputesError,
)
from pytest_applesilicon.frameworks.versions import version_of, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import numpy

    from pytest_applesilicon.records import Host

#: torch reads it once, when its library is loaded (MPSFallback.mm; pytorch#92821).
FALLBACK_VARIABLE = "PYTORCH_ENABLE_MPS_FALLBACK"

#: The start of the warning for an operator that ran on the CPU (MPSFallback.mm).
FALLBACK_WARNING = (
    r"The operator '(?P<operator>[\w:.]+)' is not currently supported on the MPS backend "
    r"and will fall back to run on the CPU"
)

#: The device spec of the simulated MPS device; to torch it is ``mps:0``.
SIMULATED = "mps-sim"

INSTALL = "pip install 'pytest-applesilicon[torch]'"


class TorchAdapter:
    """PyTorch behind the Framework protocol."""

    name = "torch"
    distribution = "torch"

    def absent(self, spec: str, host: Host) -> tuple[str, str] | None:
        if spec == "mps":
            return _mps_absent(host)
        if spec == SIMULATED:
            return _simulation_absent()
        if spec.startswith("cuda"):
            return _cuda_absent(host)
        return None

    def probe(self, spec: str) -> Iterator[str]:
        yield "import torch"
        import torch

        if spec == SIMULATED:
            yield "install the simulated device"
        device = self.device(spec)
        yield "find the device"
        _find(torch, _plain(spec))
        yield "allocate 1 element"
        torch.zeros(1, device=device)
        yield "allocate 16 MB"
        torch.zeros(4 * 1024 * 1024, device=device)
        yield "multiply 64x64 matrices"
        draw = torch.Generator().manual_seed(0)
        left, right = (torch.randn(64, 64, generator=draw) for _ in range(2))
        _check_product(torch, "64x64 matmul", left, right, None, device)
        yield "3-D linear with bias"
        # This one was wrong by 3.8 on a hosted virtual GPU whose matmul was right
        # (pytorch#192934).
        batch = torch.randn(2, 8, 64, generator=draw)
        weight, bias = torch.randn(32, 64, generator=draw), torch.randn(32, generator=draw)
        _check_product(torch, "3-D linear with bias", batch, weight.t(), bias, device)
        yield "synchronize"
        self.synchronize(spec)

    def device(self, spec: str) -> Any:
        import torch

        if spec == SIMULATED:
            simulate()
            return torch.device("mps:0")
        return torch.device(spec)

    def running_on(self, spec: str) -> AbstractContextManager[Any]:  # noqa: ARG002
        return nullcontext()

    def on_device(self, facts: ArrayFacts, spec: str) -> bool:
        # "mps" and "mps:0" are one device, and torch.device does not call them equal.
        kind, _, index = _plain(spec).partition(":")
        found_kind, _, found_index = facts.device.partition(":")
        return kind == found_kind and (not index or index == (found_index or "0"))

    def dtype(self, name: str) -> Any:
        import torch

        found = getattr(torch, name, None)
        return found if isinstance(found, torch.dtype) else None

    def to_device(self, value: Any, spec: str, dtype: Any = None) -> Any:
        import torch

        # The dtype is changed on the host: MPS refuses a float64 array from NumPy.
        return torch.as_tensor(value, dtype=dtype).to(self.device(spec))

    def is_array(self, value: Any) -> bool:
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(value, torch.Tensor)

    def facts(self, array: Any) -> ArrayFacts:
        import torch

        return ArrayFacts(
            type="torch.Tensor" if isinstance(array, torch.nn.Parameter) else _type_name(array),
            shape=tuple(array.shape),
            dtype=str(array.dtype).removeprefix("torch."),
            device=str(array.device),
            strides=tuple(array.stride()) if array.layout is torch.strided else None,
        )

    def to_host(self, array: Any) -> numpy.ndarray[Any, Any]:
        import torch

        host = array.detach().to("cpu")
        if host.layout is not torch.strided:
            host = host.to_dense()
        host = host.resolve_conj().resolve_neg()
        if host.dtype.is_complex:
            host = host.to(torch.complex128)
        elif host.dtype.is_floating_point:
            host = host.to(torch.float64)
        values: numpy.ndarray[Any, Any] = host.numpy()
        return values

    def synchronize(self, spec: str) -> None:
        import torch

        if spec.startswith("cuda"):
            torch.cuda.synchronize(spec)
        elif _plain(spec) == "mps":
            torch.mps.synchronize()

    def empty_cache(self, spec: str) -> None:
        """Give back the memory that is kept; nothing public drops the graphs that MPS keeps."""
        import torch

        self.synchronize(spec)
        if spec.startswith("cuda"):
            torch.cuda.empty_cache()
        elif spec == "mps":
            torch.mps.empty_cache()

    def memory(self, spec: str) -> int | None:
        import torch

        if spec.startswith("cuda"):
            return int(torch.cuda.memory_allocated(spec))
        if spec == "mps":
            return int(torch.mps.current_allocated_memory())
        return None

    def versions(self) -> dict[str, str]:
        return versions_of("torch", "torchvision")

    def seed(self, seed: int) -> None:
        import torch

        torch.manual_seed(seed)


def _plain(spec: str) -> str:
    """The device spec as torch knows it."""
    return "mps" if spec == SIMULATED else spec


def simulate(fallback: bool | None = None) -> None:
    """Put the simulated device into this process; a second call changes the fallback only.

    Raises:
        DeviceAbsentError: it cannot be installed here.
    """
    from pytest_applesilicon.simulate import device

    try:
        device.install(fallback)
    except device.SimulationError as error:
        reason, _, remedy = str(error).partition("\n  remedy: ")
        raise DeviceAbsentError(reason, remedy) from None


def simulating() -> bool:
    """Whether this process has the simulated device; imports nothing."""
    module = sys.modules.get("pytest_applesilicon.simulate.device")
    return module is not None and bool(module.installed)


def _simulation_absent() -> tuple[str, str] | None:
    from pytest_applesilicon.simulate import device

    version = version_of("torch") or "none"
    reason = device.refusal(sys.platform, version, built_with_mps=False)
    if reason is None:
        return None
    real = "--device=mps" if sys.platform == "darwin" else device.OTHER_WAY
    return (f"mps-sim cannot be installed in torch {version}: {reason}", real)


def _type_name(array: Any) -> str:
    kind = type(array)
    return f"{kind.__module__}.{kind.__qualname__}"


def _mps_absent(host: Host) -> tuple[str, str] | None:
    if host.system != "macOS":
        return (
            f"MPS is part of macOS, and this is {host.system}",
            "run on a Mac with Apple silicon, or use --device=cpu here",
        )
    if host.interpreter == "x86_64" and host.machine == "arm64":
        # The last macOS x86_64 wheel of torch is 2.2.2.
        return (
            "this is an x86_64 Python under Rosetta, and torch has no macOS x86_64 build since 2.3",
            "install an arm64 Python and install torch there",
        )
    return None


def _cuda_absent(host: Host) -> tuple[str, str] | None:
    if host.system == "macOS":
        return ("CUDA does not exist on macOS", "use --device=mps or --device=cpu")
    version = version_of("torch") or ""
    if version.endswith("+cpu"):
        return (
            f"torch {version} is a build for the CPU only",
            "install a CUDA build of torch, or use --device=cpu",
        )
    if host.system == "Linux" and not _has_gpu_driver():
        return (
            "no driver of an NVIDIA or AMD GPU was found",
            "install the driver, or use --device=cpu",
        )
    return None


def _has_gpu_driver() -> bool:
    if Path("/dev/kfd").exists():  # AMD: torch calls ROCm devices cuda
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _find(torch: Any, spec: str) -> None:
    """Raise DeviceAbsentError unless torch has the device."""
    kind, _, index = spec.partition(":")
    if kind == "mps":
        if not torch.backends.mps.is_built():
            raise DeviceAbsentError(f"torch {torch.__version__} is built without MPS", INSTALL)
        if not torch.backends.mps.is_available():
            # torch says "macOS 14.0+" whenever it finds no Metal device, also on newer ones
            # (pytorch#177819), so its text is not repeated here.
            raise DeviceAbsentError(
                "torch is built with MPS but finds no Metal device",
                "run in a session with access to the GPU (not a sandbox), on macOS 14 or newer",
            )
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceAbsentError(
                f"torch {torch.__version__} finds no CUDA device",
                "check the driver, or use --device=cpu",
            )
        count = torch.cuda.device_count()
        if int(index or 0) >= count:
            have = ", ".join(f"cuda:{number}" for number in range(count))
            devices = "1 CUDA device" if count == 1 else f"{count} CUDA devices"
            raise DeviceAbsentError(
                f"there is no {spec}: this machine has {devices} ({have})",
                f"use one of {have}",
            )


def _check_product(torch: Any, name: str, left: Any, right: Any, bias: Any, device: Any) -> None:
    """Raise DeviceMiscomputesError unless the device multiplies within float32's own bound.

    The bound is the classic one for a sum of k products, k * eps * (|A| |B| + |bias|)
    (Higham, Accuracy and Stability of Numerical Algorithms, section 3.5); the reference is
    float64 on the host.
    """
    if bias is None:
        result = left.to(device) @ right.to(device)
        wide_bias = 0.0
    else:
        result = torch.nn.functional.linear(
            left.to(device), right.t().to(device).contiguous(), bias.to(device)
        )
        wide_bias = bias.double()
    expected = left.double() @ right.double() + wide_bias
    terms = left.shape[-1] + 1
    allowed = (
        terms
        * torch.finfo(torch.float32).eps
        * (left.double().abs() @ right.double().abs() + abs(wide_bias))
    )
    error = (result.cpu().double() - expected).abs()
    if not bool((error <= allowed).all()):
        raise DeviceMiscomputesError(
            f"{name} is wrong by {float(error.max()):.3g}, "
            f"and float32 allows {float(allowed.max()):.3g}"
        )


ADAPTER = TorchAdapter()
