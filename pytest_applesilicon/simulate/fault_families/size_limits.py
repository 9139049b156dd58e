"""Sizes beyond which a device is wrong, because an index or a count has too few bits.

The limits of real devices lie at 2**15 to 2**32. A fault has its limit scaled down, so that
the bundled suites reach it; ``scaled(name, limit)`` makes the same fault with another limit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault, kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.simulate.faults import Call

FAMILY = "size limit"


def _rest_zero(result: Any, dim: int, limit: int) -> Any:
    """What lies beyond the limit is not written."""
    result.narrow(dim, limit, result.shape[dim] - limit).zero_()
    return result


def _wrapped(result: Any, dim: int, limit: int) -> Any:
    """Beyond the limit an index begins at zero again."""
    import torch

    places = torch.arange(result.shape[dim]).remainder(limit)
    return result.index_select(dim, places)


def _flat_rest_zero(result: Any, limit: int) -> Any:
    flat = result.reshape(-1).clone()
    flat[limit:] = 0
    return flat.reshape(result.shape)


def conv_channels(limit: int) -> Fault:
    """Output channels of a convolution."""
    return Fault(
        "convolution-channels-limit",
        "aten::convolution,aten::convolution_overrideable",
        lambda call: (
            not ways.value(call, "transposed") and ways.value(call, "weight").shape[0] > limit
        ),
        ways.giving(lambda result: _rest_zero(result, 1 if result.dim() > 2 else 0, limit)),
        f"output channels of a convolution beyond {limit} are zero (really 65536)",
        FAMILY,
        ("pytorch#129207", "pytorch#142836", "pytorch#152278"),
    )


def conv_batch(limit: int) -> Fault:
    """Images of a convolution's backward pass."""

    def corrupt(call: Call) -> Any:
        args = list(call.args)
        args[0] = _rest_zero(args[0].clone(), 0, args[0].shape[0] % limit)
        grads = call.run(*args, **call.kwargs)
        return (ways.right(call)[0], *grads[1:])

    return Fault(
        "convolution-backward-batch-limit",
        "aten::convolution_backward",
        lambda call: call.args[0].dim() > 2 and call.args[0].shape[0] >= limit,
        corrupt,
        f"the gradient of a convolution's weight counts its images modulo {limit} (really 65536)",
        FAMILY,
        ("pytorch#96225",),
    )


def linear_batch(limit: int) -> Fault:
    """Batches of a linear layer with a bias."""

    def strikes(call: Call) -> bool:
        deep = call.args[0].dim() > 2 and ways.value(call, "bias") is not None
        return deep and math.prod(call.args[0].shape[:-2]) > limit

    def corrupt(call: Call) -> Any:
        result = ways.right(call)
        deep = result.reshape(-1, *result.shape[-2:])
        return _wrapped(deep, 0, limit).reshape(result.shape)

    return Fault(
        "linear-bias-batch-limit",
        "aten::linear",
        strikes,
        corrupt,
        f"a linear layer with bias repeats its batches beyond {limit} (really 65536)",
        FAMILY,
        ("pytorch#189495",),
    )


