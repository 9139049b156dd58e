"""What each operator is: how its results are judged.

What torch's records and tags say is read from them; the rest is in the tables here, a reason
beside each group. An operator in no table is ``floating``, which is judged by the float64 result
and an allowed error: a new operator is never taken for more than is known of it.
"""

from __future__ import annotations

from typing import Any, Literal

Kind = Literal["exact", "floating", "random", "decomposition", "metadata"]


def _names(*groups: str) -> frozenset[str]:
    return frozenset(name for group in groups for name in group.split())


#: The values are not defined, or not all of them: type, shape, dtype and strides are judged.
METADATA = _names(
    # uninitialised memory
    "empty empty_like empty_strided empty_permuted new_empty new_empty_strided",
    # what is gained by growing is uninitialised
    "resize_ resize_as_",
)

#: Factors that are not unique: signs or phases of vectors, the order of eigenvalues, pivots.
DECOMPOSITION = _names(
    # each pair of singular vectors up to a phase; any basis where singular values repeat
    "svd linalg.svd",
    # the order of the eigenvalues and the phase and scale of the vectors
    "linalg.eig linalg.eigvals",
    # eigenvalues ascend; each vector up to a phase
    "linalg.eigh",
    # rows of R up to a phase; geqrf gives the reflectors themselves
    "qr linalg.qr geqrf",
    # the pivot among entries of the same, or nearly the same, magnitude
    "lu linalg.lu linalg.lu_factor linalg.lu_factor_ex linalg.ldl_factor linalg.ldl_factor_ex",
)

#: Draws random numbers in Python or in a composite, where torch's tag does not reach.
RANDOM = _names(
    "nn.functional.dropout2d nn.functional.dropout3d",
    "nn.functional.multi_head_attention_forward",  # dropout of the weights
    "nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d",
    "svd_lowrank pca_lowrank",  # a random projection
)

#: Tagged as random, and not.
NOT_RANDOM = _names(
    "signal.windows.exponential",  # shares its name with the distribution
    "nn.functional.feature_alpha_dropout.without_train",  # returns its input
)

_MOVES = """
    T H mT mH t t_copy __getitem__ _chunk_cat _unsafe_masked_index alias_copy argwhere
    as_strided as_strided.partial_views as_strided_copy as_strided_scatter atleast_1d atleast_2d
    atleast_3d block_diag broadcast_tensors broadcast_to cartesian_prod cat chunk clone
    column_stack combinations complex constant_pad_nd contiguous diag diag_embed diagflat
    diagonal diagonal_copy diagonal_scatter dsplit dstack expand expand_as expand_copy
    fft.fftshift fft.ifftshift flatten flip fliplr flipud gather hsplit hstack imag index_copy
    index_fill index_select item linalg.diagonal lu_unpack masked_fill masked_scatter
    masked_select meshgrid.list_of_tensors meshgrid.variadic_tensors movedim narrow narrow_copy
    nn.functional.channel_shuffle nn.functional.feature_alpha_dropout.without_train
    nn.functional.interpolate.nearest nn.functional.interpolate.nearest-exact
    nn.functional.max_unpool1d nn.functional.max_unpool1d.grad nn.functional.max_unpool2d
    nn.functional.max_unpool2d.grad nn.functional.max_unpool3d nn.functional.max_unpool3d.grad
    nn.functional.pad.circular nn.functional.pad.constant nn.functional.pad.reflect
    nn.functional.pad.replicate nn.functional.pad.replicate_negative
    nn.functional.pixel_shuffle nn.functional.pixel_unshuffle nn.functional.unfold
    nn.functional.upsample_nearest permute permute_copy ravel real repeat repeat_interleave
    reshape reshape_as resolve_conj resolve_neg roll rot90 scatter select select_scatter slice
    slice_scatter split split.list_args split_with_sizes split_with_sizes_copy squeeze
    squeeze.multiple squeeze_copy stack  take take_along_dim tensor_split tile to_sparse
    transpose transpose_copy tril triu unbind unbind_copy unflatten unfold unfold_copy
    unsafe_chunk unsafe_split unsqueeze unsqueeze_copy view view_as view_as_complex view_as_real
    view_copy vsplit vstack where
"""
_CREATES = """
    eye fill full full_like new_full new_ones new_zeros ones ones_like scalar_tensor
    tril_indices triu_indices zero_ zeros zeros_like
"""
_CASTS = """
    bfloat16 bool byte cdouble cfloat chalf char double float half int long short to
"""
_COMPARES = """
    all any bucketize broadcast_shapes eq equal ge gt isfinite isin isinf isnan isneginf isposinf
    isreal le logical_and logical_not logical_or logical_xor lt ne nonzero nonzero_static
    count_nonzero searchsorted signbit
"""
_PICKS = """
    amax amin aminmax argmax argmin argsort clamp clamp_max clamp_min cummax cummin fmax fmin
    heaviside index_reduce.amax index_reduce.amin kthvalue masked.amax masked.amin masked.argmax
    masked.argmin masked.median max.binary max.reduction_no_dim max.reduction_with_dim maximum
    median min.binary min.reduction_no_dim min.reduction_with_dim minimum mode msort nanmedian
    nn.functional.adaptive_max_pool1d nn.functional.adaptive_max_pool2d
    nn.functional.adaptive_max_pool3d nn.functional.hardshrink nn.functional.hardtanh
    nn.functional.max_pool1d nn.functional.max_pool2d nn.functional.max_pool3d
    nn.functional.relu nn.functional.relu6 nn.functional.threshold scatter_reduce.amax
    scatter_reduce.amin sort topk unique unique_consecutive
"""
_SIGNS_AND_BITS = """
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor
    __rand__ __ror__ __rxor__ ceil conj conj_physical copysign floor hash_tensor nan_to_num neg
    nextafter positive round round.decimals_0 sign trunc
"""
_EXACT_ARITHMETIC = "fmod frac frexp"
_INTEGERS_ONLY = "bincount gcd lcm nn.functional.one_hot unravel_index"

