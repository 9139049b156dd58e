"""Do the numbers that were drawn follow the distribution they should? Judged by SciPy.

Pure functions of host arrays. Each judgement is a list of findings, one a check, and each has
a p-value: how probable numbers at least as far off are, if the generator is right. What cannot
be drawn at all (a value outside the support) has the p-value 0.

Results of 16-bit types are rounded, or come from a lattice: torch draws ``bfloat16`` uniform
numbers as multiples of 2**-8. So a result stands for an interval of real numbers, as wide as
the dtype's epsilon makes it, and only what no point of the intervals explains counts. That
keeps the stated significance for every way of rounding, and costs a little power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement.distributions import DRAWS, scipy_stats, uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.agreement.distributions import Distribution, Mask, Precision

#: How probable a false alarm may be in one test, all of its checks together. The bundled tests
#: are fewer than a thousand, so that a whole run raises one in fewer than 1 of 1000 runs.
SIGNIFICANCE = 1e-6

#: The share of each tail that is counted apart: the distance above says little of it. DRAWS
#: have 26 in each on average, so that none at all has a probability of 4e-12. A normal that is
#: cut at 3.33 deviations (uniform numbers of 8 bits under the root) or at 3.5 has none.
TAIL = 2e-4

#: Cells of a chi-square test are merged until this many are expected in each: Cochran, "Some
#: methods for strengthening the common chi-square tests", Biometrics 10 (1954).
EXPECTED = 5

#: A discrete distribution of more values is judged as a continuous one and by its low bits.
CELLS = 4096


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    p_value: float
    detail: str
    """The figure it judged, as the end of a sentence."""


def rejected(findings: Sequence[Finding], significance: float = SIGNIFICANCE) -> list[Finding]:
    """The findings that a right generator gives with less than the significance, together."""
    limit = significance / max(len(findings), 1)
    return [one for one in findings if not one.p_value >= limit]


def judge(
    values: Any,
    distribution: Distribution,
    precision: Precision,
    *,
    grain: Any = None,
) -> list[Finding]:
    """Findings on numbers drawn from a distribution.

    Args:
        values: float64 or integers, one-dimensional, in the order in which they were drawn.
        distribution: what they should follow.
        precision: of the dtype they were drawn in.
        grain: half the width of the interval each stands for, where it is not the precision's
            (the numbers were standardised).
    """
    import numpy as np

    values = np.asarray(values).reshape(-1)
    outside = _outside(values, distribution, precision)
    if outside is not None:
        return [outside]
    if distribution.discrete:
        low, high = _support(distribution)
        if high - low < CELLS or not math.isfinite(high):
            return [_discrete(values, distribution), independence(values)]
        return _wide(values, int(low), int(high) + 1)
    band = _band(values, grain, distribution, precision)
    return [
        _kolmogorov_smirnov(band, distribution),
        *_tails(band, distribution),
        independence(values),
    ]


def judge_categories(values: Any, probabilities: Sequence[float]) -> list[Finding]:
    """Findings on numbers of categories, drawn with these probabilities."""
    import numpy as np

    values = np.asarray(values).reshape(-1)
    chances = np.asarray(probabilities, dtype=float)
    strange = (values < 0) | (values >= len(chances))
    strange |= chances[np.clip(values, 0, len(chances) - 1)] == 0
    if strange.any():
        return [_impossible(values, strange, "a category that cannot be drawn")]
    observed = np.bincount(values, minlength=len(chances))
    return [_chi_square(observed, chances * len(values), "categories"), independence(values)]


def judge_permutations(rows: Any) -> list[Finding]:
    """Findings on permutations of 0 to m - 1, a row each: each number once, any number first."""
    import numpy as np

    rows = np.asarray(rows).astype(np.int64)
    count, length = rows.shape
    strange = (np.sort(rows, axis=1) != np.arange(length)).any(axis=1)
    if strange.any():
        detail = f"{strange.sum()} of {count} rows are no permutation, row {strange.argmax()} first"
        return [Finding("permutation", 0.0, detail)]
    if count == 1:
        return [independence(rows[0])]
    expected = np.full(length, count / length)
    return [
        _chi_square(np.bincount(column, minlength=length), expected, f"numbers at place {place}")
        for place, column in enumerate(rows.T)
    ]


def judge_mask(result: Any, given: Any, mask: Mask, precision: Precision) -> list[Finding]:
    """Findings on what dropout made of its input.

    Args:
        result: float64, a row for each group that is kept or dropped as one.
        given: the input, of the same shape, without zeros.
        mask: what should become of it.
        precision: of the dtype of both.
    """
    import numpy as np

    result, given = np.asarray(result), np.asarray(given)
    kept_value = mask.scale * given + mask.shift
    # Up to four roundings: of the factor, of the product, of the shift and of the sum.
    size = np.abs(mask.scale * given) + abs(mask.shift) + abs(mask.dropped)
    allowed = 2 * precision.eps * size
    is_kept = np.abs(result - kept_value) <= allowed
    is_dropped = np.abs(result - mask.dropped) <= (allowed if mask.dropped else 0)
    is_kept &= ~is_dropped  # where all is dropped, the scale is 0
    strange = ~(is_kept | is_dropped)
    if strange.any():
        place = np.unravel_index(strange.argmax(), strange.shape)
        detail = (
            f"{strange.sum()} of {result.size} elements are neither kept nor dropped: "
            f"{given[place]:g} became {result[place]:g}, not {kept_value[place]:g} "
            f"or {mask.dropped:g}"
        )
        return [Finding("scaling", 0.0, detail)]
    rows = is_kept.all(axis=1)
    mixed = ~(rows | is_dropped.all(axis=1))
    if mixed.any():
        detail = f"{mixed.sum()} of {len(rows)} channels are dropped in part"
        return [Finding("channels", 0.0, detail)]
    return [_share(int(rows.sum()), len(rows), mask.keep), independence(rows)]


def independence(values: Any) -> Finding:
    """Whether a number tells anything of another, at any distance.

    The correlation of the ranks of the numbers with those of the numbers ``lag`` further, all
    lags at once by a Fourier transform. It finds blocks that repeat, values held for several
    elements, and orders. The limit is Bernstein's inequality for a sum of bounded products, taken
    as independent, times the count of lags: it allows for skewed values, such as rare ones.
    """
    import numpy as np

    ranks = _ranks(values)
    ranks -= ranks.mean()
    deviation = ranks.std()
    count = len(ranks)
    if count < 2 or deviation == 0:
        return Finding("independence", 1.0, "all values are equal")
    ranks /= deviation
    products = np.fft.irfft(np.abs(np.fft.rfft(ranks)) ** 2, count)[1 : count // 2 + 1]
    lag = int(np.abs(products).argmax())
    worst = abs(float(products[lag]))
    bound = float((ranks**2).max())
    tail = 2 * math.exp(-(worst**2) / 2 / (count + bound * worst / 3))
    p_value = min(1.0, tail * len(products))
    detail = f"numbers {lag + 1} apart have the rank correlation {products[lag] / count:.3g}"
    return Finding("independence", p_value, detail)


def _ranks(values: Any) -> Any:
    """The mean rank of each value among all."""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place.reshape(-1)]


def _impossible(values: Any, strange: Any, what: str) -> Finding:
    detail = f"{strange.sum()} of {len(values)} are {what}, {values[strange.argmax()]} first"
    return Finding("support", 0.0, detail)


def _support(distribution: Distribution) -> tuple[float, float]:
    """The least and the largest value; SciPy's own overflow for a range of 63 bits."""
    if distribution.name == "randint":
        low, high = distribution.parameters
        return low, high - 1
    low, high = distribution.frozen.support()
    return float(low), float(high)


