"""Writes that do not arrive: in place and ``out=``, on tensors that are not contiguous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call

FAMILY = "lost write"


def _before_the_view(call: Call) -> Any:
    """A view of bytes is rounded down to where a word of four begins."""
    view = call.args[0]
    start = view.storage_offset() // 4 * 4
    moved = view.as_strided(view.shape, view.stride(), start)
    call.run(moved, *call.args[1:], **call.kwargs)
    return view


def _and_the_one_before(call: Call) -> Any:
    """One element is written together with the one before it."""
    result, view = ways.right(call), call.args[0]
    view.as_strided((), (), view.storage_offset() - 1).copy_(view)
    return result


def _is_element_behind(call: Call) -> bool:
    view = call.args[0]
    return ways.is_tensor(view) and view.dim() == 0 and view.storage_offset() > 1


def _misplaced_bytes(call: Call) -> bool:
    view = call.args[0]
    return ways.dtype_is(view, "bool") and bool(view.storage_offset() % 4)


FAULTS = (
    Fault(
        "addcdiv-inplace-strided-lost",
        "aten::addcdiv_,aten::addcmul_",
        ways.written_is(ways.scattered),
        ways.lost,
        "addcdiv_ and addcmul_ on a tensor that is not contiguous change nothing: "
        "weights of Adam and Rprop stay frozen",
        FAMILY,
        ("pytorch#118115", "pytorch#118117"),
    ),
    Fault(
        "random-inplace-strided-lost",
        "aten::normal_,aten::uniform_,aten::exponential_,aten::bernoulli_.*,aten::random_*,"
        "aten::log_normal_,aten::cauchy_,aten::geometric_",
        ways.written_is(ways.scattered),
        ways.lost,
        "drawing in place into a tensor that is not contiguous changes nothing",
        FAMILY,
        ("pytorch#165257", "pytorch#124029"),
    ),
    Fault(
        "pointwise-inplace-strided-lost",
        "aten::add_.Tensor,aten::sub_.Tensor,aten::mul_.Tensor,aten::div_.Tensor,aten::exp_,"
        "aten::neg_,aten::sqrt_,aten::clamp_",
        ways.written_is(ways.scattered),
        ways.lost,
        "arithmetic in place on a tensor that is not contiguous changes nothing",
        FAMILY,
        ("pytorch#118117",),
    ),
    Fault(
        "matmul-out-strided-lost",
        "aten::mm.out,aten::bmm.out,aten::addmm.out,aten::baddbmm.out,aten::addmv.out",
        ways.written_is(ways.scattered),
        ways.lost,
        "a matrix product into a slice of a larger matrix leaves the slice as it was",
        FAMILY,
        ("pytorch#104832",),
    ),
    Fault(
        "scatter-add-offset-lost",
        "aten::scatter_add_",
        ways.written_is(ways.shifted),
        ways.lost,
        "scatter_add_ on a row of a larger tensor changes nothing",
        FAMILY,
        ("pytorch#163327",),
    ),
    Fault(
        "bool-view-written-before",
        "aten::index_add_,aten::scatter_add_,aten::_index_put_impl_",
        _misplaced_bytes,
        _before_the_view,
        "accumulating into a bool view whose first byte is not a multiple of four writes "
        "before the view",
        FAMILY,
        ("pytorch#195074",),
    ),
    Fault(
        "setitem-writes-one-before",
        "aten::fill_.Scalar,aten::fill_.Tensor,aten::copy_",
        _is_element_behind,
        _and_the_one_before,
        "x[1] = 1; x[2] = 3 writes 3 to both: assignment to an element overwrites its predecessor",
        FAMILY,
        ("pytorch#122016",),
    ),
)
