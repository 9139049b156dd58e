"""Numbers where an operator's schema has a tensor, as in ``x + 2``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.simulate import plan


def kernel(made: plan.Plan, keys: Any) -> Callable[..., Any]:
    """The CPU kernel; a number where a tensor is expected goes to the overload that takes it.

    The dispatcher hands a wrapped number to a kernel written in Python as a plain number, and
    takes it back only as a Scalar: ``add.Tensor(x, 2)`` is run as ``add.Scalar(x, 2)``.
    """
    import torch

    redispatch = made.op._handle.redispatch_boxed
    places = made.tensors
    siblings: dict[tuple[int, ...], Any] = {}

    def run(*args: Any, **kwargs: Any) -> Any:
        numbers = tuple(
            place
            for place, one in enumerate(args)
            if place in places and not isinstance(one, torch.Tensor) and one is not None
        )
        if not numbers:
            return redispatch(keys, *args, **kwargs)
        if numbers not in siblings:
            siblings[numbers] = _sibling(made, numbers)
        if siblings[numbers] is not None:
            return siblings[numbers]._handle.redispatch_boxed(keys, *args, **kwargs)
        others = [one for one in args if isinstance(one, torch.Tensor)]
        plain = [
            _number(one, others) if place in numbers else one for place, one in enumerate(args)
        ]
        return redispatch(keys, *plain, **kwargs)

    return run


def _sibling(made: plan.Plan, numbers: tuple[int, ...]) -> Any:
    """The overload with Scalars at these places and the same arguments elsewhere."""
    import torch

    packet = made.op.overloadpacket
    wanted = [str(one.type) for one in made.op._schema.arguments]
    for place in numbers:
        wanted[place] = "number"
    for name in packet.overloads():
        other = getattr(packet, name)
        if not torch._C._dispatch_has_kernel(other.name()):
            continue  # one that only TorchScript has
        kinds = [str(one.type) for one in other._schema.arguments]
        same_writes = [one.is_write for one in other._schema.arguments] == [
            one.is_write for one in made.op._schema.arguments
        ]
        composite = torch._C._dispatch_has_kernel_for_dispatch_key(
            other.name(), "CompositeExplicitAutograd"
        ) or torch._C._dispatch_has_kernel_for_dispatch_key(other.name(), "CPU")
        if kinds == wanted and same_writes and composite:
            return other
    return None


def _number(value: Any, others: list[Any]) -> Any:
    """A number as a tensor that promotes with ``others`` as the wrapped number would."""
    import torch

    tensor = torch.ops.aten.scalar_tensor(value, dtype=_dtype_of(value))
    if any(one.dim() for one in others) or not others:
        return tensor
    wide = max(others, key=lambda one: _rank(one.dtype))
    return tensor.to(wide.dtype) if _rank(tensor.dtype) <= _rank(wide.dtype) else tensor


def _dtype_of(value: Any) -> Any:
    import torch

    if isinstance(value, bool):
        return torch.bool
    if isinstance(value, int):
        return torch.int64
    default = torch.get_default_dtype()
    return default.to_complex() if isinstance(value, complex) else default


def _rank(dtype: Any) -> int:
    import torch

    return 0 if dtype is torch.bool else 1 + dtype.is_floating_point + 2 * dtype.is_complex
