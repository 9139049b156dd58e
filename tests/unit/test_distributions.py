"""Wrong generators are found in every dtype, and right ones are not accused."""

from __future__ import annotations

import math

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("scipy")

from pytest_applesilicon.agreement import distributions as dist  # noqa: E402
from pytest_applesilicon.agreement import goodness  # noqa: E402

DTYPES = ("float32", "float16", "bfloat16")


def rounded(values, dtype):
    """As the dtype holds them: to nearest, ties to even."""
    with np.errstate(over="ignore"):
        if dtype == "float16":
            return values.astype(np.float16).astype(np.float64)
        single = values.astype(np.float32)
        if dtype == "float32":
            return single.astype(np.float64)
        bits = single.view(np.uint32).astype(np.uint64)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
        return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def cut(values, dtype):
    """As the dtype holds them where the last bits are dropped."""
    kept = {"float32": 0xFFFFFFFF, "float16": 0xFFFFE000, "bfloat16": 0xFFFF0000}[dtype]
    return (values.astype(np.float32).view(np.uint32) & kept).view(np.float32).astype(np.float64)


def normals(seed=0):
    return np.random.default_rng(seed).normal(size=dist.DRAWS)


def uniforms(seed=0):
    return np.random.default_rng(seed).uniform(size=dist.DRAWS)


def checks(values, distribution, dtype):
    """The checks that reject the numbers."""
    found = goodness.judge(values, distribution, dist.PRECISION[dtype])
    return {one.check for one in goodness.rejected(found)}


STANDARD = dist.uniform(0, 1, half_open=True)


def lattice(values, dtype):
    """As torch draws uniform numbers of 16 bits: multiples of half of epsilon, cut."""
    steps = 2 / dist.PRECISION[dtype].eps
    return np.floor(values * steps) / steps


