"""Frameworks are found without importing them, and each adapter answers for its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest

from pytest_applesilicon import frameworks
from pytest_applesilicon.frameworks import pytorch, versions
from pytest_applesilicon.frameworks.base import ArrayFacts, DeviceAbsentError
from pytest_applesilicon.frameworks.numpy import ADAPTER as NUMPY
from pytest_applesilicon.frameworks.numpy import to_wide
from pytest_applesilicon.frameworks.pytorch import ADAPTER as TORCH
from pytest_applesilicon.option_table import FRAMEWORKS
from pytest_applesilicon.records import Host

MAC = Host("macOS", machine="arm64", interpreter="arm64")
INTEL_MAC = Host("macOS", machine="x86_64", interpreter="x86_64")
ROSETTA = Host("macOS", machine="arm64", interpreter="x86_64", translated=True)
LINUX = Host("Linux", machine="x86_64", interpreter="x86_64")
WINDOWS = Host("Windows", machine="x86_64", interpreter="x86_64")

has_torch = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not has_torch, reason="torch is not installed")


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


def _facts(device: str) -> ArrayFacts:
    return ArrayFacts("torch.Tensor", (), "float32", device, ())


# Which are there


def test_looking_for_the_frameworks_imports_none():
    code = (
        "import sys\n"
        "from pytest_applesilicon import frameworks\n"
        "found = {name: frameworks.is_installed(name) for name in frameworks.NAMES}\n"
        "adapters = [frameworks.load(name) for name in frameworks.NAMES]\n"
        "versions = [adapter.versions() for adapter in adapters]\n"
        "frameworks.first_installed()\n"
        "frameworks.adapter_of([1])\n"
        "imported = {name for name in frameworks.NAMES if name in sys.modules}\n"
        "print(found['numpy'], found['torch'], sorted(imported))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"True {has_torch} []"


def test_a_framework_whose_import_is_blocked_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert frameworks.is_installed("torch") is False


def test_a_framework_that_is_imported_is_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mlx", types.ModuleType("mlx"))
    assert frameworks.is_installed("mlx") is True


def test_a_module_without_a_spec_counts_as_not_installed(monkeypatch: pytest.MonkeyPatch):
    def fail(name: str) -> None:
        raise ValueError("__spec__ is None")

    monkeypatch.delitem(sys.modules, "mlx", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", fail)
    assert frameworks.is_installed("mlx") is False


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (FRAMEWORKS, "torch"),
        (("numpy", "torch"), "torch"),
        (("numpy", "jax", "mlx"), "mlx"),
        (("numpy", "jax", "mlx", "tensorflow"), "tensorflow"),
        (("numpy",), "numpy"),
    ],
)
def test_the_default_is_the_first_installed_in_the_documented_order(
    installed: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(frameworks, "is_installed", lambda name: name in installed)
    assert frameworks.first_installed() == expected


def test_the_names_are_those_of_the_option():
    assert frameworks.NAMES == FRAMEWORKS


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_an_adapter_has_the_name_it_is_loaded_by(name: str):
    assert frameworks.load(name).name == name


@pytest.mark.parametrize("value", [np.ones(2), np.float32(1), np.bool_(True), np.array(1)])
def test_arrays_and_scalars_of_numpy_have_its_adapter(value: Any):
    assert frameworks.adapter_of(value) is NUMPY


@pytest.mark.parametrize("value", [1, 1.0, True, "x", None, [1], {"a": 1}, np.float32, object()])
def test_anything_else_has_no_adapter(value: object):
    assert frameworks.adapter_of(value) is None


@needs_torch
def test_tensors_have_the_adapter_of_torch(torch: Any):
    assert frameworks.adapter_of(torch.ones(1)) is TORCH
    assert frameworks.adapter_of(torch.nn.Parameter(torch.ones(1))) is TORCH
    assert frameworks.adapter_of(torch.float32) is None


# What is plain without a probe


@pytest.mark.parametrize(
    ("spec", "host", "reason"),
    [
        ("cpu", LINUX, None),
        ("cpu", ROSETTA, None),
        ("mps", MAC, None),
        ("mps", INTEL_MAC, None),
        ("mps", ROSETTA, "this is an x86_64 Python under Rosetta"),
        ("mps", LINUX, "MPS is part of macOS, and this is Linux"),
        ("mps", WINDOWS, "MPS is part of macOS, and this is Windows"),
        ("cuda", MAC, "CUDA does not exist on macOS"),
        ("cuda:1", MAC, "CUDA does not exist on macOS"),
    ],
)
def test_what_torch_cannot_have_on_a_host_is_plain(spec: str, host: Host, reason: str | None):
    found = TORCH.absent(spec, host)
    assert (found is None) is (reason is None)
    assert found is None or (found[0].startswith(reason or "") and found[1] != "")


@pytest.mark.parametrize(
    ("version", "driver", "host", "reason"),
    [
        ("2.13.0+cpu", True, LINUX, "torch 2.13.0+cpu is a build for the CPU only"),
        ("2.13.0+cpu", True, WINDOWS, "torch 2.13.0+cpu is a build for the CPU only"),
        ("2.13.0", False, LINUX, "no driver of an NVIDIA or AMD GPU was found"),
        ("2.13.0+cu126", False, LINUX, "no driver of an NVIDIA or AMD GPU was found"),
        ("2.13.0+cu126", True, LINUX, None),
        ("2.13.0", False, WINDOWS, None),
    ],
)
def test_cuda_is_absent_without_a_build_or_a_driver_for_it(
    version: str, driver: bool, host: Host, reason: str | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pytorch, "version_of", lambda name: version)
    monkeypatch.setattr(pytorch, "_has_gpu_driver", lambda: driver)
    found = TORCH.absent("cuda:1", host)
    assert (found and found[0]) == reason


@pytest.mark.parametrize(("spec", "absent"), [("cpu", False), ("mps", True), ("cuda", True)])
def test_numpy_has_the_cpu_alone(spec: str, absent: bool):
    assert (NUMPY.absent(spec, MAC) is not None) is absent


def _torch_with(*, built: bool = True, available: bool = True, cuda: int = 0) -> Any:
    mps = types.SimpleNamespace(is_built=lambda: built, is_available=lambda: available)
    return types.SimpleNamespace(
        __version__="2.13.0",
        backends=types.SimpleNamespace(mps=mps),
        cuda=types.SimpleNamespace(is_available=lambda: cuda > 0, device_count=lambda: cuda),
    )


@pytest.mark.parametrize(
    ("fake", "spec", "reason"),
    [
        (_torch_with(), "mps", None),
        (_torch_with(built=False, available=False), "cpu", None),
        (_torch_with(cuda=2), "cuda", None),
        (_torch_with(cuda=2), "cuda:1", None),
        (_torch_with(built=False), "mps", "torch 2.13.0 is built without MPS"),
        (_torch_with(available=False), "mps", "torch is built with MPS but finds no Metal device"),
        (_torch_with(), "cuda", "torch 2.13.0 finds no CUDA device"),
        (
            _torch_with(cuda=1),
            "cuda:1",
            "there is no cuda:1: this machine has 1 CUDA device (cuda:0)",
        ),
        (
            _torch_with(cuda=2),
            "cuda:2",
            "there is no cuda:2: this machine has 2 CUDA devices (cuda:0, cuda:1)",
        ),
    ],
)
def test_the_probe_says_why_torch_lacks_a_device(fake: Any, spec: str, reason: str | None):
    if reason is None:
        assert pytorch._find(fake, spec) is None
        return
    with pytest.raises(DeviceAbsentError) as absent:
        pytorch._find(fake, spec)
    assert str(absent.value) == reason
    assert absent.value.remedy != ""


# Devices and dtypes


@pytest.mark.parametrize(
    ("found", "spec", "expected"),
    [
        ("mps:0", "mps", True),
        ("mps", "mps", True),
        ("cpu", "mps", False),
        ("cpu", "cpu", True),
        ("mps:0", "cpu", False),
        ("cuda:0", "cuda", True),
        ("cuda:1", "cuda", True),
        ("cuda:1", "cuda:1", True),
        ("cuda:0", "cuda:1", False),
        ("cuda", "cuda:0", True),
        ("cuda", "cuda:1", False),
        ("meta", "mps", False),
    ],
)
def test_the_number_of_a_device_counts_where_the_spec_gives_one(
    found: str, spec: str, expected: bool
):
    assert TORCH.on_device(_facts(found), spec) is expected


@pytest.mark.parametrize("name", ["float32", "float16", "int64", "uint8", "bool", "complex64"])
def test_numpy_has_these_dtypes(name: str):
    assert NUMPY.dtype(name) == np.dtype(name)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "array", "nan", "nonsense"])
def test_numpy_lacks_what_is_no_dtype(name: str):
    assert NUMPY.dtype(name) is None


@needs_torch
def test_torch_has_its_dtypes_and_nothing_else(torch: Any):
    assert TORCH.dtype("bfloat16") is torch.bfloat16
    assert TORCH.dtype("bool") is torch.bool
    assert [TORCH.dtype(name) for name in ("Tensor", "nonsense", "float128")] == [None] * 3


@needs_torch
def test_torch_takes_its_own_kind_of_device(torch: Any):
    assert TORCH.device("mps") == torch.device("mps")
    assert NUMPY.device("cpu") == "cpu"


# Facts and values


def test_the_facts_of_a_numpy_array_are_read_without_its_values():
    array = np.ones((4, 6), "f4")[::2, ::3]
    assert NUMPY.facts(array) == ArrayFacts("numpy.ndarray", (2, 2), "float32", "cpu", (12, 3))
    assert NUMPY.facts(np.float16(1)) == ArrayFacts("numpy.float16", (), "float16", "cpu", ())


@needs_torch
def test_the_facts_of_a_tensor_are_read_without_its_values(torch: Any):
    tensor = torch.ones(4, 6, dtype=torch.bfloat16, device="meta").t()
    assert TORCH.facts(tensor) == ArrayFacts("torch.Tensor", (6, 4), "bfloat16", "meta", (1, 6))
    parameter = torch.nn.Parameter(torch.ones(2))
    assert TORCH.facts(parameter) == ArrayFacts("torch.Tensor", (2,), "float32", "cpu", (1,))


@needs_torch
def test_a_subclass_of_tensor_is_another_type_and_a_sparse_one_has_no_strides(torch: Any):
    class Mine(torch.Tensor):
        pass

    assert TORCH.facts(torch.ones(2).as_subclass(Mine)).type.endswith(".Mine")
    assert TORCH.facts(torch.eye(2).to_sparse()).strides is None


@pytest.mark.parametrize(
    ("given", "wide"),
    [
        *((name, "float64") for name in ("float16", "float32", "float64")),
        *((name, "complex128") for name in ("complex64", "complex128")),
        *((name, name) for name in ("int8", "int64", "uint8", "uint64", "bool")),
    ],
)
def test_values_are_widened_within_their_kind(given: str, wide: str):
    values = to_wide(np.ones((2, 1), given))
    assert str(values.dtype) == wide
    assert values.tolist() == np.ones((2, 1), given).tolist()
    assert NUMPY.to_host(np.ones((), given)).shape == ()


def test_a_type_wider_than_float64_is_not_narrowed():
    assert to_wide(np.ones(1, np.longdouble)).dtype.itemsize == np.dtype(np.longdouble).itemsize


@needs_torch
@pytest.mark.parametrize(
    ("given", "wide"),
    [
        ("float16", "float64"),
        ("bfloat16", "float64"),
        ("float32", "float64"),
        ("complex64", "complex128"),
        ("int64", "int64"),
        ("uint8", "uint8"),
        ("bool", "bool"),
    ],
)
def test_values_of_torch_are_widened_within_their_kind(given: str, wide: str, torch: Any):
    values = TORCH.to_host(torch.tensor([[1], [0]], dtype=getattr(torch, given)))
    assert str(values.dtype) == wide
    assert values.tolist() == [[1], [0]]


@needs_torch
def test_bfloat16_keeps_its_value_on_the_host(torch: Any):
    tensor = torch.tensor([1 / 3, 2.0**100], dtype=torch.bfloat16)
    assert TORCH.to_host(tensor).tolist() == [0.333984375, 2.0**100]


@needs_torch
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda t: t.tensor([1 + 2j]).conj(), [1 - 2j], id="conjugate view"),
        pytest.param(lambda t: t.tensor([1 + 2j]).conj().imag, [-2.0], id="negative view"),
        pytest.param(lambda t: t.tensor([[0.0, 3.0]]).to_sparse(), [[0.0, 3.0]], id="sparse"),
        pytest.param(lambda t: t.ones(2, requires_grad=True), [1.0, 1.0], id="gradient"),
        pytest.param(lambda t: t.arange(6)[::2], [0, 2, 4], id="strided view"),
        pytest.param(lambda t: t.ones(1).expand(3), [1.0] * 3, id="expanded"),
        pytest.param(lambda t: t.zeros(0, 2), [], id="empty"),
    ],
)
def test_views_and_layouts_of_torch_reach_the_host(make: Any, expected: list[Any], torch: Any):
    assert TORCH.to_host(make(torch)).tolist() == expected


def test_values_are_put_on_the_device_in_the_dtype_that_is_asked_for():
    array = NUMPY.to_device([[1, 2]], "cpu", np.dtype("float32"))
    assert NUMPY.facts(array) == ArrayFacts("numpy.ndarray", (1, 2), "float32", "cpu", (2, 1))


@needs_torch
def test_float64_of_numpy_is_narrowed_before_it_reaches_the_device(torch: Any):
    tensor = TORCH.to_device(np.ones(2), "cpu", torch.float32)
    assert TORCH.facts(tensor).dtype == "float32"
    assert TORCH.facts(TORCH.to_device([1.0], "meta")).device == "meta"


@needs_torch
def test_the_cpu_needs_no_waiting_and_tells_no_memory(torch: Any):
    assert TORCH.synchronize("cpu") is None
    assert TORCH.memory("cpu") is None
    assert NUMPY.memory("cpu") is None


@pytest.mark.parametrize("name", ["numpy", pytest.param("torch", marks=needs_torch)])
def test_the_same_seed_draws_the_same_numbers(name: str):
    adapter = frameworks.load(name)
    module = importlib.import_module(name)
    draw = module.rand if name == "torch" else module.random.rand
    drawn = []
    for _ in range(2):
        adapter.seed(7)
        drawn.append(draw(3).tolist())
    adapter.seed(8)
    assert drawn[0] == drawn[1] != draw(3).tolist()


# Versions


def test_versions_are_those_of_what_is_installed():
    assert versions.version_of("numpy") == np.__version__
    assert versions.version_of("no-such-distribution-abc") is None
    found = versions.versions_of("numpy", "no-such-distribution-abc")
    assert found == {"numpy": np.__version__}
    assert NUMPY.versions() == found


@needs_torch
def test_the_version_of_torch_is_its_own(torch: Any):
    assert TORCH.versions()["torch"] == torch.__version__
