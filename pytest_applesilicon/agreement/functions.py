"""Does a function or a module give on a device what it gives in float64 on the host?

For maintainers of libraries: the same oracle and the same envelope that judge torch's own
operators, for code of their own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.agreement import calls, oracle, telling, walking
from pytest_applesilicon.agreement import gradients as gradients_of
from pytest_applesilicon.agreement import layouts as layout_variants
from pytest_applesilicon.agreement import rerun as programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class _Case:
    """What is judged; its text begins every failure."""

    name: str
    direction: str
    dtype: Any
    layout: str
    device: Any
    #: Makes the program that shows a failure again.
    rerun: Callable[[_Case], str]

    def __str__(self) -> str:
        dtype = walking.dtype_name(self.dtype)
        layout = f", layout {self.layout}" if self.layout else ""
        return f"{self.name}: {self.direction} in {dtype}{layout}, on {self.device}"


def assert_agrees(
    fn: Callable[..., Any],
    *inputs: Any,
    device: Any,
    gradients: bool = True,
    layouts: str | Sequence[str] | None = "all",
    seed: int = 0,
    keep: str | Path | None = None,
) -> None:
    """Fail where ``fn`` gives something else on the device than the envelope allows.

    ``fn`` is called on the device once for each layout of its tensors, and then once more for
    the gradients of its floating-point tensors, or of those that require one if any does. In
    the layout ``expanded`` the upstream gradient is a single number expanded, which is what
    ``sum().backward()`` gives.

    Args:
        fn: what is judged. It must draw no random numbers and, with ``gradients``, must not
            write into its inputs. It is called on the host in float64 as well.
        *inputs: its arguments, tensors on the host; tuples, lists and dicts are walked.
        device: a ``torch.device`` or its name.
        gradients: compare the gradients too.
        layouts: ``"all"`` that apply, one or several of ``layouts.LAYOUTS``, or ``None`` for
            contiguous tensors alone.
        seed: of the random signs that show how far rounding may move the result.
        keep: the folder in which a failure saves the inputs, for the program that shows it
            again; ``None`` for one in the system's temporary directory.

    Raises:
        AssertionError: a result is of another type, shape or dtype, lies on another device, or
            outside of the envelope. The text tells the worst element.
        ValueError: a layout is unknown, or was asked for by name and applies to no input.
    """
    __tracebackhide__ = True
    import torch

    target, dtype = torch.device(device), _dtype_of(inputs)
    name = _name_of(fn)

    def rerun(case: _Case) -> str:
        options = {
            "device": str(target),
            "gradients": case.direction == "backward",
            "layouts": case.layout,
            "seed": seed,
        }
        return programs.function_program(fn, inputs, options, keep)

    for layout in layout_variants.chosen(layouts):
        args, count = layout_variants.applied(_moved(inputs, target), layout)
        applies = bool(count) or layout == "contiguous"
        if applies:
            case = _Case(name, "forward", dtype, layout, target, rerun)
            actual = _run(case, fn, args)
            _judge(case, actual, fn, inputs, [], seed)
        if gradients and (applies or layout == "expanded"):
            # fn may have written into its inputs: build them anew.
            args, _ = layout_variants.applied(_moved(inputs, target), layout)
            case = _Case(name, "backward", dtype, layout, target, rerun)
            labels: list[str] = []
            watch = gradients_of.differentiable(inputs)
            actual = _run(case, partial(gradients_of.gradients, fn, watch, layout, labels), args)
            constant = "expanded" if layout == "expanded" else "contiguous"
            call = partial(gradients_of.gradients, fn, watch, constant, [])
            _judge(case, actual, call, inputs, labels, seed)
            applies = applies or bool(actual)
        if not applies and layouts != "all":
            raise ValueError(f"{name}: layout {layout!r} applies to no input")


def assert_module_agrees(
    module: Any,
    inputs: Any,
    *,
    device: Any,
    kwargs: Mapping[str, Any] | None = None,
    gradients: bool = True,
    seed: int = 0,
    keep: str | Path | None = None,
) -> None:
    """Fail where a module gives something else on the device than the envelope allows.

    Compared are its results and, after the forward pass, its buffers; then the gradients of
    its parameters and of its floating-point inputs, or of those that require one if any does.
    The module itself stays as it is: a copy runs on the device, and copies in float64 on the
    host are the oracle. It runs in the mode it is in (``train`` or ``eval``), and must draw no
    random numbers.

    Args:
        module: a ``torch.nn.Module`` on the host, its lazy parameters initialised.
        inputs: a tensor on the host, or a tuple or list of all positional arguments.
        device: a ``torch.device`` or its name.
        kwargs: its keyword arguments.
        gradients: compare the gradients too.
        seed: of the random signs that show how far rounding may move the result.
        keep: the folder in which a failure saves the inputs, for the program that shows it
            again; ``None`` for one in the system's temporary directory.

    Raises:
        AssertionError: as ``assert_agrees``; the text names the result, buffer or gradient.
    """
    __tracebackhide__ = True
    import torch

    target = torch.device(device)
    args = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    state = _state(module)
    given = (state, args, dict(kwargs or {}))
    runs: list[tuple[str, Callable[..., Any]]] = [("forward", _module_forward)]
    if gradients:
        runs.append(
            ("backward", partial(_module_gradients, gradients_of.differentiable(given[1:])))
        )

    def rerun(case: _Case) -> str:
        options = {
            "device": str(target),
            "gradients": case.direction == "backward",
            "seed": seed,
        }
        return programs.module_program(module, args, given[2], options, keep)

    for direction, run in runs:
        case = _Case(type(module).__name__, direction, _dtype_of(given), "", target, rerun)
        labels: list[str] = []
        actual = _run(
            case, partial(run, _on(module, target), labels), (None, *_moved(given[1:], target))
        )
        _judge(case, actual, partial(_from_state, module, run), given, labels, seed)


# Running


def _run(case: _Case, call: Callable[..., Any], args: Any) -> Any:
    """What the call gives; an exception is told in which case it was raised."""
    try:
        return calls.on_device(call, tuple(args), {})
    except Exception as error:
        if hasattr(error, "add_note"):  # Python 3.11
            error.add_note(str(case))
        raise


def _moved(value: Any, device: Any) -> Any:
    """Copies of the tensors on the device."""
    import torch

    def leaf(one: Any) -> Any:
        if not isinstance(one, torch.Tensor):
            return one
        return one.detach().clone() if device.type == "cpu" else one.detach().to(device)

    return walking.mapped(value, leaf)


# Modules


def _state(module: Any) -> dict[str, Any]:
    """The parameters and buffers by name."""
    return {
        name: tensor.detach()
        for named in (module.named_parameters(), module.named_buffers())
        for name, tensor in named
    }


def _on(module: Any, device: Any) -> Any:
    return copy.deepcopy(module).to(device)


def _from_state(
    module: Any, run: Callable[..., Any], state: dict[str, Any], args: Any, kwargs: Any
) -> Any:
    """Run a copy of the module on the host with these parameters and buffers.

    The oracle gives them in float64, and moves them to see how far the result moves.
    """
    copied = copy.deepcopy(module)
    for named in (copied.named_parameters(), copied.named_buffers()):
        for name, tensor in named:
            tensor.data = state[name]
    return run(copied, [], state, args, kwargs)


def _module_forward(module: Any, labels: list[str], _: Any, args: Any, kwargs: Any) -> Any:
    """The results and the buffers after the forward pass."""
    result = module(*args, **kwargs)
    buffers = dict(module.named_buffers())
    labels += [f"result {place}" for place, _ in enumerate(walking.leaves(result))]
    labels += [f"buffer {name}" for name in buffers]
    return result, buffers


def _module_gradients(
    watch: frozenset[int], module: Any, labels: list[str], _: Any, args: Any, kwargs: Any
) -> Any:
    """The gradients of the inputs at these places and of the parameters."""
    (args, kwargs), sources = gradients_of.watched((args, kwargs), watch)
    parameters = [(name, one) for name, one in module.named_parameters() if one.requires_grad]
    labels += [f"gradient of input {place}" for place, _ in sources]
    labels += [f"gradient of {name}" for name, _ in parameters]
    wanted = [source for _, source in sources] + [one for _, one in parameters]
    return gradients_of.backward(module(*args, **kwargs), wanted, "contiguous")


# Judging


def _judge(
    case: _Case,
    actual: Any,
    call: Callable[..., Any],
    args: Any,
    labels: list[str],
    seed: int,
) -> None:
    __tracebackhide__ = True
    elsewhere = _elsewhere(actual, case.device)
    if elsewhere:
        raise _failure(case, args, f"a result is on {elsewhere}, not on {case.device}")
    found = oracle.judge_sample(actual, call, args, {}, case.dtype, seed=seed)
    if not found.agrees:
        label = labels[found.leaf] if found.leaf < len(labels) else f"result {found.leaf}"
        expected = telling.host_element(call, args, {}, found)
        raise _failure(case, args, telling.told(found, label, expected))


def _failure(case: _Case, args: Any, text: str) -> AssertionError:
    # Of a module the state comes first, which its program saves.
    shown = telling.sample_text(args if case.layout else args[1], None if case.layout else args[2])
    return AssertionError(f"{case}: {text}\nsample: {shown}\n{case.rerun(case)}")


def _elsewhere(actual: Any, device: Any) -> str:
    """The device of the first result that is on a device of another type."""
    import torch

    for leaf in walking.leaves(actual):
        if isinstance(leaf, torch.Tensor) and leaf.device.type != device.type:
            return str(leaf.device)
    return ""


def _dtype_of(value: Any) -> Any:
    """The dtype that is judged: of the first floating-point tensor, else of the first tensor."""
    import torch

    tensors = [one for one in walking.leaves(value) if isinstance(one, torch.Tensor)]
    floating = [one for one in tensors if one.is_floating_point() or one.is_complex()]
    first = next(iter(floating + tensors), None)
    return torch.float32 if first is None else first.dtype


def _name_of(fn: Any) -> str:
    if isinstance(fn, partial):
        return _name_of(fn.func)
    return str(getattr(fn, "__name__", None) or type(fn).__name__)
