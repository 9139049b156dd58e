"""Versions of installed distributions, read from their metadata: nothing is imported."""

from __future__ import annotations

import importlib.metadata


def version_of(distribution: str) -> str | None:
    """The installed version, or ``None``."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions_of(*distributions: str) -> dict[str, str]:
    """The installed ones among ``distributions`` with their versions."""
    found = {name: version_of(name) for name in distributions}
    return {name: version for name, version in found.items() if version is not None}
