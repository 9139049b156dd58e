"""Recording every ATen call of this thread, as a device would see it.

A ``TorchDispatchMode`` is called for each operator below autograd. It costs microseconds, so
that a call that was seen before does nothing but add one: what costs more (the library line,
the values, what a composite calls) is done for a new signature only.
"""

from __future__ import annotations

import marshal
import sys
from pathlib import Path
from typing import Any

from pytest_applesilicon.audit.composites import Composites, name_of
from pytest_applesilicon.audit.describing import describe
from pytest_applesilicon.audit.keys import Keys
from pytest_applesilicon.audit.signatures import Signature, Tree

#: Signatures of one operator that are told apart; what comes later is told apart by dtypes
#: alone, so that memory stays flat however many shapes a suite has.
MOST = 128

#: Composites that torch takes apart above the mode, and that MPS has had as one operator
#: (MPSFallback.mm): what they call, ``linalg_svdvals`` calls too, and MPS lacks it.
WHOLE = ("linalg_svd", "linalg_svd.U")

#: Where a recorded call is kept: how often, the last test, in how many tests, and the rest. That
#: is kept as bytes: the collector of garbage, which goes through all containers again and again,
#: would take as long as recording them does.
_CALLS, _LAST, _TESTS, _FACTS = range(4)

#: In place of the facts of calls that concern no device: on the device ``meta``, or of no tensor.
_OF_NO_DEVICE = b""


class Recorder:
    """The signatures of a process; ``watching()`` records while it is entered."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: dict[Any, list[Any]] = {}
        #: Signatures by operator. It keeps the operator: an id is that of one as long as it lives.
        self._of: dict[Any, int] = {}
        #: The ids of those with as many signatures as are told apart.
        self._crowded: set[int] = set()
        self.test = ""
        """The id of the test that is running."""
        self._libraries: list[Any] = []
        self._mode = _mode(self)

    def watching(self) -> Any:
        """A context in which the calls of this thread are recorded."""
        return self._mode

    def close(self) -> None:
        """Take back the kernels that tell of ``WHOLE``; nothing is recorded after it."""
        for library in self._libraries:
            library._destroy()
        self._libraries.clear()

    @property
    def signatures(self) -> list[Signature]:
        """What was recorded so far."""
        return [
            Signature(calls=entry[_CALLS], tests=entry[_TESTS], **_unpacked(entry[_FACTS]))
            for entry in self._seen.values()
            if entry[_FACTS]
        ]

    @property
    def size(self) -> int:
        """How many keys are kept: it is bounded, however many calls are recorded."""
        return len(self._seen)


def _mode(recorder: Recorder) -> Any:  # noqa: C901 - inlined: a call costs what a check does
    """The dispatch mode; its class is made here, because torch is imported inside functions."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    keys = Keys(torch)
    tensor, parameter, plain, default = keys.tensor, keys.parameter, keys.plain, keys.default
    part, coarse = keys.part, keys.coarse
    seen, crowded = recorder._seen, recorder._crowded
    new = _New(recorder, keys)

    class Recording(TorchDispatchMode):  # type: ignore[misc]
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            # Else each call goes through a wrapper that costs as much as all the rest.
            return False

        def __torch_dispatch__(
            self,
            func: Any,
            types: Any,
            args: Any = (),
            kwargs: Any = None,
        ) -> Any:
            # The hash of an operator is a function of Python; torch keeps every overload, so that
            # its id is one. The schema says how many parts of a key belong to an argument.
            key: Any = (id(func), default())
            try:
                if key[0] in crowded:
                    key = coarse(func, args, kwargs)
                else:
                    for one in args:
                        kind = one.__class__
                        if kind is tensor or kind is parameter:
                            key += (one.dtype, one.shape, one.is_contiguous(), one.requires_grad,
                                    one.is_cpu)  # fmt: skip
                        elif kind in plain:
                            key += (one,)
                        else:
                            key += (part(one),)
                    if kwargs:
                        for name, one in kwargs.items():
                            key += (name, one if one.__class__ in plain else part(one))
                entry = seen.get(key)
            except (RuntimeError, TypeError):
                # A sparse tensor has no contiguity; a symbolic number has no hash.
                key = (*key[:2], tuple(str(getattr(one, "dtype", type(one))) for one in args))
                entry = seen.get(key)
            # Without facts the calls so far have raised: this one may be the first that works.
            if entry is None or entry[3] is None:
                return new.call(key, func, args, kwargs or {})
            entry[0] += 1
            if entry[1] is not recorder.test:
                entry[1] = recorder.test
                entry[2] += 1
            # What calling ``func`` does, without a frame of Python between.
            return func._op(*args, **kwargs) if kwargs else func._op(*args)

    made = Recording()
    recorder._libraries.append(_tell_of_whole(made, new))
    return made


def _tell_of_whole(mode: Any, new: _New) -> Any:
    """Kernels of the CPU that have a whole composite noted while the mode is watching."""
    import torch
    from torch.utils import _python_dispatch

    library = torch.library.Library("aten", "IMPL")

    def kernel_of(op: Any) -> Any:
        def kernel(*args: Any, **kwargs: Any) -> Any:
            stack = _python_dispatch._get_current_dispatch_mode_stack()
            if mode not in stack and new.composites.mode not in stack:
                return op.decompose(*args, **kwargs)
            with _python_dispatch._disable_current_modes():
                result = op.decompose(*args, **kwargs)
            new.note(op, args, kwargs, result)
            return result

        return kernel

    for name in WHOLE:
        packet, _, overload = name.partition(".")
        op = getattr(getattr(torch.ops.aten, packet), overload or "default")
        for key in ("CPU", "AutogradCPU"):
            library.impl(name, kernel_of(op), key)
    return library


