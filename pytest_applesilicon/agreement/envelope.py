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


@dataclass(frozen=True)
class Judgement:
    """How far one array lies from its oracle; shown is the worst element."""

    index: tuple[int, ...]
    actual: Any
    oracle: Any
    #: Infinite where one of the two is NaN or infinite and the other is not.
    error: float
    error_ulp: float
    #: In units of the envelope: more than one is outside.
    error_envelope: float
    outside: int
    total: int
    #: Inside only thanks to the same-dtype term.
    needs_same_dtype: bool = False
    #: The term that was needed: "dtype bound", "condition", "magnitude", "same dtype"; or
    #: "exact" for integers and booleans.
    saved_by: str = "dtype bound"
    #: Median of the envelope's half width over the elements; NaN without elements.
    median_allowed_ulp: float = math.nan

    @property
    def agrees(self) -> bool:
        return self.outside == 0


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


def ulp(values: Any, dtype: str) -> Any:
    """The unit in the last place of ``dtype`` at each of ``values`` (complex: at the modulus).

    Muller's definition: the distance of the two neighbouring finite numbers of the dtype,
    subnormal numbers included; at a power of two the wider of the two distances, beyond the
    largest finite number the distance below it.
    """
    import numpy as np

    info = DTYPE_INFO[dtype]
    # Below the smallest normal number the distance stays what it is there.
    size = np.minimum(np.maximum(np.abs(values), info.smallest_normal), info.max)
    _, exponent = np.frexp(size)
    return np.ldexp(info.eps / 2, exponent)


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


def same_dtype_term(error: Any, terms: Terms) -> Any:
    """The same-dtype term from the host's own error on another path.

    An element is allowed what the host is off there. Another element is allowed the upper
    quartile, and no more, of how many times the host exceeds the other terms.
    """
    import numpy as np

    error = np.where(np.isfinite(error), error, 0.0)
    if error.size == 0:
        return error
    others = allowed(terms)
    with np.errstate(invalid="ignore"):
        usual = float(np.quantile(error / others, SAME_DTYPE_QUANTILE))
    return SAME_DTYPE * np.maximum(error, usual * others if math.isfinite(usual) else 0.0)


def judge(actual: Any, terms: Terms, dtype: str) -> Judgement:
    """Judge a result against the envelope around its oracle.

    NaN and infinities must be the oracle's, sign included, except that a finite oracle which
    the dtype cannot hold may have become infinite, that what the perturbed runs left undecided
    may be either, and that the host's own NaN or infinity on another path counts as the
    same-dtype term. A result below the smallest normal number may have been flushed to zero,
    as Metal does. Complex numbers are judged by the modulus of the difference; as soon as a
    component is NaN or infinite, by component, and a finite component beside it is not judged.
    """
    import numpy as np

    exact = np.asarray(terms.exact)
    actual = np.asarray(actual)
    if actual.dtype.kind in "iub" or exact.dtype.kind in "iub":
        return judge_exact(actual, exact)
    if exact.size == 0:
        return Judgement((), None, None, 0.0, 0.0, 0.0, 0, 0)
    width = allowed(terms)
    with np.errstate(all="ignore"):
        error = np.abs(actual - exact)
        forgiven = None
        outside = int(np.count_nonzero(~(error <= width)))
        if outside:
            error, forgiven = _errors(actual, exact, error, width, terms, DTYPE_INFO[dtype])
            outside = int(np.count_nonzero(error > width))
        ratio = error / width
        worst = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
        saved_by = "none" if outside else _saved_by(error, terms, forgiven)
    oracle = exact[worst]
    unit = ulp(oracle if np.isfinite(oracle) else 0.0, dtype)
    return Judgement(
        index=tuple(int(part) for part in worst),
        actual=actual[worst].item(),
        oracle=oracle.item(),
        error=float(error[worst]),
        error_ulp=float(error[worst] / unit),
        error_envelope=float(ratio[worst]),
        outside=outside,
        total=exact.size,
        needs_same_dtype=saved_by == "same dtype",
        saved_by=saved_by,
        median_allowed_ulp=_median_ulp(terms, width, dtype),
    )


