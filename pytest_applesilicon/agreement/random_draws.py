"""How each random operator is called to judge what it draws, and by what specification.

The samples of torch's database hold ten numbers or twenty-five, too few to tell a distribution.
Each entry here draws ``distributions.DRAWS`` or so, with parameters of its own, into contiguous
and into strided memory, and says what the numbers follow.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import distributions as dist
from pytest_applesilicon.agreement import goodness
from pytest_applesilicon.agreement import random_layers as layers
from pytest_applesilicon.agreement.distributions import DRAWS
from pytest_applesilicon.agreement.random_place import Draw, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_applesilicon.agreement.distributions import Distribution
    from pytest_applesilicon.agreement.goodness import Finding

_FACTORS = "its random projection does not show: the factors are those of its input"

#: Random operators of torch's database whose numbers are not judged, and why.
LEFT_OUT = {"svd_lowrank": _FACTORS, "pca_lowrank": _FACTORS}

_FLOATING = frozenset({"float32", "float16", "bfloat16"})
_INTEGERS = frozenset({"int64", "int32", "int16", "int8", "uint8"})

#: Random functions that torch's database lacks, with their dtypes on the CPU.
ADDED = {
    "rand": _FLOATING | {"complex64"},
    "randperm": _FLOATING | _INTEGERS,
    "poisson": _FLOATING,
    "random_": _FLOATING | _INTEGERS | {"bool"},
}


def draws(name: str, dtype: str, device: Any, count: int = DRAWS) -> Iterator[Draw]:
    """The calls by which an operator is judged.

    Args:
        name: of a random operator of torch's database, or one of ``ADDED``.
        dtype: one of its dtypes.
        device: a ``torch.device``.
        count: about how many numbers, a power of two and at least 1024.
    """
    import torch

    yield from _DRAWS[name](Place(device, dtype, getattr(torch, dtype), count))


# Filling


def _fills(
    method: str,
    *cases: tuple[tuple[float, ...], Distribution],
) -> Callable[[Place], Iterator[Draw]]:
    """A method that fills a tensor; into contiguous and strided memory in turn."""

    def made(place: Place) -> Iterator[Draw]:
        for number, (arguments, distribution) in enumerate(cases):
            strided = bool(number % 2)
            text = f"{method}{arguments}{' into a strided tensor' if strided else ''}"
            yield Draw(
                text, partial(_fill, place, method, arguments, strided), place.by(distribution)
            )

    return made


def _fill(place: Place, method: str, arguments: tuple[float, ...], strided: bool) -> Any:
    target = place.empty(strided=strided)
    getattr(target, method)(*arguments)
    return target


def _normal_fill(place: Place) -> Iterator[Draw]:
    # Of a complex normal the two parts share the variance, and the imaginary mean is the same.
    share = place.parts**-0.5
    yield from _fills(
        "normal_",
        ((0.0, 1.0), dist.normal(0.0, share)),
        ((-2.0, 0.5), dist.normal(-2.0, 0.5 * share)),
    )(place)


def _random_fill(place: Place) -> Iterator[Draw]:
    digits = {"float32": 24, "float16": 11, "bfloat16": 8, "bool": 0}
    if place.name in digits:  # all integers that the type holds, the largest included
        high = 2 ** digits[place.name]
    else:
        import torch

        high = torch.iinfo(place.dtype).max
    cases: list[tuple[tuple[float, ...], Distribution]] = [((), dist.integers(0, high + 1))]
    if place.name != "bool":
        cases.append(((5, 30), dist.integers(5, 30)))
    yield from _fills("random_", *cases)(place)


# Creating


def _creates(
    name: str, distribution: Callable[[Place], Distribution]
) -> Callable[[Place], Iterator[Draw]]:
    """A function of a shape, and the one of a tensor like it."""

    def made(place: Place) -> Iterator[Draw]:
        import torch

        function = getattr(torch, name)
        if name.endswith("_like"):
            like = place.empty()
            yield Draw(f"{name}(tensor)", lambda: function(like), place.by(distribution(place)))
            return
        count = place.count // place.parts
        where = {"dtype": place.dtype, "device": place.device}
        yield Draw(
            f"{name}({count})", lambda: function(count, **where), place.by(distribution(place))
        )
        out = place.empty()
        yield Draw(
            f"{name}({count}, out=)",
            lambda: function(count, out=out),
            place.by(distribution(place)),
        )

    return made


def _standard_normal(place: Place) -> Distribution:
    return dist.normal(0.0, place.parts**-0.5)


def _standard_uniform(_: Place) -> Distribution:
    return dist.uniform(0.0, 1.0, half_open=True)


def _randint(place: Place, *, like: bool = False) -> Iterator[Draw]:
    import torch

    ranges = [(0, 10), (3, 100)] if place.name == "uint8" else [(2, 10), (-100, 101)]
    for low, high in ranges:
        if like:
            given = place.empty()
            call = partial(torch.randint_like, given, low, high)
        else:
            where: dict[str, Any] = {"dtype": place.dtype, "device": place.device}
            call = partial(torch.randint, low, high, (place.count,), **where)
        text = f"randint{'_like' if like else ''}({low}, {high})"
        yield Draw(text, call, place.by(dist.integers(low, high)))


def _randperm(place: Place) -> Iterator[Draw]:
    import torch

    where: dict[str, Any] = {"dtype": place.dtype, "device": place.device}
    # The integers up to here are exact in every dtype but the 8-bit ones.
    length = 127 if place.name in ("int8", "uint8") else 256 if place.name in _FLOATING else 16384
    yield Draw(
        f"randperm({length})",
        lambda: torch.randperm(length, **where)[None],
        goodness.judge_permutations,
    )
    yield Draw(
        "500 times randperm(5)",
        lambda: torch.stack([torch.randperm(5, **where) for _ in range(500)]),
        goodness.judge_permutations,
    )


# Drawing by parameters in tensors


def _normal(place: Place) -> Iterator[Draw]:
    import torch

    means, deviations = (0.0, -1.0, 2.0, 8.0), (1.0, 4.0, 0.5, 2.0)
    mean, deviation = place.filled(means), place.filled(deviations)
    yield Draw(
        "normal(tensor, tensor)",
        lambda: torch.normal(mean, deviation),
        partial(_standardised, place, means, deviations),
    )
    yield Draw(
        "normal(tensor, 0.5)",
        lambda: torch.normal(mean, 0.5),
        partial(_standardised, place, means, (0.5,) * 4),
    )


def _normal_of_number(place: Place) -> Iterator[Draw]:
    import torch

    deviations = (1.0, 4.0, 0.5, 2.0)
    deviation = place.filled(deviations)
    where: dict[str, Any] = {"dtype": place.dtype, "device": place.device}
    yield Draw(
        "normal(1.5, 0.25, size)",
        lambda: torch.normal(1.5, 0.25, (place.count,), **where),
        place.by(dist.normal(1.5, 0.25)),
    )
    yield Draw(
        "normal(0.5, tensor)",
        lambda: torch.normal(0.5, deviation),
        partial(_standardised, place, (0.5,) * 4, deviations),
    )


def _standardised(
    place: Place, means: tuple[float, ...], deviations: tuple[float, ...], values: Any
) -> list[Finding]:
    """Normal numbers of several parameters, each less its mean and over its deviation."""
    import numpy as np

    mean = np.resize(means, values.shape)
    deviation = np.resize(deviations, values.shape)
    grain = place.precision.eps * (np.abs(values) + np.abs(mean)) / deviation
    standard = (values - mean) / deviation
    return goodness.judge(standard, dist.normal(), place.precision, grain=grain)


def _bernoulli(place: Place) -> Iterator[Draw]:
    import torch

    chances = (0.125, 0.25, 0.5, 0.875)  # exact in every dtype
    chance = place.filled(chances)

    def by_chance(values: Any) -> list[Finding]:
        return [
            finding
            for number, one in enumerate(chances)
            for finding in goodness.judge(values[number::4], dist.bernoulli(one), place.precision)
        ]

    yield Draw("bernoulli(tensor)", lambda: torch.bernoulli(chance), by_chance)
    yield from _fills("bernoulli_", ((0.75,), dist.bernoulli(0.75)), ((0.3,), dist.bernoulli(0.3)))(
        place
    )


def _poisson(place: Place) -> Iterator[Draw]:
    import torch

    # torch changes the method at 10.
    for rate in (4.0, 40.0):
        rates = place.filled((rate,))
        yield Draw(f"poisson({rate})", partial(torch.poisson, rates), place.by(dist.poisson(rate)))


def _multinomial(place: Place) -> Iterator[Draw]:
    import torch

    weights = (1.0, 2.0, 0.0, 3.0, 10.0)  # exact in every dtype
    chances = [one / 16 for one in weights]
    pairs = [
        first * second / (1 - first) if row != column else 0.0
        for row, first in enumerate(chances)
        for column, second in enumerate(chances)
    ]
    given = place.filled(weights, 5)
    rows = given.expand(place.count // 4, 5)
    yield Draw(
        "multinomial(weights, replacement=True)",
        lambda: torch.multinomial(given, place.count, replacement=True),
        lambda values: goodness.judge_categories(values, chances),
    )
    yield Draw(
        "multinomial(weights, 2)",
        lambda: torch.multinomial(rows, 2),
        lambda values: goodness.judge_categories(5 * values[:, 0] + values[:, 1], pairs),
    )


_DRAWS: dict[str, Callable[[Place], Iterator[Draw]]] = {
    "uniform": _fills(
        "uniform_",
        ((-100.0, 100.0), dist.uniform(-100, 100)),
        ((1.0, 2.0), dist.uniform(1, 2)),
    ),
    "normal.in_place": _normal_fill,
    "exponential": _fills(
        "exponential_", ((0.5,), dist.exponential(0.5)), ((1.5,), dist.exponential(1.5))
    ),
    "cauchy": _fills(
        "cauchy_", ((0.0, 0.5), dist.cauchy(0, 0.5)), ((-2.0, 1.0), dist.cauchy(-2, 1))
    ),
    "log_normal": _fills(
        "log_normal_",
        ((0.0, 0.25), dist.log_normal(0, 0.25)),
        ((0.5, 1.0), dist.log_normal(0.5, 1)),
    ),
    "geometric": _fills("geometric_", ((0.2,), dist.geometric(0.2)), ((0.5,), dist.geometric(0.5))),
    "random_": _random_fill,
    "rand": _creates("rand", _standard_uniform),
    "rand_like": _creates("rand_like", _standard_uniform),
    "randn": _creates("randn", _standard_normal),
    "randn_like": _creates("randn_like", _standard_normal),
    "randint": _randint,
    "randint_like": partial(_randint, like=True),
    "randperm": _randperm,
    "normal": _normal,
    "normal.number_mean": _normal_of_number,
    "bernoulli": _bernoulli,
    "poisson": _poisson,
    "multinomial": _multinomial,
    "nn.functional.dropout": layers.dropouts("dropout"),
    "nn.functional.dropout2d": layers.dropouts("dropout2d"),
    "nn.functional.dropout3d": layers.dropouts("dropout3d"),
    "nn.functional.alpha_dropout": layers.dropouts("alpha_dropout"),
    "nn.functional.feature_alpha_dropout.with_train": layers.dropouts("feature_alpha_dropout"),
    "nn.functional.scaled_dot_product_attention": layers.attention,
    "nn.functional.multi_head_attention_forward": layers.heads,
    "nn.functional.rrelu": layers.rrelu,
    "nn.functional.fractional_max_pool2d": layers.pools(2),
    "nn.functional.fractional_max_pool3d": layers.pools(3),
}

#: The operators that are judged.
JUDGED = tuple(_DRAWS)
