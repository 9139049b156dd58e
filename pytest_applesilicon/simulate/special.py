"""Kernels that are not the CPU's over the same memory: memory itself, copies, scalars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate import counters, faults, plan, texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.simulate.kernels import Kernels

#: Overloads whose CPU kernel changes sizes and strides only, and keeps memory and device.
VIEWS = (
    "as_strided",
    "view",
    "view.dtype",
    "_reshape_alias",
    "unfold",
    "permute",
    "view_as_real",
    "view_as_complex",
    "set_.source_Storage",
    "set_.source_Storage_storage_offset",
    "set_.source_Tensor",
    "set_",
)

#: Listed for MPS, and called by torch itself only where it is built with MPS: without a kernel
#: the composite that it replaces runs.
UNREACHED = frozenset({"_fused_rms_norm"})


def kernels(tools: Kernels) -> dict[str, Callable[..., Any]]:
    """The special kernels by overload name."""
    special = Special(tools)
    return {
        "copy_": special.copy,
        "_local_scalar_dense": special.scalar,
        "empty.memory_format": special.empty,
        "empty_strided": special.empty_strided,
        "resize_": special.resize,
        "_efficientzerotensor": special.zeros,
        "linear_backward": special.linear_backward,
        "max_pool2d_backward": special.max_pool2d_backward,
        "_copy_from_and_resize": special.copy_from_and_resize,
        "_copy_from": special.copy_from,
    }


class Special:
    """Kernels over the shared tools; each has the signature of its operator."""

    def __init__(self, tools: Kernels) -> None:
        import torch

        self._tools = tools
        self._aten = torch.ops.aten
        self._copy = tools.runner(plan.of(torch.ops.aten.copy_.default))
        self._redispatch = torch.ops.aten.copy_.default._handle.redispatch_boxed
        self._empty = torch.ops.aten.empty.memory_format._handle.redispatch_boxed
        self._empty_strided = torch.ops.aten.empty_strided.default._handle.redispatch_boxed
        self._strided = torch.strided
        self._cpu = torch.device("cpu")
        self._run_scalar = tools.runner(plan.of(torch.ops.aten._local_scalar_dense.default))
        self._copy_plan = plan.of(torch.ops.aten.copy_.default)

    def _note(self, name: str) -> None:
        operators = counters.current.operators
        operators[name] = operators.get(name, 0) + 1

    # copies: between the devices, the host waits

    def copy(self, target: Any, source: Any, non_blocking: bool = False) -> Any:
        self._note("aten::copy_")
        if not target.is_mps:
            counters.sync("copy to host")
        if faults.active and faults.touching("aten::copy_"):
            args = tuple(self._plain(one, self._tools.twin) for one in (target, source))
            made = self._copy_plan
            named = {"self": target, "src": source}
            host = frozenset(name for name, one in named.items() if not one.is_mps)
            args = (*args, non_blocking)
            faults.applied(faults.Call(made.op, made.name, args, {}, self._copy, host))
        else:
            unwrap = self._tools.unwrap
            args = (self._plain(target, unwrap), self._plain(source, unwrap))
            self._redispatch(self._tools.cpu_keys, *args, non_blocking)
        return target

    def _plain(self, tensor: Any, unwrap: Any) -> Any:
        return unwrap(tensor) if tensor.is_mps else tensor

    def copy_from(self, source: Any, target: Any, non_blocking: bool = False) -> Any:
        return self.copy(target, source, non_blocking)

    def copy_from_and_resize(self, source: Any, target: Any) -> Any:
        if target.size() != source.size():
            self.resize(target, source.size())
        return self.copy(target, source)

    def scalar(self, tensor: Any) -> Any:
        self._note("aten::_local_scalar_dense")
        counters.sync("item")
        plain = self._tools.unwrap(tensor)
        if faults.active:
            op = self._aten._local_scalar_dense.default
            return faults.applied(faults.Call(op, op.name(), (plain,), {}, self._run_scalar))
        return self._run_scalar(plain)

    # memory

    def empty(self, size: Any, **options: Any) -> Any:
        self._note("aten::empty.memory_format")
        return self._new(self._empty, (size,), options)

    def empty_strided(self, size: Any, stride: Any, **options: Any) -> Any:
        self._note("aten::empty_strided")
        return self._new(self._empty_strided, (size, stride), options)

    def _new(self, op: Any, args: Any, options: dict[str, Any]) -> Any:
        device = options.get("device")
        if device is not None and device.index:
            raise RuntimeError(texts.ONE_DEVICE.format(index=device.index))
        if options.pop("pin_memory", None):
            raise RuntimeError("Only dense CPU tensors can be pinned")  # at::empty's own text
        if options.get("dtype") in self._tools.refused:
            raise self._tools.refused[options["dtype"]]()
        if options.get("layout") not in (None, self._strided):
            raise NotImplementedError(texts.LAYOUT)
        options["device"] = self._cpu
        return self._tools.wrap(op(self._tools.cpu_keys, *args, **options))

    def zeros(self, size: Any, **options: Any) -> Any:
        # A tensor without memory, which DLPack would export as a null pointer.
        return self.empty(size, **options).zero_()

    def resize(self, tensor: Any, size: Any, memory_format: Any = None) -> Any:
        import torch

        self._note("aten::resize_")
        options = {} if memory_format is None else {"memory_format": memory_format}
        strides = torch.ops.aten.empty.memory_format(
            size, dtype=tensor.dtype, device="meta", **options
        ).stride()
        if not options and tuple(tensor.size()) == tuple(size):
            return tensor
        needed = 1 + sum((n - 1) * s for n, s in zip(size, strides, strict=True))
        needed = 0 if 0 in tuple(size) else needed
        offset = tensor.storage_offset()
        room = tensor.untyped_storage().nbytes() // tensor.element_size()
        owner = tensor
        if offset + needed > room:
            owner = torch.ops.aten.empty.memory_format(
                [offset + needed], dtype=tensor.dtype, device="mps"
            )
            length = min(room, offset + needed)
            if length and tensor.numel():
                old = self._tools.strided(tensor, [length], [1], 0)
                self.copy(self._tools.strided(owner, [length], [1], 0), old)
        handle = self._aten.set_.source_Storage_storage_offset._handle
        handle.redispatch_boxed(
            self._tools.cpu_keys, tensor, owner.untyped_storage(), offset, size, strides
        )
        return tensor

    # operators that only MPS has

    def linear_backward(self, x: Any, upstream: Any, weight: Any, mask: Any) -> tuple[Any, ...]:
        self._note("aten::linear_backward")
        tools = self._tools
        op = self._aten.linear_backward.default
        plain = (tools.unwrap(one) for one in (x, upstream, weight))
        found = faults.through(op, _linear_backward, *plain, mask)
        return tuple(tools.wrap(one) for one in found)

    def max_pool2d_backward(self, upstream: Any, x: Any, *window: Any) -> Any:
        self._note("aten::max_pool2d_backward")
        tools, aten = self._tools, self._aten
        upstream, x = tools.unwrap(upstream), tools.unwrap(x)
        kernel, *rest = window
        defaults: list[Any] = [[], 0, 1, False]
        stride, padding, dilation, ceil = rest + defaults[len(rest) :]
        _, places = aten.max_pool2d_with_indices.default(x, kernel, stride, padding, dilation, ceil)
        return tools.wrap(
            aten.max_pool2d_with_indices_backward.default(
                upstream, x, kernel, stride, padding, dilation, ceil, places
            )
        )


def _linear_backward(x: Any, upstream: Any, weight: Any, mask: Any) -> tuple[Any, ...]:
    if weight.dim() == 1:
        one = _linear_backward(x, upstream.unsqueeze(-1), weight.unsqueeze(0), mask)
        return one[0], None if one[1] is None else one[1].reshape(weight.shape), one[2]
    # Not -1 for the rows: without features, nothing tells how many there are.
    count = math.prod(x.shape[:-1])
    rows = upstream.reshape(count, upstream.shape[-1])
    flat = x.reshape(count, x.shape[-1])
    return (
        (rows @ weight).reshape(x.shape) if mask[0] else None,
        rows.t() @ flat if mask[1] else None,
        rows.sum(0) if mask[2] else None,
    )
