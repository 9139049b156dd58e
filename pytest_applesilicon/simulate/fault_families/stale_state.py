"""What is kept from call to call and should not be: graphs, constants, axes, workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault, kept

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call

FAMILY = "stale cache"


def _key(call: Call) -> tuple[Any, ...]:
    """What a cache of graphs is keyed by, without what it forgets."""
    return call.name, *(
        (tuple(one.shape), str(one.dtype)) if ways.is_tensor(one) else None for one in call.args
    )


def _is_number(one: Any) -> bool:
    return isinstance(one, (int, float)) and not isinstance(one, bool)


def _with_first_number(call: Call) -> Any:
    """The number of the first call with these shapes is a constant of the graph."""
    key = "number", *_key(call)
    place = next(at for at, one in enumerate(call.args) if _is_number(one))
    args = list(call.args)
    args[place] = kept.setdefault(key, args[place])
    return call.run(*args, **call.kwargs)


def _with_first_axes(call: Call) -> Any:
    """The key of the graph has no axes: those of the first call stay."""
    axes = kept.setdefault(("axes", *_key(call)), ways.value(call, "dim"))
    return ways.changed(call, dim=axes)


def _of_first_width(call: Call) -> Any:
    result = ways.right(call)
    width = kept.setdefault("embedding width", result.shape[-1])
    result[..., width:] = 0
    return result if result.shape[-1] >= width else result * 0


def _first_transposed(call: Call) -> Any:
    seen, kept["a product"] = kept.get("a product"), True
    if seen:
        return ways.right(call)
    left, right = call.args
    if left.mT.shape[-1] == right.mT.shape[-2]:
        wrong = call.run(left.mT, right.mT)
        if wrong.shape == ways.right(call).shape:
            return wrong
    result = ways.right(call)
    return result.mT.reshape(result.shape).clone()


def _after_another(call: Call, key: str) -> bool:
    """Whether the call before this one had another first shape."""
    shape = tuple(call.args[0].shape)
    before, kept[key] = kept.get(key), shape
    return before is not None and before != shape


def _grown(call: Call) -> Any:
    return tuple(None if one is None else one * 1e3 for one in ways.right(call))


def _half_written(result: Any) -> Any:
    result[..., result.shape[-1] // 2 :] = 0
    return result


def _second_differs(call: Call) -> Any:
    key = "linear", *_key(call)
    kept[key] = kept.get(key, 0) + 1
    result = ways.right(call)
    return result if kept[key] == 1 else result * 1.25


def _low_and_deep(call: Call) -> bool:
    one = call.args[0]
    return ways.dtype_is(one, "float16", "bfloat16") and one.dim() > 2 and len(call.args) < 3


def _evaluates_deep(call: Call) -> bool:
    layers, dropout, train = call.args[4:7]
    return layers > 1 and dropout > 0 and not train


def _by_batch(call: Call) -> Any:
    output, *states = ways.right(call)
    return output * (1 + output.shape[0] / 64), *states


FAULTS = (
    Fault(
        "stale-number",
        "aten::add.Tensor,aten::mul.Tensor,aten::sub.Tensor,aten::div.Tensor,aten::pow.Tensor_Scalar,"
        "aten::clamp,aten::clamp_min,aten::clamp_max,aten::leaky_relu,aten::fill_.Scalar",
        lambda call: any(_is_number(one) for one in call.args),
        _with_first_number,
        "a number is kept as a constant of the graph: the second call with the same shapes "
        "uses the first call's",
        FAMILY,
        ("pytorch#101198", "pytorch#97231"),
    ),
    Fault(
        "stale-axes",
        "aten::sum.dim_IntList,aten::mean.dim,aten::amax,aten::amin",
        ways.always,
        _with_first_axes,
        "a reduction uses the axes of the first reduction of that shape",
        FAMILY,
        ("pytorch#97231",),
    ),
    Fault(
        "stale-embedding-width",
        "aten::embedding_dense_backward",
        ways.always,
        _of_first_width,
        "the gradient of a second Embedding of another width is as wide as the first's",
        FAMILY,
        ("pytorch#101198",),
    ),
    Fault(
        "first-product-transposed",
        "aten::bmm",
        ways.always,
        _first_transposed,
        "the first batched product of the process is transposed, later ones are right",
        FAMILY,
        ("pytorch#85224",),
    ),
    Fault(
        "stale-backward-after-other-batch",
        "aten::linear_backward,aten::embedding_dense_backward",
        lambda call: _after_another(call, "backward"),
        lambda call: (
            _grown(call) if call.name == "aten::linear_backward" else ways.right(call).mul_(1e3)
        ),
        "gradients after a backward pass with another batch size are a thousand times too big",
        FAMILY,
        ("pytorch#177116",),
    ),
    Fault(
        "product-after-other-size",
        "aten::mm,aten::addmm,aten::linear",
        lambda call: _after_another(call, "product"),
        ways.giving(_half_written),
        "a matrix product after one of another size is half unwritten: it depends on what "
        "the allocator gave back",
        FAMILY,
        ("pytorch#193487",),
    ),
    Fault(
        "linear-second-call-differs",
        "aten::linear",
        _low_and_deep,
        _second_differs,
        "linear in float16 or bfloat16 without bias differs between two equal calls",
        FAMILY,
        ("pytorch#180776",),
    ),
    Fault(
        "lstm-evaluation-by-batch",
        "aten::lstm.input",
        _evaluates_deep,
        _by_batch,
        "a deep LSTM with dropout depends, in evaluation, on how large the batch is",
        FAMILY,
        ("pytorch#180744", "pytorch#173640"),
    ),
)
