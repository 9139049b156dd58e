"""Walking through arguments and results, and bringing tensors to the host, copied or widened."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


#: Types of values that are the same on every device and in every dtype. To ask for the type is
#: several times as fast as to ask whether a value is a tensor.
PLAIN = frozenset({bool, int, float, type(None)})


def mapped(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """``value`` with ``leaf`` applied to everything in it that is no tuple, list or dict."""
    kind: Any = type(value)
    if _is_leaf(kind):
        return leaf(value)
    # A sweep calls this for every sample: what has no parts is not another call.
    known: Any = _is_leaf
    if kind is dict:
        return {
            key: leaf(part) if known(type(part)) else mapped(part, leaf)
            for key, part in value.items()
        }
    parts = [leaf(part) if known(type(part)) else mapped(part, leaf) for part in value]
    if kind is tuple:
        return tuple(parts)
    return parts if kind is list else kind(*parts)


@functools.cache
def _is_leaf(kind: Any) -> bool:
    """Whether values of a type are not walked into: all but tuples, named ones too, and lists."""
    named = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return kind not in (tuple, list, dict) and not named


def leaves(value: Any) -> list[Any]:
    """The tensors and other values in a result, in order, containers walked."""
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in leaves(part)]
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    return [value]


def to_host(value: Any, *, widened: bool = True) -> Any:
    """A leaf as a host array in float64 or complex128 (integers and booleans as they are).

    Not ``widened``, float32 and complex64 are left as they are too.
    """
    import torch

    if not isinstance(value, torch.Tensor):
        return _as_array(value)
    if not value.is_cpu:
        value = value.cpu()
    if value.layout is not torch.strided:
        value = value.to_dense()
    dtype = value.dtype
    wide = wide_dtype(dtype)
    if wide is not dtype and (widened or dtype not in _single()):
        value = value.to(wide)
    try:
        return value.numpy()
    except (TypeError, RuntimeError):
        # Quantized, with a graph, or with a pending conjugation or sign: a sweep comes here for
        # every result, and to ask for each of these costs more than to try.
        return _carried_out(value)


def _carried_out(value: Any) -> Any:
    """A host array of a tensor that cannot be seen as it is stored."""
    if value.is_quantized:
        value = value.dequantize()
        value = value.to(wide_dtype(value.dtype))
    return value.numpy(force=True)


def _as_array(value: Any) -> Any:
    import numpy as np

    return np.asarray(value) if isinstance(value, (bool, int, float, complex)) else value


@functools.cache
def _single() -> frozenset[Any]:
    import torch

    return frozenset({torch.float32, torch.complex64})


@functools.cache
def wide_dtype(dtype: Any) -> Any:
    """``torch.float64`` or ``torch.complex128``; integers and booleans keep their dtype."""
    import torch

    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


def dtype_name(dtype: Any) -> str:
    """``float32`` for ``torch.float32``, and for that name itself."""
    return str(dtype).removeprefix("torch.")


def widen(value: Any) -> Any:
    """Arguments for the oracle: tensors on the host, widened and copied.

    Floating and complex tensors become float64 and complex128, and so do dtype arguments;
    integers and booleans keep their dtype. The oracle rounds nowhere.
    """
    return mapped(value, _widening())


@functools.cache
def _widening() -> Callable[[Any], Any]:
    import torch

    tensor, dtype, device, cpu = torch.Tensor, torch.dtype, torch.device, torch.device("cpu")

    def leaf(one: Any) -> Any:
        if one.__class__ in PLAIN:
            return one
        if isinstance(one, tensor):
            return _widened(one)
        if isinstance(one, dtype):
            return wide_dtype(one)
        return cpu if isinstance(one, device) else one

    return leaf


def _widened(tensor: Any) -> Any:
    if tensor.requires_grad:
        tensor = tensor.detach()
    wide = wide_dtype(tensor.dtype)
    if not tensor.is_cpu:
        tensor = tensor.cpu()
    return tensor.clone() if wide is tensor.dtype else tensor.to(wide)


def widen_named(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Widened keyword arguments; a device they name is the host."""
    if not kwargs:
        return kwargs
    wide: dict[str, Any] = widen(kwargs)
    if isinstance(wide.get("device"), str):
        wide["device"] = "cpu"
    return wide


def copied(value: Any) -> Any:
    """Arguments with every tensor copied, for calls that write into them."""
    import torch

    def leaf(one: Any) -> Any:
        return one.detach().clone() if isinstance(one, torch.Tensor) else one

    return mapped(value, leaf)


def on_host(value: Any) -> Any:
    """Arguments with every tensor and every device on the host."""
    import torch

    def leaf(one: Any) -> Any:
        if isinstance(one, torch.Tensor):
            return one if one.is_cpu else one.cpu()
        return torch.device("cpu") if isinstance(one, torch.device) else one

    return mapped(value, leaf)


def moves(leaf: Any) -> bool:
    """Whether a host value is a floating or complex array with elements: rounding can move it."""
    return getattr(getattr(leaf, "dtype", None), "kind", None) in ("f", "c") and leaf.size > 0
