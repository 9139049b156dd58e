"""Small deliberate faults of a machine, a framework or a device, and what must notice each.

A fault is installed into the process that runs the suites, and can be taken out again: that
process runs them under one fault after the other. A fault must reach what the suites judge
and not what they judge it by. Imports torch only where a fault needs it.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faults_agreement
import faults_benchmarks
from fault import FEW_OPERATORS, Fault, Install
from faults_doctor import PLANTED

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

#: Names the fault of a run of the suites, and of the processes they start.
VARIABLE = "SUITES_FAULT"

#: Holds a ``sitecustomize`` that installs the fault of a process the suites start.
CHILD_FOLDER = Path(__file__).with_name("child")

HEALTHY = "environment/test_device.py::test_device_is_healthy"
SMALL_MATMUL = "environment/test_device.py::test_small_matmul_on_the_device"
TRIP = "environment/test_device.py::test_values_survive_the_trip_to_the_device"
BALANCED = "environment/test_digits.py::test_digits_are_real_and_balanced"
NOT_TRAINED_ON = "environment/test_digits.py::test_no_test_digit_was_trained_on"
SETTINGS = "environment/test_framework.py::test_settings_have_an_effect"
SUPPORTED = "environment/test_framework.py::test_framework_version_is_supported"
CORES = "environment/test_host.py::test_host_knows_its_cores_and_memory"
LEVELS = "environment/test_host.py::test_core_levels_add_up_to_the_cores"
TRANSLATED = "environment/test_host.py::test_interpreter_is_not_translated"
ARCHITECTURE = "environment/test_host.py::test_architecture_is_what_the_platform_module_says"
MATMUL = "benchmarks/test_matmul.py::test_matmul"
EPOCH = "benchmarks/test_training_epoch.py::test_training_epoch"
LEARNING = "training/test_learning.py::test_network_learns_digits"
CURVE = "training/test_loss_curve.py::test_loss_curve_agrees_with_the_cpu"
SAVING = "training/test_saving.py::test_reloaded_network_predicts_the_same"

FORWARD = "ops/test_operators.py::test_forward"
GRADIENT = "ops/test_operators.py::test_gradient"
INPLACE = "ops/test_operators.py::test_inplace"
OUT = "ops/test_operators.py::test_out"

#: Two sizes are enough to see a wrong product, and take a second.
SMALL_SIZES = "cpu-256 or cpu-512"


# the machine


def host_with(**changes: Any) -> Install:
    """The host is detected with other facts; a function makes a fact from the true host."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from pytest_applesilicon import host as hosts

        true = hosts.detect()
        wrong = {name: new(true) if callable(new) else new for name, new in changes.items()}
        patch.setattr(hosts, "detect", lambda: dataclasses.replace(true, **wrong))

    return install


def _unequal_levels(host: Any) -> Any:
    from pytest_applesilicon.records import CoreLevel

    return (CoreLevel("Performance", host.cpu_cores), CoreLevel("Efficiency", 1))


def _other_architecture(host: Any) -> str:
    return "x86_64" if host.interpreter == "arm64" else "arm64"


def device_miscomputes(patch: pytest.MonkeyPatch) -> None:
    from pytest_applesilicon import health
    from pytest_applesilicon.records import Health

    def probe(framework: str, spec: str, host: Any) -> Health:
        return Health(spec, framework, "miscomputes", "64x64 matmul is wrong by 3.8")

    patch.setattr(health, "probe", probe)


# the framework as it is installed


