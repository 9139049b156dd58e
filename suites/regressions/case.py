"""What the check of a bug works with: tensors, the device, and the host that judges."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from pytest_applesilicon.agreement import calls, comparison, functions, oracle, telling, walking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_applesilicon.frameworks.base import Framework

#: What torch says of an operator that MPS lacks (MPSFallback.mm).
_MISSING = re.compile(r"The operator '(\S+)' is not currently implemented for the MPS device")


class MissingOperator(Exception):  # noqa: N818 - a fact of coverage, not an error
    """The device lacks an operator: the bug cannot be looked for."""


class Case:
    """One device, and the numbers of one seed."""

    def __init__(
        self,
        device: Any,
        *,
        seed: int = 0,
        limit: int = 2**32,
        framework: Framework | None = None,
        spec: str = "",
    ) -> None:
        self.device = torch.device(device)
        self.seed = seed
        self._spec = spec or self.device.type
        #: Stands for 2**32 in tests of size L.
        self.limit = limit
        self._framework = framework

    @cached_property
    def _generator(self) -> Any:
        return torch.Generator().manual_seed(self.seed)

    def randn(self, *shape: int, dtype: Any = torch.float32) -> Any:
        """Normal numbers on the host: the same for each device, and new with each call."""
        return torch.randn(*shape, generator=self._generator).to(dtype)

    def check(
        self, call: Callable[..., Any], *args: Any, name: str = "", kind: str = "floating"
    ) -> Any:
        """Fail where the call gives on the device what float64 on the host does not allow.

        Args:
            call: it builds its views itself, so that they are those of the device, makes no
                tensor in another place than its arguments, and is called on the host too.
            *args: tensors of the host, contiguous; ``torch.device("cpu")`` stands for the
                device of the call. They are copied for each call.
            name: torch's name of the operator, for selections and decompositions.
            kind: "exact", "floating", "random", "decomposition" or "metadata".

        Returns:
            what the call gave on the device.
        """
        __tracebackhide__ = True
        actual = self.given(call, *args)
        dtype = _dtype_of(args)
        with _quiet():
            found = oracle.judge_sample(actual, call, args, {}, dtype, name=name, kind=kind)
            expected = None if found.agrees else telling.host_element(call, args, {}, found)
        if not found.agrees:
            raise AssertionError(telling.told(found, expected=expected))
        return actual

    def check_as(self, call: Callable[..., Any], host: Callable[..., Any], *args: Any) -> None:
        """``check`` where the host computes the same in another way: a part, in less memory.

        Both are given the same arguments; ``host`` is called in float64 too.
        """
        __tracebackhide__ = True
        actual = self.given(call, *args)
        with _quiet():
            found = oracle.judge_sample(actual, host, args, {}, _dtype_of(args))
        if not found.agrees:
            raise AssertionError(telling.told(found))

    def check_module(self, module: Any, *inputs: Any, gradients: bool = True) -> None:
        """Fail where a module that lies on the host is wrong on the device.

        Judged are its results, its buffers and, unless told otherwise, the gradients of its
        parameters and floating inputs.
        """
        __tracebackhide__ = True
        try:
            with _quiet():
                functions.assert_module_agrees(
                    module, inputs, device=self.device, gradients=gradients, seed=self.seed
                )
        except AssertionError as error:
            # Without its program of three lines: the suite has its own.
            raise AssertionError(str(error).partition("\nsample:")[0]) from None
        except Exception as error:
            raise _told_apart(error) from error

    def check_gradients(self, call: Callable[..., Any], *args: Any) -> None:
        """``check`` of the gradients of ``call(*args).sum()`` for every floating argument."""
        __tracebackhide__ = True
        self.check(lambda *given: sum_gradients(call, *given), *args)

    def given(self, call: Callable[..., Any], *args: Any) -> Any:
        """What the call gives on the device; an exception is what is wrong.

        Raises:
            AssertionError: the call raised.
            MissingOperator: the device lacks an operator.
        """
        __tracebackhide__ = True
        try:
            with _quiet():
                actual = calls.on_device(call, self.moved(args), {})
            self.synchronize()
        except Exception as error:
            raise _told_apart(error) from error
        return actual

    def refused(self, call: Callable[..., Any], *args: Any) -> None:
        """Fail unless the device refuses, with any exception, what the host refuses."""
        __tracebackhide__ = True
        try:
            call(*walking.copied(args))
        except Exception as error:
            refusal = _told(error)
        else:
            raise AssertionError("the host does not refuse this call: the check is wrong")
        try:
            actual = calls.on_device(call, self.moved(args), {})
            self.synchronize()
            shown = walking.mapped(actual, lambda one: walking.to_host(one).tolist())
        except Exception as error:
            if isinstance(_told_apart(error), MissingOperator):
                raise _told_apart(error) from error
            return
        raise AssertionError(f"gave {_short(shown)}; the CPU raises {refusal}")

    def same(self, actual: Any, expected: Any) -> None:
        """Fail unless two values, compared on the host, are exactly the same."""
        __tracebackhide__ = True
        comparison.assert_same(actual, expected)

    def require(self, holds: Any, otherwise: str) -> None:
        """Fail with a sentence unless something holds."""
        __tracebackhide__ = True
        if not bool(holds):
            raise AssertionError(otherwise)

    @property
    def is_shared(self) -> bool:
        """Whether other processes can disturb the device: it is a GPU."""
        return self._spec not in ("cpu", "mps-sim")

    def moved(self, value: Any) -> Any:
        """Copies of the tensors on the device; a ``torch.device`` becomes the device."""

        def leaf(one: Any) -> Any:
            if isinstance(one, torch.Tensor):
                return one.detach().clone().to(self.device)
            return self.device if isinstance(one, torch.device) else one

        return walking.mapped(value, leaf)

    def synchronize(self) -> None:
        """Wait for the device: an error that it reports late belongs to this check."""
        if self._framework is not None and self.device.type != "cpu":
            self._framework.synchronize(self._spec)

    def empty_cache(self) -> None:
        """Give the memory that the allocator keeps back to the system."""
        if self._framework is not None:
            self._framework.empty_cache(self._spec)


def sum_gradients(call: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """The gradients of ``call(*args).sum()`` for every floating argument, in order.

    The upstream gradient of a sum is one number expanded, which is what several bugs need.
    """
    with torch.enable_grad():
        watched = [
            one.detach().requires_grad_()
            if isinstance(one, torch.Tensor) and one.is_floating_point()
            else one
            for one in args
        ]
        sources = [one for one in watched if isinstance(one, torch.Tensor) and one.requires_grad]
        results = walking.leaves(call(*watched))
        total = sum(one.sum() for one in results)
        found: tuple[Any, ...] = torch.autograd.grad(total, sources)
        return found


def _dtype_of(args: Any) -> Any:
    """The dtype that is judged in: of the first floating tensor, else of the first tensor."""
    tensors = [one for one in walking.leaves(args) if isinstance(one, torch.Tensor)]
    floating = [one for one in tensors if one.is_floating_point() or one.is_complex()]
    return next((one.dtype for one in floating + tensors), torch.float32)


def _told_apart(error: Exception) -> Exception:
    """What an exception of the device says: an operator is missing, or the device is wrong."""
    missing = _MISSING.search(str(error))
    if missing:
        return MissingOperator(f"{missing[1]} is not implemented for MPS")
    return AssertionError(f"raised {_told(error)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """What torch warns of is not what is judged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."
