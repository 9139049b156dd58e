"""How far a result may lie from its oracle, element by element, and whether it does.

Everything here works on host arrays: results as float64 or complex128 (or integers and
booleans, which must be exact) and the oracle's values in the same. The envelope is the
*largest* of four terms, so that each says alone why an error is allowed:

=============== ============================================================================
dtype bound     what any single operation of the dtype may be off, in ULP of the exact value
condition       what a relative change of the inputs by one epsilon does to the exact value
magnitude       what a rounding of every intermediate result does to the exact value
same dtype      what the host itself is off in the same dtype, on another path
=============== ============================================================================
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Precision:
    """The numbers a floating dtype holds; for a complex dtype, those of its components."""

    eps: float
    max: float
    smallest_normal: float
    smallest_subnormal: float
    #: Half precision: other accuracy is promised for it than for single precision.
    half: bool = False


def _precision(mantissa_bits: int, largest_exponent: int, *, half: bool = False) -> Precision:
    eps = 2.0**-mantissa_bits
    smallest_normal = 2.0 ** (1 - largest_exponent)
    return Precision(
        eps=eps,
        max=(2.0 - eps) * 2.0**largest_exponent,
        smallest_normal=smallest_normal,
        smallest_subnormal=math.ldexp(smallest_normal, -mantissa_bits),
        half=half,
    )


#: The dtypes the envelope knows, by name.
DTYPE_INFO: Mapping[str, Precision] = {
    "float16": _precision(10, 15, half=True),
    "bfloat16": _precision(7, 127, half=True),
    "float32": _precision(23, 127),
    "float64": _precision(52, 1023),
    "complex32": _precision(10, 15, half=True),
    "complex64": _precision(23, 127),
    "complex128": _precision(52, 1023),
}

#: Dtype bound of single precision, in ULP: the tables of the Metal Shading Language
#: specification for single precision were not at hand, so this is no promise of the platform.
#: The basic operations are correctly rounded (0.5 ULP) and math libraries for GPUs are off by a
#: few ULP in the common functions; a function that a platform grants more than this (the
#: tangent and the power function are the usual ones) is told, not hidden.
SINGLE_ULP = 4.0

#: Dtype bound of half precision, in ULP: the Metal Shading Language specification, section 7.4,
#: half-precision table, allows at most 1 ULP to the functions it lists.
HALF_ULP = 1.0

#: Factor of the condition term in single precision. Each draw moves every input
#: by one epsilon, twice the unit roundoff, with a random sign; the largest of the draws is a
#: sample of the size of the error, which grows like the square root of the number of roundings
#: (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 2.8), and no bound
#: of it. Higham's worst case for k roundings in a chain is k * eps / 2: this factor allows a
#: chain of four per input.
SINGLE_CONDITION = 2.0

#: The same in half precision. Reductions and matrix products accumulate in single precision,
#: so that the inputs' own rounding unit, twice over, is all there is to allow.
HALF_CONDITION = 1.0

#: Factor of the same-dtype term: the host's error on another path is one sample of the error
#: of a correct implementation; the same size with the other sign must pass as well.
SAME_DTYPE = 2.0

#: The share of the elements whose error on the host, relative to the other terms, widens the
#: envelope of *other* elements: the rest is trimmed, so that one outlier of the host does not
#: hide an error elsewhere.
SAME_DTYPE_QUANTILE = 0.75


#: How many times the other terms the same-dtype term may be; and how many epsilon of the largest
#: element, where the others are smaller still, as at a zero: a thousandth in single precision, no
#: limit in half precision. (Of the operators of torch 2.13 on the CPU the most that was needed in
#: single precision is 669 times.) A host that is farther off from the oracle computes something
#: else in float64 than in the dtype, so that neither tells what is right.
SAME_DTYPE_TIMES = 2.0**10
SAME_DTYPE_EPSILONS = 2.0**13


@dataclass(frozen=True)
class Terms:
    """The oracle's values and what may be added to them; arrays of one shape, or scalars."""

    exact: Any
    #: In absolute units, like all that follow.
    dtype_bound: Any
    condition: Any = 0.0
    magnitude: Any = 0.0
    same_dtype: Any = 0.0
    #: Where the inputs decide only up to rounding whether the result is NaN, infinite or finite.
    undecided: Any = False
    #: Where the host itself, on another path, has this NaN or infinity; finite or NaN arrays.
    same_dtype_values: Any = None


