"""What one sample of an operator showed, and the worst of all its samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pytest_applesilicon.records import Outcome

#: From the best to the worst.
_RANKS = {
    outcome: rank
    for rank, outcome in enumerate(("not-run", "native", "fallback", "unsupported", "wrong"))
}


class Found(NamedTuple):
    """What one sample showed."""

    outcome: Outcome
    reason: str = ""
    ulp: float = 0.0
    envelope: float = 0.0
    needs_same_dtype: bool = False


@dataclass
class Tally:
    """The worst outcome of all samples so far, and the figures of all."""

    worst: Found = field(default_factory=lambda: Found("not-run"))
    #: Of the sample with the worst outcome.
    position: int = 0
    samples: int = 0
    ulp: float = 0.0
    envelope: float = 0.0
    needs_same_dtype: int = 0

    def add(self, found: Found, position: int) -> None:
        if _RANKS[found.outcome] > _RANKS[self.worst.outcome]:
            self.worst, self.position = found, position
        elif self.samples == 0:
            self.worst = found  # the reason why the first did not run
        self.samples += 1
        self.ulp = max(self.ulp, found.ulp)
        self.envelope = max(self.envelope, found.envelope)
        self.needs_same_dtype += found.needs_same_dtype

    @property
    def figures(self) -> dict[str, Any]:
        """The fields of the operator's outcome."""
        return {
            "outcome": self.worst.outcome,
            "reason": self.worst.reason,
            "samples": self.samples,
            "worst_ulp": self.ulp,
            "worst_envelope": self.envelope,
            "needs_same_dtype": self.needs_same_dtype,
        }
