"""Random numbers: constant, repeated, or impossible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .registry import regression

if TYPE_CHECKING:
    from .case import Case


@regression("pytorch-141457")
def classes_of_transposed(case: Case) -> None:
    def call(weights: Any) -> Any:
        return torch.multinomial(weights.T, 200, replacement=True)

    weights = torch.tensor([[0.25, 0.1], [0.25, 0.1], [0.25, 0.1], [0.25, 0.7]])
    drawn = case.given(call, weights).cpu()
    for row in drawn:
        # 200 draws are all alike with a chance below 1e-30.
        case.require(len(row.unique()) > 1, f"200 draws gave class {row[0]} only")


@regression("pytorch-147740", "randn_like", "rand_like", "normal_")
def five_dimensions(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        return x.normal_() if operator == "normal_" else getattr(torch, operator)(x)

    drawn = case.given(call, torch.empty(4, 1, 1, 1, 3)).cpu()
    distinct = drawn.unique().numel()
    case.require(distinct == drawn.numel(), f"{distinct} of 12 numbers are distinct")


@regression("pytorch-78009", "randn", "rand", "randint")
def new_numbers(case: Case, operator: str) -> None:
    def call(device: Any) -> Any:
        def draw() -> Any:
            if operator == "randint":
                return torch.randint(0, 2**40, (8,), device=device).cpu()
            return getattr(torch, operator)(8, device=device).cpu()

        torch.manual_seed(1)
        first, second = draw(), draw()
        torch.manual_seed(1)
        again = draw()
        torch.manual_seed(2)
        return first, second, again, draw()

    first, second, again, other = case.given(call, torch.device("cpu"))
    case.require(not torch.equal(first, second), "two calls gave the same numbers")
    case.require(torch.equal(first, again), "a seed does not repeat its numbers")
    case.require(not torch.equal(first, other), "two seeds gave the same numbers")


@regression("pytorch-124833", "exponential_", "normal_", "uniform_")
def state_restored(case: Case, operator: str) -> None:
    def call(device: Any) -> Any:
        def draw(generator: Any) -> Any:
            target = torch.empty(3, device=device)
            return getattr(target, operator)(generator=generator).cpu()

        one, other = torch.Generator(device=device), torch.Generator(device=device)
        before = draw(one.manual_seed(42))
        state = one.get_state()
        first = draw(one)
        other.set_state(state)
        return before, first, draw(other)

    before, first, again = case.given(call, torch.device("cpu"))
    case.require(not torch.equal(before, first), "the state of the generator does not advance")
    case.require(torch.equal(first, again), "numbers are not repeated from a saved state")


@regression("pytorch-85611", "bernoulli", "bernoulli_", "multinomial")
def certain_and_impossible(case: Case, operator: str) -> None:
    def call(x: Any) -> Any:
        if operator == "multinomial":
            return torch.multinomial(x, 50, replacement=True)
        if operator == "bernoulli":
            return torch.bernoulli(x[1:] * 2)
        return torch.zeros_like(x).bernoulli_(1.0)

    drawn = case.given(call, torch.tensor([0.0, 0.5])).cpu()
    case.require((drawn == 1).all(), f"drew {sorted(set(drawn.tolist()))}; only 1 is possible")
