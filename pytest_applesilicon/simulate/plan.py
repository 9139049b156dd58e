"""What a kernel must know of an overload before its first call: where its tensors stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Keys whose fallback gives a kernel plain memory; an operator that falls through them sees
#: the lazy bit itself (aten/src/ATen/ConjugateFallback.cpp, NegateFallback.cpp).
_LAZY = ("Conjugate", "Negative")


@dataclass(frozen=True)
class Plan:
    """One overload."""

    op: Any
    name: str
    """``aten::add.Tensor``."""
    plain: str
    """``one``, ``several`` or ``in-place``, by what it returns, where every tensor is a
    positional argument of its own; else empty."""
    tensors: frozenset[int]
    """Positions of arguments of type ``Tensor`` that must not be a number."""
    written: tuple[str, ...]
    """Names of the arguments that the kernel writes to."""
    returns: tuple[str | None, ...]
    """For each result, the name of the argument it is, or ``None`` for a new one."""
    names: tuple[str, ...]
    """Names of all arguments, in order."""
    generator: bool
    """Whether it takes a ``generator``."""
    lazy: bool
    """Whether its arguments may be lazily conjugated or negated."""


def of(op: Any) -> Plan:
    """The plan of an overload."""
    import torch

    schema = op._schema
    name = op.name()
    arguments = schema.arguments
    kinds = [str(one.type) for one in arguments]
    lazy = any(_sees(torch, name, key) for key in _LAZY)
    generator = any("Generator" in kind for kind in kinds)
    owners = {
        mark: one.name
        for one in arguments
        if one.alias_info is not None
        for mark in one.alias_info.before_set
    }
    return Plan(
        op=op,
        name=name,
        plain="" if generator else _plain(schema),
        tensors=frozenset(place for place, kind in enumerate(kinds) if kind == "Tensor"),
        written=tuple(one.name for one in arguments if one.is_write),
        returns=tuple(_owner(one, owners) for one in schema.returns),
        names=tuple(one.name for one in arguments),
        generator=generator,
        lazy=lazy,
    )


def _plain(schema: Any) -> str:
    alone = all(
        str(one.type) in ("Tensor", "Optional[Tensor]") and not one.kwarg_only
        for one in schema.arguments
        if "Tensor" in str(one.type)
    )
    kinds = {str(one.type) for one in schema.returns}
    if not alone or kinds != {"Tensor"}:
        return ""
    written = [place for place, one in enumerate(schema.arguments) if one.is_write]
    aliased = [one.alias_info is not None for one in schema.returns]
    if written == [0] and aliased == [True]:
        return "in-place"
    if written or any(aliased):
        return ""
    return "one" if len(aliased) == 1 else "several"


def _owner(result: Any, owners: dict[str, str]) -> str | None:
    if result.alias_info is None or not result.alias_info.is_write:
        return None
    return next((owners[mark] for mark in result.alias_info.before_set if mark in owners), None)


def _sees(torch: Any, name: str, key: str) -> bool:
    """Whether a lazy bit reaches the kernel: the key falls through, or has a kernel that may."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, key))
