"""Arguments of a call as plain values that JSON can hold, and back."""

from __future__ import annotations

import base64
import binascii
import functools
from typing import Any

#: Bytes of a tensor up to which its values are kept: index tensors, small matrices.
_KEPT_BYTES = 256

#: Elements up to which the least and the greatest value are looked for.
_LOOKED_AT = 1 << 20


class NotDescribedError(ValueError):
    """A description stands for something that cannot be made again; the text says what."""


def describe(value: Any) -> Any:
    """A plain value for an argument: a number or text as it is, else a dict with one main key."""
    if value is None or isinstance(value, (int, str)):
        return value
    torch = _torch()
    if isinstance(value, torch.Tensor):
        return _tensor(torch, value)
    if isinstance(value, float):
        # JSON has no such numbers as infinity.
        return value if value - value == 0 else {"float": str(value)}
    if isinstance(value, (list, tuple)):
        return {"list": [describe(one) for one in value]}
    if isinstance(value, complex):
        return {"complex": [str(value.real), str(value.imag)]}
    for kind in ("dtype", "device", "layout", "memory_format"):
        if isinstance(value, getattr(torch, kind)):
            return {kind: str(value).removeprefix("torch.")}
    if isinstance(value, torch.Generator):
        return {"generator": value.initial_seed()}
    return {"other": type(value).__name__}


@functools.cache
def _torch() -> Any:
    """It is imported by who records; an import in each call would cost as much as the rest."""
    import torch

    return torch


def _tensor(torch: Any, tensor: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"tensor": _name(tensor.dtype), "shape": list(tensor.shape)}
    if tensor.layout is not torch.strided:
        return {**found, "layout": str(tensor.layout).removeprefix("torch.")}
    if not tensor.is_contiguous():
        found["stride"] = list(tensor.stride())
    if tensor.storage_offset():
        found["offset"] = tensor.storage_offset()
    if tensor.requires_grad:
        found["requires_grad"] = True
    # A subclass has no values to look at.
    if type(tensor) is torch.Tensor or type(tensor) is torch.nn.Parameter:
        _add_values(torch, tensor, found)
    return found


def _add_values(torch: Any, tensor: Any, found: dict[str, Any]) -> None:
    count = tensor.numel()
    if not count or not tensor.is_cpu:
        return
    try:
        if count * tensor.element_size() <= _KEPT_BYTES:
            found["bytes"] = _bytes(torch, tensor.detach())
        elif tensor.dtype is torch.bool:
            found |= {"low": 0, "high": 1}
        elif count <= _LOOKED_AT and not tensor.is_complex():
            low, high = [float(one.item()) for one in _limits(tensor.detach())]
            if low - low == 0 and high - high == 0:
                found |= {"low": low, "high": high}
    except (RuntimeError, TypeError, NotImplementedError):
        return  # a tensor without memory


def _bytes(torch: Any, tensor: Any) -> str:
    raw = tensor.resolve_conj().resolve_neg()
    if tensor.dtype not in _of_numpy():
        raw = raw.contiguous().reshape(-1).view(torch.uint8)
    return binascii.b2a_base64(raw.numpy().tobytes(), newline=False).decode()


def _limits(tensor: Any) -> Any:
    try:
        return tensor.aminmax()  # one pass
    except RuntimeError:  # not for this dtype
        return tensor.min(), tensor.max()


@functools.lru_cache(maxsize=1)
def _of_numpy() -> frozenset[Any]:
    """The dtypes that NumPy has too."""
    import torch

    names = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
             "complex64", "complex128")  # fmt: skip
    return frozenset(getattr(torch, name) for name in names)


@functools.lru_cache(maxsize=64)
def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def make(value: Any, seed: int = 0) -> Any:
    """What a description stands for, on the CPU; values that were not kept are drawn.

    Raises:
        NotDescribedError: it cannot be made again.
    """
    import torch

    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return _made(value, seed)
    if "list" in value:
        return [make(one, seed + place) for place, one in enumerate(value["list"])]
    if "float" in value:
        return float(value["float"])
    if "complex" in value:
        return complex(*(float(one) for one in value["complex"]))
    for kind in ("dtype", "layout", "memory_format"):
        if kind in value:
            return getattr(torch, value[kind])
    if "device" in value:
        return torch.device(value["device"])
    if "generator" in value:
        return torch.Generator().manual_seed(value["generator"])
    raise NotDescribedError(f"an argument of type {value.get('other', '?')}")


def _made(value: dict[str, Any], seed: int) -> Any:
    import torch

    if "layout" in value:
        raise NotDescribedError(f"a tensor of layout {value['layout']}")
    dtype, shape = getattr(torch, value["tensor"]), tuple(value["shape"])
    if "bytes" in value:
        raw = bytearray(base64.b64decode(value["bytes"]))
        dense = torch.frombuffer(raw, dtype=torch.uint8).clone().view(dtype).reshape(shape)
    else:
        dense = _drawn(value, dtype, shape, seed)
    if "stride" not in value and "offset" not in value:
        return dense.requires_grad_(value.get("requires_grad", False))
    stride, offset = value.get("stride", dense.stride()), value.get("offset", 0)
    length = offset + 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    memory = torch.zeros(max(length, 1), dtype=dtype)
    # Of an expanded dimension only the first place is written: the others share its memory.
    once = tuple(slice(0, 1) if step == 0 else slice(None) for step in stride)
    first = dense[once]
    memory.as_strided(first.shape, stride, offset).copy_(first)
    view = memory.as_strided(shape, stride, offset)
    return view.requires_grad_(value.get("requires_grad", False))


def _drawn(value: dict[str, Any], dtype: Any, shape: tuple[int, ...], seed: int) -> Any:
    import torch

    generator = torch.Generator().manual_seed(seed)
    low, high = value.get("low"), value.get("high")
    if dtype.is_floating_point and low is not None and high is not None:
        drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
        return (low + drawn * (high - low)).to(dtype)
    if dtype.is_complex or dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    low, high = int(low or 0), int(high if high is not None else 1)
    drawn = torch.randint(low, high + 1, shape, generator=generator, dtype=torch.int64)
    return drawn.to(dtype)