def torch_is_too_old(patch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version
    patch.setattr(
        importlib.metadata, "version", lambda name: "1.13.1" if name == "torch" else version(name)
    )


def no_range_is_stated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(importlib.metadata, "requires", lambda name: None)


# the digits


def digits_with(change: Callable[[Any], dict[str, Any]]) -> Install:
    """The digits are loaded with other arrays."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from pytest_applesilicon.data import mnist

        load = mnist.load
        patch.setattr(
            mnist,
            "load",
            lambda location: dataclasses.replace(digits := load(location), **change(digits)),
        )

    return install


def _half_are_ones(digits: Any) -> dict[str, Any]:
    labels = digits.train_labels.copy()
    labels[::2] = 1
    return {"train_labels": labels}


def _noise(digits: Any) -> dict[str, Any]:
    import numpy as np

    draw = np.random.default_rng(0)
    return {"train_images": draw.integers(0, 256, digits.train_images.shape, dtype=np.uint8)}


def _one_test_digit_in_training(digits: Any) -> dict[str, Any]:
    images = digits.train_images.copy()
    images[4321] = digits.test_images[7]
    return {"train_images": images}


# the adapter: what travels to the device and back


def to_device(change: Callable[[Any], Any]) -> Install:
    """The copy to the device changes a tensor."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from pytest_applesilicon.frameworks.pytorch import TorchAdapter

        original = TorchAdapter.to_device
        patch.setattr(
            TorchAdapter,
            "to_device",
            lambda self, value, spec, dtype=None: change(original(self, value, spec, dtype)),
        )

    return install


def to_host(change: Callable[[Any], Any]) -> Install:
    """The copy to the host changes a tensor."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from pytest_applesilicon.frameworks.pytorch import TorchAdapter

        original = TorchAdapter.to_host
        patch.setattr(TorchAdapter, "to_host", lambda self, array: original(self, change(array)))

    return install


def through(dtype: str, between: str) -> Callable[[Any], Any]:
    """Tensors of one dtype are rounded to another one and back."""

    def change(tensor: Any) -> Any:
        import torch

        wanted = tensor.dtype == getattr(torch, dtype)
        return tensor.to(getattr(torch, between)).to(tensor.dtype) if wanted else tensor

    return change


def _int64_as_int32(tensor: Any) -> Any:
    import torch

    return tensor.to(torch.int32) if tensor.dtype == torch.int64 else tensor


def _bytes_up_to_127(tensor: Any) -> Any:
    import torch

    return tensor.clamp(max=127) if tensor.dtype == torch.uint8 else tensor


def _last_row_lost(tensor: Any) -> Any:
    tensor = tensor.clone()
    tensor[-1] = 0
    return tensor


def arrays_are_elsewhere(patch: pytest.MonkeyPatch) -> None:
    from pytest_applesilicon.frameworks.pytorch import TorchAdapter

    facts = TorchAdapter.facts
    patch.setattr(
        TorchAdapter,
        "facts",
        lambda self, array: dataclasses.replace(facts(self, array), device="mps:0"),
    )


def waiting_fails(every: int) -> Install:
    """The device reports an error each time so many waits are over."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from functools import partial

        from pytest_applesilicon.frameworks import measuring
        from pytest_applesilicon.frameworks.pytorch import ADAPTER, TorchAdapter

        waits = itertools.count(1)

        def synchronize(self: Any, spec: str) -> None:
            if next(waits) % every == 0:
                raise RuntimeError("command buffer exited with error status")

        patch.setattr(TorchAdapter, "synchronize", synchronize)
        # The CPU is not waited for; a device is.
        patch.setattr(
            measuring, "synchronizer", lambda framework, spec: partial(ADAPTER.synchronize, spec)
        )

    return install


# matrix products: the suites judge them by literals or by NumPy, so every product is the device's


def product(change: Callable[[Any, Any, Any], Any]) -> Install:
    """``left @ right`` is changed: ``change(multiply, left, right)``."""

    def install(patch: pytest.MonkeyPatch) -> None:
        import torch

        multiply = torch.Tensor.__matmul__
        patch.setattr(torch.Tensor, "__matmul__", lambda left, right: change(multiply, left, right))

    return install


def _operands_in_half(multiply: Any, left: Any, right: Any) -> Any:
    """What a matrix unit does that has ten bits of significand, such as TF32."""
    narrow = through("float32", "float16")
    return multiply(narrow(left), narrow(right))


def _last_columns_unwritten(multiply: Any, left: Any, right: Any) -> Any:
    found = multiply(left, right)
    found[:, -16:] = 0
    return found


def _half_as_float32(multiply: Any, left: Any, right: Any) -> Any:
    import torch

    if left.dtype == torch.float16:
        return multiply(left.float(), right.float())
    return multiply(left, right)


# operators: what a sample gives on the device, before it is judged


def results(change: Callable[[Any], Any], *directions: str) -> Install:
    """Every result of an operator on the device is changed, in these directions or in all."""

    def install(patch: pytest.MonkeyPatch) -> None:
        from pytest_applesilicon.agreement import sample_runs, walking

        original = sample_runs.Run._on_device

        def on_device(self: Any, *args: Any) -> Any:
            found = original(self, *args)
            if directions and self.direction not in directions:
                return found
            return walking.mapped(found, change)

        patch.setattr(sample_runs.Run, "_on_device", on_device)

    return install


def inputs_stay(patch: pytest.MonkeyPatch) -> None:
    """What an operator works on in place keeps its values."""
    from pytest_applesilicon.agreement import sample_runs

    original = sample_runs.Run._on_device

    def on_device(self: Any, call: Any, args: Any, kwargs: Any, ran_on_cpu: Any) -> Any:
        found = original(self, call, args, kwargs, ran_on_cpu)
        return args[0].clone() if self.direction == "inplace" else found

    patch.setattr(sample_runs.Run, "_on_device", on_device)


def _refuse(value: Any) -> Any:
    raise RuntimeError("command buffer exited with error status")


def _last_element_lost(tensor: Any) -> Any:
    tensor = tensor.clone()
    tensor.view(-1)[-1] = 0
    return tensor


# training: the faults act on the networks that learn from digits on the device


class Device:
    """Whether the device is in use: since digits were moved to it, until others stay here.

    The tests move digits to ``device``, a ``torch.device``; the reference's to ``"cpu"``.
    """

    in_use = False

    @staticmethod
    def change(digits: Any) -> Any:
        """What becomes of digits on their way to the device."""
        return digits


def watch_digits(loop: Any, patch: pytest.MonkeyPatch) -> None:
    """Note where digits go in the module ``loop``."""
    import torch

    original = loop.Digits.on

    def on(cls: Any, device: Any, mnist: Any, dtype: Any = torch.float32) -> Any:
        Device.in_use = isinstance(device, torch.device)
        digits = original(device, mnist, dtype)
        return Device.change(digits) if Device.in_use else digits

    patch.setattr(loop.Digits, "on", classmethod(on))


def outputs(kind: str, change: Callable[[Any], Any]) -> Install:
    """The output of every layer of a kind is changed on the device."""

    def install(patch: pytest.MonkeyPatch) -> None:
        import torch

        layer = getattr(torch.nn, kind)
        original = layer.forward

        def forward(self: Any, values: Any) -> Any:
            output = original(self, values)
            return change(output) if Device.in_use else output

        patch.setattr(layer, "forward", forward)

    return install


def _never_seven(output: Any) -> Any:
    """One column of the last layer is lost: the kernel of its tile did not run."""
    if output.shape[-1] != 10:
        return output
    output = output.clone()
    output[:, 7] = -1e4
    return output


def steps(change: Callable[[Callable[[], None], list[Any]], None]) -> Install:
    """Each step of an optimizer is changed on the device: ``change(step, weights)``."""

    def install(patch: pytest.MonkeyPatch) -> None:
        import torch

        for kind in (torch.optim.SGD, torch.optim.Adam):
            patch.setattr(kind, "step", _changed_step(kind.step, change))

    return install


def _changed_step(original: Any, change: Callable[[Callable[[], None], list[Any]], None]) -> Any:
    def step(self: Any, closure: Any = None) -> None:
        weights = [weight for group in self.param_groups for weight in group["params"]]
        if Device.in_use:
            change(lambda: original(self), weights)
        else:
            original(self)

    return step


def _all_but_every_fourth() -> Callable[[Callable[[], None], list[Any]], None]:
    numbers = itertools.count(1)

    def change(step: Callable[[], None], weights: list[Any]) -> None:
        if next(numbers) % 4:
            step()

    return change


def _nan_gradients(step: Callable[[], None], weights: list[Any]) -> None:
    for weight in weights:
        weight.grad.fill_(float("nan"))
    step()


def _gradients_in_bfloat16(step: Callable[[], None], weights: list[Any]) -> None:
    for weight in weights:
        weight.grad.copy_(weight.grad.bfloat16())
    step()


def _short_steps(step: Callable[[], None], weights: list[Any]) -> None:
    before = [weight.detach().clone() for weight in weights]
    step()
    for weight, old in zip(weights, before, strict=True):
        weight.detach().lerp_(old, 0.01)


def labels_are_shuffled(patch: pytest.MonkeyPatch) -> None:
    import torch

    def shuffled(digits: Any) -> Any:
        labels = digits.train_labels
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
        return dataclasses.replace(digits, train_labels=labels[order])

    patch.setattr(Device, "change", shuffled)


# the process that loads a saved network


def in_child(patch: pytest.MonkeyPatch) -> None:
    """The processes that the suites start install the fault ``CHILD`` has by this name."""
    patch.setenv("PYTHONPATH", str(CHILD_FOLDER), prepend=os.pathsep)


def _loads(change: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
    """``torch.load`` changes what was saved."""

    def install() -> None:
        import torch

        original = torch.load

        def load(*args: Any, **kwargs: Any) -> Any:
            saved = original(*args, **kwargs)
            change(saved)
            return saved

        torch.load = load

    return install


def _one_weight_is_off(saved: dict[str, Any]) -> None:
    import torch

    first = next(iter(saved["state"].values())).view(-1)
    first[0] = torch.nextafter(first[0], torch.tensor(9.0))


def _one_weight_is_missing(saved: dict[str, Any]) -> None:
    del saved["state"][next(iter(saved["state"]))]


def _images_are_mirrored(saved: dict[str, Any]) -> None:
    saved["images"] = saved["images"].flip(3)


#: What is installed in a process that the suites start, by the name of the fault.
CHILD: dict[str, Callable[[], None]] = {
    "loaded-weight-is-off": _loads(_one_weight_is_off),
    "loaded-weight-is-missing": _loads(_one_weight_is_missing),
    "loaded-images-are-mirrored": _loads(_images_are_mirrored),
    **faults_benchmarks.CHILD,
}


def useless_setting(patch: pytest.MonkeyPatch) -> None:
    import torch

    patch.setattr(torch.backends.mps, "allow_tf32", True, raising=False)


def refused_watermarks(patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PYTORCH_MPS_HIGH_WATERMARK_RATIO", "0.7")


#: The plugin warns of it too, and the warnings of this project's tests are errors.
IGNORED = ("-Wignore::pytest_applesilicon.UselessSettingWarning",)

FAULTS = (
    Fault(
        "rosetta",
        "the interpreter is translated",
        {TRANSLATED: "translated by Rosetta"},
        host_with(translated=True),
    ),
    Fault(
        "cores-unknown",
        "the system does not tell its cores",
        {CORES: "the number of CPU cores is not known"},
        host_with(cpu_cores=None, core_levels=()),
    ),
    Fault(
        "memory-unknown",
        "the system does not tell its memory",
        {CORES: "the memory is not known"},
        host_with(memory_bytes=None),
    ),
    Fault(
        "memory-in-megabytes",
        "the memory is read in the wrong unit",
        {CORES: "bytes of memory are too few"},
        host_with(memory_bytes=lambda host: host.memory_bytes // 2**20),
    ),
    Fault(
        "one-core-too-many",
        "the performance levels have more cores than the machine",
        {LEVELS: "'Efficiency', cores=1"},
        host_with(core_levels=_unequal_levels),
    ),
    Fault(
        "other-architecture",
        "the interpreter is taken for one of another architecture",
        {ARCHITECTURE: "the platform module says"},
        host_with(interpreter=_other_architecture),
    ),
    Fault(
        "half-are-ones",
        "half the training digits are labelled as ones",
        {BALANCED: "digits are too rare"},
        digits_with(_half_are_ones),
    ),
    Fault(
        "noise",
        "the training images are noise",
        {BALANCED: "the mean brightness is 127"},
        digits_with(_noise),
    ),
    Fault(
        "test-digit-in-training",
        "one test digit is among the training digits",
        {NOT_TRAINED_ON: "1 of"},
        digits_with(_one_test_digit_in_training),
    ),
    Fault(
        "torch-too-old",
        "torch is older than the range that is stated for it",
        {SUPPORTED: "torch 1.13.1 is outside"},
        torch_is_too_old,
    ),
    Fault(
        "no-range-stated",
        "the package was installed without its requirements",
        {SUPPORTED: "no range is stated for torch"},
        no_range_is_stated,
    ),
    Fault(
        "setting-without-effect",
        "a name was assigned that torch.backends.mps does not have",
        {SETTINGS: "torch.backends.mps.allow_tf32 does not exist"},
        useless_setting,
        options=IGNORED,
    ),
    Fault(
        "watermarks-refused",
        "the high watermark stands below the low one",
        {SETTINGS: "torch refuses a low watermark above 0.7"},
        refused_watermarks,
        options=IGNORED,
    ),
    Fault(
        "device-miscomputes",
        "the probe found a wrong result",
        {HEALTHY: "miscomputes: 64x64 matmul is wrong by 3.8"},
        device_miscomputes,
    ),
    Fault(
        "arrays-are-elsewhere",
        "arrays are not on the device that was asked for",
        {
            SMALL_MATMUL: "device differs",
            TRIP: "the values are on mps:0, not on cpu",
            MATMUL: "the product is on mps:0, not on cpu",
        },
        arrays_are_elsewhere,
        only=f"test_device or {SMALL_SIZES}",
    ),
    Fault(
        "last-row-is-lost",
        "the copy to the device leaves out the last row",
        {SMALL_MATMUL: "values differs at [0, 1]", TRIP: "values changed, the first at [32 "},
        to_device(_last_row_lost),
    ),
    Fault(
        "int64-through-float32",
        "the copy to the device rounds whole numbers to float32",
        {f"{TRIP}[cpu-int64]": "int64 values changed"},
        to_device(through("int64", "float32")),
    ),
    Fault(
        "int64-as-int32",
        "the device has no int64 and takes int32 instead",
        {f"{TRIP}[cpu-int64]": "int64 of shape (33, 65) became int32"},
        to_device(_int64_as_int32),
    ),
    Fault(
        "float32-through-bfloat16",
        "the copy to the host rounds float32 to bfloat16",
        {f"{TRIP}[cpu-float32]": "float32 values changed"},
        to_host(through("float32", "bfloat16")),
    ),
    Fault(
        "bytes-end-at-127",
        "the copy to the host takes bytes for signed ones",
        {f"{TRIP}[cpu-uint8]": "uint8 values changed"},
        to_host(_bytes_up_to_127),
    ),
    Fault(
        "product-is-left-operand",
        "a matrix product returns its left operand",
        {SMALL_MATMUL: "shape differs", MATMUL: "of the product is off by"},
        product(lambda multiply, left, right: left.clone()),
        only=f"test_device or {SMALL_SIZES}",
    ),
    Fault(
        "product-lacks-last-row",
        "a matrix product lacks its last row",
        {SMALL_MATMUL: "shape differs", MATMUL: "the product is"},
        product(lambda multiply, left, right: multiply(left, right)[:-1]),
        only=f"test_device or {SMALL_SIZES}",
    ),
    Fault(
        "product-one-bit-off",
        "a matrix product is wrong in its last bit",
        {SMALL_MATMUL: "values differs"},
        product(lambda multiply, left, right: multiply(left, right) * (1 + 2.0**-23)),
    ),
    Fault(
        "product-is-zero",
        "a matrix product is never written",
        {MATMUL: "of the product is off by"},
        product(lambda multiply, left, right: multiply(left, right) * 0),
        only="cpu-256 or cpu-2048-bfloat16",
    ),
    Fault(
        "last-columns-unwritten",
        "the last columns of a matrix product are not written",
        {MATMUL: "of the product is off by"},
        product(_last_columns_unwritten),
        only=SMALL_SIZES,
    ),
    Fault(
        "float32-operands-in-half",
        "float32 operands are rounded to float16 before they are multiplied",
        {f"{MATMUL}[cpu-{size}-float32]": "of the product is off by" for size in (256, 2048)},
        product(_operands_in_half),
        only="cpu-256 or cpu-2048-float32",
    ),
    Fault(
        "half-as-float32",
        "float16 is multiplied in float32, and timed as if it were float16",
        {f"{MATMUL}[cpu-{size}-float16]": "the product is float32" for size in (256, 512)},
        product(_half_as_float32),
        only=SMALL_SIZES,
    ),
    Fault(
        "device-fails-late",
        "the device reports an error when it is waited for",
        {MATMUL: "command buffer exited", EPOCH: "command buffer exited"},
        # Two products or one epoch warm up, and the fourth is within the rounds of both.
        waiting_fails(every=4),
        only="cpu-256 or (test_training_epoch and two_layer_net)",
    ),
    Fault(
        "device-fails-at-once",
        "the device reports an error the first time it is waited for",
        {MATMUL: "command buffer exited", EPOCH: "command buffer exited"},
        waiting_fails(every=1),
        only="cpu-256-float32 or (test_training_epoch and two_layer_net)",
    ),
    Fault(
        "operators-in-half",
        "results of operators are rounded to float16",
        {FORWARD: "times what is allowed", OUT: "times what is allowed"},
        results(through("float32", "float16"), "forward", "out"),
        options=FEW_OPERATORS,
    ),
    Fault(
        "operators-lose-the-last-element",
        "the last element of each result is lost",
        {
            FORWARD: "times what is allowed",
            GRADIENT: "times what is allowed",
            INPLACE: "times what is allowed",
            OUT: "times what is allowed",
        },
        results(_last_element_lost),
        options=FEW_OPERATORS,
    ),
    Fault(
        "gradients-fall-short",
        "gradients of operators are one percent short",
        {GRADIENT: "times what is allowed"},
        results(lambda tensor: tensor * 0.99, "gradient"),
        options=FEW_OPERATORS,
    ),
    Fault(
        "write-in-place-is-lost",
        "what an operator writes in place is lost",
        {INPLACE: "times what is allowed"},
        inputs_stay,
        options=FEW_OPERATORS,
    ),
    Fault(
        "out-is-not-written",
        "an operator does not write into out",
        {OUT: "times what is allowed"},
        results(lambda tensor: tensor.clone().fill_(1), "out"),
        options=FEW_OPERATORS,
    ),
    Fault(
        "operators-widen",
        "results of operators are float64",
        {
            FORWARD: "dtype of result 0 differs: float64, expected float32",
            INPLACE: "dtype of result 0 differs",
        },
        results(lambda tensor: tensor.double(), "forward", "inplace"),
        options=FEW_OPERATORS,
    ),
    Fault(
        "results-are-elsewhere",
        "results are on another device",
        {FORWARD: "the result is on meta, not on cpu", GRADIENT: "the result is on meta"},
        results(lambda tensor: tensor.to("meta"), "forward", "gradient"),
        options=FEW_OPERATORS,
    ),
    Fault(
        "operators-raise",
        "operators raise an error that the CPU does not",
        {
            FORWARD: "raised RuntimeError: command buffer exited",
            GRADIENT: "raised RuntimeError: command buffer exited",
            INPLACE: "raised RuntimeError: command buffer exited",
            OUT: "raised RuntimeError: command buffer exited",
        },
        results(_refuse),
        options=FEW_OPERATORS,
    ),
    Fault(
        "labels-are-shuffled",
        "the device learns from labels of other digits",
        {
            EPOCH: "the network does not learn",
            LEARNING: "the loss does not fall",
            CURVE: "the loss is",
        },
        labels_are_shuffled,
        only="two_layer_net",
    ),
    Fault(
        "weights-never-change",
        "the optimizer does nothing",
        {
            EPOCH: "the network does not learn",
            LEARNING: "the loss does not fall",
            CURVE: "the loss is",
        },
        steps(lambda step, weights: None),
        only="two_layer_net",
    ),
    Fault(
        "gradients-are-nan",
        "every gradient is NaN",
        {
            EPOCH: "the loss is NaN",
            LEARNING: "the loss does not fall: [nan",
            CURVE: "the loss is nan",
        },
        steps(_nan_gradients),
        only="two_layer_net",
    ),
    Fault(
        "never-a-seven",
        "one column of the last layer is lost: no digit is taken for a seven",
        {LEARNING: "recognises 0."},
        outputs("Linear", _never_seven),
        only="not cnn",
    ),
    Fault(
        "linear-in-bfloat16",
        "linear layers are rounded to bfloat16",
        {CURVE: "the loss is"},
        outputs("Linear", through("float32", "bfloat16")),
    ),
    Fault(
        "convolutions-in-half",
        "convolutions are rounded to float16",
        {f"{CURVE}[cpu-cnn]": "cnn: at step"},
        outputs("Conv2d", through("float32", "float16")),
    ),
    Fault(
        "every-fourth-step-skipped",
        "the optimizer skips every fourth step",
        {CURVE: "the loss is"},
        steps(_all_but_every_fourth()),
    ),
    Fault(
        "steps-fall-short",
        "each step goes 99 % of the way",
        {CURVE: "mlp: at step"},
        steps(_short_steps),
        only="mlp",
    ),
    Fault(
        "gradients-in-bfloat16",
        "gradients are rounded to bfloat16",
        {CURVE: "the loss is"},
        steps(_gradients_in_bfloat16),
        only="two_layer_net",
    ),
    Fault(
        "loaded-weight-is-off",
        "one loaded weight is wrong in its last bit",
        {SAVING: "values differs at ['"},
        in_child,
        only="not cnn",
    ),
    Fault(
        "loaded-weight-is-missing",
        "one weight is not loaded",
        {SAVING: "the new process failed"},
        in_child,
        only="two_layer_net",
    ),
    Fault(
        "loaded-images-are-mirrored",
        "the new process predicts other labels",
        {SAVING: "values differs at ["},
        in_child,
        only="two_layer_net",
    ),
    *faults_agreement.FAULTS,
    *faults_benchmarks.FAULTS,
    *faults_benchmarks.child_faults(in_child),
    *(Fault(**planted) for planted in PLANTED),
)


def fault_named(name: str) -> Fault:
    """The fault of this name."""
    return next(fault for fault in FAULTS if fault.name == name)
