"""Under which heading each operator is reported.

The tables come first, by the name without its variant; then torch's own grouping: the
namespace, and the class of the record. What neither tells is ``other``.
"""

from __future__ import annotations

from typing import Any

#: The headings, in the order of reports.
CATEGORIES = (
    "pointwise",
    "reduction",
    "linear algebra",
    "indexing",
    "nn",
    "fft",
    "random",
    "creation",
    "view",
    "sorting",
    "special",
    "other",
)

# A view or a copy that only rearranges, joins or repeats its input is "view"; what is addressed
# by a tensor of positions or by a mask is "indexing"; a scan counts as a reduction.
_TABLES = {
    "pointwise": """
        __radd__ __rand__ __rdiv__ __rmod__ __rmul__ __ror__ __rpow__ __rsub__ __rxor__
        addcdiv addcmul bfloat16 bool byte cdouble cfloat chalf char clamp double float half int
        isclose lerp logaddexp2 logical_not long masked.logaddexp nan_to_num short to where
        renorm
    """,
    "reduction": """
        _segment_reduce all allclose amax amin aminmax any argmax argmin bincount corrcoef
        count_nonzero cov cummax cummin cumprod cumsum cumulative_trapezoid dist equal histc
        histogram histogramdd logcumsumexp logsumexp masked.cumprod masked.cumsum masked.median
        max.reduction_no_dim max.reduction_with_dim mean median min.reduction_no_dim
        min.reduction_with_dim mode nanmedian nanquantile norm quantile std std_mean sum_to_size
        trapezoid trapz var var_mean diff gradient
    """,
    "linear algebra": """
        __rmatmul__ addbmm addmm addmv addr baddbmm bmm cdist cholesky cholesky_inverse
        cholesky_solve cross dot einsum geqrf inner kron logdet lu lu_solve lu_unpack matmul
        matrix_exp mm mv ormqr outer pca_lowrank pinverse qr svd svd_lowrank tensordot trace
        triangular_solve vdot
    """,
    "indexing": """
        __getitem__ _unsafe_masked_index _unsafe_masked_index_put_accumulate argwhere
        as_strided_scatter diagonal_scatter gather index_add index_copy index_fill index_put
        index_reduce index_select masked_fill masked_scatter masked_select nonzero
        nonzero_static put scatter scatter_add scatter_reduce select_scatter slice_scatter take
        take_along_dim unravel_index
    """,
    "nn": """
        _batch_norm_with_update _native_batch_norm_legit _softmax_backward_data
        _upsample_bilinear2d_aa constant_pad_nd grid_sampler_2d grid_sampler_3d log_softmax
        masked.log_softmax masked.normalize masked.softmax masked.softmin
        max_pool2d_with_indices_backward native_batch_norm native_dropout_backward
        native_group_norm native_layer_norm softmax torch.ops.aten._safe_softmax.default
    """,
    "fft": "stft istft",
    "random": """
        bernoulli cauchy exponential geometric log_normal multinomial nn.functional.alpha_dropout
        nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d
        nn.functional.feature_alpha_dropout normal rand_like randint randint_like randn
        randn_like uniform
    """,
    "creation": """
        arange complex empty empty_like empty_permuted empty_strided eye fill full full_like
        linspace logspace new_empty new_empty_strided new_full new_ones new_zeros ones ones_like
        polar scalar_tensor tril_indices triu_indices zero_ zeros zeros_like
    """,
    "view": """
        H T _chunk_cat alias_copy as_strided as_strided_copy atleast_1d atleast_2d atleast_3d
        block_diag broadcast_shapes broadcast_tensors broadcast_to cartesian_prod cat chunk clone
        column_stack combinations conj contiguous diag diag_embed diagflat diagonal
        diagonal_copy dsplit dstack expand expand_as expand_copy flatten flip fliplr flipud
        hsplit hstack imag linalg.diagonal mH mT meshgrid movedim narrow narrow_copy permute
        permute_copy ravel real repeat repeat_interleave reshape reshape_as resize_ resize_as_
        resolve_conj resolve_neg roll rot90 select slice split split_with_sizes
        split_with_sizes_copy squeeze squeeze_copy stack t t_copy tensor_split tile transpose
        transpose_copy tril triu unbind unbind_copy unflatten unfold unfold_copy unsafe_chunk
        unsafe_split unsqueeze unsqueeze_copy view view_as view_as_complex view_as_real
        view_copy vsplit vstack
    """,
    "sorting": """
        argsort bucketize isin kthvalue msort searchsorted sort topk unique unique_consecutive
    """,
    "special": """
        digamma erf erfc erfinv i0 igamma igammac lgamma mvlgamma polygamma sinc
    """,
    "other": "hash_tensor item to_sparse",
}

_BY_NAME = {name: category for category, names in _TABLES.items() for name in names.split()}

_BY_NAMESPACE = {
    "nn.functional.": "nn",
    "linalg.": "linear algebra",
    "fft.": "fft",
    "special.": "special",
    "signal.windows.": "creation",
}

_BY_CLASS = {
    "UnaryUfuncInfo": "pointwise",
    "BinaryUfuncInfo": "pointwise",
    "ReductionOpInfo": "reduction",
    "SpectralFuncInfo": "fft",
    "ShapeFuncInfo": "view",
}


def category(name: str, info: Any) -> str:
    """The heading under which the operator is reported."""
    known = _BY_NAME.get(name) or _BY_NAME.get(info.name)
    if known:
        return known
    for namespace, found in _BY_NAMESPACE.items():
        if name.startswith(namespace):
            return found
    return _BY_CLASS.get(type(info).__name__, "other")


def tabled() -> frozenset[str]:
    """The names in the tables, which a test looks for in the installed torch."""
    return frozenset(_BY_NAME)
