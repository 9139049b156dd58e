"""What a host says of NVIDIA's CUDA before a framework is asked."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_applesilicon.records import Host


def cuda_absent(host: Host) -> tuple[str, str] | None:
    """Reason and remedy where this host plainly has no CUDA device; else ``None``."""
    if host.system == "macOS":
        return ("CUDA does not exist on macOS", "use --device=mps or --device=cpu")
    if host.system == "Linux" and not _has_driver():
        return (
            "no driver of an NVIDIA GPU was found",
            "install the driver, or use --device=cpu",
        )
    return None


def _has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
