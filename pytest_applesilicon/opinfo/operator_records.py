"""torch's operators: what each is, for which dtypes, and samples to call it with."""

from __future__ import annotations

import types
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.dtypes import DTYPES
from pytest_applesilicon.opinfo import kinds
from pytest_applesilicon.opinfo.categories import category
from pytest_applesilicon.opinfo.database import changed, entries
from pytest_applesilicon.opinfo.drawing import Sample, Stream, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_applesilicon.opinfo.kinds import Kind

_CUDA_ONLY = "is compiled at run time for CUDA and ROCm only"
_SPARSE = "all of its samples are sparse, and MPS is judged on strided tensors"
_NO_CPU = "has no dtype on the CPU, so there is nothing to compare with"
_FLOAT8 = "takes 8-bit floating-point numbers only, none of the ten dtypes"

#: Operators of torch's database that have no record, and why.
LEFT_OUT: dict[str, str] = {
    "jiterator_2inputs_2outputs": _CUDA_ONLY,
    "jiterator_4inputs_with_extra_args": _CUDA_ONLY,
    "jiterator_binary": _CUDA_ONLY,
    "jiterator_binary_return_by_ref": _CUDA_ONLY,
    "jiterator_unary": _CUDA_ONLY,
    "nn.functional.batch_norm.without_cudnn": _NO_CPU,
    "sparse.mm.reduce": _SPARSE,
    "sparse.sampled_addmm": _SPARSE,
    "torch._scaled_mm": _FLOAT8,
    "torch._scaled_mm_v2": _FLOAT8,
    "torch.ops.aten._efficient_attention_forward": _NO_CPU,
    "torch.ops.aten._flash_attention_forward": _NO_CPU,
}

_ATTRIBUTES = (
    "name",
    "variant_test_name",
    "op",
    "inplace_variant",
    "aten_name",
    "dtypes",
    "dtypesIfMPS",
    "backward_dtypes",
    "backward_dtypesIfMPS",
    "supports_autograd",
    "supports_out",
    "sample_inputs_func",
)
_SAMPLE_ATTRIBUTES = ("input", "args", "kwargs", "output_process_fn_grad", "broadcasts_input")

