"""Telling a missing kernel from a wrong one by what torch says."""

from __future__ import annotations

#: What torch says where a kernel is missing or does not take a dtype. The first is the
#: dispatcher's (MPSFallback.mm), the others stand in single kernels.
_UNSUPPORTED = (
    "is not currently implemented for the MPS device",
    "not implemented for",
    "not supported",
    "unsupported",
    "doesn't support",
    "does not support",
    # A kernel that is looked up by device, past the dispatcher (DispatchStub.cpp).
    "DispatchStub",
    # mode(out=), which names the devices it takes (Sorting.cpp).
    "device type, got: ",
)


def is_lacking(error: Exception) -> bool:
    """Whether torch says so that a kernel is missing, or does not take the dtype."""
    return isinstance(error, NotImplementedError) or any(
        part in str(error) for part in _UNSUPPORTED
    )