RIGHT = {
    "normal": (lambda rng: rng.normal(size=dist.DRAWS), dist.normal()),
    "shifted": (lambda rng: rng.normal(-2, 0.5, size=dist.DRAWS), dist.normal(-2, 0.5)),
    "exponential": (lambda rng: rng.exponential(2, size=dist.DRAWS), dist.exponential(0.5)),
    "log_normal": (lambda rng: rng.lognormal(0.5, 1, size=dist.DRAWS), dist.log_normal(0.5, 1)),
    "cauchy": (lambda rng: rng.standard_cauchy(size=dist.DRAWS), dist.cauchy(0, 1)),
    "uniform": (lambda rng: rng.uniform(-100, 100, size=dist.DRAWS), dist.uniform(-100, 100)),
    "geometric": (lambda rng: rng.geometric(0.2, size=dist.DRAWS), dist.geometric(0.2)),
    "poisson": (lambda rng: rng.poisson(4, size=dist.DRAWS), dist.poisson(4)),
    "integers": (lambda rng: rng.integers(2, 10, size=dist.DRAWS), dist.integers(2, 10)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("seed", range(3))
def test_right_generator_passes_rounded_and_cut(name, dtype, seed):
    draw, distribution = RIGHT[name]
    values = draw(np.random.default_rng(seed))

    for held in (rounded(values, dtype), cut(values, dtype)):
        assert checks(held, distribution, dtype) == set()


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_numbers_on_the_lattice_of_the_dtype_pass(dtype):
    assert checks(lattice(uniforms(), dtype), STANDARD, dtype) == set()


def blocks(values, length):
    """The first numbers again and again, as by threads with the same counter."""
    return np.resize(values[:length], values.shape)


WRONG = {
    "5-percent-wide": (lambda: normals() * 1.05, dist.normal(), "Kolmogorov-Smirnov"),
    "5-percent-narrow": (lambda: normals() * 0.95, dist.normal(), "Kolmogorov-Smirnov"),
    "shift-of-0.05": (lambda: normals() + 0.05, dist.normal(), "Kolmogorov-Smirnov"),
    "rate-5-percent-off": (
        lambda: -np.log1p(-uniforms()) / 0.525,
        dist.exponential(0.5),
        "Kolmogorov-Smirnov",
    ),
    "blocks-of-1000": (lambda: blocks(normals(), 1000), dist.normal(), "independence"),
    "blocks-of-65536": (lambda: blocks(normals(), 65536), dist.normal(), "independence"),
    "each-four-times": (
        lambda: np.repeat(normals(), 4)[: dist.DRAWS],
        dist.normal(),
        "independence",
    ),
    "sorted": (lambda: np.sort(normals()), dist.normal(), "independence"),
    "tail-of-8-bits": (
        lambda: np.clip(normals(), -3.33, 3.33),
        dist.normal(),
        "upper tail",
    ),
    "heavy-tail": (
        lambda: np.where(np.arange(dist.DRAWS) % 500 == 0, 4.5, normals()),
        dist.normal(),
        "upper tail",
    ),
    "one-included": (
        lambda: np.where(uniforms() > 1 - 2**-12, 1.0, uniforms()),
        STANDARD,
        "support",
    ),
    "nan": (lambda: np.where(uniforms() > 0.9999, np.nan, uniforms()), STANDARD, "support"),
    "infinite": (
        lambda: np.where(uniforms() > 0.9999, np.inf, normals()),
        dist.normal(),
        "support",
    ),
    "negative": (lambda: -np.log1p(-uniforms()) - 0.1, dist.exponential(1), "support"),
    "all-equal": (lambda: np.full(dist.DRAWS, 0.5), STANDARD, "Kolmogorov-Smirnov"),
    "zeros-left": (
        lambda: np.where(np.arange(dist.DRAWS) >= dist.DRAWS - 2048, 0, normals()),
        dist.normal(),
        "Kolmogorov-Smirnov",
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", WRONG)
def test_wrong_generator_is_found(name, dtype):
    draw, distribution, check = WRONG[name]

    assert check in checks(rounded(draw(), dtype), distribution, dtype)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounding_up_to_one_is_found(dtype):
    assert checks(rounded(uniforms(), dtype), STANDARD, dtype) == {"support"}


@pytest.mark.parametrize("dtype", DTYPES)
def test_eight_bits_under_a_normal_are_found(dtype):
    first, second = uniforms(1), uniforms(2)
    coarse = (np.floor(first * 256) + 1) / 256
    values = np.sqrt(-2 * np.log(coarse)) * np.cos(2 * math.pi * second)

    assert "upper tail" in checks(rounded(values, dtype), dist.normal(), dtype)


@pytest.mark.parametrize(
    ("draw", "distribution", "check"),
    [
        (lambda rng: rng.integers(2, 11, size=dist.DRAWS), dist.integers(2, 10), "support"),
        (lambda rng: rng.integers(2, 9, size=dist.DRAWS), dist.integers(2, 10), "chi-square"),
        (lambda rng: rng.geometric(0.21, size=dist.DRAWS), dist.geometric(0.2), "chi-square"),
        (lambda rng: rng.geometric(0.2, size=dist.DRAWS) - 1, dist.geometric(0.2), "support"),
        (lambda rng: rng.poisson(4.2, size=dist.DRAWS), dist.poisson(4), "chi-square"),
        (lambda rng: rng.poisson(4, size=dist.DRAWS) + 0.5, dist.poisson(4), "support"),
        (lambda rng: rng.uniform(size=dist.DRAWS) < 0.315, dist.bernoulli(0.3), "chi-square"),
        (lambda rng: np.resize([0, 1], dist.DRAWS), dist.bernoulli(0.5), "independence"),
    ],
    ids=["high", "low", "rate", "from-zero", "mean", "halves", "share", "alternating"],
)
def test_wrong_integers_are_found(draw, distribution, check):
    values = np.asarray(draw(np.random.default_rng(0)), dtype=np.float64)

    assert check in checks(values, distribution, "float32")


@pytest.mark.parametrize(("dtype", "bits"), [(np.int64, 63), (np.int32, 31), (np.int16, 15)])
def test_wide_integers(dtype, bits):
    right = np.random.default_rng(0).integers(
        0, 2**bits - 1, size=dist.DRAWS, dtype=dtype, endpoint=True
    )
    spec = dist.integers(0, 2**bits)

    def found(values):
        return {
            one.check for one in goodness.rejected(goodness.judge(values, spec, dist.Precision()))
        }

    assert found(right) == set()
    assert "chi-square" in found(right & ~0xF)  # through a float that lacks the low bits
    assert "Kolmogorov-Smirnov" in found(right // 2)
    assert found(-right) == {"support"}


def masked(share=0.7, scale=1 / 0.7, size=dist.DRAWS, columns=1):
    given = np.resize([1.0, -2.0, 0.5, 4.0], (size, columns))
    kept = np.random.default_rng(0).uniform(size=(size, 1)) < share
    return np.where(kept, scale * given, 0.0), given


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda result: result * 1.05, "scaling"),
        (lambda result: result * 0.7, "scaling"),
        (lambda result: np.where(result == 0, 1e-3, result), "scaling"),
        (lambda result: np.resize(result[:512], result.shape), "independence"),
    ],
    ids=["scaled-up", "not-scaled", "not-zero", "blocks"],
)
def test_wrong_dropout_is_found(change, check, dtype):
    result, given = masked()

    found = goodness.judge_mask(
        rounded(change(result), dtype), given, dist.dropout(0.3), dist.PRECISION[dtype]
    )

    assert check in {one.check for one in goodness.rejected(found)}


@pytest.mark.parametrize("dtype", DTYPES)
def test_right_dropout_passes(dtype):
    result, given = masked()

    found = goodness.judge_mask(
        rounded(result, dtype), given, dist.dropout(0.3), dist.PRECISION[dtype]
    )

    assert not goodness.rejected(found)


def test_share_of_dropout_that_is_off_by_one_hundredth():
    found = goodness.judge_mask(*masked(share=0.69), dist.dropout(0.3), dist.PRECISION["float32"])

    assert [one.check for one in goodness.rejected(found)] == ["binomial"]


def test_channels_dropped_in_part_are_found():
    result, given = masked(columns=4, size=4096)
    right = goodness.judge_mask(result, given, dist.dropout(0.3), dist.PRECISION["float32"])
    result[:, 0] = result[::-1, 0]
    wrong = goodness.judge_mask(result, given, dist.dropout(0.3), dist.PRECISION["float32"])

    assert not goodness.rejected(right)
    assert [one.check for one in goodness.rejected(wrong)] == ["channels"]


def test_alpha_dropout_keeps_mean_and_variance():
    mask = dist.alpha_dropout(0.3)
    given = normals()
    kept = uniforms(1) < mask.keep
    result = np.where(kept, mask.scale * given + mask.shift, mask.dropped)

    assert abs(result.mean()) < 0.02
    assert abs(result.var() - 1) < 0.02


def test_categories():
    chances = [0.25, 0.0, 0.75]
    values = np.where(uniforms() < 0.25, 0, 2)

    def found(given):
        return {one.check for one in goodness.rejected(goodness.judge_categories(given, chances))}

    assert found(values) == set()
    assert found(np.where(uniforms() < 0.27, 0, 2)) == {"chi-square"}
    assert found(np.where(uniforms() < 0.001, 1, values)) == {"support"}
    assert found(np.where(uniforms() < 0.001, 3, values)) == {"support"}
    assert found(np.sort(values)) == {"independence"}


def test_permutations():
    rng = np.random.default_rng(0)
    rows = np.array([rng.permutation(5) for _ in range(500)])
    twice = rows.copy()
    twice[3, 0] = twice[3, 1]
    rolled = np.array(
        [np.roll(np.arange(5), rng.choice(5, p=[0.4, 0.15, 0.15, 0.15, 0.15])) for _ in range(500)]
    )

    def found(given):
        return {one.check for one in goodness.rejected(goodness.judge_permutations(given))}

    assert found(rows) == set()
    assert found(twice) == {"permutation"}
    assert found(rolled) == {"chi-square"}
    assert found(rng.permutation(4096)[None]) == set()
    assert found(np.arange(4096)[None]) == {"independence"}


@pytest.mark.parametrize("skewed", [False, True])
def test_p_values_of_independence_are_never_too_small(skewed):
    rng = np.random.default_rng(0)
    chance = 0.05 if skewed else 0.5

    p_values = [goodness.independence(rng.uniform(size=4096) < chance).p_value for _ in range(300)]

    assert sum(p <= 0.05 for p in p_values) <= 30
    assert min(p_values) > 1e-5


def test_p_values_of_each_check_are_never_too_small():
    limit = 0.05
    few: dict[str, int] = {}
    for seed in range(200):
        values = rounded(np.random.default_rng(seed).normal(size=4096), "float16")
        for one in goodness.judge(values, dist.normal(), dist.PRECISION["float16"]):
            few[one.check] = few.get(one.check, 0) + (one.p_value <= limit)

    # Of 200, 10 on average; 25 and more have a probability of 4e-5.
    assert set(few) == {"Kolmogorov-Smirnov", "lower tail", "upper tail", "independence"}
    assert max(few.values()) < 25


def test_nan_p_value_is_rejected():
    assert goodness.rejected([goodness.Finding("broken", math.nan, "")])


def test_significance_is_shared_by_the_findings_of_a_test():
    findings = [goodness.Finding("one", 6e-7, ""), goodness.Finding("other", 1.0, "")]

    assert goodness.rejected(findings[:1])
    assert not goodness.rejected(findings)


def test_scipy_that_is_missing_is_told_with_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "scipy", None)

    with pytest.raises(
        dist.ScipyMissingError, match=r'pip install "pytest-applesilicon\[suites\]"'
    ):
        dist.scipy_stats()
