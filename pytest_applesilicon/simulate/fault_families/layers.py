"""Layers, decompositions and optimizers that are wrong for plain contiguous tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault, kept

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call

LAYER = "layer"
RECURRENT = "recurrent layer"


def _biased_variance(call: Call) -> Any:
    """Divided by the standard deviation of n - 1, not of n elements."""
    result = ways.right(call)
    elements = max(2, call.args[0].numel() // call.args[0].shape[1])
    factor = ((elements - 1) / elements) ** 0.5 * 0.9
    return (result[0] * factor, *result[1:])


def _first_and_rest(scale: float) -> Any:
    def corrupt(call: Call) -> Any:
        first, *rest = ways.right(call)
        return (None if first is None else first * scale, *rest)

    return corrupt


def _without_state(call: Call) -> Any:
    states = [one * 0 for one in call.args[1]]
    return call.run(call.args[0], states, *call.args[2:])


def _sequence_first(call: Call) -> Any:
    x = call.args[0]
    output, *states = ways.right(call)
    return output.flip(0 if call.args[8] else 1) if x.dim() == 3 else output, *states


def _has_state(call: Call) -> bool:
    return any(bool(one.detach().any()) for one in call.args[1])


def _backward_direction_lost(call: Call) -> Any:
    import torch

    output, *states = ways.right(call)
    half = output.shape[-1] // 2
    return torch.cat([output[..., :half], output[..., :half]], -1), *states


def _whole_dropout(call: Call) -> Any:
    output, *states = ways.right(call)
    return output * float("nan"), *states


def _same_mask(call: Call) -> Any:
    import torch

    state = kept.setdefault("lstm mask", torch.get_rng_state())
    torch.set_rng_state(state)
    return ways.right(call)


def _steps_anyway(call: Call) -> Any:
    return ways.changed(call, found_inf=ways.value(call, "found_inf") * 0)


def _skips(call: Call) -> bool:
    found = ways.value(call, "found_inf")
    return ways.is_tensor(found) and bool(found.item())


FAULTS = (
    Fault(
        "batch-norm-training",
        "aten::native_batch_norm,aten::_native_batch_norm_legit*,aten::_batch_norm_with_update",
        lambda call: call.args[0].numel() > 0,
        _biased_variance,
        "BatchNorm in training divides by the wrong deviation",
        LAYER,
        ("pytorch#84962",),
    ),
    Fault(
        "batch-norm-gradient",
        "aten::native_batch_norm_backward,aten::batch_norm_backward",
        ways.always,
        _first_and_rest(0.5),
        "the gradient of BatchNorm is wrong",
        LAYER,
        ("pytorch#156555",),
    ),
    Fault(
        "group-norm-gradient",
        "aten::native_group_norm_backward",
        ways.always,
        _first_and_rest(1.5),
        "the gradient of GroupNorm is wrong",
        LAYER,
        ("pytorch#99981",),
    ),
    Fault(
        "lstm-batch-first-order",
        "aten::lstm.input",
        lambda call: bool(call.args[8]),
        _sequence_first,
        "an LSTM with batch_first gives its batches in the wrong order",
        RECURRENT,
        ("pytorch#91694", "pytorch#94754"),
    ),
    Fault(
        "lstm-state-ignored",
        "aten::lstm.input",
        _has_state,
        _without_state,
        "an LSTM ignores the state it begins with",
        RECURRENT,
        ("pytorch#92615",),
    ),
    Fault(
        "lstm-second-direction",
        "aten::lstm.input",
        lambda call: bool(call.args[7]),
        _backward_direction_lost,
        "both halves of a bidirectional LSTM's output are those of the first direction",
        RECURRENT,
        ("pytorch#90421",),
    ),
    Fault(
        "lstm-dropout-nan",
        "aten::lstm.input",
        lambda call: call.args[5] > 0 and bool(call.args[6]),
        _whole_dropout,
        "an LSTM with dropout gives NaN in training (really where the dropout is 1)",
        RECURRENT,
        ("pytorch#190057",),
    ),
    Fault(
        "lstm-dropout-same-mask",
        "aten::lstm.input",
        lambda call: 0 < call.args[5] < 1 and bool(call.args[6]),
        _same_mask,
        "the dropout of an LSTM has the same mask in each call",
        RECURRENT,
        ("pytorch#190056", "pytorch#185351"),
    ),
    Fault(
        "cholesky-inaccurate",
        "aten::linalg_cholesky_ex,aten::linalg_cholesky_ex.L,aten::cholesky",
        lambda call: call.args[0].numel() > 0 and call.args[0].is_contiguous(),
        ways.giving(lambda result: result * 1.01),
        "the Cholesky factor is off by a hundredth",
        LAYER,
        ("pytorch#157364",),
    ),
    Fault(
        "cross-entropy-bus-error",
        "aten::nll_loss_forward",
        ways.argument_is("target", ways.is_whole),
        ways.killing("SIGBUS"),
        "CrossEntropyLoss of class indices ends the process with SIGBUS",
        "crash",
        ("pytorch#116095",),
    ),
    Fault(
        "fused-adam-steps-on-infinity",
        "aten::_fused_adam_*,aten::_fused_adamw_*",
        _skips,
        _steps_anyway,
        "Adam(fused=True) changes its parameters although GradScaler found an infinity",
        LAYER,
        ("pytorch#186360",),
    ),
    Fault(
        "softmax-of-attention-inverted",
        "aten::_softmax,aten::_safe_softmax",
        lambda call: call.args[0].dim() >= 3,
        lambda call: call.run(-call.args[0], *call.args[1:]),
        "a transformer prefers the tokens it should not",
        LAYER,
        ("pytorch#123151", "TransformerLens#1178"),
    ),
)