def _outside(values: Any, distribution: Distribution, precision: Precision) -> Finding | None:
    """The values that cannot be drawn, rounded or not."""
    import numpy as np

    low, high = _support(distribution)
    # Exact ends may be rounded to a neighbour: low + width * u is two roundings.
    slack = precision.eps * distribution.lattice if distribution.name == "uniform" else 0.0
    strange = ~((values >= low - slack) & (values <= high + slack))
    if math.isfinite(distribution.below):
        strange |= values >= distribution.below
    if distribution.discrete:
        strange |= values != np.floor(values)
    infinite = np.isinf(values)
    if infinite.any() and distribution.frozen.sf(precision.largest) < 1 / DRAWS**2:
        strange |= infinite
    return _impossible(values, strange, "outside of the support") if strange.any() else None


def _band(
    values: Any, grain: Any, distribution: Distribution, precision: Precision
) -> tuple[Any, Any]:
    """The lower and the upper ends of the intervals that values stand for, each sorted."""
    import numpy as np

    if grain is None:  # both ends are in the order of the values: sort once
        values = np.sort(values)
        grain = precision.eps * (np.abs(values) + distribution.lattice)
        with np.errstate(invalid="ignore"):
            lower, upper = values - grain, values + grain
    else:
        lower, upper = np.sort(values - grain), np.sort(values + grain)
    lower = np.where(np.isnan(lower), precision.largest, lower)  # of +inf, the last
    upper = np.where(np.isnan(upper), -precision.largest, upper)  # of -inf, the first
    return lower, upper


