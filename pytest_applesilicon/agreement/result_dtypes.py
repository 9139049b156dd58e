"""The dtypes that a result must have in the sample's own dtype, by a run of the host in it.

The host tells them, never the device. Only the first call of a kind is made, because a sweep
makes thousands whose dtypes follow from the same promotion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement.walking import copied, dtype_name, leaves, on_host

if TYPE_CHECKING:
    from collections.abc import Callable

#: Before the type's name where a leaf is no tensor.
PYTHON = "Python "

_KNOWN: dict[Any, tuple[str, ...]] = {}

#: The dtypes that were met, and their names.
_NAMES: dict[Any, str] = {}


def forget() -> None:
    """Forget what was looked up, as in a new process."""
    _KNOWN.clear()


def names_of(result: list[Any]) -> tuple[str, ...]:
    """The dtype of each tensor in a result, or the type of another value."""
    return tuple([name_of(leaf) for leaf in result])


def name_of(leaf: Any) -> str:
    """The dtype of a tensor, or the type of another value."""
    import torch

    if isinstance(leaf, torch.Tensor):
        return _NAMES.get(leaf.dtype) or _NAMES.setdefault(leaf.dtype, dtype_name(leaf.dtype))
    return f"{PYTHON}{type(leaf).__name__}"


def in_own_dtype(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, ...]:
    """The dtypes of what a call gives on the host; the arguments are not written to."""
    return names_of(leaves(call(*copied(on_host(args)), **copied(on_host(kwargs)))))


def expected(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    name: str,
    wide: tuple[str, ...],
) -> tuple[str, ...]:
    """Those of a call, from the first one that promotes alike.

    Alike are calls of one operator with the same dtypes and flags among their arguments, in
    their order, and with the same dtypes of their results in float64. A flag that changes the
    dtype in the sample's own dtype alone must be a boolean, a string or a dtype.

    Args:
        call: what is called.
        args: the arguments in the sample's dtype.
        kwargs: the keyword arguments.
        name: of the operator.
        wide: the dtypes of the leaves of the float64 result.
    """
    key: list[Any] = [name, wide]
    _collect(args, key)
    if kwargs:
        _collect(kwargs, key)
    whole = tuple(key)
    known = _KNOWN.get(whole)
    if known is None:
        known = _KNOWN[whole] = in_own_dtype(call, args, kwargs)
    return known


def _collect(value: Any, key: list[Any]) -> None:
    """Append what of an argument can decide the dtypes of a result.

    A number cannot, beside the dtypes of the float64 result: its kind promotes there alike.
    """
    for part in value.values() if value.__class__ is dict else value:
        kind = part.__class__
        if kind is int or kind is float or part is None:
            continue
        if kind is tuple or kind is list or kind is dict:
            _collect(part, key)
        else:
            key.append(_decisive(kind, part))


def _decisive(kind: Any, value: Any) -> Any:
    import torch

    if kind is torch.Tensor:
        # Without dimensions it does not promote another tensor of its category.
        return value.dtype if value.dim() else (value.dtype, 0)
    return value if kind in (bool, str, torch.dtype) else kind
