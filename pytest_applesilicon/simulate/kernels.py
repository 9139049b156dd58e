"""The kernel of an operator on the simulated device: the CPU's, over the same memory.

Arguments are turned into CPU tensors, the CPU kernel is called below autograd, and results
are turned back. A kernel is made once for each overload, so that a call finds all it needs in
local names: an elementwise call costs a few microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_applesilicon.simulate import counters, faults, memory, numbers, plan, sparse, texts
from pytest_applesilicon.simulate.dtypes import refuse

Kernel = Callable[..., Any]

#: Operators that take index tensors of the CPU (TensorAdvancedIndexing.cpp moves them).
_INDEXING = ("aten::index", "aten::_index_put_impl_", "aten::_unsafe_index")


class Kernels:
    """Makes kernels; holds what they share."""

    def __init__(self, default_generator: Any) -> None:
        import torch

        self._torch = torch
        self.cpu_keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
        self.as_mps, self.as_cpu = memory.retagger()
        self.refused = refuse()
        self.default_generator = default_generator
        self.sparse = sparse.Sparse(self)

    # from the device to the CPU and back

    def unwrap(self, value: Any, name: str = "") -> Any:
        """A tensor of the device as one of the CPU, lazy bits kept; anything else as it is."""
        torch = self._torch
        if isinstance(value, torch.Tensor):
            if not value.is_mps:
                return self.cpu_argument(value, name)
            plain = self.as_cpu(value)
            if value.is_conj():
                plain = plain.conj()
            return torch._neg_view(plain) if value.is_neg() else plain
        if isinstance(value, (list, tuple)) and any(isinstance(one, torch.Tensor) for one in value):
            return type(value)(self.unwrap(one, name) for one in value)
        return value

    def cpu_argument(self, tensor: Any, name: str) -> Any:
        """A tensor of the CPU that an operator of the device was given, if it may be."""
        if tensor.dim() == 0 or name.startswith(_INDEXING):
            return tensor
        if name == "aten::_slow_conv2d_forward":
            raise RuntimeError(texts.CONVOLUTION.format(first="cpu", second="mps:0"))
        if tensor.device.type == "meta":
            return tensor
        raise RuntimeError(texts.TWO_DEVICES.format(first="mps:0", second=tensor.device))

    def wrap(self, value: Any) -> Any:
        """What a CPU kernel returned, on the device."""
        torch = self._torch
        if isinstance(value, torch.Tensor):
            if value.dtype in self.refused:
                raise self.refused[value.dtype]()
            if value.layout is torch.sparse_coo:
                return self.sparse.wrap(value)
            if value.layout is not torch.strided:
                raise NotImplementedError(texts.LAYOUT)
            if value.is_conj() or value.is_neg():
                value = value.resolve_conj().resolve_neg()
            return self.as_mps(value) if value.numel() else self.empty_like(value)
        if isinstance(value, (list, tuple)):
            return type(value)(self.wrap(one) for one in value)
        return value

    def empty_like(self, value: Any) -> Any:
        """A tensor without elements: DLPack carries no memory for it, so it views some."""
        base = self.as_mps(self._torch.ops.aten.empty.memory_format([1], dtype=value.dtype))
        return self.strided(base, value.size(), value.stride(), 0)

    def strided(self, tensor: Any, size: Any, stride: Any, offset: int) -> Any:
        """Another view of the same memory, made below autograd."""
        handle = self._torch.ops.aten.as_strided.default._handle
        return handle.redispatch_boxed(self.cpu_keys, tensor, size, stride, offset)

    # kernels

    def make(self, op: Any) -> Kernel:
        """The kernel of an overload."""
        made = plan.of(op)
        general = self._general(made)
        if not made.plain:
            return general
        run = self._plain(made, general)
        return self._numbers(made, run, general) if len(made.tensors) > 1 else run

    def view(self, op: Any) -> Kernel:
        """The kernel of an overload that returns a view: the CPU's reads no memory."""
        made = plan.of(op)
        name, redispatch, keys = made.name, op._handle.redispatch_boxed, self.cpu_keys
        operators = counters.current.operators
        get = operators.get

        def kernel(*args: Any, **kwargs: Any) -> Any:
            operators[name] = get(name, 0) + 1
            if faults.active and faults.touching(name):
                return self._faulty_view(made, args, kwargs)
            return redispatch(keys, *args, **kwargs)

        return kernel

    def _plain(self, made: plan.Plan, general: Kernel) -> Kernel:
        """The quick kernel: all tensors are positional and alone, and no lazy bit is set."""
        tensor, name, redispatch = self._torch.Tensor, made.name, made.op._handle.redispatch_boxed
        operators, as_cpu, as_mps = counters.current.operators, self.as_cpu, self.as_mps
        keys, refused, get, other = self.cpu_keys, self.refused, operators.get, self.cpu_argument
        in_place, several, lazy = made.plain == "in-place", made.plain == "several", made.lazy

        def kernel(*args: Any, **kwargs: Any) -> Any:
            if faults.active or (
                lazy and any(isinstance(a, tensor) and (a.is_conj() or a.is_neg()) for a in args)
            ):
                return general(*args, **kwargs)
            operators[name] = get(name, 0) + 1
            result = redispatch(
                keys,
                *[
                    (as_cpu(a) if a.is_mps else other(a, name)) if isinstance(a, tensor) else a
                    for a in args
                ],
                **kwargs,
            )
            if in_place:
                return args[0]
            if several:
                return tuple(self.wrap(one) for one in result)
            if result.dtype in refused or lazy or not result.numel():
                return self.wrap(result)
            try:
                return as_mps(result)
            except (RuntimeError, BufferError):  # a layout that has no memory of its own
                return self.wrap(result)

        return kernel

    def _numbers(self, made: plan.Plan, run: Kernel, general: Kernel) -> Kernel:
        """The same where a number may stand in for a tensor."""
        first, *rest = sorted(made.tensors)
        numbers = (float, int, bool, complex)
        optional = any(str(one.type) == "Optional[Tensor]" for one in made.op._schema.arguments)
        if rest == [1] and not optional and made.plain == "one" and not made.lazy:
            return self._binary(made, general)

        def kernel(*args: Any, **kwargs: Any) -> Any:
            for place in (first, *rest):
                if place < len(args) and args[place].__class__ in numbers:
                    return general(*args, **kwargs)
            return run(*args, **kwargs)

        return kernel

    def _binary(self, made: plan.Plan, general: Kernel) -> Kernel:
        """The quickest kernel: of two tensors, for arithmetic and comparisons."""
        name, redispatch = made.name, made.op._handle.redispatch_boxed
        operators, as_cpu, as_mps = counters.current.operators, self.as_cpu, self.as_mps
        keys, refused, get, other = self.cpu_keys, self.refused, operators.get, self.cpu_argument

        def kernel(a: Any, b: Any, *rest: Any, **kwargs: Any) -> Any:
            try:
                x = as_cpu(a) if a.is_mps else other(a, name)
                y = as_cpu(b) if b.is_mps else other(b, name)
            except AttributeError:  # a number
                return general(a, b, *rest, **kwargs)
            if faults.active:
                return general(a, b, *rest, **kwargs)
            operators[name] = get(name, 0) + 1
            result = redispatch(keys, x, y, *rest, **kwargs)
            if result.dtype in refused or not result.numel():
                return self.wrap(result)
            return as_mps(result)

        return kernel

    def _general(self, made: plan.Plan) -> Kernel:
        name = made.name
        operators = counters.current.operators
        run = self.runner(made)

        def kernel(*args: Any, **kwargs: Any) -> Any:
            operators[name] = operators.get(name, 0) + 1
            return self.call(made, run, args, kwargs)

        return kernel

    def runner(self, made: plan.Plan, keys: Any = None) -> Kernel:
        """The CPU kernel of an overload, or that of other keys, called below autograd."""
        redispatch, keys = made.op._handle.redispatch_boxed, keys or self.cpu_keys
        if made.name.startswith("aten::") and made.tensors:
            return numbers.kernel(made, keys)

        def run(*args: Any, **kwargs: Any) -> Any:
            return redispatch(keys, *args, **kwargs)

        return run

    def call(self, made: plan.Plan, run: Kernel, args: Any, kwargs: Any) -> Any:
        """Call ``run`` on the CPU twins of the arguments; give back what the schema promises."""
        name = made.name
        if faults.active and faults.touching(name):
            return self._faulty(made, run, args, kwargs)
        plain = [self.unwrap(one, name) for one in args]
        named = {key: self.unwrap(one, name) for key, one in kwargs.items()}
        if made.generator:
            return self._random(made, run, args, kwargs, plain, named)
        return self._results(made, self._writing(made, run, kwargs, plain, named), args, kwargs)

    def _random(
        self, made: plan.Plan, run: Kernel, args: Any, kwargs: Any, plain: Any, named: Any
    ) -> Any:
        from pytest_applesilicon.simulate import generators

        place = made.names.index("generator")
        given = args[place] if len(args) > place else kwargs.get("generator")
        if len(plain) > place:
            plain = plain[:place]
        with generators.lent(given, self.default_generator) as generator:
            named["generator"] = generator
            result = self._writing(made, run, kwargs, plain, named)
        return self._results(made, result, args, kwargs)

    def _writing(self, made: plan.Plan, run: Kernel, kwargs: Any, plain: Any, named: Any) -> Any:
        """Run; a result that an ``out`` has no room for is put into new memory of its own."""
        if not made.written:
            return run(*plain, **named)
        outs = {key: named[key] for key in made.written if key in named}
        if not outs:
            return run(*plain, **named)
        torch = self._torch
        fresh = {}
        for key, out in outs.items():
            if isinstance(out, torch.Tensor) and not out.numel():
                fresh[key] = torch.ops.aten.empty.memory_format([0], dtype=out.dtype)
        try:
            run(*plain, **{**named, **fresh})
        except RuntimeError as error:
            if "not resizable" not in str(error):
                raise
            fresh = {
                key: torch.ops.aten.empty.memory_format([0], dtype=out.dtype)
                for key, out in outs.items()
            }
            run(*plain, **{**named, **fresh})
        for key, new in fresh.items():
            self.replace(kwargs[key], new)
        return tuple(outs.values())

    def replace(self, target: Any, new: Any) -> None:
        """Give ``target`` the values and shape of a CPU tensor, in its own memory if that has room.

        ``resize_`` keeps the memory of a slice without elements too: ``fft.fftfreq`` needs it.
        """
        start = target.storage_offset()
        end = (start + new.numel()) * target.element_size()
        if new.numel() and new.is_contiguous() and end <= target.untyped_storage().nbytes():
            grown = self._torch.ops.aten.set_.source_Storage_storage_offset._handle
            grown.redispatch_boxed(
                self.cpu_keys, target, target.untyped_storage(), start, new.size(), new.stride()
            )
            self.as_cpu(target).copy_(new)
            return
        wrapped = self.wrap(new)
        handle = self._torch.ops.aten.set_.source_Storage_storage_offset._handle
        handle.redispatch_boxed(
            self.cpu_keys,
            target,
            wrapped.untyped_storage(),
            wrapped.storage_offset(),
            wrapped.size(),
            wrapped.stride(),
        )

    def _results(self, made: plan.Plan, result: Any, args: Any, kwargs: Any) -> Any:
        owners = made.returns
        if not owners:
            return None
        if len(owners) == 1:
            return self.wrap(result) if owners[0] is None else _given(made, owners[0], args, kwargs)
        return tuple(
            self.wrap(one) if owner is None else _given(made, owner, args, kwargs)
            for one, owner in zip(result, owners, strict=True)
        )

    # with faults

    def _faulty(self, made: plan.Plan, run: Kernel, args: Any, kwargs: Any) -> Any:
        plain = tuple(self.twin(one, made.name) for one in args)
        named = {key: self.twin(one, made.name) for key, one in kwargs.items()}

        def corrupted(*args: Any, **kwargs: Any) -> Any:
            return faults.applied(faults.Call(made.op, made.name, args, kwargs, run))

        if made.generator:
            return self._random(made, corrupted, args, kwargs, list(plain), named)
        result = self._writing(made, corrupted, kwargs, plain, named)
        return self._results(made, result, args, kwargs)

    def _faulty_view(self, made: plan.Plan, args: Any, kwargs: Any) -> Any:
        redispatch, keys = made.op._handle.redispatch_boxed, self.cpu_keys

        def run(*args: Any, **kwargs: Any) -> Any:
            return redispatch(keys, *args, **kwargs)

        plain = tuple(self.twin(one, made.name) for one in args)
        named = {key: self.twin(one, made.name) for key, one in kwargs.items()}
        result = faults.applied(faults.Call(made.op, made.name, plain, named, run))
        if made.returns and made.returns[0] is not None:
            return redispatch(keys, *args, **kwargs)
        return self._same_view(args[0], plain[0], result)

    def _same_view(self, owner: Any, twin: Any, result: Any) -> Any:
        """What a faulty view shows of the memory it views; a copy where it views other memory."""
        shares = result.untyped_storage().data_ptr() == twin.untyped_storage().data_ptr()
        if not shares or result.dtype != twin.dtype:
            return self.wrap(result)
        return self.strided(owner, result.size(), result.stride(), result.storage_offset())

    def twin(self, value: Any, name: str = "") -> Any:
        """Like ``unwrap``, with the storage offset kept too."""
        torch = self._torch
        if isinstance(value, (list, tuple)):
            return type(value)(self.twin(one, name) for one in value)
        if not isinstance(value, torch.Tensor) or not value.is_mps or not value.storage_offset():
            return self.unwrap(value, name)
        offset = value.storage_offset()
        length = value.untyped_storage().nbytes() // value.element_size()
        plain = self.as_cpu(self.strided(value, [length], [1], 0))
        handle = torch.ops.aten.as_strided.default._handle
        plain = handle.redispatch_boxed(self.cpu_keys, plain, value.size(), value.stride(), offset)
        if value.is_conj():
            plain = plain.conj()
        return torch._neg_view(plain) if value.is_neg() else plain


def _given(made: plan.Plan, name: str, args: Any, kwargs: Any) -> Any:
    place = made.names.index(name)
    return args[place] if place < len(args) else kwargs[name]
