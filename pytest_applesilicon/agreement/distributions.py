"""What random numbers follow: distributions and masks, and how results of a dtype are rounded.

Each is plain data; ``goodness`` judges numbers by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: Numbers per call. At this many, and this significance, the Kolmogorov-Smirnov distance that
#: is noticed is about 0.008; a normal whose deviation is 5 percent off has 0.0121, and one
#: shifted by 0.05 deviations 0.0199.
DRAWS = 2**17


class ScipyMissingError(ImportError):
    """SciPy is not installed; the message names the extra that brings it."""


def scipy_stats() -> Any:
    """``scipy.stats``.

    Raises:
        ScipyMissingError: it is not installed.
    """
    try:
        from scipy import stats
    except ImportError as error:
        raise ScipyMissingError(
            "distributions are judged by SciPy, which is not installed: "
            'pip install "pytest-applesilicon[suites]"'
        ) from error
    return stats


@dataclass(frozen=True)
class Precision:
    """How a result is rounded: relative step, and the largest finite number."""

    eps: float = 0.0
    largest: float = math.inf


#: Of the dtypes results have; the others are integers, which are exact.
PRECISION = {
    "float32": Precision(2.0**-23, 3.4028234663852886e38),
    "complex64": Precision(2.0**-23, 3.4028234663852886e38),
    "float16": Precision(2.0**-10, 65504.0),
    "bfloat16": Precision(2.0**-7, 3.3895313892515355e38),
}


@dataclass(frozen=True)
class Distribution:
    """A distribution of ``scipy.stats`` with its parameters."""

    name: str
    parameters: tuple[float, ...]
    lattice: float = 0.0
    """The magnitude whose rounding is in every result besides the result's own: the width of
    an interval, of which uniform numbers are multiples, or the mean that is added last."""
    below: float = math.inf
    """No result is as large as this."""

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{one:.6g}' for one in self.parameters)})"

    @property
    def frozen(self) -> Any:
        return getattr(scipy_stats(), self.name)(*self.parameters)

    @property
    def discrete(self) -> bool:
        stats = scipy_stats()
        return isinstance(getattr(stats, self.name), stats.rv_discrete)


def normal(mean: float = 0.0, deviation: float = 1.0) -> Distribution:
    """Normal, of this mean and standard deviation."""
    return Distribution("norm", (mean, deviation), lattice=abs(mean))


def uniform(low: float, high: float, *, half_open: bool = False) -> Distribution:
    """Uniform on [low, high]; ``half_open``: high itself cannot be drawn, as of torch.rand."""
    below = high if half_open else math.inf
    return Distribution("uniform", (low, high - low), lattice=high - low, below=below)


def exponential(rate: float) -> Distribution:
    """Exponential, of this rate: the mean is its inverse."""
    return Distribution("expon", (0.0, 1.0 / rate))


def cauchy(median: float, scale: float) -> Distribution:
    """Cauchy, of this median and half width at half maximum."""
    return Distribution("cauchy", (median, scale), lattice=abs(median))


def log_normal(mean: float, deviation: float) -> Distribution:
    """The exponential of normal numbers of this mean and deviation."""
    return Distribution("lognorm", (deviation, 0.0, math.exp(mean)))


def geometric(probability: float) -> Distribution:
    """How many trials up to the first that succeeds, 1 the least."""
    return Distribution("geom", (probability,))


def poisson(rate: float) -> Distribution:
    """Poisson, of this rate."""
    return Distribution("poisson", (rate,))


def integers(low: int, high: int) -> Distribution:
    """Integers from low to high - 1, each as probable."""
    return Distribution("randint", (low, high))


def bernoulli(probability: float) -> Distribution:
    """1 with this probability, else 0."""
    return Distribution("bernoulli", (probability,))


@dataclass(frozen=True)
class Mask:
    """What a kind of dropout makes of its input ``x``: ``scale * x + shift``, or ``dropped``."""

    keep: float
    """The probability of the former."""
    scale: float
    shift: float = 0.0
    dropped: float = 0.0


#: The value that units of a self-normalising network take where they saturate, -lambda alpha:
#: Klambauer, Unterthiner, Mayr and Hochreiter, "Self-Normalizing Neural Networks" (2017).
SATURATED = -1.7580993408473766


def dropout(probability: float) -> Mask:
    """Kept elements grow by 1 / (1 - probability), so that the mean stays."""
    return Mask(1 - probability, 1 / (1 - probability) if probability < 1 else 0.0)


def alpha_dropout(probability: float) -> Mask:
    """Dropped elements saturate, then mean and variance are restored; section 3 of the paper."""
    keep = 1 - probability
    scale = (keep + SATURATED**2 * probability * keep) ** -0.5
    shift = -scale * probability * SATURATED
    return Mask(keep, scale, shift, scale * SATURATED + shift)
