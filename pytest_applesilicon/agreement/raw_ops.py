"""TensorFlow's raw operations for the functions of ``array_functions``.

A raw operation is one kernel: ``tf.raw_ops.AddV2``. With soft placement off it runs on the device
it is placed on or raises, so that a kernel a device lacks is seen. Nothing is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    RawOp = Callable[..., Any]


def _one(name: str, argument: str = "x") -> RawOp:
    def call(raw: Any, x: Any) -> Any:
        return getattr(raw, name)(**{argument: x})

    return call


def _two(name: str, left: str = "x", right: str = "y") -> RawOp:
    def call(raw: Any, x: Any, y: Any) -> Any:
        return getattr(raw, name)(**{left: x, right: y})

    return call


def _reduced(name: str, argument: str = "input") -> RawOp:
    def call(raw: Any, x: Any, axis: int) -> Any:
        return getattr(raw, name)(**{argument: x}, axis=axis, keep_dims=False)

    return call


def _placed(name: str) -> RawOp:
    return lambda raw, x, axis: getattr(raw, name)(input=x, dimension=axis)


def _abs(raw: Any, x: Any) -> Any:
    return raw.ComplexAbs(x=x) if x.dtype.is_complex else raw.Abs(x=x)


def _matmul(raw: Any, x: Any, y: Any) -> Any:
    if len(x.shape) == 2:
        return raw.MatMul(a=x, b=y, transpose_a=False, transpose_b=False)
    return raw.BatchMatMulV2(x=x, y=y)


_UNARY = {
    "acos": "Acos",
    "acosh": "Acosh",
    "asin": "Asin",
    "asinh": "Asinh",
    "atan": "Atan",
    "atanh": "Atanh",
    "bitwise_invert": "Invert",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "exp": "Exp",
    "expm1": "Expm1",
    "floor": "Floor",
    "isfinite": "IsFinite",
    "isinf": "IsInf",
    "isnan": "IsNan",
    "log": "Log",
    "log1p": "Log1p",
    "logical_not": "LogicalNot",
    "negative": "Neg",
    "reciprocal": "Reciprocal",
    "round": "Round",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "sqrt": "Sqrt",
    "square": "Square",
    "tan": "Tan",
    "tanh": "Tanh",
}

_BINARY = {
    "add": "AddV2",
    "bitwise_and": "BitwiseAnd",
    "bitwise_left_shift": "LeftShift",
    "bitwise_or": "BitwiseOr",
    "bitwise_right_shift": "RightShift",
    "bitwise_xor": "BitwiseXor",
    "divide": "RealDiv",
    "equal": "Equal",
    "floor_divide": "FloorDiv",
    "greater": "Greater",
    "greater_equal": "GreaterEqual",
    "less": "Less",
    "less_equal": "LessEqual",
    "logical_and": "LogicalAnd",
    "logical_or": "LogicalOr",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "multiply": "Mul",
    "not_equal": "NotEqual",
    "pow": "Pow",
    "remainder": "FloorMod",
    "subtract": "Sub",
}

_REDUCED = {"all": "All", "any": "Any", "max": "Max", "mean": "Mean", "min": "Min"}
_REDUCED |= {"prod": "Prod", "sum": "Sum"}

#: A call for each function that one raw operation computes; the others TensorFlow composes.
RAW_OPS: Mapping[str, RawOp] = {
    **{name: _one(op) for name, op in _UNARY.items()},
    **{name: _two(op) for name, op in _BINARY.items()},
    **{name: _reduced(op) for name, op in _REDUCED.items()},
    "abs": _abs,
    "argmax": _placed("ArgMax"),
    "argmin": _placed("ArgMin"),
    "atan2": _two("Atan2", "y", "x"),
    "cholesky": _one("Cholesky", "input"),
    "concat": lambda raw, values, axis: raw.ConcatV2(values=values, axis=axis),
    "cumulative_sum": lambda raw, x, axis: raw.Cumsum(x=x, axis=axis),
    "det": _one("MatrixDeterminant", "input"),
    "expand_dims": lambda raw, x, axis: raw.ExpandDims(input=x, axis=axis),
    "fft": _one("FFT", "input"),
    "flip": lambda raw, x, axis: raw.ReverseV2(tensor=x, axis=[axis]),
    "ifft": _one("IFFT", "input"),
    "inv": _one("MatrixInverse", "input"),
    "matmul": _matmul,
    "permute_dims": lambda raw, x, axes: raw.Transpose(x=x, perm=list(axes)),
    "rfft": lambda raw, x: raw.RFFT(input=x, fft_length=[int(x.shape[-1])]),
    "roll": lambda raw, x, shift, axis: raw.Roll(input=x, shift=shift, axis=axis),
    "solve": _two("MatrixSolve", "matrix", "rhs"),
    "stack": lambda raw, values, axis: raw.Pack(values=values, axis=axis),
    "take": lambda raw, x, where, axis: raw.GatherV2(params=x, indices=where, axis=axis),
    "tril": lambda raw, x: raw.MatrixBandPart(input=x, num_lower=-1, num_upper=0),
    "triu": lambda raw, x: raw.MatrixBandPart(input=x, num_lower=0, num_upper=-1),
    "relu": _one("Relu", "features"),
    "sigmoid": _one("Sigmoid"),
    "softplus": _one("Softplus", "features"),
    # Along the last axis, which is the only one they know.
    "softmax": lambda raw, x, axis: raw.Softmax(logits=x),  # noqa: ARG005
    "log_softmax": lambda raw, x, axis: raw.LogSoftmax(logits=x),  # noqa: ARG005
    "conv2d": lambda raw, x, kernel: raw.Conv2D(
        input=x, filter=kernel, strides=[1, 1, 1, 1], padding="VALID"
    ),
    "where": lambda raw, which, x, y: raw.SelectV2(condition=which, t=x, e=y),
}
