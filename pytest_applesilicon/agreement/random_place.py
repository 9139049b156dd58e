"""Where random numbers are drawn, and one call that draws them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import distributions as dist
from pytest_applesilicon.agreement import goodness

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.agreement.distributions import Distribution
    from pytest_applesilicon.agreement.goodness import Finding


@dataclass(frozen=True)
class Draw:
    """One call: what is drawn, and what judges it."""

    text: str
    """The call, for messages."""
    call: Callable[[], Any]
    """Draws on the device. The result, a tensor, stays there."""
    judge: Callable[[Any], list[Finding]]
    """Of the result as a host array; 16-bit numbers as float64, complex ones as pairs."""
    constant: bool = False
    """Whatever is drawn, the result is the same."""


@dataclass(frozen=True)
class Place:
    """Where and in which dtype numbers are drawn."""

    device: Any
    name: str
    dtype: Any
    count: int

    @property
    def precision(self) -> dist.Precision:
        return dist.PRECISION.get(self.name, dist.Precision())

    @property
    def parts(self) -> int:
        return 2 if self.name == "complex64" else 1

    def empty(self, *, strided: bool = False) -> Any:
        """Zeros to draw into: contiguous, or every other column of a transposed matrix."""
        import torch

        if not strided:
            return torch.zeros(self.count // self.parts, dtype=self.dtype, device=self.device)
        rows = 512 // self.parts
        return torch.zeros(self.count // 256, rows, dtype=self.dtype, device=self.device).t()[
            :, ::2
        ]

    def filled(self, values: tuple[float, ...], count: int = 0) -> Any:
        """The values in turn, ``count`` in all, or as many as are drawn."""
        import torch

        one = torch.tensor(values, dtype=self.dtype, device=self.device)
        return one.repeat((count or self.count) // len(values))

    def by(self, distribution: Distribution) -> Callable[[Any], list[Finding]]:
        return partial(goodness.judge, distribution=distribution, precision=self.precision)
