"""What a planted fault is: see ``faults``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

Install = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Fault:
    """One fault and the tests that must fail under it."""

    name: str
    what: str
    """What is wrong, as a sentence."""
    fails: dict[str, str]
    """Starts of test ids, without ``suites/``, and what the reason of each failure says.

    All other tests of the same files must pass.
    """
    install: Install
    only: str = ""
    """What ``-k`` limits the run to, where the whole files take long."""
    options: tuple[str, ...] = ()
    """What else the run is started with. Runs without a fault are given those of all faults."""
    others: tuple[str, ...] = ()
    """Outcomes that the other tests may have; by default that without the fault."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files whose tests run under this fault."""
        return tuple(dict.fromkeys(test.partition("::")[0] for test in self.fails))


#: Two operators in one dtype, which have all four directions. All faults of operators use these
#: options: the tests of a run without a fault are then the same.
FEW_OPERATORS = ("--ops=^(exp|sub)$", "--dtypes=float32")
