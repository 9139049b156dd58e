"""Integers, booleans and mixed dtypes: computed in another dtype than torch promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call

FLOAT32 = "integers through float32"
DTYPES = "dtype rule"


def through_float32(tensor: Any) -> Any:
    """Whole numbers rounded to the 24 bits of float32's significand."""
    if not ways.is_whole(tensor):
        return tensor
    import torch

    wide = tensor.to(torch.float32).to(torch.float64)
    limits = torch.iinfo(tensor.dtype)
    # float64 has no 2**63 - 1: a number that rounds to 2**63 would overflow.
    inside = wide.clamp(limits.min, limits.max - (1024 if limits.bits == 64 else 0))
    return inside.to(tensor.dtype)


def _sum_in_bytes(call: Call) -> Any:
    import torch

    result = ways.right(call)
    return result.copy_(result.to(torch.int8)) if result.numel() else result


def _small_or_wide(tensor: Any) -> bool:
    return ways.dtype_is(tensor, "int64", "int16", "int8", "uint8")


def _first_element(call: Call) -> Any:
    return call.args[0].reshape(-1)[0].clone()


def _saturated(call: Call) -> Any:
    import torch

    wide = ways.changed(call, dtype=torch.int64)
    return wide.clamp(max=255).to(torch.uint8)


def _mixed_halves(call: Call) -> bool:
    left, right = call.args[:2]
    return ways.is_tensor(left) and ways.is_tensor(right) and left.dtype != right.dtype


def _bits_of_other(call: Call) -> Any:
    """The narrower operand is read as if it had the dtype of the wider one."""
    left, right = sorted(call.args[:2], key=lambda one: one.element_size(), reverse=True)
    return left.to(ways.right(call).dtype) * 0 + right.reshape(-1)[0].item() * 3 + 1


def _float_bound(call: Call) -> bool:
    bounds = (ways.value(call, "min"), ways.value(call, "max"))
    return ways.is_whole(call.args[0]) and any(isinstance(one, float) for one in bounds)


def _whole_minus(call: Call) -> bool:
    """``1.0 - a``: the number comes first."""
    first, second = call.args[:2]
    if call.name.startswith("aten::rsub"):
        first, second = second, first
    number = not ways.is_tensor(first) or first.dim() == 0
    floating = ways.is_tensor(second) and second.is_floating_point() and second.dim() > 0
    return number and floating and float(first).is_integer()


FAULTS = (
    Fault(
        "cumsum-integers-not-summed",
        "aten::cumsum*,aten::cumprod*",
        lambda call: _small_or_wide(call.args[0]),
        lambda call: ways.right(call).copy_(call.args[0]),
        "cumsum and cumprod of integers return their input",
        DTYPES,
        ("pytorch#90635", "pytorch#96614"),
    ),
    Fault(
        "cumsum-bool-in-bytes",
        "aten::cumsum*",
        lambda call: ways.dtype_is(call.args[0], "bool"),
        _sum_in_bytes,
        "cumsum of booleans counts in int8: after 127 comes -128",
        DTYPES,
        ("pytorch#106112", "pytorch#109166"),
    ),
    Fault(
        "argmax-integers-minimum",
        "aten::argmax*,aten::argmin*",
        lambda call: ways.is_whole(call.args[0]),
        ways.giving(lambda result: result * 0 - 2**63),
        "argmax of integers is -9223372036854775808",
        DTYPES,
        ("pytorch#92311", "pytorch#109067"),
    ),
    Fault(
        "max-int64-is-first",
        "aten::max,aten::min",
        lambda call: ways.dtype_is(call.args[0], "int64"),
        _first_element,
        "max and min of int64 are the first element",
        DTYPES,
        ("pytorch#87753", "pytorch#90273"),
    ),
    Fault(
        "unique-keys-through-float32",
        "aten::_unique2,aten::unique_dim,aten::unique_consecutive",
        lambda call: ways.dtype_is(call.args[0], "int64"),
        ways.reading(through_float32, "self"),
        "unique takes int64 keys above 2**24 that differ by one for the same",
        FLOAT32,
        ("pytorch#195595",),
    ),
    Fault(
        "integers-added-through-float32",
        "aten::add.Tensor,aten::sub.Tensor,aten::maximum,aten::minimum",
        ways.any_tensor(lambda one: ways.dtype_is(one, "int64")),
        ways.reading(through_float32),
        "int64 is computed in float32: what is above 2**24 is rounded",
        FLOAT32,
        ("pytorch#122916", "pytorch#195595"),
    ),
    Fault(
        "sum-uint8-saturates",
        "aten::sum*",
        lambda call: (
            ways.dtype_is(call.args[0], "uint8") and str(ways.value(call, "dtype")) == "torch.uint8"
        ),
        _saturated,
        "a sum in uint8 stops at 255 and does not wrap around",
        DTYPES,
        ("pytorch#179415",),
    ),
    Fault(
        "fmax-mixed-dtypes",
        "aten::fmax,aten::fmin",
        _mixed_halves,
        _bits_of_other,
        "fmax and fmin of float32 and float16 read one as the other",
        DTYPES,
        ("pytorch#149951",),
    ),
    Fault(
        "clamp-integers-float-bound",
        "aten::clamp,aten::clamp_min,aten::clamp_max",
        _float_bound,
        ways.giving(lambda result: result * 0),
        "clamp of integers with a floating-point bound is zero",
        DTYPES,
        ("pytorch#130201", "pytorch#133100"),
    ),
    Fault(
        "rsub-rounded",
        "aten::sub.Tensor,aten::rsub.Tensor,aten::rsub.Scalar",
        _whole_minus,
        ways.giving(lambda result: result.round()),
        "1.0 - a is rounded to whole numbers, because the number 1.0 is one",
        DTYPES,
        ("pytorch#82543",),
    ),
    Fault(
        "div-floor-int64-aborts",
        "aten::div.Tensor_mode,aten::floor_divide",
        lambda call: (
            ways.dtype_is(call.args[0], "int64")
            and (call.name == "aten::floor_divide" or ways.value(call, "rounding_mode") == "floor")
        ),
        ways.aborting("-[MTLLibrary newFunction]: function 'floorOp_i64' was not found"),
        "floor division of int64 ends the process: its kernel is missing from the library",
        "crash",
        ("pytorch#84995",),
    ),
)
