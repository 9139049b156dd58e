"""The rounding of long sums of products: matrix products and convolutions.

A library adds the n products of an element in an order of its own: one by one along a column
(BLAS of a product with a vector, the kernels of a GPU), in blocks, or as a tree. The worst is one
by one, where every partial sum S(k) is rounded. Over all orders of the products p the squares of
the partial sums add up to ``(n + 1) / 6 * (sum(p ** 2) + 2 * sum(p) ** 2)`` on average (the mean
of a sum drawn without replacement); roundings are independent (N. J. Higham and T. Mary, "A new
approach to probabilistic rounding error analysis", SIAM J. Sci. Comput. 41, 2019), so the square
root of that, times half an epsilon, is the size of the error. Moving the inputs does not show it:
that moves every product once, and the error grows by another square root of n.

Half precision is left out: its products are accumulated in single precision.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: An addition is rounded correctly: by at most half an epsilon of what comes out.
_OF_ADDITION = 0.5


def recipes() -> Mapping[Any, Callable[..., Any]]:
    """The recipes by operator overload; each takes the rounding mode first."""
    import torch

    aten = torch.ops.aten
    two = {
        one.default: functools.partial(_product, one.default)
        for one in (aten.mm, aten.bmm, aten.mv, aten.dot, aten.vdot)
    }
    return {
        **two,
        aten.matmul.default: _matmul,
        aten.addbmm.default: _sum_of_products,
        aten.convolution.default: _convolution,
        aten.convolution_backward.default: _convolution_backward,
    }


def _accumulated(mode: Any, result: Any, squares: Callable[[], Any], length: int) -> Any:
    """A sum of products, moved by the rounding of its partial sums.

    Args:
        mode: of the rounding.
        result: the sums.
        squares: adds up the squares of the products in the same way.
        length: how many products each is the sum of.
    """
    if length < 2 or mode.half or not (result.is_floating_point() or result.is_complex()):
        return result
    partial_sums = (length + 1) / 6 * (squares() + 2 * result.abs().square())
    return result + mode.rounding_of(partial_sums.sqrt()).to(result.dtype) * _OF_ADDITION


def _squared(value: Any) -> Any:
    return value.abs().square()


def _product(function: Any, mode: Any, first: Any, second: Any) -> Any:
    """A product of matrices, of a matrix and a vector, or of two vectors."""

    def squares() -> Any:
        return function(_squared(first), _squared(second))

    return _accumulated(mode, mode.before(function(first, second)), squares, first.shape[-1])


def _matmul(mode: Any, first: Any, second: Any) -> Any:
    """What it is composed of: inside a recipe the dispatcher hands it over whole."""
    import torch

    del mode
    return torch.ops.aten.matmul.default.decompose(first, second)


def _sum_of_products(
    mode: Any, given: Any, first: Any, second: Any, *, beta: Any = 1, alpha: Any = 1
) -> Any:
    """``addbmm``: the products of a batch of matrices are added up as well."""
    import torch

    del mode
    flat = first.transpose(0, 1).reshape(first.shape[1], -1)
    added = torch.mm(flat, second.reshape(-1, second.shape[2]))
    return given * beta + added * alpha if beta else added * alpha


def _convolution(
    mode: Any,
    given: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    """A convolution in any number of dimensions; the bias is added last."""
    import torch

    def run(given: Any, weight: Any) -> Any:
        return torch.ops.aten.convolution.default(
            given, weight, None, stride, padding, dilation, transposed, output_padding, groups
        )

    result = mode.before(run(given, weight))
    channels = weight.shape[0] // groups if transposed else weight.shape[1]
    length = channels * math.prod(weight.shape[2:])
    result = _accumulated(mode, result, lambda: run(_squared(given), _squared(weight)), length)
    return result if bias is None else result + bias.reshape(-1, *[1] * (weight.dim() - 2))


def _convolution_backward(
    mode: Any,
    upstream: Any,
    given: Any,
    weight: Any,
    bias_sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    *rest: Any,
) -> Any:
    """The gradients: of the input a sum over channels and taps, of weight and bias over places."""
    import torch

    def run(*tensors: Any) -> Any:
        return torch.ops.aten.convolution_backward.default(
            *tensors, bias_sizes, stride, padding, dilation, transposed, *rest
        )

    @functools.cache
    def squares() -> Any:
        return run(*map(_squared, (upstream, given, weight)))

    taps = math.prod(weight.shape[2:])
    groups = rest[1]
    channels = weight.shape[1] if transposed else weight.shape[0] // groups
    # A weight is used once for every place of the smaller of the two.
    places = (given if transposed else upstream).shape
    lengths = (channels * taps, places[0] * math.prod(places[2:]))
    of_bias = upstream.shape[0] * math.prod(upstream.shape[2:])

    def rounded(place: int, result: Any, length: int) -> Any:
        if result is None:
            return None
        return _accumulated(mode, mode.before(result), lambda: squares()[place], length)

    results = run(upstream, given, weight)
    return tuple(map(rounded, range(3), results, (*lengths, of_bias)))
