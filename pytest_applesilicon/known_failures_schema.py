"""The shape of an entry of ``known_failures.toml``; imported only when one is read."""

from __future__ import annotations

import datetime  # noqa: TC003 - read by msgspec
from typing import Literal

import msgspec  # noqa: TID253 - this module is imported inside a function


class KnownFailureField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See ``known_failures.Entry`` and ``known_failures.Condition``."""

    test: str
    reason: str
    date: datetime.date
    raises: str | None = None
    outcome: Literal["failed", "error", "crashed", "hung"] | None = None
    issue: str = ""
    device: str | None = None
    chip: str | None = None
    macos: str | None = None
    torch: str | None = None
    simulated: bool | None = None
