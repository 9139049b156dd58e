"""Operators that read past their arguments, in the shapes that the suites make of samples.

    python benchmarks/unchecked_shapes.py [--ops REGEX] [--seed N]

Each call is made several times on the CPU, with other values behind and before every tensor in
its memory, and in memory that is free for intermediate results. A result that depends on them was
read from there: the kernel does not check that its arguments fit, and the operator belongs into
``shapes.UNCHECKED``. Those that are there already are left out, because some end the process.
Not every run finds each of them: take several seeds. Ends with status 1 where one is found.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pytest_applesilicon import opinfo
from pytest_applesilicon.agreement import directions, forms, shapes, walking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Elements before and behind a tensor.
AROUND = 2048

#: What stands there in integers and in floating-point tensors: in turn an index and a count that
#: are valid almost everywhere, and numbers whose sums and products differ.
FILLINGS = ((0, 7.0), (1, -3e5), (2, 1e-3))

#: How often each is tried: where an intermediate result stands is up to chance.
ROUNDS = 3

#: Elements of the tensors that are written and freed before each call.
SIZES = (1, 4, 8, 16, 32, 64, 128, 256)

#: Results that differ by less are the same ones, added in another order.
SAME = 1e-4

#: Shapes, and layouts for which samples get another shape.
FORMS = (*shapes.SHAPES, *shapes.FOR_LAYOUTS)


def surrounded(value: Any, filling: tuple[int, float]) -> Any:
    """Arguments in which every strided tensor stands between other values, in its own order."""

    def leaf(one: Any) -> Any:
        if not isinstance(one, torch.Tensor) or one.layout is not torch.strided:
            return one
        number = filling[one.is_floating_point() or one.is_complex()]
        size = one.numel()
        memory = torch.full((size + 2 * AROUND,), number).to(one.dtype)
        return memory[AROUND : AROUND + size].view(one.shape).copy_(one.detach())

    return walking.mapped(value, leaf)


def depends(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether what a call gives, or that it raises, depends on what surrounds its arguments."""
    first, *others = [_result(call, args, kwargs, filling) for filling in FILLINGS * ROUNDS]
    return not all(_same(first, other) for other in others)


def _result(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], filling: Any
) -> list[Any]:
    torch.manual_seed(0)
    given, named = surrounded((args, kwargs), filling)
    _fill_freed_memory(filling[0])
    try:
        return [walking.to_host(leaf) for leaf in walking.leaves(call(*given, **named))]
    except Exception as error:  # whatever a kernel raises
        return [type(error).__name__]


def _fill_freed_memory(number: int) -> None:
    """Write to memory that the next small tensors get: intermediate results stand in it."""
    written = [torch.full((size,), number) for size in SIZES for _ in range(16)]
    del written


def _same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(map(_same_leaf, one, other))


def _same_leaf(one: Any, other: Any) -> bool:
    if not isinstance(one, np.ndarray):
        return type(one) is type(other) and bool(one == other)
    if one.shape != getattr(other, "shape", None):
        return False
    largest = float(np.max(np.abs(one), where=np.isfinite(one), initial=0.0))
    return bool(np.allclose(one, other, rtol=SAME, atol=SAME * largest, equal_nan=True))


def cases(chosen: str, seed: int) -> Iterator[tuple[str, str, str, Any, Any]]:
    """Name, form, direction, call and sample of everything the suites would run."""
    for operator in opinfo.operators():
        if operator.kind in ("random", "metadata") or not re.search(chosen, operator.name):
            continue
        if operator.name in shapes.UNCHECKED | forms.LEFT_OUT.keys():
            continue
        for form in FORMS:
            for direction in ("forward", "gradient"):
                if (operator.name, direction, form) in forms.NOT_JUDGED:
                    continue
                if forms.DTYPE not in directions.dtypes_of(operator, direction):
                    continue
                sample = forms.sample_in(operator, form, direction, seed)
                if sample is not None:
                    call = directions.call_of(operator, sample, direction)
                    yield operator.name, form, direction, call, sample


def main() -> int:
    """Print what depends; progress goes to stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ops", default="", help="operators whose name the expression finds")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    calls = found = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, form, direction, call, sample in cases(given.ops, given.seed):
            calls += 1
            if depends(call, sample.args, dict(sample.kwargs)):
                found += 1
                print(f"{name}: {direction}, {form}")
            if calls % 1000 == 0:
                print(f"{calls} calls", file=sys.stderr)
    print(f"{found} of {calls} calls depend on what surrounds their arguments in memory")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
