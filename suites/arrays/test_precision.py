"""NumPy in float64 against higher precision: 50 digits of mpmath, or exact fractions.

No dtype of NumPy is wider everywhere: on a Mac with Apple silicon long double is float64.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_applesilicon.agreement import array_functions
from pytest_applesilicon.agreement.array_functions import numpy_function

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon

mpmath = pytest.importorskip(
    "mpmath", reason="float64 is judged by mpmath: pip install 'pytest-applesilicon[suites]'"
)

pytestmark = pytest.mark.frameworks("numpy")

EPS = float(np.finfo(np.float64).eps)
DIGITS = 50
COUNT = 200

#: What a function may be off, in ULP: NumPy's own limit for its vectorised functions is 4 ULP
#: (numpy/_core/tests/test_umath_accuracy.py and NEP 38).
ULPS = 4.0

#: mpmath's names of functions that have others in the standard.
NAMES = {"pow": "power", "log2": "log2", "square": "square"}

UNARY = [
    one.name
    for one in array_functions.FUNCTIONS
    if one.category == "elementwise"
    and one.gradient
    and len(one.operands) == 1
    and one.name not in ("abs", "negative", "reciprocal", "square")
]
BINARY = ["atan2", "hypot", "pow"]

Array = np.ndarray[Any, Any]


def exactly(name: str, *numbers: float) -> Any:
    """What mpmath gives in 50 digits."""
    given = [mpmath.mpf(one) for one in numbers]
    with mpmath.workdps(DIGITS):
        if name == "log2":
            return mpmath.log(given[0], 2)
        if name == "pow":
            return mpmath.power(*given)
        return getattr(mpmath, name)(*given)


def blas() -> str:
    """The BLAS that NumPy was built with, by its own configuration."""
    try:
        dependencies = np.show_config(mode="dicts")["Build Dependencies"]
    except TypeError:  # NumPy before 1.26 prints it only
        return "a BLAS that this NumPy does not name"
    found = dependencies["blas"]
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_elementwise(name: str, applesilicon: AppleSilicon, device: Any) -> None:
    function = next(one for one in array_functions.FUNCTIONS if one.name == name)
    draw = np.random.default_rng(applesilicon.settings.seed)
    operands = [draw.uniform(one.low, one.high, COUNT) for one in function.operands]

    found = numpy_function(name)(*operands)

    worst, where = 0.0, 0
    for place, value in enumerate(found):
        exact = exactly(name, *(float(one[place]) for one in operands))
        unit = math.ulp(abs(float(exact)))
        off = float(abs(mpmath.mpf(float(value)) - exact) / unit)
        if not off <= worst:
            worst, where = off, place
    applesilicon.measure(f"{name} float64 error", worst, "ULP")
    given = [float(one[where]) for one in operands]
    assert worst <= ULPS, f"{name} of {given} is {worst:.3g} ULP off, allowed {ULPS}"


def test_matmul(applesilicon: AppleSilicon, device: Any, record_property: Any) -> None:
    """Each element against the exact sum, which fractions hold."""
    record_property("numpy_blas", blas())
    draw = np.random.default_rng(applesilicon.settings.seed)
    left, right = draw.standard_normal((9, 33)), draw.standard_normal((33, 7))

    found = np.matmul(left, right)

    worst = 0.0
    for row, column in np.ndindex(found.shape):
        pairs = [
            Fraction(a) * Fraction(b)
            for a, b in zip(left[row].tolist(), right[:, column].tolist(), strict=True)
        ]
        # The bound of a sum of k products, in any order (Higham, section 3.5).
        allowed = 33 * EPS / 2 * float(sum(map(abs, pairs)))
        off = abs(float(Fraction(float(found[row, column])) - sum(pairs)))
        worst = max(worst, off / allowed)
    applesilicon.measure("matmul float64 error / allowed", worst)
    assert worst <= 1, f"{blas()}: an element of the product is {worst:.3g} times what is allowed"


@pytest.mark.parametrize("length", [16, 15, 31])
def test_fft(length: int, applesilicon: AppleSilicon, device: Any) -> None:
    draw = np.random.default_rng(applesilicon.settings.seed)
    signal = draw.standard_normal(length) + 1j * draw.standard_normal(length)

    found = np.fft.fft(signal)

    with mpmath.workdps(DIGITS):
        turns = [mpmath.expjpi(mpmath.mpf(-2 * one) / length) for one in range(length)]
        exact = [
            sum(mpmath.mpc(complex(x)) * turns[(k * n) % length] for n, x in enumerate(signal))
            for k in range(length)
        ]
        off = mpmath.sqrt(
            sum(
                abs(mpmath.mpc(complex(one)) - other) ** 2
                for one, other in zip(found, exact, strict=True)
            )
        ) / mpmath.sqrt(sum(abs(one) ** 2 for one in exact))
    # Higham, theorem 24.2, with roots of one that are correct to an ulp: log2(n) steps of some
    # seven unit roundoffs; a prime length is split into convolutions of twice the length.
    allowed = 7 * math.ceil(math.log2(2 * length)) * EPS / 2
    applesilicon.measure(f"fft {length} float64 error / allowed", float(off) / allowed)
    assert off <= allowed, f"fft of {length} is {float(off):.3g} off, allowed {allowed:.3g}"


def test_solve(applesilicon: AppleSilicon, device: Any) -> None:
    """The exact residual of a solution, in fractions, is that of a backward stable method."""
    size = 12
    draw = np.random.default_rng(applesilicon.settings.seed)
    matrix, right = draw.standard_normal((size, size)), draw.standard_normal(size)

    found = np.linalg.solve(matrix, right)

    exact = [Fraction(one) for one in found.tolist()]
    residual = [
        float(sum(Fraction(a) * x for a, x in zip(row, exact, strict=True)) - Fraction(b))
        for row, b in zip(matrix.tolist(), right.tolist(), strict=True)
    ]
    off = float(np.linalg.norm(residual) / (np.linalg.norm(matrix) * np.linalg.norm(found)))
    assert off <= size * EPS, f"{blas()}: the residual is {off:.3g}, allowed {size * EPS:.3g}"
