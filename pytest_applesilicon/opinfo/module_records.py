"""torch's modules, with what to construct them from and what to feed them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.opinfo.database import entries
from pytest_applesilicon.opinfo.drawing import Sample, Stream, draw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ATTRIBUTES = ("name", "module_cls", "module_inputs_func", "dtypes", "train_and_eval_differ")


@dataclass(frozen=True, eq=False)
class ModuleSample:
    """One way to construct a module, and what to call it with.

    Attributes:
        construct: The arguments of the constructor.
        forward: The arguments of the call.
        dtype: Of its parameters and inputs.
        text: What torch says of the configuration, or the constructor's arguments.
    """

    construct: Sample
    forward: Sample
    dtype: str
    text: str


@dataclass(frozen=True)
class ModuleRecord:
    """One module of torch's database.

    Attributes:
        name: Its name, such as ``nn.Linear``; unique.
        module: The class.
        lazy: Its parameters get their shapes with the first call.
        train_and_eval_differ: It computes something else when it is trained.
    """

    name: str
    module: type[Any]
    lazy: bool
    train_and_eval_differ: bool
    _info: Any = field(repr=False, compare=False)

    def samples(
        self,
        dtype: str = "float32",
        *,
        seed: int,
        count: int | None,
        training: bool = False,
        requires_grad: bool = False,
    ) -> Iterator[ModuleSample]:
        """Configurations, drawn on the CPU; the arguments are those of ``Operator.samples``."""
        import torch

        info = self._info
        make = partial(
            info.module_inputs_func,
            info,
            device="cpu",
            dtype=getattr(torch, dtype),
            requires_grad=requires_grad,
            training=training,
        )
        for drawn in draw(make, Stream(self.name, dtype, seed), count):
            construct, forward = _sample(drawn.constructor_input), _sample(drawn.forward_input)
            yield ModuleSample(construct, forward, dtype, drawn.desc or construct.text)

    def build(self, sample: ModuleSample, *, seed: int, training: bool = False) -> Any:
        """The module on the CPU, its parameters drawn from the seed."""
        import torch

        with Stream(self.name, "parameters", seed).running():
            module = self.module(*sample.construct.args, **sample.construct.kwargs)
        return module.to(getattr(torch, sample.dtype)).train(training)


@cache
def modules() -> tuple[ModuleRecord, ...]:
    """The modules of the installed torch, in its order.

    Raises:
        OpInfoError: The database cannot be read.
    """
    return tuple(
        ModuleRecord(
            name=info.name,
            module=info.module_cls,
            lazy=bool(getattr(info, "is_lazy", False)),
            train_and_eval_differ=bool(info.train_and_eval_differ),
            _info=info,
        )
        for info in entries("common_modules", "module_db", _ATTRIBUTES)
    )


def _sample(given: Any) -> Sample:
    args: tuple[Any, ...] = () if given is None else given.args
    kwargs: Mapping[str, Any] = {} if given is None else given.kwargs
    return Sample(args=args, kwargs=kwargs, process=_same, broadcasts=False)


def _same(result: Any) -> Any:
    return result
