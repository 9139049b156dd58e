"""Copies between the host and the device that lose order, place or the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault, kept

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call

FAMILY = "copy"

_OP = "aten::copy_"


def _to_host(call: Call) -> bool:
    return "self" in call.host


def _from_host(call: Call) -> bool:
    return "src" in call.host


def _is_broadcast_of_view(call: Call) -> bool:
    into, source = call.args[:2]
    is_view = ways.is_tensor(source) and source.dim() == 0 and source._base is not None
    return is_view and into.numel() > 1


def _has_gaps(call: Call) -> bool:
    into, source = call.args[:2]
    same = into.stride() == source.stride() and into.dtype == source.dtype
    return _to_host(call) and same and into.dim() > 0 and ways.scattered(into)


def _blit(call: Call) -> Any:
    """The elements are written one after the other, over the gaps of the target."""
    into, source = call.args[:2]
    into.as_strided((into.numel(),), (1,)).copy_(source.reshape(-1))
    return into


def _narrows_behind(call: Call) -> bool:
    into, source = call.args[:2]
    narrower = into.element_size() < source.element_size()
    return _to_host(call) and narrower and ways.shifted(into)


def _over_the_source(call: Call) -> Any:
    result, source = ways.right(call), call.args[1]
    source.copy_(source.to(call.args[0].dtype).floor())
    return result


def _into_the_start(call: Call) -> Any:
    into = call.args[0]
    call.run(ways.unshifted(into), *call.args[1:])
    return into


def _reused_before_read(call: Call) -> Any:
    """The memory of the source already holds what the copy before this one brought."""
    into, source = call.args[:2]
    before = kept.get("copy source")
    kept["copy source"] = source.clone()
    if before is None or before.shape != source.shape:
        return ways.right(call)
    return call.run(into, before)


FAULTS = (
    Fault(
        "copy-to-host-fills-gaps",
        _OP,
        _has_gaps,
        _blit,
        "a copy to the host between two views with gaps is one packed block and "
        "overwrites what stands in the gaps",
        FAMILY,
        ("pytorch#189961",),
    ),
    Fault(
        "copy-to-host-overwrites-source",
        _OP,
        _narrows_behind,
        _over_the_source,
        "a copy to a narrower dtype on the host, behind the start of its memory, "
        "overwrites the source on the device",
        FAMILY,
        ("pytorch#189563",),
    ),
    Fault(
        "copy-to-host-ignores-offset",
        _OP,
        lambda call: _to_host(call) and ways.shifted(call.args[0]),
        _into_the_start,
        "a copy into row i of a tensor of the host always writes row 0",
        FAMILY,
        ("pytorch#108978", "pytorch#99989"),
    ),
    Fault(
        "copy-from-host-ignores-strides",
        _OP,
        lambda call: _from_host(call) and ways.scattered(call.args[1]),
        ways.reading(ways.packed, "src"),
        "a copy of a transposed or sliced tensor of the host loses its order",
        FAMILY,
        ("pytorch#85967", "pytorch#86954", "pytorch#79383"),
    ),
    Fault(
        "copy-of-host-scalar-view-lost",
        "aten::copy_,aten::fill_.Tensor",
        _is_broadcast_of_view,
        ways.lost,
        "x[:] = t[0] with t on the host has no effect",
        FAMILY,
        ("pytorch#86185",),
    ),
    Fault(
        "copy-non-blocking-stale",
        _OP,
        lambda call: _from_host(call) and bool(ways.value(call, "non_blocking")),
        _reused_before_read,
        "the source of a copy with non_blocking=True is freed and used again before it was read",
        FAMILY,
        ("pytorch#139550", "pytorch#189690"),
    ),
)