#: The dtypes for which gradients are compared, as in torch's own MPS tests.
_GRADIENT_DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Operator:
    """One operator of torch's database, or one variant of it.

    Attributes:
        name: Its name and, after a dot, its variant; unique.
        kind: How its floating-point results are judged for real numbers (``kinds``): integers
            and booleans are exact whatever the kind.
        category: Where it stands in reports (``categories``).
        dtypes: Those of the ten for which it runs on the CPU and has samples.
        mps_dtypes: Those for which torch says that it runs on MPS.
        gradient_dtypes: float32 and float16 where its gradient runs on the CPU.
        mps_gradient_dtypes: The same where torch says that it runs on MPS.
        inplace: It has a variant that works in place.
        out: It takes ``out=``.
        selects: Its results pick among ties, and are judged by what they pick.
    """

    name: str
    kind: Kind
    category: str
    dtypes: frozenset[str]
    mps_dtypes: frozenset[str]
    gradient_dtypes: frozenset[str]
    mps_gradient_dtypes: frozenset[str]
    inplace: bool
    out: bool
    selects: bool
    _info: Any = field(repr=False, compare=False)

    def samples(
        self,
        dtype: str,
        *,
        seed: int,
        count: int | None,
        requires_grad: bool = False,
        before_more: Callable[[], None] | None = None,
    ) -> Iterator[Sample]:
        """Calls of the operator, drawn on the CPU as they are asked for.

        They depend on the seed, the operator's name and the dtype alone, and the global
        random states are left as they were. Samples may share tensors: copy what you change.

        Args:
            dtype: One of ``DTYPES``.
            seed: The seed.
            count: How many, spread over all there are (``drawing.draw``); None for all.
            requires_grad: The floating-point inputs require a gradient.
            before_more: Called before more are drawn, which may write into tensors of those
                given so far: finish what reads them.
        """
        import torch

        wanted = getattr(torch, dtype)
        info = self._info
        make = partial(info.sample_inputs_func, info, "cpu", wanted, requires_grad)
        for drawn in draw(make, Stream(self.name, dtype, seed), count, before_more):
            yield _sample(drawn)

    def kind_of(self, sample: Sample) -> Kind:
        """The kind of this call: of complex numbers some, untrained dropout is not random."""
        if self.kind == "random" and _draws_nothing(sample.kwargs):
            return "floating"
        if self.name in kinds.EXACT_UNLESS_COMPLEX and _is_complex(sample.args):
            return "floating"
        return self.kind

    @property
    def function(self) -> Callable[..., Any]:
        """What is called, forward, with the arguments of a sample."""
        return _unseeded(self._info.op)

    def call(
        self,
        sample: Sample,
        *,
        args: tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The result for the sample, or for other arguments in place of the sample's.

        Random operators draw from the default generator of the device: seed it first. (torch's
        own entries seed 42 for each call.) Those that fill, such as ``zero_``, and nothing else,
        change their first argument: give them a clone.
        """
        return self.function(*_or(args, sample.args), **_or(kwargs, sample.kwargs))

    def call_inplace(
        self,
        sample: Sample,
        *,
        args: tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The result of the variant that works in place.

        Without ``args`` the sample's first argument is cloned; of ``args`` the first is changed.
        """
        if not self.inplace:
            raise ValueError(f"{self.name} has no variant that works in place")
        if args is None:
            first, *others = sample.args
            args = (first.clone(), *others)
        function = _unseeded(self._info.inplace_variant)
        return function(*args, **_or(kwargs, sample.kwargs))

    def call_out(
        self,
        sample: Sample,
        outs: Any,
        *,
        args: tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The result written to ``outs``: a tensor, or a tuple of them."""
        if not self.out:
            raise ValueError(f"{self.name} does not take out=")
        return self.function(*_or(args, sample.args), **_or(kwargs, sample.kwargs), out=outs)


@cache
def operators() -> tuple[Operator, ...]:
    """The operators of the installed torch, in its order, without those in ``LEFT_OUT``.

    Raises:
        OpInfoError: The database cannot be read.
    """
    found = entries("common_methods_invocations", "op_db", _ATTRIBUTES)
    named = ((_name(info), info) for info in found)
    return tuple(_operator(name, info) for name, info in named if name not in LEFT_OUT)


def _name(info: Any) -> str:
    variant = info.variant_test_name
    return f"{info.name}.{variant}" if variant else str(info.name)


def _operator(name: str, info: Any) -> Operator:
    dtypes = _names(info.dtypes)
    backward = _names(info.backward_dtypes if info.supports_autograd else ())
    mps_backward = _names(info.backward_dtypesIfMPS if info.supports_autograd else ())
    mps_dtypes = _names(info.dtypesIfMPS)
    return Operator(
        name=name,
        kind=kinds.kind(name, info),
        category=category(name, info),
        dtypes=dtypes,
        mps_dtypes=mps_dtypes,
        gradient_dtypes=backward & dtypes & set(_GRADIENT_DTYPES),
        mps_gradient_dtypes=mps_backward & mps_dtypes & set(_GRADIENT_DTYPES),
        inplace=info.inplace_variant is not None,
        out=bool(info.supports_out),
        selects=name in kinds.SELECTS,
        _info=info,
    )


def _names(dtypes: Any) -> frozenset[str]:
    names = {str(dtype).removeprefix("torch.") for dtype in dtypes or ()}
    return frozenset(names & set(DTYPES))


def _sample(drawn: Any) -> Sample:
    lacking = [name for name in _SAMPLE_ATTRIBUTES if not hasattr(drawn, name)]
    if lacking:
        raise changed(f"a sample of its operator database has no {', '.join(lacking)}")
    return Sample(
        args=(drawn.input, *drawn.args),
        kwargs=dict(drawn.kwargs),  # some sample functions go on changing theirs
        process=drawn.output_process_fn_grad,
        broadcasts=bool(drawn.broadcasts_input),
    )


def _or(given: Any, otherwise: Any) -> Any:
    return otherwise if given is None else given


def _draws_nothing(kwargs: Mapping[str, Any]) -> bool:
    return kwargs.get("training") is False or kwargs.get("dropout_p") == 0


def _is_complex(args: tuple[Any, ...]) -> bool:
    import torch

    return any(isinstance(value, torch.Tensor) and value.is_complex() for value in args)


@cache
def _unseeded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without torch's ``wrapper_set_seed``, which seeds 42 for every call.

    Such entries are lambdas that look the wrapper up in their module: the same code is given
    globals in which it only calls. torch's own functions are left as they are.
    """
    if not isinstance(function, types.FunctionType):
        return function
    if "wrapper_set_seed" not in function.__code__.co_names:
        return function
    return types.FunctionType(
        function.__code__,
        {**function.__globals__, "wrapper_set_seed": _just_call},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )


def _just_call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)
