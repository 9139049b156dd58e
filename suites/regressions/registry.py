"""Which function shows which bug."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bugs import Bug, all_bugs

if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Case

    Check = Callable[..., None]

#: The modules that hold the functions.
FAMILIES = (
    "inplace",
    "strides",
    "storage_offset",
    "copies",
    "integers",
    "dtypes",
    "cache",
    "sizes",
    "huge",
    "dims",
    "shapes",
    "attention",
    "empty",
    "nan",
    "gradients",
    "layers",
    "random",
    "crash",
)


@dataclass(frozen=True)
class Regression:
    """One test: a bug, and the operator of it where siblings may have the same disease."""

    bug: Bug
    operator: str
    """Empty where the bug has one test."""
    check: Check
    needs: Callable[[int], int] | None
    """Bytes of memory the test takes, from the number that stands for 2**32 elements."""

    @property
    def name(self) -> str:
        """``pytorch-118115``, or ``pytorch-118115-addcmul_``: the end of the test's id."""
        return f"{self.bug.name}-{self.operator}" if self.operator else self.bug.name

    @property
    def source(self) -> str:
        """The code of the check."""
        return inspect.getsource(self.check)

    def run(self, case: Case) -> None:
        """Run the check.

        Raises:
            AssertionError: the bug, or another, is there; the text says what was found.
        """
        __tracebackhide__ = True
        if self.operator:
            self.check(case, self.operator)
        else:
            self.check(case)


_FOUND: dict[str, Regression] = {}


def regression(
    bug: str, *operators: str, needs: Callable[[int], int] | None = None
) -> Callable[[Check], Check]:
    """Register a function of a ``Case`` as the test of a bug.

    Args:
        bug: its name in ``bugs.tsv``.
        *operators: siblings; the function is called with each as its second argument.
        needs: bytes of memory that a test of size L takes at a given limit.
    """

    def register(check: Check) -> Check:
        for operator in operators or ("",):
            found = Regression(all_bugs()[bug], operator, check, needs)
            if found.name in _FOUND:
                raise ValueError(f"{found.name} has two functions")
            _FOUND[found.name] = found
        return check

    return register


def regressions() -> dict[str, Regression]:
    """Every test by name, in the order of the families."""
    for family in FAMILIES:
        importlib.import_module(f".{family}", __package__)
    return dict(_FOUND)
