"""Functions of the array API that every framework has, with inputs and their NumPy reference.

For frameworks without a database of operators of their own: TensorFlow, MLX, JAX, and NumPy
itself. The names are those of the Python array API standard (2023.12); NumPy, of which the
reference is called in float64, may know a function by an older name only.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import array_formulas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FLOATS = ("float32", "float16", "bfloat16")
COMPLEX = ("complex64",)
INTEGERS = ("int32", "uint8")
BOOLEANS = ("bool",)

#: Older names, by which NumPy 1, MLX and TensorFlow know functions of the standard.
OLD_NAMES: Mapping[str, str] = {
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "concat": "concatenate",
    "cumulative_sum": "cumsum",
    "permute_dims": "transpose",
    "pow": "power",
}


@dataclass(frozen=True)
class Operand:
    """How one input is drawn: its shape, and between what its numbers lie."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    kind: str = ""
    """``definite``, ``regular``: a matrix that is positive definite, or well conditioned;
    ``index``: integers below the high limit; ``mask``: booleans; empty: numbers."""


@dataclass(frozen=True)
class Function:
    """One function, as it is called and drawn for."""

    name: str
    category: str
    operands: tuple[Operand, ...]
    dtypes: tuple[str, ...] = FLOATS
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    gradient: bool = False
    """Whether floating results have a gradient by floating operands."""
    takes_list: bool = False
    """The operands are given as one list."""
    formula: Callable[..., Any] | None = None
    """The reference, where NumPy has no function of this name."""

    def call(self, function: Callable[..., Any], operands: list[Any]) -> Any:
        """What ``function``, of this name in some namespace, gives for these operands."""
        args = [list(operands)] if self.takes_list else operands
        return function(*args, **self.kwargs)

    def reference(self, *operands: Any) -> Any:
        """The result in NumPy, in whatever dtype the operands have."""
        import numpy as np

        with np.errstate(all="ignore"):
            return self.call(self.formula or numpy_function(self.name), list(operands))


@functools.cache
def numpy_function(name: str) -> Callable[..., Any]:
    """NumPy's function of this name of the standard."""
    import numpy as np

    for space in (np, np.linalg, np.fft):
        for known in (name, OLD_NAMES.get(name, name)):
            if callable(getattr(space, known, None)):
                found: Callable[..., Any] = getattr(space, known)
                return found
    raise AttributeError(f"NumPy {np.__version__} has no {name}")


_GRID, _ROWS = (3, 7), (4, 33)

#: Elementwise functions of one operand: between what it is drawn, and what has a gradient.
_SMOOTH = {
    "abs": (0.1, 3),
    "acos": (-0.9, 0.9),
    "acosh": (1.2, 5),
    "asin": (-0.9, 0.9),
    "asinh": (-5, 5),
    "atan": (-5, 5),
    "atanh": (-0.9, 0.9),
    "cos": (-6, 6),
    "cosh": (-4, 4),
    "exp": (-6, 6),
    "expm1": (-2, 2),
    "log": (0.05, 20),
    "log10": (0.05, 20),
    "log1p": (-0.9, 9),
    "log2": (0.05, 20),
    "negative": (-3, 3),
    "reciprocal": (0.2, 5),
    "sin": (-6, 6),
    "sinh": (-4, 4),
    "sqrt": (0.05, 9),
    "square": (-3, 3),
    "tan": (-1.3, 1.3),
    # The gradient, 1 - tanh**2, cancels where tanh is near 1; what frameworks round in between is
    # not seen here, so that the range ends before.
    "tanh": (-1.2, 1.2),
}
_STEPS = ("ceil", "floor", "round", "sign", "trunc")
_PREDICATES = ("isfinite", "isinf", "isnan", "signbit")

#: Elementwise functions of two operands, in the same way.
_SMOOTH_PAIRS = {
    "add": (-3, 3),
    "atan2": (0.2, 3),
    "divide": (0.3, 4),
    "hypot": (0.2, 3),
    "logaddexp": (-3, 3),
    "multiply": (-3, 3),
    "pow": (0.3, 3),
    "subtract": (-3, 3),
}
_COMPARISONS = ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")
_LOGIC = ("logical_and", "logical_or", "logical_xor")
_BITS = ("bitwise_and", "bitwise_or", "bitwise_xor")
_OF_COMPLEX = ("abs", "exp", "negative", "square", "sin", "cos", "tanh", "sqrt")


