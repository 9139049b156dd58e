"""What a composite operator calls: seen in a run on copies, once for all calls of a pattern.

A device that lacks a kernel for the composite runs what it is made of. The run on copies costs as
much as a few calls, so that it is made once for each pattern of arguments that can decide what is
called: dtypes, layouts of memory, which sizes are 0 or 1, and the arguments that are no tensors.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_applesilicon.audit.signatures import Tree

#: Composites whose kernel chooses by the backend: what the CPU chooses says nothing of MPS
#: (aten/src/ATen/native/Convolution.cpp, ``_select_conv_backend``).
OPAQUE = frozenset({"convolution", "convolution_backward", "convolution_overrideable"})

#: Composites that autograd does not look into. Sizes above 1 do not decide what they call.
_EXPLICIT = ("CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional")

#: Composites that are taken apart above the mode, but in inference mode. ``matmul`` and ``cdist``,
#: for two, choose by sizes.
_IMPLICIT = "CompositeImplicitAutograd"

#: Patterns that are kept, so that memory stays flat.
_MOST = 1 << 14


class Composites:
    """Watches composites; what is called by them is put together as trees."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
        self._kinds: dict[Any, str] = {}
        self._dispatched: dict[Any, bool] = {}
        self._known: dict[Any, tuple[Tree, ...]] = {}
        #: What the composites that are running have called so far, the outermost first.
        self._called: list[list[Tree]] = []
        self._running: list[Any] = []
        #: Hands over the calls of the composite that is watched.
        self.mode = _mode(self)
        self._plain = (int, str, type(None), torch.dtype, torch.device, torch.layout,
                       torch.memory_format)  # fmt: skip

    @property
    def is_inside(self) -> bool:
        """Whether a composite is run to see what it calls."""
        return bool(self._called)

    def call_inside(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call of the composite that is watched."""
        called: list[Tree] = []
        try:
            # Some kernels of the CPU come back to their own operator with other arguments.
            if func not in self._running and self._kind(func) and self._is_watchable(args, kwargs):
                with contextlib.suppress(Exception):  # as in _watched
                    return self._taken_apart(func, args, kwargs, called)
            return func(*args, **kwargs)
        finally:
            self.add(func, tuple(dict.fromkeys(called)))

    def add(self, func: Any, called: tuple[Tree, ...]) -> None:
        """Note a call of the composite that is watched."""
        self._called[-1].append((name_of(func).removeprefix("aten::"), called))

    def called(self, func: Any, args: Any, kwargs: Any) -> tuple[Tree, ...]:
        """What an operator calls, where it is made of others on the CPU too."""
        kind = self._kind(func)
        if not kind or not self._is_watchable(args, kwargs):
            return ()
        if kind == "implicit":
            return self._watched(func, args, kwargs)[0]
        pattern = self._pattern(func, args, kwargs)
        known = self._known.get(pattern)
        if known is None:
            known, whole = self._watched(func, args, kwargs)
            if whole and len(self._known) < _MOST:
                self._known[pattern] = known
        return known

    def _watched(self, func: Any, args: Any, kwargs: Any) -> tuple[tuple[Tree, ...], bool]:
        """What a composite calls on copies, and whether it came to its end there.

        The test's own run stays as it is.
        """
        torch = self._torch
        state = torch.get_rng_state()
        called: list[Tree] = []
        whole = False
        try:
            copies, named = _copied(torch, args), _copied(torch, kwargs)
            self._taken_apart(func, copies, named, called)
            whole = True
        except Exception:  # noqa: S110 - a number in place of a tensor, for one: what was seen counts
            pass
        finally:
            torch.set_rng_state(state)
        return tuple(dict.fromkeys(called)), whole

    def _taken_apart(self, func: Any, args: Any, kwargs: Any, called: list[Tree]) -> Any:
        """Run a composite; what it calls goes to the end of ``called``."""
        self._called.append(called)
        self._running.append(func)
        try:
            with self.mode:
                return func.redispatch(self._keys, *args, **kwargs)
        finally:
            self._running.pop()
            self._called.pop()

    def is_dispatched(self, func: Any) -> bool:
        """Whether an operator is in torch's dispatcher; ``prim::device``, for one, is not."""
        known = self._dispatched.get(func)
        if known is None:
            known = self._dispatched[func] = self._torch._C._dispatch_has_kernel(func.name())
        return known

    def _kind(self, func: Any) -> str:
        """Of a composite: ``explicit`` or ``implicit``; empty for what has a kernel."""
        known = self._kinds.get(func)
        if known is None:
            has, name = self._torch._C._dispatch_has_kernel_for_dispatch_key, func.name()
            known = ""
            # To ask for the kernels of another one is an error.
            here = self.is_dispatched(func)
            if here and not has(name, "CPU") and name.removeprefix("aten::") not in OPAQUE:
                known = "explicit" if any(has(name, key) for key in _EXPLICIT) else ""
                known = "implicit" if has(name, _IMPLICIT) else known
            self._kinds[func] = known
        return known

    def _is_watchable(self, args: Any, kwargs: Any) -> bool:
        """Whether copies of the arguments do what they do: those of a generator do not."""
        generator = self._torch.Generator
        return self._is_strided(args) and not any(
            isinstance(one, generator) for one in kwargs.values()
        )

    def _is_strided(self, args: Any) -> bool:
        torch = self._torch
        for one in args:
            if isinstance(one, torch.Tensor):
                if one.layout is not torch.strided or one.is_nested:
                    return False
            elif isinstance(one, (list, tuple)) and not self._is_strided(one):
                return False
        return True

    def _pattern(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What of a call decides what an explicit composite calls."""
        view = bool(getattr(func, "is_view", False))
        parts = [self._part(one, view) for one in args]
        named = [(name, self._part(one, view)) for name, one in kwargs.items()]
        return func, self._torch.is_inference_mode_enabled(), tuple(parts), tuple(named)

    def _part(self, value: Any, view: bool) -> Any:
        """An argument as far as it decides.

        Sizes count as 0, 1 or more, and so do the dimensions and places of a view, which does not
        look at the dtype either.
        """
        if isinstance(value, self._torch.Tensor):
            dtype = None if view else value.dtype
            sizes = tuple([one if one < 2 else 2 for one in value.shape])
            return dtype, sizes, self._strides(value), value.is_conj(), value.is_neg()
        if isinstance(value, (list, tuple)):
            return tuple([self._in_list(one, view) for one in value])
        if value.__class__ is int and view:
            return max(-2, min(value, 2))
        return value if isinstance(value, self._plain) else value.__class__

    def _in_list(self, value: Any, view: bool) -> Any:
        return max(-2, min(value, 2)) if value.__class__ is int else self._part(value, view)

    def _strides(self, tensor: Any) -> Any:
        if tensor.is_contiguous():
            return None
        form = self._torch.channels_last
        last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=form)
        return last, tuple([one if one < 2 else 2 for one in tensor.stride()])


def _mode(composites: Composites) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Inside(TorchDispatchMode):  # type: ignore[misc]
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return composites.call_inside(func, args, kwargs or {})

    return Inside()


def name_of(func: Any) -> str:
    """``aten::add.Tensor``, ``aten::relu``."""
    return str(func.name())


def _copied(torch: Any, value: Any) -> Any:
    """The same arguments with tensors of their own memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {name: _copied(torch, one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(torch, one) for one in value)
    return value
