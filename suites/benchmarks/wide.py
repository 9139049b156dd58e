"""What a network computes on the device, held against float64 on the host.

The reference has the same weights and inputs, in float64. What is allowed is measured: each
input and the output of each layer, moved by the spacing of float32 up or down, show what
rounding does to each result.
"""

from __future__ import annotations

import contextlib
import copy
import sys
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The moved layers show one rounding of each product. A sum of k products taken one after the
#: other is off by sqrt(k / 24) of these (Higham and Mary, A New Approach to Probabilistic
#: Rounding Error Analysis, 2019): by 32 in the longest sum here, the 25,088 terms of vgg16;
#: twice that for a device that rounds products too. A matrix unit of ten bits is off by 8,192.
#: On the CPU the networks of this folder reach 0.004 to 0.09 of what is allowed.
MARGIN = 64
DRAWS = 2

EPS = torch.finfo(torch.float32).eps

Results = dict[str, torch.Tensor]


def forward(network: Any, *inputs: torch.Tensor) -> Results:
    """The output of a network in evaluation: of a model of transformers, its last layer."""
    network.eval()
    with torch.no_grad():
        found = network(*inputs)
    return {"output": first_of(found)}


def first_of(found: Any) -> torch.Tensor:
    """The tensor of an output: itself, the first of a tuple, or the last hidden state."""
    last: torch.Tensor | None = getattr(found, "last_hidden_state", None)
    if last is not None:
        return last
    return found[0] if isinstance(found, tuple) else found


def loss_and_gradients(
    network: Any, images: torch.Tensor, labels: torch.Tensor, *, largest: int = sys.maxsize
) -> Results:
    """The loss of a batch and the gradients, in evaluation: without dropout.

    Args:
        network: gives a number for each class.
        images: the batch.
        labels: of its images, int64.
        largest: number of elements up to which the gradient of a parameter is computed.
    """
    network.eval()
    loss = torch.nn.functional.cross_entropy(network(images), labels)
    chosen = {name: one for name, one in network.named_parameters() if one.numel() <= largest}
    gradients = torch.autograd.grad(loss, list(chosen.values()))
    found = {"loss": loss.detach()}
    return found | {f"gradient of {name}": one for name, one in zip(chosen, gradients, strict=True)}


def check(
    network: Any,
    found: Results,
    compute: Callable[..., Results],
    *inputs: torch.Tensor,
    seed: int,
) -> float:
    """Fail unless ``found`` is what ``compute(network, *inputs)`` gives in float64.

    Args:
        network: on any device, in float32; it is copied.
        found: what the device gave, by name.
        compute: a function of this module.
        inputs: on the host.
        seed: of the draws.

    Returns:
        The largest error, in units of what is allowed.
    """
    exact_network = copy.deepcopy(network).to("cpu").double()
    wide = [one.double() if one.is_floating_point() else one for one in inputs]
    exact = compute(exact_network, *wide)
    moved = dict.fromkeys(exact, 0.0)
    draw = torch.Generator().manual_seed(seed)
    with moved_layers(exact_network, draw):
        for _ in range(DRAWS):
            near = [moved_by_eps(one, draw) for one in wide]
            for name, one in compute(exact_network, *near).items():
                moved[name] = max(moved[name], float((one - exact[name]).norm()))
    worst = 0.0
    for name, one in exact.items():
        allowed = MARGIN * (moved[name] + EPS * float(one.norm()))
        error = float((found[name].detach().cpu().double() - one).norm())
        assert error <= allowed, (
            f"{name} is off by {error:.3g} of {float(one.norm()):.3g}, allowed {allowed:.3g}"
        )
        worst = max(worst, error / allowed) if allowed else worst
    return worst


@contextlib.contextmanager
def moved_layers(network: Any, draw: torch.Generator) -> Iterator[None]:
    """In it, what each layer of the network gives is moved."""

    def move(_layer: Any, _inputs: Any, found: Any) -> Any:
        if isinstance(found, tuple):
            return (moved_by_eps(found[0], draw), *found[1:])
        return moved_by_eps(found, draw)

    hooks = [
        one.register_forward_hook(move) for one in network.modules() if not list(one.children())
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def moved_by_eps(values: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Each number times 1 + eps or 1 - eps; whole numbers as they are."""
    if not values.is_floating_point():
        return values
    signs = torch.randint(0, 2, values.shape, generator=draw).mul_(2).sub_(1)
    return values * (1 + EPS * signs)