def _elementwise() -> Iterator[Function]:
    for name, (low, high) in _SMOOTH.items():
        dtypes = (*FLOATS, *(COMPLEX if name in _OF_COMPLEX else ()))
        dtypes += INTEGERS if name in ("abs", "square") else ()
        operand = Operand(_GRID, low, high)
        yield Function(name, "elementwise", (operand,), dtypes, gradient=True)
    for name in (*_STEPS, *_PREDICATES):
        yield Function(name, "elementwise", (Operand(_GRID, -5, 5),))
    yield Function("logical_not", "elementwise", (Operand(_GRID),), BOOLEANS)
    yield Function("bitwise_invert", "elementwise", (Operand(_GRID, 0, 100),), INTEGERS)
    for name, (low, high) in _SMOOTH_PAIRS.items():
        pair = Operand(_GRID, low, high), Operand(_GRID[1:], low, high)
        arithmetic = name in ("add", "multiply", "subtract")
        dtypes = (*FLOATS, *COMPLEX, *INTEGERS[:1]) if arithmetic else FLOATS
        yield Function(name, "elementwise", pair, dtypes, gradient=True)
    for name in ("maximum", "minimum"):
        pair = Operand(_GRID, -3, 3), Operand(_GRID[1:], -3, 3)
        yield Function(name, "elementwise", pair, (*FLOATS, *INTEGERS[:1]), gradient=True)
    for name in ("floor_divide", "remainder"):
        pair = Operand(_GRID, -9, 9), Operand(_GRID, 2, 5)
        yield Function(name, "elementwise", pair, ("float32", "int32"))
    for name in _COMPARISONS:
        pair = Operand(_GRID, 0, 3), Operand(_GRID, 0, 3)
        yield Function(name, "elementwise", pair, (*FLOATS, *INTEGERS))
    for name in _LOGIC:
        yield Function(name, "elementwise", (Operand(_GRID), Operand(_GRID)), BOOLEANS)
    for name in _BITS:
        pair = Operand(_GRID, 0, 100), Operand(_GRID, 0, 100)
        yield Function(name, "elementwise", pair, INTEGERS)
    for name in ("bitwise_left_shift", "bitwise_right_shift"):
        pair = Operand(_GRID, 0, 100), Operand(_GRID, 0, 5)
        yield Function(name, "elementwise", pair, INTEGERS[:1])


def _reductions() -> Iterator[Function]:
    rows = (Operand(_ROWS, -2, 2),)
    for name in ("sum", "mean", "max", "min", "var", "std"):
        for axis in (0, 1):
            kinds = (*FLOATS, *(INTEGERS[:1] if name == "sum" else ()))
            yield Function(name, "reduction", rows, kinds, {"axis": axis}, gradient=True)
    near_one = (Operand(_ROWS, 0.8, 1.2),)
    yield Function("prod", "reduction", near_one, FLOATS[:1], {"axis": 1}, gradient=True)
    for name in ("all", "any"):
        yield Function(name, "reduction", (Operand(_ROWS),), BOOLEANS, {"axis": 1})
    for name in ("argmax", "argmin"):
        yield Function(name, "reduction", rows, FLOATS[:1], {"axis": 1})
    yield Function("cumulative_sum", "reduction", rows, FLOATS[:1], {"axis": 1}, gradient=True)


def _moving() -> Iterator[Function]:
    block = (Operand((3, 4, 5)),)
    kinds = (*FLOATS, *COMPLEX, *INTEGERS[:1])
    pair = (Operand((3, 4)), Operand((3, 4)))

    def moves(
        name: str, operands: tuple[Operand, ...], kwargs: dict[str, Any], *, listed: bool = False
    ) -> Function:
        return Function(name, "moving", operands, kinds, kwargs, takes_list=listed)

    yield moves("permute_dims", block, {"axes": (2, 0, 1)})
    yield moves("expand_dims", block, {"axis": 1})
    yield moves("flip", block, {"axis": 1})
    yield moves("roll", block, {"shift": 2, "axis": 2})
    yield moves("concat", pair, {"axis": 1}, listed=True)
    yield moves("stack", pair, {"axis": 1}, listed=True)
    yield moves("tril", (Operand((5, 5)),), {})
    yield moves("triu", (Operand((5, 5)),), {})
    yield Function("sort", "moving", (Operand(_ROWS),), FLOATS[:1], {"axis": 1})
    yield Function(
        "take", "moving", (Operand(_ROWS), Operand((6,), 0, 4, "index")), kinds, {"axis": 0}
    )
    where = (Operand(_GRID, kind="mask"), Operand(_GRID), Operand(_GRID))
    yield Function("where", "moving", where, kinds)


