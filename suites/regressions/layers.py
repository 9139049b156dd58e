"""Layers, decompositions, optimizers and a whole network, for plain contiguous tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-84962", "batch_norm", "group_norm", "layer_norm")
def normalised(case: Case, operator: str) -> None:
    def call(x: Any, weight: Any, bias: Any) -> Any:
        if operator == "batch_norm":
            return functional.batch_norm(x, None, None, weight, bias, training=True).square()
        if operator == "group_norm":
            return functional.group_norm(x, 2, weight, bias).square()
        return functional.layer_norm(x.mT, (4,), weight, bias).square()

    shape = (6, 4, 5) if operator == "layer_norm" else (6, 4, 5, 7)
    given = case.randn(*shape), case.randn(4), case.randn(4)
    case.check(call, *given)
    case.check_gradients(call, *given)


@regression("pytorch-91694", "layers", "bidirectional", "batch_first", "states")
def lstm(case: Case, operator: str) -> None:
    torch.manual_seed(case.seed)
    module = torch.nn.LSTM(
        5,
        4,
        num_layers=2 if operator == "layers" else 1,
        bidirectional=operator == "bidirectional",
        batch_first=operator == "batch_first",
    )
    states = (case.randn(1, 4, 4), case.randn(1, 4, 4)) if operator == "states" else None
    inputs = (case.randn(2, 4, 5),) if states is None else (case.randn(2, 4, 5), states)
    case.check_module(module, *inputs)


@regression("pytorch-190056", "all_dropped", "new_mask", "backward")
def lstm_with_dropout(case: Case, operator: str) -> None:
    torch.manual_seed(case.seed)
    dropout = 1.0 if operator == "all_dropped" else 0.5
    module = torch.nn.LSTM(8, 8, num_layers=2, dropout=dropout).to(case.device)

    def call(x: Any) -> Any:
        x.requires_grad_()
        outputs = [module(x)[0] for _ in range(2)]
        (gradient,) = torch.autograd.grad(outputs[0].sum(), x)
        return [one.detach().cpu() for one in (*outputs, gradient)]

    first, second, gradient = case.given(call, case.randn(3, 2, 8))
    case.require(first.isfinite().all(), "the output is not finite")
    case.require(gradient.isfinite().all(), "the gradient is not finite")
    if operator == "all_dropped":
        # All that the second layer gets is zero: its rows do not depend on the input.
        case.require(not gradient.any(), "the gradient is not zero though all was dropped")
    elif operator == "new_mask":
        case.require(not torch.equal(first, second), "two calls dropped the same elements")
    else:
        _mask_is_that_of_forward(case, module)


def _mask_is_that_of_forward(case: Case, module: Any) -> None:
    """Along one random stream the gradient is that of the function that was computed."""
    x, step = case.randn(3, 2, 8), case.randn(3, 2, 8) * 1e-2

    def value(given: Any) -> Any:
        torch.manual_seed(1)
        return module(given)[0].sum()

    def call(x: Any, step: Any) -> Any:
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(value(x), x)
        with torch.no_grad():
            change = (value(x + step) - value(x - step)) / 2
        return float((gradient * step).sum()), float(change)

    told, found = case.given(call, x, step)
    # A central difference of a step of 1e-2 is off by less than 1e-3 of it (measured: 2e-4).
    close = abs(told - found) <= 0.02 * max(abs(found), 1e-3)
    case.require(close, f"the gradient says {told:.4g}, the function changes by {found:.4g}")


@regression("pytorch-157364", "cholesky", "inv", "cholesky_of_transposed")
def decomposed(case: Case, operator: str) -> None:
    run = torch.linalg.inv if operator == "inv" else torch.linalg.cholesky

    def call(a: Any) -> Any:
        return run(a.mT if operator == "cholesky_of_transposed" else a)

    a = case.randn(2, 16, 16)
    case.check(call, a @ a.mT + 16 * torch.eye(16))


@regression("pytorch-186360", "Adam", "AdamW")
def step_after_infinity(case: Case, operator: str) -> None:
    def call(weight: Any, gradient: Any, found: Any) -> Any:
        parameter = torch.nn.Parameter(weight)
        parameter.grad = gradient
        optimizer = getattr(torch.optim, operator)([parameter], fused=True)
        # What GradScaler leaves when a gradient was infinite.
        optimizer.found_inf = found
        optimizer.step()
        return parameter.detach()

    weight = case.randn(4)
    # The CPU's fused step wants it on the CPU as float32, whatever the parameters are.
    after = case.given(call, weight, case.randn(4), torch.ones(()))
    case.same(after.cpu(), weight)


@regression("pytorch-123151")
def language_model(case: Case) -> None:
    torch.manual_seed(case.seed)
    case.check_module(_Decoder().eval(), torch.arange(24).reshape(2, 12).remainder(17))


class _Decoder(torch.nn.Module):  # type: ignore[misc]
    """Two causal blocks over a vocabulary of 17: the structure of a language model."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(17, 16)
        self.blocks = torch.nn.ModuleList(
            torch.nn.ModuleList([torch.nn.LayerNorm(16), torch.nn.Linear(16, 48)]) for _ in range(2)
        )
        self.logits = torch.nn.Linear(16, 17)

    def forward(self, tokens: Any) -> Any:
        x = self.words(tokens)
        later = torch.ones(x.shape[1], x.shape[1], device=x.device).triu(1).bool()
        for norm, project in self.blocks:
            q, k, v = project(norm(x)).chunk(3, dim=-1)
            scores = (q @ k.mT / 4).masked_fill(later, float("-inf"))
            x = x + torch.softmax(scores, -1) @ v
        return self.logits(x)
