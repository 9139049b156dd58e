"""Random numbers: a state that does not advance, a seed that is ignored, impossible draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault, kept

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call

FAMILY = "random numbers"

_DRAWS = "aten::normal_,aten::uniform_,aten::random_*,aten::exponential_,aten::bernoulli_.*"


def _stays(call: Call) -> Any:
    generator = call.kwargs["generator"]
    state = generator.get_state()
    result = ways.right(call)
    generator.set_state(state)
    return result


def _ignores_seed(call: Call) -> Any:
    """The numbers of a stream that no seed begins anew."""
    import torch

    own = kept.setdefault("stream", torch.Generator().manual_seed(12345))
    kwargs = {**call.kwargs, "generator": own}
    return call.run(*call.args, **kwargs)


def _same_along_last(result: Any) -> Any:
    return result.flatten()[0].expand(result.shape)


def _impossible_class(call: Call) -> Any:
    result, weights = ways.right(call), call.args[0]
    never = (weights == 0).to(weights.dtype).argmax(-1, keepdim=True)
    return result.copy_(never.expand(result.shape))


def _certain(call: Call) -> bool:
    chance = call.args[1] if len(call.args) > 1 else call.args[0]
    return bool((chance == 1).any()) if ways.is_tensor(chance) else chance == 1


FAULTS = (
    Fault(
        "random-state-not-advanced",
        _DRAWS,
        ways.always,
        _stays,
        "every call of randn draws the same numbers",
        FAMILY,
        ("pytorch#78009", "pytorch#84288"),
    ),
    Fault(
        "random-seed-ignored",
        "aten::normal_,aten::uniform_,aten::random_*",
        ways.always,
        _ignores_seed,
        "manual_seed has no effect",
        FAMILY,
        ("pytorch#78110", "pytorch#84516"),
    ),
    Fault(
        "exponential-generator-ignored",
        "aten::exponential_",
        ways.always,
        _ignores_seed,
        "exponential_ has a stream of its own: set_state() and fork_rng() do not repeat it",
        FAMILY,
        ("pytorch#124833", "pytorch#130613"),
    ),
    Fault(
        "randn-high-rank-constant",
        "aten::normal_",
        lambda call: call.args[0].dim() >= 5,
        ways.giving(_same_along_last),
        "randn_like of five or more dimensions draws one number",
        FAMILY,
        ("pytorch#147740",),
    ),
    Fault(
        "bernoulli-certain-is-zero",
        "aten::bernoulli.out,aten::bernoulli_.float,aten::bernoulli_.Tensor",
        _certain,
        ways.giving(lambda result: result * 0),
        "bernoulli with probability 1 gives 0",
        FAMILY,
        ("pytorch#85611",),
    ),
    Fault(
        "multinomial-impossible-class",
        "aten::multinomial",
        lambda call: bool((call.args[0] == 0).any()),
        _impossible_class,
        "multinomial draws a class of probability 0",
        FAMILY,
        ("pytorch#99802", "pytorch#92752"),
    ),
    Fault(
        "uniform-reaches-one",
        "aten::uniform_",
        lambda call: call.args[0].numel() > 0,
        ways.giving(lambda result: result.round()),
        "uniform_ draws the ends of its range alone",
        FAMILY,
        ("pytorch#165257",),
    ),
)
