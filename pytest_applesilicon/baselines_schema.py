"""The shape of a baseline file; imported only when one is read."""

from __future__ import annotations

import msgspec  # noqa: TID253 - this module is imported inside a function


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every struct of the file."""


class IdentityField(_Strict, frozen=True):
    """See ``machine.Identity``."""

    chip: str
    gpu_cores: str
    cpu_cores: str
    memory_gb: str
    system: str
    interpreter: str
    framework: str
    threads: str
    power: str


class EntryField(_Strict, frozen=True):
    """See ``baselines.Entry``."""

    size: str
    mode: str
    median_s: float
    blocks: list[list[float]]
    date: str
    reason: str


class AcceptedField(_Strict, frozen=True):
    """When and why a baseline was moved."""

    date: str
    reason: str
    tests: list[str]


class Document(_Strict, frozen=True):
    """The whole file."""

    schema_version: int
    identity: IdentityField
    accepted: list[AcceptedField]
    tests: dict[str, EntryField]