@functools.cache
def dtype_ulps(dtype: str) -> float:
    """The dtype bound in ULP."""
    return HALF_ULP if DTYPE_INFO[dtype].half else SINGLE_ULP


@functools.cache
def condition_factor(dtype: str) -> float:
    """The factor of what moving the inputs shows."""
    return HALF_CONDITION if DTYPE_INFO[dtype].half else SINGLE_CONDITION


def magnitude_factor(dtype: str) -> float:
    """The factor of what rounding the intermediate results shows.

    An intermediate result moves by one epsilon; the dtype bound grants it as many ULP as it
    grants a final one.
    """
    return dtype_ulps(dtype)


#: The exponent's bits of a float64: alone, they are the power of two below a number.
_EXPONENT = 0x7FF0_0000_0000_0000


def ulp(values: Any, dtype: str) -> Any:
    """The unit in the last place of ``dtype`` at each of ``values`` (complex: at the modulus).

    Muller's definition: the distance of the two neighbouring finite numbers of the dtype,
    subnormal numbers included; at a power of two the wider of the two distances, beyond the
    largest finite number the distance below it.
    """
    import numpy as np

    info = DTYPE_INFO[dtype]
    # Written in place: of millions of elements the memory costs more than the arithmetic.
    size = np.asarray(np.abs(values), np.float64)
    # Below the smallest normal number the distance stays what it is there; NaN has that one too.
    np.fmax(size, info.smallest_normal, out=size)
    np.fmin(size, info.max, out=size)
    bits = size.view(np.int64)
    np.bitwise_and(bits, _EXPONENT, out=bits)
    return np.multiply(size, info.eps, out=size)


def dtype_terms(exact: Any, dtype: str) -> Terms:
    """The terms when only the dtype bound is known."""
    return Terms(exact, dtype_ulps(dtype) * ulp(exact, dtype))


def allowed(terms: Terms) -> Any:
    """The half width of the envelope: the largest of the terms, element by element."""
    import numpy as np

    widest = np.asarray(terms.dtype_bound)
    for term in (terms.condition, terms.magnitude, terms.same_dtype):
        if np.ndim(term) or term:
            widest = np.maximum(widest, term)
    return np.broadcast_to(widest, np.shape(terms.exact))


def same_dtype_term(error: Any, terms: Terms, dtype: str) -> Any:
    """The same-dtype term from the host's own error on another path.

    An element is allowed what the host is off there. Another element is allowed the upper
    quartile, and no more, of how many times the host exceeds the other terms. Nowhere is it
    more than a thousand times these, or than 8192 epsilon of the largest element.
    """
    import numpy as np

    error = np.where(np.isfinite(error), error, 0.0)
    if error.size == 0:
        return error
    others = allowed(terms)
    with np.errstate(invalid="ignore"):
        usual = float(np.quantile(error / others, SAME_DTYPE_QUANTILE))
    term = SAME_DTYPE * np.maximum(error, usual * others if math.isfinite(usual) else 0.0)
    floor = same_dtype_floor(terms.exact, dtype)
    return np.minimum(term, np.maximum(SAME_DTYPE_TIMES * others, floor))


def least_same_dtype(error: Any, bound: Any, floor: float) -> Any:
    """What the same-dtype term is at least, whatever the other terms are.

    Args:
        error: of the host on another path, in absolute units; NaN gives NaN.
        bound: the dtype bound of the same elements.
        floor: ``same_dtype_floor`` of the whole result.
    """
    import numpy as np

    # What is not finite is no size of an error.
    error[error == np.inf] = np.nan
    return np.minimum(SAME_DTYPE * error, np.maximum(SAME_DTYPE_TIMES * bound, floor))


def same_dtype_floor(exact: Any, dtype: str) -> float:
    """Up to here the same-dtype term is not limited, however small the other terms are."""
    return SAME_DTYPE_EPSILONS * DTYPE_INFO[dtype].eps * largest(exact)


def largest(values: Any) -> float:
    """The largest modulus of the finite numbers; zero where there are none."""
    import numpy as np

    if values.dtype.kind != "c" and values.size:
        # Two passes, and no array of the moduli.
        size = max(float(values.max()), -float(values.min()))
        if math.isfinite(size):
            return size
    moduli = np.abs(values)
    return float(np.max(moduli, where=np.isfinite(moduli), initial=0.0))
