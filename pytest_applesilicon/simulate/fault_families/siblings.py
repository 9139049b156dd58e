"""The reported diseases in operators that are close to the reported ones.

Nobody reported these: each is the fault of another operator, named by its issue, carried over to
one that may be written in the same way. ``suites/regressions`` looks for them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import (
    empty_and_nan,
    integers,
    layers,
    lost_writes,
    random_numbers,
    shapes,
    ways,
    wrong_reads,
)
from pytest_applesilicon.simulate.faults import Fault

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call


def _whole(call: Call) -> bool:
    return ways.dtype_is(call.args[0], "int64")


def _mixed(call: Call) -> bool:
    left, right = call.args[:2]
    return ways.is_tensor(left) and ways.is_tensor(right) and left.dtype != right.dtype


def _deep(call: Call) -> bool:
    return bool(call.args[4] > 1)


def _last_layer_off(call: Call) -> Any:
    output, *states = ways.right(call)
    return output * 1.5, *states


FAULTS = (
    Fault(
        "lerp-inplace-strided-lost",
        "aten::lerp_.*",
        ways.written_is(ways.scattered),
        ways.lost,
        "lerp_ on a tensor that is not contiguous changes nothing",
        lost_writes.FAMILY,
        ("pytorch#118115",),
    ),
    Fault(
        "add-out-strided-lost",
        "aten::add.out",
        ways.written_is(ways.scattered),
        ways.lost,
        "a sum into a slice of a larger tensor leaves the slice as it was",
        lost_writes.FAMILY,
        ("pytorch#104832",),
    ),
    Fault(
        "row-writes-offset-lost",
        "aten::scatter_.src,aten::index_add_,aten::index_copy_,aten::add_.Tensor",
        ways.written_is(ways.shifted),
        ways.lost,
        "scatter_, index_add_, index_copy_ and add_ on a row of a larger tensor change nothing",
        lost_writes.FAMILY,
        ("pytorch#163327",),
    ),
    Fault(
        "maximum-strided",
        "aten::maximum,aten::minimum",
        ways.argument_is("other", ways.scattered),
        ways.reading(ways.packed, "other"),
        "maximum and minimum with a transposed tensor pair other elements",
        wrong_reads.STRIDES,
        ("pytorch#87348",),
    ),
    Fault(
        "more-activations-strided",
        "aten::elu,aten::softplus,aten::sigmoid,aten::tanh",
        lambda call: ways.scattered(call.args[0]),
        ways.reading(ways.packed),
        "ELU, softplus, sigmoid and tanh of a transposed tensor read it in the order of memory",
        wrong_reads.STRIDES,
        ("pytorch#98212", "pytorch#139006"),
    ),
    Fault(
        "equal-offset-scalars",
        "aten::eq.Tensor,aten::ne.Tensor",
        ways.any_tensor(lambda one: one.dim() == 0 and ways.shifted(one)),
        ways.reading(ways.unshifted),
        "elements of one tensor are compared with its first",
        wrong_reads.OFFSET,
        ("pytorch#78107",),
    ),
    Fault(
        "determinant-offset",
        "aten::_linalg_det*",
        lambda call: ways.shifted(call.args[0]),
        lambda call: call.run(ways.unshifted(call.args[0]), *call.args[1:], **call.kwargs),
        "the determinant of mats[1] is that of mats[0]",
        wrong_reads.OFFSET,
        ("pytorch#78363",),
    ),
    Fault(
        "max-pool-channels-last-offset",
        "aten::max_pool2d*",
        lambda call: ways.shifted(call.args[0]) and call.args[0].dim() == 4,
        lambda call: call.run(ways.unshifted(call.args[0]), *call.args[1:], **call.kwargs),
        "max pooling of images that begin inside a larger tensor reads from its start",
        wrong_reads.OFFSET,
        ("pytorch#174345",),
    ),
    Fault(
        "amax-int64-is-first",
        "aten::amax,aten::amin",
        lambda call: _whole(call) and not ways.value(call, "dim"),
        lambda call: call.args[0].reshape(-1)[0].clone(),
        "amax and amin of int64 are the first element",
        integers.DTYPES,
        ("pytorch#87753",),
    ),
    Fault(
        "prod-uint8-saturates",
        "aten::prod*",
        lambda call: str(ways.value(call, "dtype")) == "torch.uint8",
        ways.giving(lambda result: result.fill_(255)),
        "a product in uint8 stops at 255 and does not wrap around",
        integers.DTYPES,
        ("pytorch#179415",),
    ),
    Fault(
        "remainder-int64-aborts",
        "aten::remainder.*",
        _whole,
        ways.aborting("-[MTLLibrary newFunction]: function 'remainderOp_i64' was not found"),
        "the remainder of int64 ends the process: its kernel is missing from the library",
        "crash",
        ("pytorch#84995",),
    ),
    Fault(
        "pairs-mixed-dtypes",
        "aten::maximum,aten::minimum,aten::atan2",
        _mixed,
        ways.giving(lambda result: result * 3 + 1),
        "maximum, minimum and atan2 of float32 and float16 are garbage",
        integers.DTYPES,
        ("pytorch#149951",),
    ),
    Fault(
        "scans-negative-axis-refused",
        "aten::_logcumsumexp",
        lambda call: any(type(one) is int and one < 0 for one in call.args),
        ways.raising("Axis = -1. This class only supports axis = 0, 1, 2, 3"),
        "logcumsumexp over a negative axis is refused",
        shapes.AXIS,
        ("pytorch#92329",),
    ),
    Fault(
        "pad-by-nothing-refused",
        "aten::constant_pad_nd",
        lambda call: len(call.args[1]) == 0,
        ways.raising("Length of pad must be above zero"),
        "padding by an empty list is refused",
        shapes.SHAPE,
        ("pytorch#161066",),
    ),
    Fault(
        "arange-into-slice-positive",
        "aten::arange.start_out",
        lambda call: call.args[0] < 0,
        ways.giving(lambda result: result.abs()),
        "the negative half of fftfreq is positive",
        shapes.SHAPE,
        ("pytorch#135223",),
    ),
    Fault(
        "embedding-one-index-aborts",
        "aten::embedding_dense_backward",
        lambda call: ways.value(call, "indices").dim() == 0,
        ways.aborting("failed assertion `Rank of destination array (1) must be greater'"),
        "the gradient of an Embedding at an index without dimensions ends the process",
        "crash",
        ("pytorch#82809",),
    ),
    Fault(
        "any-over-nothing-is-true",
        "aten::any*",
        lambda call: call.args[0].numel() == 0,
        ways.giving(lambda result: result | True),
        "any() over no elements is True",
        empty_and_nan.EMPTY,
        ("kornia#4160",),
    ),
    Fault(
        "layer-norm-off",
        "aten::native_layer_norm",
        ways.always,
        ways.giving(lambda result: result * 0.99),
        "LayerNorm is off by a hundredth",
        layers.LAYER,
        ("pytorch#84962",),
    ),
    Fault(
        "lstm-deep",
        "aten::lstm.input",
        _deep,
        _last_layer_off,
        "an LSTM of several layers is wrong",
        layers.RECURRENT,
        ("pytorch#91694",),
    ),
    Fault(
        "inverse-inaccurate",
        "aten::linalg_inv_ex,aten::linalg_inv_ex.inverse",
        lambda call: call.args[0].numel() > 0,
        ways.giving(lambda result: result * 1.01),
        "the inverse is off by a hundredth",
        layers.LAYER,
        ("pytorch#157364",),
    ),
    Fault(
        "rand-high-rank-constant",
        "aten::uniform_",
        lambda call: call.args[0].dim() >= 5,
        ways.giving(lambda result: result.flatten()[0].expand(result.shape)),
        "rand_like of five or more dimensions draws one number",
        random_numbers.FAMILY,
        ("pytorch#147740",),
    ),
)