def mm_columns(limit: int) -> Fault:
    """Columns of a matrix product."""
    return Fault(
        "product-columns-limit",
        "aten::mm,aten::addmm,aten::linear",
        lambda call: any(one.dim() == 2 and max(one.shape) > limit for one in ways.tensors(call)),
        ways.giving(
            lambda result: (
                _rest_zero(result, -1, limit // 2)
                if result.dim() and result.shape[-1] > limit // 2
                else result
            )
        ),
        f"columns of a matrix product beyond {limit // 2} are zero where a size is above {limit} "
        "(really 1024 and 32768)",
        FAMILY,
        ("pytorch#116769", "pytorch#122045", "pytorch#97239"),
    )


def bmm_ones(limit: int) -> Fault:
    """Columns of a batched product: memory of others shows up."""

    def corrupt(result: Any) -> Any:
        result[..., limit:] = 1
        return result

    return Fault(
        "batched-product-foreign-values",
        # torch folds (911, 9, 1) @ (1, 32769) into one product of matrices.
        "aten::bmm,aten::mm",
        lambda call: call.args[1].shape[-1] > limit and call.args[0].shape[-1] == 1,
        ways.giving(corrupt),
        f"columns of a batched product beyond {limit} hold ones (really 32768)",
        FAMILY,
        ("pytorch#111634",),
    )


def bmm_inner(limit: int) -> Fault:
    """The inner dimension of a batched product."""

    def corrupt(call: Call) -> Any:
        left = call.args[-2]
        return ways.right(call) + left[..., -1:].abs() + 1

    return Fault(
        "batched-product-inner-limit",
        "aten::bmm,aten::baddbmm,aten::addbmm",
        lambda call: (
            call.args[-1].shape[-2] > limit
            and call.args[-1].dim() == 3
            and call.name != "aten::addbmm"
        ),
        corrupt,
        f"a batched product sums past the end of its operands where the inner size is above "
        f"{limit} (really 32766, on M1 and M2)",
        FAMILY,
        ("pytorch#195163",),
    )


def bmm_output(limit: int) -> Fault:
    """Elements that a batched product gives."""

    def corrupt(result: Any) -> Any:
        each = max(1, math.prod(result.shape[-2:]))
        return _wrapped(result, 0, max(1, limit // each))

    return Fault(
        "batched-product-output-limit",
        "aten::bmm",
        lambda call: (
            call.args[0].shape[0] * call.args[0].shape[1] * call.args[1].shape[2] > limit
            and any(ways.scattered(one) for one in call.args)
        ),
        ways.giving(corrupt),
        f"batches of a product of transposed tensors wrap around beyond {limit} elements "
        "(really 2**32)",
        FAMILY,
        ("pytorch#197636",),
    )


def _beyond(name: str, op: str, limit: int, what: str, issues: tuple[str, ...], real: str) -> Fault:
    """A result with more than ``limit`` elements is not written beyond."""

    def corrupt(call: Call) -> Any:
        result = ways.right(call)
        one = result[0] if isinstance(result, (tuple, list)) else result
        if one.numel() <= limit:
            return result
        wrong = _flat_rest_zero(one, limit)
        return (wrong, *result[1:]) if isinstance(result, (tuple, list)) else wrong

    reason = f"{what} beyond {limit} elements is zero (really {real})"
    return Fault(name, op, ways.always, corrupt, reason, FAMILY, issues)


def cat_output(limit: int) -> Fault:
    """Elements that cat gives."""
    return _beyond(
        "cat-output-limit", "aten::cat", limit, "what cat gives", ("pytorch#189960",), "2**31"
    )


def index_source(limit: int) -> Fault:
    """Elements that rows are selected from."""

    def corrupt(call: Call) -> Any:
        source = call.args[0]
        return call.run(_flat_rest_zero(source, limit), *call.args[1:], **call.kwargs)

    return Fault(
        "index-select-source-limit",
        "aten::index_select,aten::embedding",
        lambda call: call.args[0].numel() > limit,
        corrupt,
        f"rows selected from beyond element {limit} are zero (really 2**31)",
        FAMILY,
        ("pytorch#188756",),
    )


def gather_source(limit: int) -> Fault:
    """Elements that advanced indexing reads from."""

    def corrupt(call: Call) -> Any:
        source = call.args[0]
        rows = max(1, limit // max(1, source.numel() // source.shape[0]))
        return call.run(_wrapped(source, 0, rows), *call.args[1:], **call.kwargs)

    return Fault(
        "advanced-index-source-limit",
        "aten::index.Tensor",
        lambda call: call.args[0].dim() > 0 and call.args[0].numel() > limit,
        corrupt,
        f"advanced indexing takes the wrong batch beyond element {limit} (really 2**32)",
        FAMILY,
        ("pytorch#153560",),
    )


def copy_offset(limit: int) -> Fault:
    """Where a view begins that is copied into."""

    def corrupt(call: Call) -> Any:
        view = call.args[0]
        start = view.storage_offset() % limit
        call.run(view.as_strided(view.shape, view.stride(), start), *call.args[1:])
        return view

    return Fault(
        "copy-into-view-offset-limit",
        "aten::copy_,aten::fill_.Scalar",
        lambda call: (
            ways.is_tensor(call.args[0])
            and "self" not in call.host
            and call.args[0].storage_offset() >= limit
        ),
        corrupt,
        f"writing into a view that begins beyond element {limit} goes elsewhere (really 2**32)",
        FAMILY,
        ("pytorch#182052",),
    )


def attention_size(limit: int) -> Fault:
    """Elements of attention's scores."""

    def strikes(call: Call) -> bool:
        query, key = call.args[:2]
        return bool(math.prod(query.shape[:-1]) * key.shape[-2] > limit)

    return Fault(
        "attention-size-aborts",
        "aten::scaled_dot_product_attention",
        strikes,
        ways.aborting("[MPSNDArray initWithDevice] error: total bytes of NDArray > 2**32"),
        f"attention with more than {limit} scores ends the process (really 2**32 bytes)",
        "crash",
        ("pytorch#149261", "pytorch#179352"),
    )


def pool_input(limit: int) -> Fault:
    """Elements that are pooled."""

    def corrupt(call: Call) -> Any:
        wrong = _flat_rest_zero(call.args[0], limit)
        return call.run(wrong, *call.args[1:], **call.kwargs)

    return Fault(
        "pool-input-limit",
        "aten::max_pool2d,aten::max_pool2d_with_indices,aten::avg_pool2d,aten::_adaptive_avg_pool2d,"
        "aten::adaptive_max_pool2d",
        lambda call: call.args[0].numel() > limit,
        corrupt,
        f"pooling takes elements beyond {limit} for zero (really 2**32)",
        FAMILY,
        ("pytorch#194460",),
    )


def reflection_backward(limit: int) -> Fault:
    """Length of the signal that is padded by reflection."""

    def corrupt(call: Call) -> Any:
        result = ways.right(call)
        return _wrapped(result, -1, limit)

    return Fault(
        "reflection-pad-backward-limit",
        "aten::reflection_pad1d_backward",
        lambda call: call.args[1].shape[-1] > limit,
        corrupt,
        f"gradients of reflection padding, and so of an STFT, repeat beyond {limit} (really 65536)",
        FAMILY,
        ("pytorch#196949",),
    )


def pad_planes(limit: int) -> Fault:
    """Pixels of a plane that is padded in time."""

    def strikes(call: Call) -> bool:
        tensor, pad = call.args[0], call.args[1]
        in_time = len(pad) > 4 and any(pad[4:])
        return in_time and tensor.dim() == 5 and math.prod(tensor.shape[-2:]) >= limit

    def corrupt(call: Call) -> Any:
        fill = ways.value(call, "value") or 0
        result = ways.right(call)
        result[..., -1, :, :] = fill
        return result

    return Fault(
        "pad-planes-limit",
        "aten::constant_pad_nd",
        strikes,
        corrupt,
        f"padding five dimensions in time replaces data where a plane has {limit} pixels "
        "(really 65536)",
        FAMILY,
        ("pytorch#194922",),
    )


def unique_counts(limit: int) -> Fault:
    """Elements that are counted by unique."""

    def corrupt(call: Call) -> Any:
        *others, counts = ways.right(call)
        return (*others, counts // 2)

    return Fault(
        "unique-counts-limit",
        "aten::_unique2,aten::unique_dim,aten::unique_consecutive",
        lambda call: call.args[0].numel() > limit,
        corrupt,
        f"unique of more than {limit} elements counts half of them (really a million)",
        FAMILY,
        ("pytorch#111173",),
    )


def linear_outputs(limit: int) -> Fault:
    """Output features of a linear layer, as of a large vocabulary."""

    def corrupt(call: Call) -> Any:
        _, upstream, *_ = call.args
        inner, *others = ways.right(call)
        if inner is None:
            return (inner, *others)
        part = call.run(call.args[0], _rest_zero(upstream.clone(), -1, limit), *call.args[2:])
        return (part[0], *others)

    return Fault(
        "linear-backward-outputs-limit",
        "aten::linear_backward",
        lambda call: call.args[1].shape[-1] > limit,
        corrupt,
        f"the gradient that a linear layer hands on misses output features beyond {limit} "
        "(really seen with 50257)",
        FAMILY,
        ("pytorch#153957",),
    )


def linear_page(limit: int) -> Fault:
    """Elements of the first page of a gradient."""

    def corrupt(call: Call) -> Any:
        inner, *others = ways.right(call)
        return (None if inner is None else _flat_rest_zero(inner, limit), *others)

    return Fault(
        "linear-backward-expanded-page",
        "aten::linear_backward",
        lambda call: ways.expanded(call.args[1]) and call.args[1].shape[-1] == 1,
        corrupt,
        f"for the expanded upstream gradient of sum() and one output feature, the gradient "
        f"beyond {limit} elements is zero (really a page of 16 KB)",
        "expanded gradient",
        ("pytorch#189565",),
    )


def var_elements(limit: int) -> Fault:
    """Elements of a variance: wrong now and then."""

    def corrupt(call: Call) -> Any:
        kept["variances"] = kept.get("variances", 0) + 1
        result = ways.right(call)
        if kept["variances"] % 2:
            return result
        if isinstance(result, tuple):
            return (result[0] * 2, *result[1:])
        return result * 2

    return Fault(
        "variance-intermittent",
        "aten::var.correction,aten::std.correction,aten::var_mean.correction,"
        "aten::std_mean.correction",
        lambda call: call.args[0].numel() > limit,
        corrupt,
        f"every second variance of more than {limit} elements is wrong (really of large "
        "reductions while other processes use the GPU)",
        "intermittent",
        ("pytorch#197235",),
    )


def nonzero_index(limit: int) -> Fault:
    """Indices that float32 cannot hold."""

    def corrupt(result: Any) -> Any:
        beyond = result > limit
        return result - (result % 2) * beyond

    return Fault(
        "nonzero-index-through-float32",
        "aten::nonzero,aten::nonzero_static",
        lambda call: call.args[0].numel() > limit,
        ways.giving(corrupt),
        f"indices from nonzero beyond {limit} are rounded to even numbers (really 2**24)",
        "integers through float32",
        ("pytorch#122916", "pytorch#122233", "pytorch#140570"),
    )


#: What makes each fault, the scaled limit of the built-in one, and where real devices fail.
LIMITS: tuple[tuple[Callable[[int], Fault], int, int], ...] = (
    (conv_channels, 2, 2**16),
    (conv_batch, 2, 2**16),
    (linear_batch, 1, 2**16),
    (mm_columns, 8, 2**15),
    (bmm_ones, 4, 2**15),
    (bmm_inner, 4, 2**15 - 2),
    (bmm_output, 16, 2**32),
    (cat_output, 8, 2**31),
    (index_source, 8, 2**31),
    (gather_source, 8, 2**32),
    (copy_offset, 2, 2**32),
    (attention_size, 8, 2**31),
    (pool_input, 16, 2**32),
    (reflection_backward, 2, 2**16),
    (pad_planes, 4, 2**16),
    (unique_counts, 1, 1_000_000 - 1),
    (linear_outputs, 2, 50_000),
    (linear_page, 2, 4096),
    (var_elements, 4, 2**21),
    (nonzero_index, 2, 2**24),
)

FAULTS = tuple(make(limit) for make, limit, _ in LIMITS)


def scaled(name: str, limit: int | None = None) -> Fault | None:
    """The fault of this name with another limit, by default that of real devices.

    ``None`` where the fault of this name has no limit.
    """
    for make, small, real in LIMITS:
        if make(small).name == name:
            return make(real if limit is None else limit)
    return None
