"""What an audit found, as reports have it. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Use:
    """What the run used of one operator, as one verdict covers it."""

    operator: str
    verdict: str
    """``unsupported``, ``fallback``, ``unknown``, or a finding: ``float64``, ``layout`` ..."""
    missing: tuple[str, ...]
    """What lacks a kernel: the operator itself, or what it is made of."""
    signatures: int
    calls: int
    tests: int
    """In how many tests, of the signature that most tests have."""
    first_test: str
    line: str
    since: str = ""
    """The first release from which on it is native; empty where there is none."""
    note: str = ""
    """Of a reported bug: what happens, and the issue."""


@dataclass(frozen=True)
class Audit:
    """The calls of a run, judged for one release of torch."""

    release: str
    lowest: str
    """The lowest release on which everything is native; empty where there is none."""
    calls: int
    signatures: int
    operators: int
    counts: dict[str, int]
    """Operators by verdict."""
    uses: tuple[Use, ...]
    """What is not native, and the other findings, the worst and most frequent first."""
    lost: tuple[str, ...] = field(default=())
    """Workers that ended before they told what they had recorded."""


def audit_from_fields(fields: dict[str, Any]) -> Audit:
    """The audit whose fields were written as JSON."""
    uses = tuple(Use(**{**one, "missing": tuple(one["missing"])}) for one in fields["uses"])
    return Audit(**{**fields, "uses": uses, "lost": tuple(fields["lost"])})
