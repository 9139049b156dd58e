"""Operators that torch decomposes one way on a Mac and another way where MPS is not built.

The choice is made in C++ under ``#ifdef USE_MPS``; here it is made again, above autograd.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate import counters, faults, texts

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.kernels import Kernels

#: Composites that call ``_mps_convolution`` and its like on a Mac (Convolution.cpp,
#: ConvBackend::Mps): each is one kernel here.
ONE_KERNEL = ("convolution", "convolution_backward", "convolution_overrideable")


def register(library: Any, tools: Kernels) -> None:
    """Register the choices with ``aten``."""
    import torch

    aten = torch.ops.aten
    for name in ONE_KERNEL:
        library.m.impl(f"aten::{name}", "MPS", tools.make(getattr(aten, name).default), False)
    for key in ("MPS", "AutogradMPS"):
        library.m.impl("aten::scaled_dot_product_attention", key, _attention, False)
        library.m.impl("aten::lstm.input", key, _lstm(tools), False)
    pinned: weakref.WeakSet[Any] = weakref.WeakSet()
    _register_pinning(library, pinned)


def note(name: str) -> None:
    """Count an operator that a Mac would have called."""
    operators = counters.current.operators
    operators[name] = operators.get(name, 0) + 1


def _attention(*args: Any, **kwargs: Any) -> Any:
    """attention.cpp: the fused CPU kernel stands behind a stub that has no entry for MPS."""
    import torch

    note("aten::_scaled_dot_product_attention_math_for_mps")
    kwargs.pop("enable_gqa", None) if not kwargs.get("enable_gqa") else None
    op = torch.ops.aten.scaled_dot_product_attention.default
    return faults.through(op, _attention_math, *args, **kwargs)


def _attention_math(*args: Any, **kwargs: Any) -> Any:
    import torch

    return torch.ops.aten._scaled_dot_product_attention_math.default(*args, **kwargs)[0]


def _lstm(tools: Kernels) -> Any:
    """``lstm.input`` as one fused kernel with one backward, as ``_lstm_mps`` is (RNN.cpp)."""
    import torch

    run = torch.ops.aten.lstm.input

    class Lstm(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, rest: Any, states: int, *tensors: Any) -> Any:
            with torch.enable_grad():
                plain = [
                    tools.unwrap(one).requires_grad_(ctx.needs_input_grad[place])
                    for place, one in enumerate(tensors, start=2)
                ]
                results = run(plain[0], plain[1 : 1 + states], plain[1 + states :], *rest)
            ctx.plain, ctx.results = plain, results
            return tuple(tools.wrap(one.detach()) for one in results)

        @staticmethod
        @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
        def backward(ctx: Any, *upstream: Any) -> Any:
            note("aten::lstm_mps_backward")
            wanted = [one for one in ctx.plain if one.requires_grad]
            given = [tools.unwrap(one) for one in upstream]
            found = iter(
                torch.autograd.grad(
                    ctx.results, wanted, given, retain_graph=True, allow_unused=True
                )
            )
            grads = [next(found) if one.requires_grad else None for one in ctx.plain]
            return None, None, *(None if one is None else tools.wrap(one) for one in grads)

    def kernel(x: Any, states: Any, weights: Any, *rest: Any) -> Any:
        for one in (x, *states, *weights):
            if not one.is_mps:
                raise RuntimeError(texts.PLACEHOLDER)
        note("aten::_lstm_mps")
        return faults.through(run, compute, x, states, weights, *rest)

    def compute(x: Any, states: Any, weights: Any, *rest: Any) -> Any:
        tensors = (x, *states, *weights)
        if torch.is_grad_enabled() and any(one.requires_grad for one in tensors):
            return Lstm.apply(rest, len(states), *tensors)
        with torch.no_grad():
            plain = [tools.unwrap(one) for one in tensors]
            results = run(plain[0], plain[1 : 1 + len(states)], plain[1 + len(states) :], *rest)
        return tuple(tools.wrap(one) for one in results)

    return kernel


def _register_pinning(library: Any, pinned: Any) -> None:
    """Pinned memory of the CPU: on a Mac memory that the GPU shares; here any memory does."""
    import torch

    def pin(tensor: Any, device: Any = None) -> Any:  # noqa: ARG001
        made = torch.ops.aten.clone.default(tensor, memory_format=torch.contiguous_format)
        storage = made.untyped_storage()
        pinned.add(storage)
        made._pinned_storage = storage
        return made

    def is_pinned(tensor: Any, device: Any = None) -> bool:  # noqa: ARG001
        address = tensor.untyped_storage().data_ptr()
        return address != 0 and any(one.data_ptr() == address for one in pinned)

    library.m.impl("aten::_pin_memory", "CPU", pin, False)
    library.m.impl("aten::is_pinned", "CPU", is_pinned, False)
