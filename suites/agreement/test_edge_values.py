"""Pointwise operators at the edges of a dtype: NaN, infinities, zeros, subnormals, extremes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import torch

from pytest_applesilicon.agreement import values, walking
from pytest_applesilicon.agreement.operators import find

from .share import calling, judge_operator, moved, run, samples

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon
    from pytest_applesilicon.opinfo import Sample

pytestmark = pytest.mark.frameworks("torch")


#: Integer operators that refuse a zero or a negative number, or of which the smallest integer
#: by -1 overflows, which ends the process on x86: they get the positive edge values alone.
POSITIVE = re.compile(r"div|mod|remainder|pow|shift|gcd|lcm")

#: Remainders of floating-point numbers: torch's vectorised fmod on the CPU (that of SLEEF)
#: gives NaN where the quotient is beyond the largest number, and its loop for strided tensors
#: does not. Pairs with such a quotient are left out.
MODULO = frozenset({"fmod", "remainder", "__rmod__"})

#: Functions with a period, of integers: the integer becomes a float32 before, and beyond 2**24
#: its rounding decides the angle. Such integers are left out.
PERIODIC = frozenset({"sin", "cos", "tan"})


def edges_of(name: str, dtype: str, count: int) -> tuple[torch.Tensor, ...]:
    """Edge values for one tensor, or every pair of them for two."""
    edges = values.edge_tensor(dtype)
    if count == 1:
        narrow = name in PERIODIC and not edges.is_floating_point()
        near = (edges >= -values.FLOAT32_INTEGERS) & (edges <= values.FLOAT32_INTEGERS)
        return (edges[near] if narrow else edges,)
    left, right = values.edge_pairs(dtype)
    kept = torch.ones_like(left, dtype=torch.bool)
    if not edges.is_floating_point():
        if POSITIVE.search(name):
            kept = (left > 0) & (right > 0)
    elif name in MODULO:
        largest = torch.finfo(edges.dtype).max
        ratio = (left.double() / right.double()).abs()
        for quotient in (ratio, 1 / ratio):
            kept &= ~(quotient > largest) | quotient.isinf()
    return left[kept], right[kept]


def with_edges(sample: Sample, name: str, dtype: str) -> tuple[Any, ...] | None:
    """The sample's arguments with its one or two tensors full of edge values."""
    wanted = getattr(torch, dtype)
    places = [at for at, one in enumerate(sample.args) if isinstance(one, torch.Tensor)]
    named = [one for one in walking.leaves(dict(sample.kwargs)) if isinstance(one, torch.Tensor)]
    if named or len(places) not in (1, 2):
        return None
    if any(sample.args[at].dtype is not wanted for at in places):
        return None
    given = list(sample.args)
    for at, tensor in zip(places, edges_of(name, dtype, len(places)), strict=True):
        given[at] = tensor
    return tuple(given)


def test_edge_values(
    edge_dtype: str, edge_operator: str, applesilicon: AppleSilicon, device: Any
) -> None:
    record = find(edge_operator)
    for sample in samples(record, edge_dtype, applesilicon.settings.seed, 4):
        edges = with_edges(sample, edge_operator, edge_dtype)
        if edges is None:
            continue
        given = edges, dict(sample.kwargs)
        args, kwargs = moved(given, device)
        actual = run(calling(record, sample), args, kwargs, given)
        judge_operator(actual, record, sample, *given, edge_dtype)
        return
    pytest.skip("its samples do not have one or two tensors of this dtype")
