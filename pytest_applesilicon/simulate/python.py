"""What torch's Python side must be told: generators, storages, ``torch.mps``."""

from __future__ import annotations

from typing import Any

from pytest_applesilicon.simulate import counters


def patch(tools: Any) -> None:
    """Replace the entries of ``torch._C`` that are stubs without MPS, and two classes."""
    import torch

    _patch_entries(torch, tools.default_generator)


def _patch_entries(torch: Any, default: Any) -> None:
    entries = {
        "_has_mps": True,
        "_mps_is_available": lambda: True,
        "_mps_get_default_generator": lambda: default,
        "_mps_deviceSynchronize": lambda: counters.sync("torch.mps.synchronize"),
    }
    for name, value in entries.items():
        setattr(torch._C, name, value)