class _New:
    """What is done for a call that was not seen before."""

    def __init__(self, recorder: Recorder, keys: Keys) -> None:
        import torch

        self._recorder = recorder
        self._keys = keys
        self._torch = torch
        self.composites = Composites(torch)
        self._skipped = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))
        self._shown: dict[str, str] = {}

    def call(self, key: Any, func: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator, and keep what its signature needs."""
        tensors = self._tensors(args)
        # What is not in the dispatcher asks for facts of a tensor.
        if not self.composites.is_dispatched(func) or not self._on_host(tensors, kwargs):
            self._recorder._seen[key] = [0, None, 0, _OF_NO_DEVICE]
            return func(*args, **kwargs)
        entry = self._entry(key, func, args, kwargs)
        if entry[_FACTS] is not None:
            return func(*args, **kwargs)
        facts = self._before(func, args, kwargs, tensors)
        facts["called"] = self.composites.called(func, args, kwargs)
        result = func(*args, **kwargs)
        facts["results"] = self._dtypes(result)
        # Such as ``promote_types``: it is given dtypes, and answers with one.
        of_no_device = not tensors and not facts["results"]
        entry[_FACTS] = _OF_NO_DEVICE if of_no_device else _packed(facts)
        return result

    def note(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Keep a call that was made already."""
        called: tuple[Tree, ...] = (("_linalg_svd", ()),)
        if self.composites.is_inside:
            self.composites.add(func, called)
            return
        entry = self._entry(self._keys.whole(func, args), func, args, kwargs)
        if entry[_FACTS] is None:
            facts = self._before(func, args, kwargs, self._tensors(args))
            facts |= {"results": self._dtypes(result), "called": called}
            entry[_FACTS] = _packed(facts)

    def _entry(self, key: Any, func: Any, args: Any, kwargs: Any) -> list[Any]:
        """Count a call: in a place of its own, or in one shared with its like."""
        recorder = self._recorder
        entry = recorder._seen.get(key)
        if entry is None:
            if recorder._of.get(func, 0) >= MOST:
                recorder._crowded.add(id(func))
                key = self._keys.coarse(func, args, kwargs)
            else:
                recorder._of[func] = recorder._of.get(func, 0) + 1
            entry = recorder._seen.setdefault(self._keys.kept(key), [0, None, 0, None])
        entry[_CALLS] += 1
        if entry[_LAST] is not recorder.test:
            entry[_LAST] = recorder.test
            entry[_TESTS] += 1
        return entry

    def _on_host(self, tensors: list[Any], kwargs: Any) -> bool:
        """Whether a call concerns a device at all: not one on the device ``meta``."""
        device = kwargs.get("device")
        if isinstance(device, self._torch.device) and device.type != "cpu":
            return False
        return all(one.is_cpu for one in tensors)

    def _before(self, func: Any, args: Any, kwargs: Any, tensors: list[Any]) -> dict[str, Any]:
        torch = self._torch
        backward = torch._C._current_graph_task_id() != -1
        wanted = torch.is_grad_enabled() and any(one.requires_grad for one in tensors)
        return {
            "operator": name_of(func),
            "args": tuple([describe(one) for one in args]),
            "kwargs": {name: describe(one) for name, one in kwargs.items()},
            "gradient": bool(backward or wanted),
            "first_test": self._recorder.test,
            "line": self._line(),
        }

    def _tensors(self, args: Any) -> list[Any]:
        tensor = self._torch.Tensor
        found = []
        for one in args:
            if isinstance(one, tensor):
                found.append(one)
            elif isinstance(one, (list, tuple)):
                found += [inner for inner in one if isinstance(inner, tensor)]
        return found

    def _dtypes(self, result: Any) -> tuple[str, ...]:
        several = result if isinstance(result, (list, tuple)) else (result,)
        found = [str(one.dtype).removeprefix("torch.") for one in self._tensors(several)]
        return tuple(found)

    def _line(self) -> str:
        """The innermost line that is neither torch's nor ours."""
        frame: Any = sys._getframe(1)
        while frame is not None:
            name = frame.f_code.co_filename
            if not name.startswith(self._skipped) and name[:1] != "<":
                if name not in self._shown:
                    self._shown[name] = self._short(Path(name))
                return f"{self._shown[name]}:{frame.f_lineno}"
            frame = frame.f_back
        return ""

    def _short(self, path: Path) -> str:
        """A file as it is shown: below the root of the tests, or below site-packages."""
        if path.is_relative_to(self._recorder._root):
            path = path.relative_to(self._recorder._root)
        elif "site-packages" in path.parts:
            path = Path(*path.parts[path.parts.index("site-packages") + 1 :])
        return path.as_posix()


def _packed(facts: dict[str, Any]) -> Any:
    try:
        return marshal.dumps(facts)
    except ValueError:  # a symbolic size, or a class made of a plain one
        return facts


def _unpacked(facts: Any) -> dict[str, Any]:
    # Bytes that this process has made.
    found = marshal.loads(facts) if isinstance(facts, bytes) else facts  # noqa: S302
    return dict(found)
