"""What a check is, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.doctor.facts import Facts

Status = Literal["fail", "warn", "unknown", "pass"]

#: Worst first.
STATUSES: tuple[Status, ...] = ("fail", "warn", "unknown", "pass")


@dataclass(frozen=True)
class Result:
    """What a check says of the facts, before its severity is added."""

    found: str
    remedy: str = ""
    """What to do, as an exact command where there is one; empty where nothing is wrong."""
    status: Literal["problem", "pass", "unknown"] = "problem"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str
    topic: str
    title: str
    status: Status
    found: str
    remedy: str
    url: str


@dataclass(frozen=True)
class Check:
    """One question, as data."""

    name: str
    """``<topic>.<name>``; stays the same between releases."""
    title: str
    needs: tuple[str, ...]
    """Names in ``facts.NEEDS``: without one of them the check cannot look."""
    severity: Literal["fail", "warn"]
    """What a problem is: something does not work, or it costs speed or trust."""
    url: str
    """Where the problem is described."""
    examine: Callable[[Facts], Result]

    @property
    def topic(self) -> str:
        return self.name.partition(".")[0]

    def run(self, facts: Facts) -> Finding:
        """The outcome on these facts; ``unknown`` where what it needs is missing."""
        missing = [reason for need in self.needs if (reason := facts.lacks(need))]
        result = Result(missing[0], status="unknown") if missing else self.examine(facts)
        status: Status = self.severity if result.status == "problem" else result.status
        return Finding(
            self.name, self.topic, self.title, status, result.found, result.remedy, self.url
        )


def fine(found: str) -> Result:
    """Nothing is wrong."""
    return Result(found, status="pass")


def unknown(found: str) -> Result:
    """The check could not look; ``found`` says why."""
    return Result(found, status="unknown")


def problem(found: str, remedy: str) -> Result:
    """Something is wrong, and what to do about it."""
    return Result(found, remedy)
