"""Axes, ranks and shapes: negative axes, high ranks, broadcasting, odd lengths, indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call

AXIS = "wrong axis"
SHAPE = "rank and shape"

_VARIANCES = "aten::var.correction,aten::std.correction"


def _axes(call: Call) -> tuple[int, ...]:
    given = ways.value(call, "dim")
    if given is None:
        return ()
    return (given,) if isinstance(given, int) else tuple(given)


def _inner_negative(call: Call) -> bool:
    return call.args[0].dim() > 1 and any(axis < -1 for axis in _axes(call))


def _one_axis_on(call: Call) -> Any:
    return ways.changed(call, dim=[axis + 1 for axis in _axes(call)])


def _far_axis(call: Call) -> bool:
    rank = call.args[0].dim()
    return any(rank - axis % rank > 4 for axis in _axes(call) if rank)


def _high_rank(call: Call) -> bool:
    return call.args[0].dim() >= 3 and ways.value(call, "dim") is not None


def _reversed_axis(call: Call) -> Any:
    """The axis is counted from the other end."""
    tensor = call.args[0]
    axis = ways.value(call, "dim") % tensor.dim()
    other = tensor.dim() - 1 - axis
    if other == axis or tensor.shape[other] != tensor.shape[axis]:
        result = ways.right(call)
        return result.flip(axis)
    return ways.changed(call, dim=other)


def _bound_of_higher_rank(call: Call) -> bool:
    bounds = (ways.value(call, "min"), ways.value(call, "max"))
    return any(ways.is_tensor(one) and one.dim() > call.args[0].dim() for one in bounds)


def _condition_of_lower_rank(call: Call) -> bool:
    ranks = [one.dim() for one in ways.tensors(call)]
    return len(ranks) > 2 and ranks[0] < max(ranks)


def _without_last(result: Any) -> Any:
    import torch

    return torch.cat([result[:-1], result[:1]])


def _value_differs(call: Call) -> bool:
    query, _, value = call.args[:3]
    return bool(query.shape[-1] != value.shape[-1])


def _first_columns(call: Call) -> Any:
    result, width = ways.right(call), call.args[0].shape[-1]
    return result.index_select(-1, _places(result, width))


def _places(result: Any, width: int) -> Any:
    import torch

    wrapped = torch.arange(result.shape[-1]).remainder(max(1, min(width, result.shape[-1] - 1)))
    return wrapped.to(result.device)


def _grouped(call: Call) -> bool:
    grouped = ways.value(call, "enable_gqa")
    return bool(grouped and call.args[0].shape[-3] != call.args[1].shape[-3])


def _four_rows_share(call: Call) -> Any:
    """The mask of four rows is that of the last of them: the first ones see the future."""
    import torch

    query, key = call.args[:2]
    rows = torch.arange(query.shape[-2], device=query.device) // 4 * 4 + 3
    mask = torch.arange(key.shape[-2], device=query.device)[None, :] <= rows[:, None]
    kwargs = {**call.kwargs, "is_causal": False, "attn_mask": mask}
    return call.run(*call.args[:3], **kwargs)


def _ceils(call: Call) -> bool:
    return bool(ways.value(call, "ceil_mode"))


def _pads_a_column(call: Call) -> bool:
    return bool(call.args[0].dim() > 0 and call.args[0].shape[-1] == 1)


def _short_pad(call: Call) -> Any:
    result = ways.right(call)
    result[..., -1] = call.args[0].reshape(-1)[0]
    return result


def _bottom_only(call: Call) -> bool:
    pad = call.args[1]
    return len(pad) == 4 and not any(pad[:3]) and pad[3] > 0


def _padding_row_too(call: Call) -> Any:
    return ways.changed(call, padding_idx=-1)


def _unscaled(call: Call) -> Any:
    return ways.changed(call, scale_grad_by_freq=False)


def _clamped_index(call: Call) -> Any:
    index = ways.value(call, "index")
    dim = ways.value(call, "dim")
    size = call.args[0].shape[dim] if call.args[0].dim() else 1
    return ways.changed(call, index=index.clamp(0, size - 1))


def _out_of_range(call: Call) -> bool:
    index, tensor = ways.value(call, "index"), call.args[0]
    if not ways.is_tensor(index) or not index.numel() or not tensor.dim():
        return False
    size = tensor.shape[ways.value(call, "dim")]
    return bool((index >= size).any())


def _padded_beyond(call: Call) -> bool:
    extra, stride, dilation = (
        ways.value(call, name) for name in ("output_padding", "stride", "dilation")
    )
    return bool(ways.value(call, "transposed")) and any(
        one >= max(two, three) for one, two, three in zip(extra, stride, dilation, strict=False)
    )


def _padded_less(call: Call) -> Any:
    extra, stride = ways.value(call, "output_padding"), ways.value(call, "stride")
    return ways.changed(
        call, output_padding=[min(one, two - 1) for one, two in zip(extra, stride, strict=False)]
    )


def _one_dimensional_weight(call: Call) -> bool:
    return any(one.dim() == 1 for one in ways.tensors(call))


FAULTS = (
    Fault(
        "variance-negative-axis",
        f"{_VARIANCES},aten::var_mean.correction,aten::std_mean.correction",
        _inner_negative,
        _one_axis_on,
        "std and var over a negative axis go over the next one, with the wrong shape",
        AXIS,
        ("pytorch#107116",),
    ),
    Fault(
        "cumsum-negative-axis-refused",
        "aten::cumsum*,aten::cumprod*",
        lambda call: any(axis < 0 for axis in _axes(call)) and call.args[0].dim() > 0,
        ways.raising("Axis = -1. This class only supports axis = 0, 1, 2, 3"),
        "cumsum over a negative axis is refused",
        AXIS,
        ("pytorch#92329",),
    ),
    Fault(
        "cumsum-far-axis-aborts",
        "aten::cumsum*,aten::cumprod*",
        _far_axis,
        ways.aborting(
            "-[MPSNDArrayScan initWithDevice:]: failed assertion "
            "`Axis = 4. This class only supports axis = 0, 1, 2, 3'"
        ),
        "cumsum over an axis more than four from the last ends the process",
        "crash",
        ("pytorch#154881",),
    ),
    Fault(
        "topk-far-axis-aborts",
        "aten::topk*,aten::sort*",
        _far_axis,
        ways.aborting(
            "-[MPSTopK initWithDevice:]: failed assertion "
            "`Axis = 4. This class only supports axis = 0, 1, 2, 3'"
        ),
        "topk and sort over an axis more than four from the last end the process",
        "crash",
        ("pytorch#154890",),
    ),
    Fault(
        "cumulative-high-rank-axis",
        "aten::cumsum,aten::cumprod,aten::flip,aten::_logcumsumexp",
        lambda call: _high_rank(call) and isinstance(ways.value(call, "dim"), int),
        _reversed_axis,
        "a cumulative operator on three or more dimensions counts its axis from the other end",
        AXIS,
        ("pytorch#154881", "pytorch#155950"),
    ),
    Fault(
        "sum-no-axes-is-none",
        "aten::sum*,aten::mean.dim",
        lambda call: ways.value(call, "dim") == [] and call.args[0].dim() > 0,
        lambda call: call.args[0].clone().to(ways.right(call).dtype),
        "sum(dim=[]) sums over nothing, and not over everything",
        AXIS,
        ("pytorch#97231",),
    ),
    Fault(
        "variance-of-scalar-refused",
        f"{_VARIANCES}",
        lambda call: call.args[0].dim() == 0,
        ways.raising(
            "Dimension out of range (expected to be in range of [-1, 0], but got 1)", IndexError
        ),
        "var and std of a tensor without dimensions are refused",
        SHAPE,
        ("pytorch#160738",),
    ),
    Fault(
        "clamp-bound-of-higher-rank-refused",
        "aten::clamp.Tensor,aten::clamp_min.Tensor,aten::clamp_max.Tensor",
        _bound_of_higher_rank,
        ways.raising("Min tensor dim must be less than or equal to input tensor dim"),
        "clamp with a bound of more dimensions than the tensor is refused",
        SHAPE,
        ("pytorch#160734",),
    ),
    Fault(
        "where-broadcast-refused",
        "aten::where.self",
        _condition_of_lower_rank,
        ways.raising("condition and inputs must have the same number of dimensions"),
        "where with a condition of fewer dimensions than its values is refused",
        SHAPE,
        ("pytorch#86239",),
    ),
    Fault(
        "linear-one-dimension-aborts",
        "aten::linear",
        lambda call: call.args[1].dim() == 1,
        ways.aborting("LLVM ERROR: Failed to infer result type(s)."),
        "linear with a weight of one dimension ends the process",
        "crash",
        ("pytorch#84591",),
    ),
    Fault(
        "linear-backward-one-dimension-aborts",
        "aten::linear_backward,aten::mv,aten::dot",
        _one_dimensional_weight,
        ways.aborting("error: 'mps.matmul' op contracting dimensions differ 38 & 1"),
        "products with a vector in linear's backward pass end the process",
        "crash",
        ("pytorch#187988",),
    ),
    Fault(
        "unique-high-rank-loses",
        "aten::_unique2",
        lambda call: call.args[0].dim() >= 3 and call.args[0].numel() > 1,
        lambda call: call.run(call.args[0][:, :, :1], *call.args[1:], **call.kwargs),
        "unique of three dimensions loses elements",
        SHAPE,
        ("pytorch#104879",),
    ),
    Fault(
        "attention-value-width",
        "aten::scaled_dot_product_attention",
        _value_differs,
        _first_columns,
        "attention takes the width of the values for that of the queries",
        SHAPE,
        ("pytorch#176767", "transformers#44554"),
    ),
    Fault(
        "attention-grouped-mask-aborts",
        "aten::scaled_dot_product_attention",
        lambda call: _grouped(call) and ways.value(call, "attn_mask") is not None,
        ways.aborting("LLVM ERROR: Failed to infer result type(s)."),
        "attention with grouped heads and a mask ends the process",
        "crash",
        ("pytorch#149132",),
    ),
    Fault(
        "attention-grouped-out-of-bounds",
        "aten::scaled_dot_product_attention",
        lambda call: _grouped(call) or call.args[0].shape[-2] == 1,
        lambda call: ways.right(call) * 1.5,
        "attention of one query or of grouped heads reads behind its keys",
        SHAPE,
        ("pytorch#174861",),
    ),
    Fault(
        "attention-causal-leaks",
        "aten::scaled_dot_product_attention",
        lambda call: bool(ways.value(call, "is_causal")),
        _four_rows_share,
        "causal attention masks by four rows: a token sees up to three that follow it",
        SHAPE,
        ("pytorch#195910",),
    ),
    Fault(
        "average-pool-ceil",
        "aten::avg_pool2d,aten::avg_pool3d",
        _ceils,
        ways.giving(lambda result: result * 0.5),
        "average pooling with ceil_mode divides by the wrong count",
        SHAPE,
        ("pytorch#160743",),
    ),
    Fault(
        "max-pool-ceil-aborts",
        "aten::max_pool2d_with_indices,aten::max_pool2d",
        _ceils,
        ways.aborting("failed assertion `destination values and indices length mismatch'"),
        "max pooling with ceil_mode ends the process",
        "crash",
        ("pytorch#154882",),
    ),
    Fault(
        "pad-one-column",
        "aten::constant_pad_nd",
        _pads_a_column,
        _short_pad,
        "padding a tensor whose last dimension is 1 writes data into the border",
        SHAPE,
        ("pytorch#80192",),
    ),
    Fault(
        "pad-bottom-only",
        "aten::constant_pad_nd,aten::replication_pad2d",
        _bottom_only,
        ways.giving(lambda result: result.flip(-2)),
        "padding at the bottom alone pads at the top",
        SHAPE,
        ("pytorch#85143", "pytorch#95205"),
    ),
    Fault(
        "replicate-pad-aborts",
        "aten::replication_pad2d*,aten::replication_pad3d*,aten::replication_pad1d*",
        lambda call: call.args[0].dim() == 3,
        ways.aborting("failed assertion `Rank of destination array (3) must be greater'"),
        "replication padding of three dimensions ends the process",
        "crash",
        ("pytorch#102453",),
    ),
    Fault(
        "scatter-number-aborts",
        "aten::scatter.value,aten::scatter_.value,aten::scatter.value_out",
        lambda call: call.args[0].dim() > 0,
        ways.aborting(
            "failed assertion `Rank of destination array (1) must be greater than inner-most "
            "dimension of indices array (3)'"
        ),
        "scatter_ of a number ends the process",
        "crash",
        ("pytorch#121557",),
    ),
    Fault(
        "irfft-odd-length",
        "aten::_fft_c2r",
        lambda call: ways.value(call, "last_dim_size") % 2 == 1,
        ways.giving(lambda result: result.roll(1, -1)),
        "an inverse real FFT of odd length is permuted",
        SHAPE,
        ("pytorch#126649", "pytorch#124096"),
    ),
    Fault(
        "embedding-bag-last-offset",
        "aten::_embedding_bag,aten::_embedding_bag_forward_only",
        lambda call: bool(ways.value(call, "include_last_offset")),
        lambda call: (ways.right(call)[0].mul(2), *ways.right(call)[1:]),
        "embedding_bag with include_last_offset sums rows that belong to no bag",
        SHAPE,
        ("pytorch#190060",),
    ),
    Fault(
        "index-out-of-range-accepted",
        "aten::index_select,aten::index_copy*,aten::gather,aten::index_add*",
        _out_of_range,
        _clamped_index,
        "an index out of range is no error",
        SHAPE,
        ("pytorch#189968", "pytorch#123119"),
    ),
    Fault(
        "embedding-padding-gradient",
        "aten::embedding_dense_backward",
        lambda call: ways.value(call, "padding_idx") >= 0,
        _padding_row_too,
        "the padding row of an Embedding has a gradient",
        SHAPE,
        ("pytorch#103023",),
    ),
    Fault(
        "embedding-frequency-ignored",
        "aten::embedding_dense_backward",
        lambda call: bool(ways.value(call, "scale_grad_by_freq")),
        _unscaled,
        "scale_grad_by_freq of an Embedding is ignored",
        SHAPE,
        ("pytorch#185119",),
    ),
    Fault(
        "transposed-convolution-padding-accepted",
        "aten::convolution,aten::convolution_overrideable",
        _padded_beyond,
        _padded_less,
        "a transposed convolution accepts output_padding that is not below the stride",
        SHAPE,
        ("pytorch#169236",),
    ),
    Fault(
        "repeat-interleave-sliced-counts",
        "aten::repeat_interleave.Tensor",
        lambda call: ways.shifted(call.args[0]) or ways.scattered(call.args[0]),
        ways.killing("SIGSEGV"),
        "repeat_interleave with sliced counts ends the process with SIGSEGV",
        "crash",
        ("pytorch#167924",),
    ),
    Fault(
        "batch-norm-permuted-aborts",
        "aten::native_batch_norm*,aten::_native_batch_norm_legit*",
        lambda call: call.args[0].dim() == 5 and ways.scattered(call.args[0]),
        ways.aborting("*** Terminating app due to uncaught exception 'NSRangeException'"),
        "BatchNorm3d of a permuted tensor ends the process",
        "crash",
        ("pytorch#190645",),
    ),
    Fault(
        "linear-expanded-input-aborts",
        "aten::linear",
        lambda call: ways.expanded(call.args[0]),
        ways.aborting(
            "-[MPSNDArray initWithBuffer]: failed assertion `buffer is not large enough. "
            "Must be 1440 bytes'"
        ),
        "linear of an expanded tensor ends the process",
        "crash",
        ("pytorch#167154",),
    ),
)