def _linear_algebra() -> Iterator[Function]:
    kinds = (*FLOATS, *COMPLEX)
    square, definite = Operand((6, 6), kind="regular"), Operand((6, 6), kind="definite")
    for shapes in (((5, 9), (9, 4)), ((3, 5, 9), (3, 9, 4))):
        pair = tuple(Operand(shape) for shape in shapes)
        yield Function("matmul", "linear algebra", pair, kinds, gradient=True)
    yield Function("outer", "linear algebra", (Operand((5,)), Operand((4,))), FLOATS[:1])
    single = FLOATS[:1]
    yield Function("inv", "linear algebra", (square,), single, gradient=True)
    yield Function("det", "linear algebra", (square,), single, gradient=True)
    yield Function("solve", "linear algebra", (square, Operand((6, 3))), single, gradient=True)
    yield Function("cholesky", "linear algebra", (definite,), single)


def _transforms() -> Iterator[Function]:
    for name in ("fft", "ifft"):
        for length in (16, 15):
            yield Function(name, "fft", (Operand((3, length)),), COMPLEX)
    for length in (16, 15):
        yield Function("rfft", "fft", (Operand((3, length)),), FLOATS[:1])


def _layers() -> Iterator[Function]:
    """What networks are made of; NumPy has none of it.

    Those of one formula in float32 only, because in half precision frameworks round inside as
    they like; and not far from zero, where the gradients, y * (1 - y), cancel.
    """
    row = (Operand(_ROWS, -1.5, 1.5),)
    for name, formula in array_formulas.OF_LAYERS.items():
        kwargs = {"axis": -1} if name.endswith("softmax") else {}
        yield Function(name, "nn", row, FLOATS[:1], kwargs, gradient=True, formula=formula)
    images, kernel = Operand((2, 7, 6, 3)), Operand((3, 3, 3, 4))
    yield Function(
        "conv2d",
        "nn",
        (images, kernel),
        FLOATS,
        gradient=True,
        formula=array_formulas.conv2d,
    )


FUNCTIONS: tuple[Function, ...] = (
    *_elementwise(),
    *_reductions(),
    *_moving(),
    *_linear_algebra(),
    *_transforms(),
    *_layers(),
)


def label(function: Function) -> str:
    """The name of a function with what tells it from others of the name."""
    same = [one for one in FUNCTIONS if one.name == function.name]
    if len(same) == 1:
        return function.name
    told = [f"{name}{value}" for name, value in function.kwargs.items()]
    told += ["x".join(str(size) for size in one.shape) for one in function.operands[:1]]
    return "-".join([function.name, *told])


def draw(function: Function, dtype: str, seed: int) -> list[Any]:
    """Operands as NumPy arrays: float64 or complex128 that a dtype is to hold, or exact ones.

    Args:
        function: what they are for.
        dtype: the name of the dtype under test.
        seed: of the generator.
    """
    import numpy as np

    source = np.random.default_rng([seed, *function.name.encode()])
    return [_operand(one, dtype, source) for one in function.operands]


def _operand(operand: Operand, dtype: str, source: Any) -> Any:
    import numpy as np

    shape, low, high = operand.shape, operand.low, operand.high
    if operand.kind == "index":
        return source.integers(int(low), int(high), shape).astype(np.int32)
    if operand.kind == "mask" or dtype == "bool":
        return source.integers(0, 2, shape).astype(bool)
    if dtype in INTEGERS:
        first = max(int(low), 0) if dtype.startswith("u") else int(low)
        return source.integers(first, int(high) + 1, shape).astype(dtype)
    values = source.uniform(low, high, shape)
    if dtype in COMPLEX:
        values = values + 1j * source.uniform(low, high, shape)
    if operand.kind:
        size = shape[-1]
        values = values / size + 2 * np.eye(size)  # the diagonal dominates
        if operand.kind == "definite":
            values = values @ values.T
    return values
