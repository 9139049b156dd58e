"""Fused operators in terms of simple ones, whose results can be rounded one by one.

torch ships most of these recipes. Ours say what a kernel rounds on the way where torch has
none; each takes the rounding mode first, then the operator's own arguments.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import products
from pytest_applesilicon.agreement.attention import attention, attention_backward

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Simple operators. torch has recipes of these too, of the same one step; walking through them
#: takes longer than everything else.
SIMPLE = frozenset(
    """
    _to_copy _unsafe_index abs acos add amax amin arange asin atan bitwise_and bitwise_not
    bitwise_or bitwise_xor cat ceil clamp clamp_max clamp_min clone copy cos div empty
    empty_like eq erf exp expand fill flip floor full full_like ge gt index index_select
    isfinite isinf isnan le log logical_and logical_not logical_or logical_xor lt masked_fill
    maximum minimum mul ne neg new_empty new_full new_ones new_zeros ones ones_like permute pow
    reciprocal relu repeat round rsqrt scalar_tensor select sgn sign sin slice sqrt squeeze
    stack sub sum tan tanh trunc unsqueeze view where zeros zeros_like
    """.split()  # noqa: SIM905 - a list of words reads better than one of literals
)


def recipe_of(func: Any) -> Callable[..., Any] | None:
    """The recipe of an operator overload, to be called with the mode and its arguments."""
    ours = _ours().get(func)
    if ours is not None or _is_simple(func):
        return ours
    # torch's recipes of operators that write return what should have been written.
    recipe = None if writes(func) else _of_torch().get(func) or _body_of(func)
    return None if recipe is None else functools.partial(_without_mode, recipe)


def _without_mode(recipe: Callable[..., Any], mode: Any, *args: Any, **kwargs: Any) -> Any:
    del mode
    return recipe(*args, **kwargs)


@functools.cache
def _is_simple(func: Any) -> bool:
    return _name(func) in SIMPLE


@functools.cache
def writes(func: Any) -> bool:
    """Whether an operator writes into an argument: its schema says so, and nothing public."""
    return bool(func._schema.is_mutable)  # noqa: SLF001


def _name(func: Any) -> str:
    return str(func).partition(".")[2].partition(".")[0]


def _body_of(func: Any) -> Callable[..., Any] | None:
    """The body of an operator written in Python by ``torch.library.custom_op``.

    torch's chunked cross entropies are such: a dispatch mode sees one operator, in which a loss
    is the difference of numbers that may be much larger.
    """
    if func.namespace in ("aten", "prims"):
        return None
    try:
        from torch._library.custom_ops import OPDEFS

        # The function that was decorated stands under no public name.
        body: Callable[..., Any] = OPDEFS[f"{func.namespace}::{_name(func)}"]._init_fn  # noqa: SLF001
    except (ImportError, LookupError, AttributeError):
        return None
    return body


@functools.cache
def _of_torch() -> Mapping[Any, Callable[..., Any]]:
    try:
        from torch._decomp import decomposition_table
    except ImportError:
        return {}
    table: Mapping[Any, Callable[..., Any]] = decomposition_table
    return table


@functools.cache
def _ours() -> Mapping[Any, Callable[..., Any]]:
    import torch

    aten = torch.ops.aten
    return {
        **products.recipes(),
        aten.igamma.default: functools.partial(_incomplete_gamma, torch.igamma),
        aten.igammac.default: functools.partial(_incomplete_gamma, torch.igammac),
        # The symbol _fft_* is how the dispatcher names the transforms.
        aten._fft_c2c.default: functools.partial(_transform, aten._fft_c2c),  # noqa: SLF001
        aten._fft_r2c.default: functools.partial(_transform, aten._fft_r2c),  # noqa: SLF001
        aten._fft_c2r.default: functools.partial(_transform, aten._fft_c2r),  # noqa: SLF001
        aten._scaled_dot_product_flash_attention_for_cpu.default: attention,  # noqa: SLF001
        aten._scaled_dot_product_flash_attention_for_cpu_backward.default: (  # noqa: SLF001
            attention_backward
        ),
        aten.linalg_pinv.atol_rtol_tensor: _pseudo_inverse,
        aten._batch_norm_with_update.default: _batch_norm_and_write,  # noqa: SLF001
        aten.native_batch_norm.default: _batch_norm,
        aten.native_layer_norm.default: _layer_norm,
        aten.native_group_norm.default: _group_norm,
        aten.native_layer_norm_backward.default: functools.partial(
            _normalisation_backward, aten.native_layer_norm_backward.default, 3
        ),
        aten.native_group_norm_backward.default: functools.partial(
            _normalisation_backward, aten.native_group_norm_backward.default, 2
        ),
        aten.native_batch_norm_backward.default: functools.partial(
            _normalisation_backward, aten.native_batch_norm_backward.default, 5
        ),
        aten.histogram.bin_ct: functools.partial(_histogram, aten.histogram.bin_ct),
        aten.grid_sampler_3d.default: functools.partial(_sampled, aten.grid_sampler_3d),
        aten.grid_sampler_2d_backward.default: functools.partial(
            _sampled_backward, aten.grid_sampler_2d_backward
        ),
        aten.grid_sampler_3d_backward.default: functools.partial(
            _sampled_backward, aten.grid_sampler_3d_backward
        ),
    }


def _incomplete_gamma(function: Any, mode: Any, a: Any, x: Any) -> Any:
    """The incomplete gamma functions, with the rounding of their common factor.

    Every series and continued fraction of them is multiplied by ``x**a * exp(-x) / gamma(a)``,
    computed as the exponential of a sum that may be large where the result is not (DLMF
    8.7.1, 8.9.2; Cephes igam.c). The rounding of that sum's terms is what shows.
    """
    import torch

    del mode

    def exponent() -> Any:
        return a * torch.log(x) - x - torch.lgamma(a)

    rounding = torch.nan_to_num(exponent() - exponent(), 0.0, 0.0, 0.0)
    return function(a, x) * torch.exp(rounding)


#: Of the error of a fast Fourier transform, in epsilon; see ``_transform``.
_TRANSFORM = 0.6


def _sampled(function: Any, mode: Any, given: Any, grid: Any, *args: Any) -> Any:
    """Interpolation at points of a grid, whose coordinates are rounded in units of the volume.

    A point x in -1..1 becomes ``((x + 1) * size - 1) / 2``: rounded in the dtype, that is off by
    an epsilon of ``1 + abs(x)`` and not of x alone (``grid_sample`` in torch's documentation).
    """
    return function(given, grid + mode.rounding_of(grid.abs() + 1), *args)


def _sampled_backward(
    function: Any, mode: Any, upstream: Any, given: Any, grid: Any, *args: Any
) -> Any:
    """The same of the gradients, which jump where a point passes from one cell to the next.

    What several points add to one element is summed up in the dtype.
    """
    moved = grid + mode.rounding_of(grid.abs() + 1)
    of_given, of_grid = function(upstream, given, moved, *args)
    if of_given is not None:
        size, _ = function(upstream.abs(), given, moved, *args)
        of_given = of_given + mode.rounding_of(size)
    return of_given, of_grid


def _transform(function: Any, mode: Any, given: Any, dim: Any, *args: Any, **kwargs: Any) -> Any:
    """A Fourier transform: every element is off by a share of the whole line's size.

    The error of a fast Fourier transform of N points, relative to the root mean square of the
    result, grows like the square root of log2(N) times the rounding unit (Gentleman and Sande,
    "Fast Fourier Transforms: for fun and profit", 1966). The factor is at most 0.6 rounding
    units in double and single precision libraries (Schatzman, "Accuracy of the discrete Fourier
    transform and the fast Fourier transform", SIAM J. Sci. Comput. 17, 1996); an epsilon, two
    units, times 0.6 leaves as much again for lengths that are no product of small primes.
    """
    result = mode.before(function(given, dim, *args, **kwargs))
    points = math.prod(max(given.shape[one], result.shape[one]) for one in dim)
    if points < 2:
        return result
    size = result.abs().square().mean(dim, keepdim=True).sqrt().expand(result.shape)
    # Of a line with an infinity each element is infinite or NaN as the algorithm has it.
    rounding = mode.rounding_of(size).where(size.isfinite(), math.nan)
    factor = _TRANSFORM * math.sqrt(math.log2(points))
    return result + rounding.to(result.dtype) * factor


def _batch_norm_and_write(
    mode: Any,
    given: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    momentum: float,
    eps: float,
) -> Any:
    """Batch normalisation in training that writes the running statistics.

    torch's own recipe asks for a weight, to choose a library.
    """
    import torch

    results = _batch_norm(mode, given, weight, bias, mean, variance, True, momentum, eps)
    return (*results, torch.empty(0, dtype=torch.uint8))


def _batch_norm(
    mode: Any,
    given: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    """Batch normalisation, with the rounding of ``x * scale + shift``.

    That is how kernels compute ``(x - mean) * scale``: torch's for the CPU does
    (``batch_norm_cpu_transform_input_impl`` in aten/src/ATen/native/Normalization.cpp). The
    product is large where the mean is, and the result is not.
    """
    import torch

    recipe = _of_torch()[torch.ops.aten.native_batch_norm.default]
    output, *saved = recipe(given, weight, bias, mean, variance, training, momentum, eps)
    scale = saved[1] if training else torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    scale = scale.reshape(-1, *[1] * (given.dim() - 2))
    return output + mode.rounding_of(given * scale), *saved


def _layer_norm(
    mode: Any, given: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> Any:
    """Layer normalisation, with the rounding of ``x * scale + shift``; see ``_batch_norm``.

    Of one float16 element torch's kernel for the CPU returns what remains of that difference,
    not zero (seen with torch 2.13).
    """
    import torch

    recipe = _of_torch()[torch.ops.aten.native_layer_norm.default]
    output, mean, scale = recipe(given, normalized_shape, weight, bias, eps)
    by = scale if weight is None else scale * weight
    return output + mode.rounding_of(given * by), mean, scale


def _group_norm(mode: Any, given: Any, weight: Any, bias: Any, *sizes: Any) -> Any:
    """Group normalisation, with the rounding of ``x * scale + shift``; see ``_batch_norm``."""
    import torch

    recipe = _of_torch()[torch.ops.aten.native_group_norm.default]
    output, mean, scale = recipe(given, weight, bias, *sizes)
    batch, channels, _, groups, _ = sizes
    by = scale.repeat_interleave(channels // groups, 1)
    by = (by if weight is None else by * weight).reshape(batch, channels, *[1] * (given.dim() - 2))
    return output + mode.rounding_of(given * by), mean, scale


def _normalisation_backward(function: Any, place: int, mode: Any, *args: Any) -> Any:
    """The backward pass of a normalisation, with the rounding of ``x * scale - mean * scale``.

    The mean, at ``place``, moves: the difference is small where the mean is large.
    """
    mean = args[place]
    if mean is not None:
        args = (*args[:place], mean + mode.rounding_of(mean.abs()), *args[place + 1 :])
    return _of_torch()[function](*args)


def _histogram(function: Any, mode: Any, given: Any, bins: int, **kwargs: Any) -> Any:
    """Counts of the bins of a range, in which the place of each value is rounded.

    A value falls into bin ``floor((x - low) * bins / (high - low))``: rounded in the dtype, that
    is off by an epsilon of x and of the end of the range, and a value on an edge may fall on
    either side (``histogramdd_cpu_contiguous`` in aten/src/ATen/native/cpu/HistogramKernel.cpp).
    """
    counts, edges = function(given, bins, **kwargs)
    if not given.numel():
        return counts, edges
    low, high = edges[0].item(), edges[-1].item()
    moved = given + mode.rounding_of(given.abs() + max(abs(low), abs(high)))
    inside = (given >= low) & (given <= high)
    moved = moved.clamp(low, high).where(inside, given)
    return function(moved, bins, **{**kwargs, "range": (low, high)})[0], edges


def _pseudo_inverse(
    mode: Any, given: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Any:
    """The pseudo-inverse that drops the singular values which the dtype cannot tell from zero.

    torch drops those below the larger dimension times the epsilon of the input's dtype, which
    is the oracle's here: a rounded intermediate would be inverted.
    """
    import torch

    if atol is None and rtol is None:
        rtol = torch.tensor(max(given.shape[-2:]) * mode.eps, dtype=torch.float64)
    return torch.linalg.pinv(given, atol=atol, rtol=rtol, hermitian=hermitian)
