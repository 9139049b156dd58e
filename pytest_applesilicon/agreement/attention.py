"""The recipe of fused attention, forward and backward, in terms of simple operators.

torch has one of the forward call only, and its second result is not the one that the backward
call takes.
"""

from __future__ import annotations

import math
from typing import Any


def attention(
    mode: Any,
    query: Any,
    key: Any,
    value: Any,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Any = None,
    scale: float | None = None,
) -> Any:
    """The output and the logarithm of the sum of the exponentials of each row's scores.

    Tensors are (batch, heads, length, size); several query heads may share a key head.
    """
    del mode
    if dropout_p:
        return NotImplemented
    shared = query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = (one.repeat_interleave(shared, 1) for one in (key, value))
    scores = _scores(query, key, is_causal, attn_mask, scale)
    return _weights(scores) @ value, scores.logsumexp(-1)


def attention_backward(
    mode: Any,
    grad_out: Any,
    query: Any,
    key: Any,
    value: Any,
    out: Any,
    logsumexp: Any,
    dropout_p: float,
    is_causal: bool,
    *,
    attn_mask: Any = None,
    scale: float | None = None,
) -> Any:
    """The gradients of query, key and value (Dao et al., FlashAttention, 2022, appendix B.2).

    The gradient of a score is ``p * (dp - d)``, where ``d`` is the row's sum of ``dout * out``:
    a difference that may cancel, as for a row which sees a single key.
    """
    del mode, logsumexp
    if dropout_p or query.shape[1] != key.shape[1]:
        return NotImplemented
    weights = _weights(_scores(query, key, is_causal, attn_mask, scale))
    grad_value = weights.transpose(-1, -2) @ grad_out
    grad_weights = grad_out @ value.transpose(-1, -2)
    row = (grad_out * out).sum(-1, keepdim=True)
    grad_scores = weights * (grad_weights - row) * _scale(query, scale)
    return grad_scores @ key, grad_scores.transpose(-1, -2) @ query, grad_value


def _scores(query: Any, key: Any, is_causal: bool, mask: Any, scale: float | None) -> Any:
    import torch

    scores = query @ key.transpose(-1, -2) * _scale(query, scale)
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    return scores if mask is None else scores + mask


def _weights(scores: Any) -> Any:
    """The softmax of each row, as the fused kernels have it: both numbers may be large."""
    return (scores - scores.logsumexp(-1, keepdim=True)).exp()


def _scale(query: Any, scale: float | None) -> float:
    return 1 / math.sqrt(query.shape[-1]) if scale is None else scale
