"""The gradients of a call, for an upstream gradient that is exact in every dtype.

The strides of the inputs stay, so that a kernel's backward pass sees them, and the upstream
gradient is stored in the layout as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import layouts, walking

if TYPE_CHECKING:
    from collections.abc import Callable


def differentiable(inputs: Any, *, required: bool = True) -> frozenset[int]:
    """The places of the floating-point inputs, which have gradients.

    With ``required`` only of those that require one, if any does.
    """
    import torch

    floating, requiring = set(), set()
    for place, one in enumerate(walking.leaves(inputs)):
        if isinstance(one, torch.Tensor) and (one.is_floating_point() or one.is_complex()):
            floating.add(place)
            if one.requires_grad:
                requiring.add(place)
    return frozenset((requiring if required else None) or floating)


def gradients(
    fn: Callable[..., Any], watch: frozenset[int], layout: str, labels: list[str], *args: Any
) -> Any:
    """The gradients of the inputs at these places; what they are, in ``labels``."""
    args, sources = watched(args, watch)
    labels += [f"gradient of input {place}" for place, _ in sources]
    return backward(fn(*args), [source for _, source in sources], layout)


def watched(args: Any, watch: frozenset[int]) -> tuple[Any, list[tuple[int, Any]]]:
    """The arguments, those at these places requiring a gradient; and those, with their places.

    The strides stay: a clone would lose them.
    """
    sources: list[tuple[int, Any]] = []
    place = -1

    def leaf(one: Any) -> Any:
        nonlocal place
        place += 1
        if place not in watch:
            return one
        sources.append((place, one.detach().requires_grad_()))
        return sources[-1][1]

    found = walking.mapped(args, leaf)
    return found, sources


def backward(result: Any, sources: list[Any], layout: str) -> tuple[Any, ...]:
    """The gradients of the sources; none where no result depends on any."""
    import torch

    outputs = [
        one for one in walking.leaves(result) if isinstance(one, torch.Tensor) and one.requires_grad
    ]
    if not outputs or not sources:
        return ()
    upstream = [upstream_of(one, layout) for one in outputs]
    found: tuple[Any, ...] = torch.autograd.grad(outputs, sources, upstream, materialize_grads=True)
    return found


def in_any_order(name: str, result: Any) -> Any:
    """What is differentiated of an operator whose results come in no order.

    Eigenvalues, and eigenvectors with them, may come in any order (LAPACK's geev promises
    none), so that an upstream gradient for the first is one for another elsewhere. Sums of
    powers of all are the same in every order. Other results are returned as they are.
    """
    if name == "linalg.eigvals":
        return result.square().sum(-1), result.pow(3).sum(-1)
    if name == "linalg.eig":
        values, vectors = result
        return values.square().sum(-1), values.pow(3).sum(-1), vectors.abs().pow(3).sum(-1)
    return result


def upstream_of(output: Any, layout: str) -> Any:
    """Quarters from -1 to 1 in turn, which every dtype holds exactly; expanded: ones."""
    import torch

    if layout == "expanded":
        return torch.ones((), dtype=output.dtype, device=output.device).expand(output.shape)
    steps = torch.arange(output.numel(), dtype=torch.float64).remainder(9).sub(4).div(4)
    plain = steps.reshape(output.shape).to(output.dtype).to(output.device)
    built = layouts.variant(plain, layout)
    return plain if built is None else built
