"""Operands read from the wrong place: strides ignored, storage offset ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call

STRIDES = "strides ignored"
OFFSET = "storage offset ignored"


def _channels_last(tensor: Any) -> bool:
    import torch

    dense = ways.scattered(tensor) and tensor.dim() == 4
    return bool(dense and tensor.is_contiguous(memory_format=torch.channels_last))


def _every_second(condition: Any) -> Any:
    """A condition read in order of memory, of which every second byte is taken for zero."""
    wrong = packed = ways.packed(condition)
    if packed.numel():
        wrong = packed.clone()
        wrong.view(-1)[1::2] = False
    return wrong


def _is_stepped(tensor: Any) -> bool:
    steps = [step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]
    return ways.scattered(tensor) and min(steps, default=1) == 2


def _garbage(result: Any) -> Any:
    """What a kernel leaves in memory that it never writes: zeros and NaN in turn."""
    flat = result.reshape(-1)
    flat[::2], flat[1::2] = 0.0, float("nan")
    return flat.reshape(result.shape)


def _weight_gradient_of_order(call: Call) -> Any:
    grad, weight, bias = ways.right(call)
    if weight is None:
        return grad, weight, bias
    wrong = ways.changed(call, input=ways.packed(ways.value(call, "input")))
    return grad, wrong[1], bias


def _one_class(call: Call) -> Any:
    result = ways.right(call)
    return result.fill_(result.flatten()[0] * 0) if result.numel() else result


def _rows_after_first_zero(result: Any) -> Any:
    result[1:] = 0
    return result


def _head_is_long(call: Call) -> bool:
    query = ways.value(call, "query")
    return ways.scattered(query) and query.dim() == 4


FAULTS = (
    Fault(
        "where-strided-condition",
        "aten::where.self,aten::where.self_out",
        ways.argument_is("condition", ways.scattered),
        ways.reading(_every_second, "condition"),
        "where with a transposed condition selects the wrong elements",
        STRIDES,
        ("pytorch#150967",),
    ),
    Fault(
        "masked-fill-strided-mask",
        "aten::masked_fill_.*",
        ways.argument_is("mask", ways.scattered),
        ways.reading(ways.packed, "mask"),
        "masked_fill_ with a transposed or expanded mask fills the wrong elements",
        STRIDES,
        ("pytorch#107694", "pytorch#131285"),
    ),
    Fault(
        "clamp-strided-bounds",
        "aten::clamp.Tensor,aten::clamp_min.Tensor,aten::clamp_max.Tensor,aten::clamp*.Tensor_out",
        lambda call: any(ways.scattered(ways.value(call, name)) for name in ("min", "max")),
        lambda call: ways.changed(
            call,
            **{
                name: ways.packed(ways.value(call, name))
                for name in ("min", "max")
                if ways.is_tensor(ways.value(call, name))
            },
        ),
        "clamp with transposed bounds applies the wrong bound to each element",
        STRIDES,
        ("pytorch#87348",),
    ),
    Fault(
        "activation-strided",
        "aten::gelu,aten::leaky_relu,aten::mish",
        ways.any_tensor(ways.scattered),
        ways.reading(ways.packed),
        "GELU, LeakyReLU and Mish of a transposed tensor read it in the order of memory",
        STRIDES,
        ("pytorch#98212",),
    ),
    Fault(
        "activation-backward-strided",
        "aten::gelu_backward,aten::leaky_relu_backward,aten::mish_backward",
        ways.any_tensor(ways.scattered),
        ways.reading(ways.packed),
        "the gradient of GELU, LeakyReLU and Mish of a transposed tensor is garbage",
        STRIDES,
        ("pytorch#98212",),
    ),
    Fault(
        "silu-strided-garbage",
        "aten::silu,aten::silu.out",
        lambda call: ways.scattered(call.args[0]),
        ways.giving(_garbage),
        "SiLU of a transposed tensor gives zeros and NaN",
        STRIDES,
        ("pytorch#139006",),
    ),
    Fault(
        "linear-strided-weight",
        "aten::linear",
        ways.argument_is("weight", ways.scattered),
        ways.reading(ways.packed, "weight"),
        "linear with a transposed weight multiplies by the untransposed memory",
        STRIDES,
        ("pytorch#162730",),
    ),
    Fault(
        "convolution-sliced-weight",
        "aten::convolution,aten::convolution_overrideable",
        ways.argument_is("weight", ways.scattered),
        ways.reading(ways.packed, "weight"),
        "a convolution with a weight sliced from a larger one reads the slice as packed",
        STRIDES,
        ("pytorch#192212",),
    ),
    Fault(
        "attention-permuted",
        "aten::scaled_dot_product_attention",
        _head_is_long,
        ways.reading(ways.packed, "query", "key", "value"),
        "attention over query, key and value that were permuted mixes heads and positions",
        STRIDES,
        ("pytorch#181133", "pytorch#163597"),
    ),
    Fault(
        "batch-norm-backward-channels-last",
        "aten::native_batch_norm_backward,aten::batch_norm_backward,"
        "aten::cudnn_batch_norm_backward",
        ways.argument_is("input", ways.scattered),
        _weight_gradient_of_order,
        "the gradient of a BatchNorm weight is of the wrong channels where the input is "
        "channels_last or permuted",
        STRIDES,
        ("pytorch#175189", "pytorch#188371"),
    ),
    Fault(
        "cat-strided-parts",
        "aten::cat,aten::cat.out",
        ways.any_tensor(ways.scattered),
        lambda call: ways.changed(call, tensors=[ways.packed(one) for one in call.args[0]]),
        "cat of parts that are channels_last or rotated joins them in the order of memory",
        STRIDES,
        ("pytorch#89353", "pytorch#85675"),
    ),
    Fault(
        "cat-stepped-parts-refused",
        "aten::cat,aten::cat.out,aten::stack",
        ways.any_tensor(_is_stepped),
        ways.raising("Placeholder buffer size (64) is not large enough to contain 128 bytes"),
        "stack and cat of slices with step 2, as in rotary embeddings, are refused",
        STRIDES,
        ("pytorch#78043",),
    ),
    Fault(
        "scatter-strided-source",
        "aten::scatter.src*,aten::scatter_.src,aten::scatter_add*",
        ways.argument_is("src", ways.scattered),
        ways.reading(ways.packed, "src"),
        "scatter after a permutation takes the source in the order of memory",
        STRIDES,
        ("pytorch#115152", "pytorch#175191"),
    ),
    Fault(
        "scatter-strided-index",
        "aten::scatter*,aten::gather*",
        ways.argument_is("index", ways.scattered),
        ways.reading(ways.packed, "index"),
        "scatter and gather take a permuted index in the order of memory",
        STRIDES,
        ("pytorch#115152", "pytorch#175191"),
    ),
    Fault(
        "multinomial-strided",
        "aten::multinomial",
        lambda call: ways.scattered(call.args[0]),
        _one_class,
        "multinomial of transposed probabilities always draws the same class",
        STRIDES,
        ("pytorch#141457",),
    ),
    Fault(
        "cholesky-strided",
        "aten::linalg_cholesky_ex,aten::linalg_cholesky_ex.L,aten::linalg_inv_ex,"
        "aten::linalg_inv_ex.inverse",
        lambda call: ways.scattered(call.args[0]),
        ways.giving(lambda result: result * 1e3),
        "cholesky and inv of a matrix that a convolution or a reshape left behind are off "
        "by orders of magnitude",
        STRIDES,
        ("pytorch#165850",),
    ),
    Fault(
        "expanded-gradient-mostly-zero",
        "aten::mm,aten::bmm",
        ways.any_tensor(ways.expanded),
        ways.giving(_rows_after_first_zero),
        "autograd.grad(y.sum(), x): a matrix product with the expanded ones of the upstream "
        "gradient has one row and zeros",
        "expanded gradient",
        ("pytorch#180201",),
    ),
    Fault(
        "pool-channels-last-offset",
        "aten::avg_pool2d*,aten::native_batch_norm*,aten::_native_batch_norm_legit*",
        lambda call: ways.shifted(call.args[0]) and call.args[0].dim() == 4,
        lambda call: call.run(ways.unshifted(call.args[0]), *call.args[1:], **call.kwargs),
        "average pooling and BatchNorm of images that begin inside a larger tensor read from "
        "its start",
        OFFSET,
        ("pytorch#174345",),
    ),
    Fault(
        "compare-offset-scalars",
        "aten::gt.Tensor,aten::lt.Tensor,aten::ge.Tensor,aten::le.Tensor",
        ways.any_tensor(lambda one: one.dim() == 0 and ways.shifted(one)),
        ways.reading(ways.unshifted),
        "a[0] > a[1] and a[1] > a[0] are both the comparison of a[0] with itself",
        OFFSET,
        ("pytorch#78107",),
    ),
    Fault(
        "inverse-offset",
        "aten::linalg_inv_ex,aten::linalg_inv_ex.inverse,aten::_linalg_solve_ex*,"
        "aten::linalg_lu_factor_ex*",
        lambda call: ways.shifted(call.args[0]),
        lambda call: call.run(ways.unshifted(call.args[0]), *call.args[1:], **call.kwargs),
        "the inverse of mats[1] is that of mats[0]",
        OFFSET,
        ("pytorch#78363",),
    ),
    Fault(
        "activation-offset",
        "aten::silu,aten::gelu,aten::relu,aten::sigmoid,aten::tanh",
        lambda call: ways.shifted(call.args[0]),
        lambda call: call.run(ways.unshifted(call.args[0]), *call.args[1:], **call.kwargs),
        "an activation of a slice is that of the first elements of the whole tensor",
        OFFSET,
        ("pytorch#174345", "pytorch#78107"),
    ),
)
