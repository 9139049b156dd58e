"""torch's optimizers, with the configurations in which they run on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from pytest_applesilicon.opinfo.database import entries

_ATTRIBUTES = (
    "name",
    "optim_cls",
    "optim_inputs_func",
    "supported_impls",
    "supports_fused_on",
    "step_requires_closure",
    "only_supports_sparse_grads",
    "has_capturable_arg",
)


@dataclass(frozen=True)
class OptimizerRecord:
    """One optimizer of torch's database.

    Attributes:
        name: The class's name; unique.
        optimizer: The class.
        configurations: A text and the keyword arguments of the constructor, for each.
            ``differentiable`` is left out: it needs a graph through the step. ``capturable``
            is too: torch takes it for parameters on an accelerator only.
        fused_on: The device types on which torch says that ``fused=True`` runs.
        closure: ``step`` takes a closure.
        sparse: It takes sparse gradients only.
        capturable: It has the argument of that name, for parameters on an accelerator.
    """

    name: str
    optimizer: type[Any]
    configurations: tuple[tuple[str, dict[str, Any]], ...]
    fused_on: frozenset[str]
    closure: bool
    sparse: bool
    capturable: bool


@cache
def optimizers() -> tuple[OptimizerRecord, ...]:
    """The optimizers of the installed torch, in its order.

    Raises:
        OpInfoError: The database cannot be read.
    """
    return tuple(
        OptimizerRecord(
            name=info.name,
            optimizer=info.optim_cls,
            configurations=tuple(_configurations(info)),
            fused_on=frozenset(info.supports_fused_on if "fused" in info.supported_impls else ()),
            closure=bool(info.step_requires_closure),
            sparse=bool(info.only_supports_sparse_grads),
            capturable=bool(info.has_capturable_arg),
        )
        for info in entries("common_optimizers", "optim_db", _ATTRIBUTES)
    )


def _configurations(info: Any) -> list[tuple[str, dict[str, Any]]]:
    """Each of torch's configurations, as a plain loop and in each other implementation."""
    wanted = [name for name in info.supported_impls if name == "foreach"]
    if "fused" in info.supported_impls and "cpu" in info.supports_fused_on:
        wanted.append("fused")
    found = []
    for given in info.optim_inputs_func("cpu"):
        if given.kwargs.get("capturable"):
            continue
        off = dict.fromkeys(wanted, False)
        text = given.desc or "default"
        found.append((text, {**given.kwargs, **off}))
        found += [(f"{text}, {name}", {**given.kwargs, **off, name: True}) for name in wanted]
    return found
