"""Every check, and the run of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_applesilicon.doctor import (
    interpreter,
    numpy,
    packages,
    power,
    runner,
    tensorflow,
    torch,
)
from pytest_applesilicon.doctor.check import STATUSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.doctor.check import Check, Finding
    from pytest_applesilicon.doctor.facts import Facts

CHECKS: tuple[Check, ...] = (
    *interpreter.CHECKS,
    *packages.CHECKS,
    *numpy.CHECKS,
    *torch.CHECKS,
    *tensorflow.CHECKS,
    *runner.CHECKS,
    *power.CHECKS,
)

TOPICS: tuple[str, ...] = tuple(dict.fromkeys(check.topic for check in CHECKS))


def check_named(name: str) -> Check:
    """The check of this name."""
    return next(check for check in CHECKS if check.name == name)


def examine(facts: Facts, topics: Sequence[str] = TOPICS) -> list[Finding]:
    """What every check of these topics finds, worst first, else in the order of the list."""
    found = [check.run(facts) for check in CHECKS if check.topic in topics]
    return sorted(found, key=lambda one: STATUSES.index(one.status))
