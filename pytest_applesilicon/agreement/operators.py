"""Does an operator of torch's database run on a device, and is it right?

One call of ``check`` carries out every sample of an operator, in one dtype and direction, and
ends in an outcome. The device never judges itself: see ``oracle``.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import opinfo
from pytest_applesilicon.agreement import directions
from pytest_applesilicon.agreement.sample_runs import Queue, Run
from pytest_applesilicon.agreement.tally import Tally
from pytest_applesilicon.records import OpOutcome

if TYPE_CHECKING:
    from pytest_applesilicon.opinfo import Operator, Sample


@functools.cache
def _by_name() -> dict[str, Operator]:
    return {operator.name: operator for operator in opinfo.operators()}


def find(name: str) -> Operator:
    """The operator of this name.

    Raises:
        ValueError: torch's database has none, or it is left out; near names are listed.
        OpInfoError: the database cannot be read.
    """
    import difflib

    names = _by_name()
    if name in names:
        return names[name]
    near = ", ".join(difflib.get_close_matches(name, names)) or "none"
    why = opinfo.LEFT_OUT.get(name, "it is not in torch's operator database")
    raise ValueError(f"operator {name!r}: {why}; near names: {near}")


def check(
    name: str,
    dtype: str,
    *,
    device: Any,
    direction: str = "forward",
    seed: int = 0,
    count: int | None = None,
    sample: int | None = None,
    same_dtype_last: bool = False,
) -> OpOutcome:
    """Run samples of an operator on a device and judge each.

    Args:
        name: of the operator.
        dtype: one of ``opinfo.DTYPES``.
        device: a ``torch.device`` or its name.
        direction: one of ``directions.DIRECTIONS``.
        seed: of the samples.
        count: how many samples; ``None`` for all.
        sample: the position of the only one to run, to reproduce a failure.
        same_dtype_last: see ``oracle.prepared``.

    Returns:
        the worst outcome of all samples: wrong, then unsupported, fallback and native; or
        not-run where there is no sample.
    """
    import torch

    operator = find(name)
    target = torch.device(device)
    tally = Tally()
    queue = Queue(tally)
    drawn = operator.samples(dtype, seed=seed, count=count, before_more=queue.finish)
    # Gradients are switched on where they are asked for.
    with warnings.catch_warnings(), torch.no_grad():
        # torch's samples use deprecated operators too, and say so.
        warnings.simplefilter("ignore")
        for position, one in enumerate(drawn):
            if sample is not None and position != sample:
                continue
            if directions.is_refused(direction, one):
                continue
            run = Run(operator, one, dtype, target, direction, same_dtype_last=same_dtype_last)
            queue.add(run.ran(), position)
        queue.finish()
    found = OpOutcome(operator.name, operator.category, dtype, direction, **tally.figures)
    if found.outcome == "wrong":
        again = reproduction(found, tally.position, seed, device)
        found = replace(found, reason=f"{found.reason}\n{again}")
    return found


def sample_outcome(
    operator: Operator,
    sample: Sample,
    dtype: str,
    *,
    device: Any,
    direction: str = "forward",
    layout: str = "",
) -> OpOutcome:
    """Run one sample of an operator on a device, its tensors stored in a layout, and judge it.

    Args:
        operator: what is called.
        sample: its arguments, on the host.
        dtype: one of ``opinfo.DTYPES``.
        device: a ``torch.device`` or its name.
        direction: one of ``directions.DIRECTIONS``; the upstream gradient and the tensor that
            is written in place are stored in the layout too.
        layout: one of ``layouts.LAYOUTS``, or empty for that of the sample.
    """
    import torch

    run = Run(operator, sample, dtype, torch.device(device), direction, layout=layout)
    tally = Tally()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        tally.add(run.found(), 0)
    return OpOutcome(operator.name, operator.category, dtype, direction, **tally.figures)


def reproduction(found: OpOutcome, position: int, seed: int, device: Any) -> str:
    """A program of three lines that runs the one sample again and prints what is wrong."""
    return (
        "reproduce:\n"
        "  from pytest_applesilicon.agreement.operators import check\n"
        f'  found = check("{found.operator}", "{found.dtype}", device="{device}",'
        f' direction="{found.direction}", seed={seed}, sample={position})\n'
        "  print(found.outcome, found.reason)"
    )