def _kolmogorov_smirnov(band: tuple[Any, Any], distribution: Distribution) -> Finding:
    """The largest distance of the two distribution functions that the intervals leave."""
    import numpy as np

    lower, upper = band
    count = len(lower)
    frozen = distribution.frozen
    steps = np.arange(count + 1) / count
    distance = max(
        0.0,
        float((steps[1:] - frozen.cdf(upper)).max()),
        float((frozen.cdf(lower) - steps[:-1]).max()),
    )
    p_value = float(scipy_stats().kstwo.sf(distance, count)) if distance else 1.0
    detail = f"distance {distance:.4g} of {count} numbers from {distribution}"
    return Finding("Kolmogorov-Smirnov", p_value, detail)


def _tails(band: tuple[Any, Any], distribution: Distribution) -> list[Finding]:
    """Whether as many lie in each tail as should: too few, or too many."""
    lower, upper = band
    low, high = distribution.frozen.ppf(TAIL), distribution.frozen.isf(TAIL)
    counts = {
        "lower tail": (int((upper <= low).sum()), int((lower <= low).sum())),
        "upper tail": (int((lower >= high).sum()), int((upper >= high).sum())),
    }
    binom = scipy_stats().binom(len(lower), TAIL)
    return [
        Finding(
            name,
            min(1.0, 2 * float(min(binom.sf(least - 1), binom.cdf(most)))),
            f"{least} to {most} of {len(lower)} numbers where {len(lower) * TAIL:.3g} are expected",
        )
        for name, (least, most) in counts.items()
    ]


def _discrete(values: Any, distribution: Distribution) -> Finding:
    """Chi-square of the counts of each number."""
    import numpy as np

    frozen = distribution.frozen
    low, high = int(frozen.ppf(1e-9)), int(frozen.isf(1e-9))
    low = max(low, int(frozen.support()[0]))
    numbers = np.arange(low, high + 1)
    chances = frozen.pmf(numbers)
    chances[0], chances[-1] = frozen.cdf(low), frozen.sf(high - 1)
    if len(numbers) == 1:
        chances[0] = 1.0
    inside = np.clip(values, low, high).astype(np.int64) - low
    observed = np.bincount(inside, minlength=len(numbers))
    return _chi_square(observed, chances * len(values), f"numbers of {distribution}")


def _chi_square(observed: Any, expected: Any, what: str) -> Finding:
    """Chi-square, neighbouring cells merged until EXPECTED are expected in each."""
    cells: list[list[float]] = []
    for seen, wanted in zip(observed, expected, strict=True):
        if not cells or cells[-1][1] >= EXPECTED:
            cells.append([0.0, 0.0])
        cells[-1][0] += float(seen)
        cells[-1][1] += float(wanted)
    if len(cells) > 1 and cells[-1][1] < EXPECTED:
        seen, wanted = cells.pop()
        cells[-1][0] += seen
        cells[-1][1] += wanted
    statistic = sum((seen - wanted) ** 2 / wanted for seen, wanted in cells)
    p_value = float(scipy_stats().chi2.sf(statistic, len(cells) - 1)) if len(cells) > 1 else 1.0
    detail = f"{statistic:.4g} over {len(cells)} cells of the {what}"
    return Finding("chi-square", p_value, detail)


def _wide(values: Any, low: int, high: int) -> list[Finding]:
    """Integers of a range too wide to count each: their magnitudes, and their low eight bits."""
    import numpy as np

    band = np.sort(values).astype(np.float64)
    # Each stands for itself up to the next; float64 holds the largest to 2**-52 of it.
    ends = band, band + 1 + np.abs(band) * 2.0**-52
    bits = np.bincount((values - low).astype(np.int64) & 255, minlength=256)
    return [
        _kolmogorov_smirnov(ends, uniform(low, high)),
        _chi_square(bits, np.full(256, len(values) / 256), "low eight bits"),
        independence(values),
    ]


def _share(kept: int, count: int, probability: float) -> Finding:
    """The binomial test of a share."""
    p_value = float(scipy_stats().binomtest(kept, count, probability).pvalue)
    return Finding(
        "binomial", p_value, f"{kept} of {count} are kept, {probability:.4g} of them due"
    )
