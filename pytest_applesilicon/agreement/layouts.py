"""The same values stored in other ways: strides, offsets and shared elements.

A copy to a device often makes a view contiguous, and with that hides an error of a kernel that
ignores strides. So the tensor is moved first, and the variants are built where it then is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The names of the layouts, in the order in which they are tried.
LAYOUTS = (
    "contiguous",
    "transposed",
    "strided",
    "offset",
    "expanded",
    "channels_last",
    "channels_last_3d",
    "reversed_dims",
)

#: How many elements of other values stand before those of the layout ``offset``. An odd
#: number: a kernel that loads four numbers at once finds the first one unaligned.
OFFSET = 3


def chosen(layouts: str | Sequence[str] | None) -> tuple[str, ...]:
    """The layouts meant: ``"all"``, one name or several; ``None`` is contiguous alone.

    Raises:
        ValueError: a name is not one of ``LAYOUTS``.
    """
    if layouts is None:
        return ("contiguous",)
    if isinstance(layouts, str):
        layouts = LAYOUTS if layouts == "all" else (layouts,)
    unknown = [name for name in layouts if name not in LAYOUTS]
    if unknown or not layouts:
        raise ValueError(f"layouts {unknown or '()'}: choose from {', '.join(LAYOUTS)}, or 'all'")
    return tuple(layouts)


def variants(tensor: Any) -> dict[str, Any]:
    """The layouts that apply to the tensor, each with the same values on the same device."""
    found = {name: variant(tensor, name) for name in LAYOUTS}
    return {name: one for name, one in found.items() if one is not None}


def variant(tensor: Any, layout: str) -> Any:
    """A copy of the tensor in a layout; ``None`` where that would be stored as a plain copy.

    The copy is detached. Sparse and quantized tensors are only ever contiguous.
    """
    import torch

    tensor = tensor.detach()
    if tensor.layout is not torch.strided or tensor.is_quantized:
        return tensor.clone() if layout == "contiguous" else None
    plain = tensor.clone(memory_format=torch.contiguous_format)
    if layout == "contiguous":
        return plain
    built = _BUILDERS[layout](plain)
    if built is None or _stored(built) == _stored(plain):
        return None
    return built


def applied(value: Any, layout: str) -> tuple[Any, int]:
    """Arguments with every tensor in the layout that allows it, and how many that are.

    The others are plain copies.
    """
    import torch

    from pytest_applesilicon.agreement import walking

    count = 0

    def leaf(one: Any) -> Any:
        nonlocal count
        if not isinstance(one, torch.Tensor):
            return one
        built = variant(one, layout)
        if built is None:
            return variant(one, "contiguous")
        count += 1
        return built

    moved = walking.mapped(value, leaf)
    return moved, count


def _stored(tensor: Any) -> tuple[Any, int]:
    return tensor.stride(), tensor.storage_offset()


def _transposed(plain: Any) -> Any:
    import torch

    if plain.dim() < 2:
        return None
    return plain.mT.clone(memory_format=torch.contiguous_format).mT


def _strided(plain: Any) -> Any:
    import torch

    if plain.dim() == 0:
        return None
    # Between the elements stand others, which no kernel may read.
    both = torch.stack([plain, _other(plain)], -1).flatten(-2)
    return both[..., ::2]


def _offset(plain: Any) -> Any:
    import torch

    flat = plain.reshape(-1)
    before = _other(plain.new_empty(OFFSET))
    return torch.cat([before, flat])[OFFSET:].view(plain.shape)


def _expanded(plain: Any) -> Any:
    """One element for each dimension along which all are the same."""
    # Which are the same is found on the host: the device is what is judged.
    host = plain.cpu()
    small = plain
    for dim, size in enumerate(plain.shape):
        if size > 1 and plain.numel() and bool((host == host.narrow(dim, 0, 1)).all()):
            small = small.narrow(dim, 0, 1)
    return None if small is plain else small.clone().expand(plain.shape)


def _channels_last(plain: Any) -> Any:
    import torch

    return plain.clone(memory_format=torch.channels_last) if plain.dim() == 4 else None


def _channels_last_3d(plain: Any) -> Any:
    import torch

    return plain.clone(memory_format=torch.channels_last_3d) if plain.dim() == 5 else None


def _reversed_dims(plain: Any) -> Any:
    import torch

    if plain.dim() < 3:  # of two dimensions that is "transposed"
        return None
    order = tuple(reversed(range(plain.dim())))
    return plain.permute(order).clone(memory_format=torch.contiguous_format).permute(order)


def _other(plain: Any) -> Any:
    """Values that are no NaN, and no position out of range where they are read as one."""
    import torch

    return torch.full_like(plain, 1 if plain.is_floating_point() or plain.is_complex() else 0)


_BUILDERS: dict[str, Callable[[Any], Any]] = {
    "transposed": _transposed,
    "strided": _strided,
    "offset": _offset,
    "expanded": _expanded,
    "channels_last": _channels_last,
    "channels_last_3d": _channels_last_3d,
    "reversed_dims": _reversed_dims,
}
