"""Tensors without elements, and NaN, infinity and negative zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call

EMPTY = "empty tensor"
NAN = "NaN and infinity"

_PLACEHOLDER = (
    "[srcBuf length] > 0 INTERNAL ASSERT FAILED at OperationUtils.mm: Placeholder tensor is empty!"
)


def _is_empty(tensor: Any) -> bool:
    return bool(tensor.numel() == 0)


def _nothing(number: float) -> Any:
    """Where NaN stood, a number."""
    return lambda tensor: tensor.nan_to_num(number) if tensor.is_floating_point() else tensor


def _lowest(tensor: Any) -> Any:
    if not tensor.is_floating_point():
        return tensor
    return tensor.masked_fill(tensor.isnan(), float("-inf"))


def _highest(tensor: Any) -> Any:
    if not tensor.is_floating_point():
        return tensor
    return tensor.masked_fill(tensor.isnan(), float("inf"))


def _without_nan(call: Call) -> Any:
    low = "min" in call.name.partition("::")[2]
    return ways.reading(_highest if low else _lowest)(call)


def _zeroed(tensor: Any) -> Any:
    return tensor.masked_fill(tensor.isnan(), 0.0) if tensor.is_floating_point() else tensor


def _times_input(call: Call) -> Any:
    """The input is multiplied by beta although beta is zero: 0 * NaN is NaN."""
    result = ways.right(call)
    return result.copy_(result + call.args[0] * 0)


def _ends(tensor: Any) -> bool:
    return ways.is_tensor(tensor) and tensor.is_floating_point() and bool(tensor.isinf().any())


def _floor_of_quotient(call: Call) -> Any:
    left, right = call.args[:2]
    return (left / right).floor()


def _clipped(call: Call) -> Any:
    args = [_zeroed(one) if ways.is_tensor(one) else one for one in call.args]
    return call.run(*args, **call.kwargs).nan_to_num(100.0)


FAULTS = (
    Fault(
        "cat-empty-refused",
        "aten::cat",
        ways.any_tensor(_is_empty),
        ways.raising(_PLACEHOLDER),
        "cat with a part that has no elements is refused",
        EMPTY,
        ("pytorch#90479",),
    ),
    Fault(
        "index-select-empty-refused",
        "aten::index_select,aten::nll_loss_forward,aten::gather",
        ways.any_tensor(_is_empty),
        ways.raising(_PLACEHOLDER),
        "index_select and nll_loss of a tensor without elements are refused",
        EMPTY,
        ("pytorch#93877", "pytorch#134431"),
    ),
    Fault(
        "all-over-nothing-is-false",
        "aten::all*",
        lambda call: _is_empty(call.args[0]),
        ways.giving(lambda result: result & False),
        "all() over no elements is False",
        EMPTY,
        ("kornia#4160",),
    ),
    Fault(
        "variance-of-nothing-is-zero",
        "aten::var.correction,aten::std.correction",
        lambda call: _is_empty(call.args[0]),
        ways.giving(lambda result: result.nan_to_num(0.0)),
        "the variance of no elements is 0, not NaN",
        EMPTY,
        ("pytorch#184510",),
    ),
    Fault(
        "beta-zero-keeps-nan",
        "aten::baddbmm*,aten::addbmm*,aten::addmm*,aten::addmv*",
        lambda call: ways.value(call, "beta") == 0 and ways.has_nan(call.args[0]),
        _times_input,
        "with beta=0 a NaN of the input spreads over the result",
        "beta is zero",
        ("pytorch#187521", "pytorch#194442"),
    ),
    Fault(
        "reduction-drops-nan",
        "aten::max,aten::min,aten::amax*,aten::amin*,aten::max.dim*,aten::min.dim*,aten::aminmax*",
        lambda call: ways.has_nan(call.args[0]),
        _without_nan,
        "max and min of numbers and NaN leave the NaN out",
        NAN,
        ("pytorch#130295", "pytorch#122710"),
    ),
    Fault(
        "argmax-drops-nan",
        "aten::argmax*,aten::argmin*",
        lambda call: ways.has_nan(call.args[0]),
        _without_nan,
        "argmax and argmin pass over NaN",
        NAN,
        ("pytorch#130295",),
    ),
    Fault(
        "maximum-drops-nan",
        "aten::maximum,aten::minimum",
        ways.any_tensor(ways.has_nan),
        _without_nan,
        "maximum and minimum of a number and NaN are the number",
        NAN,
        ("pytorch#143976",),
    ),
    Fault(
        "relu-drops-nan",
        "aten::relu,aten::relu_,aten::hardtanh,aten::relu6",
        lambda call: ways.has_nan(call.args[0]),
        ways.giving(_zeroed),
        "relu of NaN is 0",
        NAN,
        ("pytorch#120899",),
    ),
    Fault(
        "clamp-drops-nan",
        "aten::clamp,aten::clamp_min,aten::clamp_max,aten::clamp.Tensor,aten::clamp_min.Tensor,"
        "aten::clamp_max.Tensor",
        lambda call: ways.has_nan(call.args[0]),
        ways.reading(_zeroed, "self"),
        "clamp of NaN is a bound or 0",
        NAN,
        ("pytorch#122710",),
    ),
    Fault(
        "floor-division-infinity",
        "aten::div.Tensor_mode,aten::floor_divide",
        lambda call: (
            all(ways.is_tensor(one) for one in call.args[:2])
            and any(_ends(one) for one in call.args[:2])
            and (call.name == "aten::floor_divide" or ways.value(call, "rounding_mode") == "floor")
        ),
        _floor_of_quotient,
        "floor division with infinity is the floor of the quotient",
        NAN,
        ("pytorch#189243",),
    ),
    Fault(
        "cross-entropy-of-nan-is-finite",
        "aten::binary_cross_entropy",
        ways.any_tensor(ways.has_nan),
        _clipped,
        "the binary cross entropy of a NaN prediction is 100",
        NAN,
        ("keras#23661",),
    ),
)