def _median_ulp(terms: Terms, width: Any, dtype: str) -> float:
    """The median half width in ULP, over the elements of which the oracle is finite."""
    import numpy as np

    if not any(np.ndim(one) for one in (terms.condition, terms.magnitude, terms.same_dtype)):
        return dtype_ulps(dtype)
    finite = np.isfinite(terms.exact)
    if not finite.any():
        return dtype_ulps(dtype)
    return float(np.median(width[finite] / ulp(np.asarray(terms.exact)[finite], dtype)))


def judge_exact(actual: Any, exact: Any) -> Judgement:
    """Judge integers or booleans: they are the oracle's, or they are wrong."""
    import numpy as np

    actual, exact = np.asarray(actual), np.asarray(exact)
    if exact.size == 0:
        return Judgement((), None, None, 0.0, 0.0, 0.0, 0, 0, saved_by="exact")
    differs = actual != exact
    outside = int(np.count_nonzero(differs))
    worst: tuple[Any, ...] = (0,) * exact.ndim
    error = 0.0
    if outside:
        # Python integers: the difference of two int64 does not fit into one.
        off = np.zeros(exact.shape)
        for place in np.argwhere(differs):
            here = tuple(place)
            off[here] = abs(int(actual[here]) - int(exact[here]))
        worst = np.unravel_index(int(np.argmax(off)), exact.shape)
        error = float(off[worst])
    return Judgement(
        index=tuple(int(part) for part in worst),
        actual=actual[worst].item(),
        oracle=exact[worst].item(),
        error=error,
        error_ulp=error,
        error_envelope=math.inf if outside else 0.0,
        outside=outside,
        total=exact.size,
        saved_by="none" if outside else "exact",
        median_allowed_ulp=0.0,
    )


def _errors(
    actual: Any, exact: Any, error: Any, width: Any, terms: Terms, info: Precision
) -> tuple[Any, Any]:
    """The error of each element, and where only the host's own NaN or infinity forgives it."""
    import numpy as np

    # Metal flushes results below the smallest normal number to zero.
    error = np.where((actual == 0) & (np.abs(exact) < info.smallest_normal), 0.0, error)
    # What stands for "the largest number" is that of the dtype: nan_to_num, for one.
    largest = (np.abs(exact) == DTYPE_INFO["float64"].max) & (np.abs(actual) == info.max)
    if largest.any():
        error = np.where(largest & (np.sign(actual) == np.sign(exact)), 0.0, error)
    special = ~(np.isfinite(actual) & np.isfinite(exact))
    forgiven = np.zeros(np.shape(error), bool)
    if not special.any():
        return error, forgiven
    same = _same_special(actual, exact, width, info) | terms.undecided
    if terms.same_dtype_values is not None:
        other = _same_special(actual, np.asarray(terms.same_dtype_values), width, info)
        forgiven = special & other & ~same
    error = np.where(special, np.where(same | forgiven, 0.0, np.inf), error)
    return error, forgiven


def _same_special(actual: Any, exact: Any, width: Any, info: Precision) -> Any:
    """Where NaN and infinities agree, component by component."""
    if actual.dtype.kind == "c" or exact.dtype.kind == "c":
        real = _same_component(actual.real, exact.real, width, info, beside=True)
        return real & _same_component(actual.imag, exact.imag, width, info, beside=True)
    return _same_component(actual, exact, width, info, beside=False)


def _same_component(actual: Any, exact: Any, width: Any, info: Precision, *, beside: bool) -> Any:
    import numpy as np

    same = (actual == exact) | (np.isnan(actual) & np.isnan(exact))
    # Half a unit beyond the largest number is where rounding to nearest gives infinity.
    limit = info.max * (1 + info.eps / 4)
    over = np.isinf(actual) & np.isfinite(exact) & (np.sign(actual) == np.sign(exact))
    same |= over & (np.abs(exact) + width >= limit)
    if beside:
        same |= np.isfinite(actual) & np.isfinite(exact)
    return same


def _saved_by(error: Any, terms: Terms, forgiven: Any) -> str:
    """The first term with which, together with those before it, every element is inside."""
    import numpy as np

    if forgiven is None or not forgiven.any():
        width = np.asarray(terms.dtype_bound)
        if bool(np.all(error <= width)):
            return "dtype bound"
        for name in ("condition", "magnitude"):
            width = np.maximum(width, getattr(terms, name))
            if bool(np.all(error <= width)):
                return name
    return "same dtype"
