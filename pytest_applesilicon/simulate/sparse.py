"""Sparse COO tensors: a pair of strided tensors of the device, under the SparseMPS key.

The parts are ``mps`` tensors and so is the whole; torch's own SparseCPU kernels make it and
take it apart, since they only handle the parts. Everything else runs on a CPU twin. Which
operators there are is in torch's table, as for strided tensors; another one raises torch's
"Could not run ... from the 'SparseMPS' backend". Compressed layouts (CSR ...) do not exist
here: torch refuses them for mps (new_compressed_tensor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_applesilicon.simulate import counters, plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_applesilicon.simulate.kernels import Kernels

#: Overloads whose SparseCPU kernel handles the parts by calling other operators only
#: (aten/src/ATen/native/sparse/SparseTensor.cpp), so that it serves every device.
PARTS = frozenset(
    {
        "_sparse_coo_tensor_with_dims",
        "_sparse_coo_tensor_with_dims_and_tensors",
        "empty.memory_format",
        "empty_like",
        "clone",
        "copy_",
        "copy_sparse_to_sparse_",
        "sparse_dim",
        "dense_dim",
        "_nnz",
        "is_coalesced",
        "_coalesced_",
        "_indices",
        "_values",
        "indices",
        "values",
        "sparse_resize_",
        "sparse_resize_and_clear_",
        "zero_",
    }
)


class Sparse:
    """Kernels for the SparseMPS key, over the tools of the strided ones."""

    def __init__(self, tools: Kernels) -> None:
        import torch

        self._tools = tools
        self._torch = torch
        self.keys = torch._C.DispatchKeySet(torch._C.DispatchKey.SparseCPU)
        self._make = torch.ops.aten._sparse_coo_tensor_with_dims_and_tensors.default._handle
        self._copy = torch.ops.aten.copy_sparse_to_sparse_.default._handle

    def kernel(self, name: str, op: Any) -> Callable[..., Any]:
        """The kernel of an overload that torch's table lists for SparseMPS."""
        made = plan.of(op)
        run = self._tools.runner(made, self.keys)
        operators = counters.current.operators

        def kernel(*args: Any, **kwargs: Any) -> Any:
            operators[made.name] = operators.get(made.name, 0) + 1
            if name in PARTS:
                return run(*args, **kwargs)
            plain = [self.twin(one) for one in args]
            named = {key: self.twin(one) for key, one in kwargs.items()}
            result = run(*plain, **named)
            given = dict(zip(made.names, args, strict=False)) | kwargs
            twins = dict(zip(made.names, plain, strict=False)) | named
            for key in made.written:
                self._written(given[key], twins[key])
            results = result if len(made.returns) > 1 else (result,)
            found = tuple(
                self._tools.wrap(one) if owner is None else given[owner]
                for one, owner in zip(results, made.returns, strict=True)
            )
            return found if len(made.returns) > 1 else found[0]

        return kernel

    def twin(self, value: Any) -> Any:
        """A tensor of the device as one of the CPU: of a sparse one, over the same parts."""
        if isinstance(value, (list, tuple)):
            return type(value)(self.twin(one) for one in value)
        if not isinstance(value, self._torch.Tensor) or not value.is_sparse:
            return self._tools.unwrap(value)
        aten, keys = self._torch.ops.aten, self.keys
        parts = [
            self._part(one._handle.redispatch_boxed(keys, value))
            for one in (aten._indices.default, aten._values.default)
        ]
        return self._built(value, parts, "cpu")

    def _part(self, part: Any) -> Any:
        """A part on the CPU; a new sparse tensor has parts without elements."""
        torch = self._torch
        if part.numel():
            return self._tools.unwrap(part)
        return torch.ops.aten.empty.memory_format(list(part.size()), dtype=part.dtype)

    def wrap(self, value: Any) -> Any:
        """A sparse tensor of the CPU on the device, over the same parts."""
        parts = [self._tools.wrap(one) for one in (value._indices(), value._values())]
        return self._built(value, parts, "mps")

    def _built(self, like: Any, parts: list[Any], device: str) -> Any:
        torch = self._torch
        indices, values = parts
        return self._make.redispatch_boxed(
            self.keys,
            like.sparse_dim(),
            like.dense_dim(),
            list(like.size()),
            indices,
            values,
            dtype=values.dtype,
            layout=torch.sparse_coo,
            device=torch.device(device),
            pin_memory=False,
            is_coalesced=like.is_coalesced(),
        )

    def _written(self, given: Any, twin: Any) -> None:
        """Give a sparse tensor the parts that its twin has now; a strided one shares memory."""
        if given.is_sparse:
            self._copy.redispatch_boxed(self.keys, given, self.wrap(twin), False)