#: Exact for real numbers; of complex numbers they are a hypotenuse, or divide by one.
EXACT_UNLESS_COMPLEX = _names("abs sgn norm.inf")

#: No arithmetic that rounds: every right implementation gives the same bits, but for a NaN's.
EXACT = EXACT_UNLESS_COMPLEX | _names(
    _MOVES,
    _CREATES,
    _CASTS,
    _COMPARES,
    _PICKS,
    _SIGNS_AND_BITS,
    # The result is a multiple of the operands' last place and no larger than they are.
    _EXACT_ARITHMETIC,
    _INTEGERS_ONLY,
)

#: Exact, but another number in float64: the oracle is the CPU's result in the same dtype.
SAME_DTYPE_ORACLE = _names("nextafter")

#: Results that pick among ties, by position or by index.
SELECTS = _names(
    "argmax argmin argsort cummax cummin kthvalue masked.argmax masked.argmin",
    "max.reduction_with_dim median min.reduction_with_dim mode msort nanmedian sort topk",
    "nn.functional.adaptive_max_pool1d nn.functional.adaptive_max_pool2d",
    "nn.functional.adaptive_max_pool3d nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d nn.functional.max_pool1d nn.functional.max_pool2d",
    "nn.functional.max_pool3d",
)


def kind(name: str, info: Any) -> Kind:
    """How the operator's floating-point results are judged."""
    if name in METADATA:
        return "metadata"
    if name in DECOMPOSITION:
        return "decomposition"
    if name in RANDOM or (name not in NOT_RANDOM and _tagged_random(info)):
        return "random"
    return "exact" if name in EXACT else "floating"


def _tagged_random(info: Any) -> bool:
    """Whether an overload of the ATen operator is tagged ``nondeterministic_seeded``."""
    import torch

    full = str(info.aten_name or info.name)
    for candidate in dict.fromkeys((full.replace(".", "_"), full.split(".")[-1])):
        packet = getattr(torch.ops.aten, candidate, None)
        if packet is not None:
            return any(
                torch.Tag.nondeterministic_seeded in getattr(packet, overload).tags
                for overload in packet.overloads()
            )
    return False
