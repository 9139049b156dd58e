"""The adapters of TensorFlow, MLX and JAX.

Most of what they say of a device they say without the framework, and that is tested without
it; the rest is tested on the CPU with those of the three that are installed.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from pytest_applesilicon import frameworks, health
from pytest_applesilicon.frameworks import cuda, product
from pytest_applesilicon.frameworks import jax as jax_module
from pytest_applesilicon.frameworks import mlx as mlx_module
from pytest_applesilicon.frameworks import tensorflow as tensorflow_module
from pytest_applesilicon.frameworks.base import (
    ArrayFacts,
    DeviceAbsentError,
    DeviceMiscomputesError,
)
from pytest_applesilicon.records import Host

NAMES = ("tensorflow", "mlx", "jax")
MODULES = {"tensorflow": tensorflow_module, "mlx": mlx_module, "jax": jax_module}

LINUX = Host("Linux", machine="x86_64", interpreter="x86_64")
MAC = Host("macOS", machine="arm64", interpreter="arm64")
ROSETTA = Host("macOS", machine="arm64", interpreter="x86_64", translated=True)


@pytest.fixture
def installed(monkeypatch):
    """Make the adapters find these distributions and no others."""

    def pretend(**versions: str) -> None:
        found = {name.replace("_", "-"): version for name, version in versions.items()}
        for module in MODULES.values():
            monkeypatch.setattr(module, "version_of", found.get)

    return pretend


@pytest.fixture
def with_driver(monkeypatch):
    monkeypatch.setattr(cuda, "_has_driver", lambda: True)


def absent(name: str, spec: str, host: Host) -> tuple[str, str]:
    """The reason and the remedy; empty where the device may be there."""
    return frameworks.load(name).absent(spec, host) or ("", "")


# what is said without the framework


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_imported_to_say_that_a_device_is_absent(name, tmp_path):
    for module in ("tensorflow", "mlx", "jax", "numpy", "torch"):
        (tmp_path / f"{module}.py").write_text(f"raise SystemExit('{module} was imported')")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from pytest_applesilicon import frameworks\n"
        "from pytest_applesilicon.records import Host\n"
        f"adapter = frameworks.load({name!r})\n"
        "for host in (Host('Linux'), Host('macOS', interpreter='arm64')):\n"
        "    for spec in ('cpu', 'mps', 'cuda', 'cuda:1', 'mps-sim'):\n"
        "        adapter.absent(spec, host)\n"
        "adapter.versions(), adapter.is_array(1)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_mps_is_absent_off_macos_and_no_probe_is_started(name, monkeypatch):
    monkeypatch.setattr(frameworks, "is_installed", lambda _: True)

    found = health.probe(name, "mps", LINUX, run_child=lambda *_: pytest.fail("probed"))

    assert found.state == "absent"
    assert "macOS" in found.reason
    assert found.reason.endswith("this is Linux")
    assert found.remedy == "run on a Mac with Apple silicon, or use --device=cpu here"


@pytest.mark.parametrize("name", NAMES)
def test_mps_needs_an_arm64_python(name, installed):
    installed(tensorflow="2.19.0", tensorflow_metal="1.2.0", jax="0.11.0", jax_mps="0.11.1")

    reason, remedy = absent(name, "mps", ROSETTA)

    assert reason.endswith("this is an x86_64 Python")
    assert remedy.startswith("install an arm64 Python")
    assert absent(name, "mps", MAC) == ("", "")


@pytest.mark.parametrize("name", NAMES)
def test_cpu_is_never_absent_and_an_unknown_device_always(name, installed):
    installed()

    assert absent(name, "cpu", LINUX) == absent(name, "cpu", MAC) == ("", "")
    assert absent(name, "mps-sim", MAC)[0].endswith("has no device mps-sim")


@pytest.mark.parametrize("name", NAMES)
def test_cuda_is_absent_on_macos(name, installed, with_driver):
    installed()

    assert absent(name, "cuda", MAC)[0] == "CUDA does not exist on macOS"


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("tensorflow", "tensorflow"),
        ("mlx", "mlx_cuda_13"),
        ("mlx", "mlx_cuda_12"),
        ("mlx", "mlx_cuda"),
        ("jax", "jax_cuda13_plugin"),
        ("jax", "jax_cuda12_plugin"),
    ],
)
def test_cuda_needs_the_driver(name, distribution, installed, monkeypatch):
    installed(**{distribution: "1.0"})
    monkeypatch.setattr(cuda, "_has_driver", lambda: False)

    assert absent(name, "cuda:1", LINUX)[0] == "no driver of an NVIDIA GPU was found"

    monkeypatch.setattr(cuda, "_has_driver", lambda: True)
    assert absent(name, "cuda:1", LINUX) == ("", "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tensorflow", "tensorflow-cpu is a build for the CPU only"),
        ("mlx", "mlx is installed without its CUDA backend"),
        ("jax", "jax is installed without its CUDA plugin"),
    ],
)
def test_cuda_needs_a_build_for_it(name, reason, installed, with_driver):
    installed(tensorflow_cpu="2.21.0", mlx="0.32.4", mlx_cpu="0.32.4", jax="0.10.2")

    assert absent(name, "cuda", LINUX)[0] == reason


def test_tensorflow_needs_its_metal_plugin(installed, monkeypatch):
    installed(tensorflow="2.19.0")
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    reason, remedy = absent("tensorflow", "mps", MAC)

    assert reason == "tensorflow-metal is not installed"
    assert remedy == "pip install 'tensorflow>=2.18,<2.20' 'tensorflow-metal>=1.2'"

    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    assert absent("tensorflow", "mps", MAC)[1].startswith("with Python 3.12 or older")


@pytest.mark.parametrize("spec", ["mps", "cpu"])
@pytest.mark.parametrize(
    ("tensorflow", "metal", "why"),
    [
        ("2.18.0", "1.1.0", "tensorflow#84167"),
        ("2.19.1", "1.1.0", "tensorflow#84167"),
        ("2.20.0", "1.2.0", "_pywrap_tensorflow_internal.so"),
        ("2.21.0", "1.2.0", "_pywrap_tensorflow_internal.so"),
    ],
)
def test_tensorflow_that_its_metal_plugin_breaks_is_absent(installed, spec, tensorflow, metal, why):
    installed(tensorflow=tensorflow, tensorflow_metal=metal)

    reason, remedy = absent("tensorflow", spec, MAC)

    assert reason.startswith(
        f"tensorflow {tensorflow} with tensorflow-metal {metal}: import fails: "
    )
    assert why in reason
    assert remedy.endswith("pip uninstall -y tensorflow-metal")


@pytest.mark.parametrize(
    ("tensorflow", "metal"), [("2.18.1", "1.2.0"), ("2.19.1", "1.2.0"), ("2.17.1", "1.1.0")]
)
def test_tensorflow_with_a_metal_plugin_that_fits_is_probed(installed, tensorflow, metal):
    installed(tensorflow=tensorflow, tensorflow_metal=metal)

    assert absent("tensorflow", "mps", MAC) == absent("tensorflow", "cpu", MAC) == ("", "")


@pytest.mark.parametrize("build", ["tensorflow", "tensorflow-cpu", "tensorflow-macos"])
def test_tensorflow_tells_the_build_that_is_installed_and_its_version(build, monkeypatch):
    monkeypatch.setattr(tensorflow_module, "version_of", {build: "2.19.0"}.get)
    monkeypatch.setattr(tensorflow_module, "versions_of", lambda *names: {build: "2.19.0"})

    adapter = tensorflow_module.TensorflowAdapter()

    assert adapter.distribution == build
    assert adapter.versions() == {"tensorflow": "2.19.0", build: "2.19.0"}


def test_jax_needs_a_metal_plugin_that_works(installed):
    installed(jax="0.10.2")
    assert absent("jax", "mps", MAC)[0] == (
        "no Metal plugin for JAX is installed, and Apple's jax-metal is unmaintained "
        "(jax-ml/jax#26968)"
    )
    assert absent("jax", "mps", MAC)[1].startswith("pip install jax-mps")

    installed(jax="0.5.1", jax_metal="0.1.1")
    assert absent("jax", "mps", MAC)[0].startswith("jax 0.5.1 is newer than jax-metal can use")

    installed(jax="0.5.0", jax_metal="0.1.1")
    assert absent("jax", "mps", MAC) == ("", "")

    installed(jax="0.11.0", jax_metal="0.1.1", jax_mps="0.11.1")
    assert absent("jax", "mps", MAC) == ("", "")


@pytest.mark.parametrize(
    ("name", "spec", "on", "not_on"),
    [
        ("tensorflow", "cpu", ["CPU:0"], ["GPU:0", ""]),
        ("tensorflow", "mps", ["GPU:0"], ["CPU:0", ""]),
        ("tensorflow", "cuda", ["GPU:0", "GPU:1"], ["CPU:0"]),
        ("tensorflow", "cuda:1", ["GPU:1"], ["GPU:0", "CPU:1"]),
        ("mlx", "cpu", ["cpu:0"], ["gpu:0"]),
        ("mlx", "mps", ["gpu:0"], ["cpu:0"]),
        ("mlx", "cuda:1", ["gpu:1"], ["gpu:0", "cpu:1"]),
        ("jax", "cpu", ["cpu:0"], ["gpu:0", "mps:0", "cpu:0,cpu:1"]),
        ("jax", "mps", ["mps:0", "metal:0"], ["cpu:0", "gpu:0"]),
        ("jax", "cuda", ["gpu:0", "cuda:1"], ["cpu:0", "mps:0"]),
        ("jax", "cuda:1", ["gpu:1"], ["gpu:0", "cpu:1"]),
        ("jax", "mps-sim", [], ["mps:0", "cpu:0"]),
    ],
)
def test_on_device(name, spec, on, not_on):
    def is_on(device: str) -> bool:
        return frameworks.load(name).on_device(ArrayFacts("", (), "", device, None), spec)

    assert [is_on(device) for device in on + not_on] == [True] * len(on) + [False] * len(not_on)


# the judgement of a product


def operands(index: int) -> product.Product:
    return product.products()[index]


def answer(asked: product.Product) -> np.ndarray:
    return asked.left @ asked.right + (0 if asked.bias is None else asked.bias)


def judge(asked: product.Product, result: np.ndarray) -> None:
    product.check_product(asked.name, result, asked.left, asked.right, asked.bias)


def test_operands_are_the_same_in_bfloat16():
    for asked in product.products():
        for array in (asked.left, asked.right, asked.bias):
            if array is not None:
                assert array.dtype == np.float32
                assert not (array.view(np.uint32) & 0xFFFF).any()


@pytest.mark.parametrize("index", [0, 1])
def test_a_right_product_passes_also_at_the_bound_and_not_beyond(index):
    asked = operands(index)
    right = answer(asked)
    judge(asked, right)

    # A sum of 64 products and a bias: 65 roundings of the sum of the magnitudes.
    magnitudes = abs(asked.left.astype(float)) @ abs(asked.right.astype(float))
    magnitudes = magnitudes + (0 if asked.bias is None else abs(asked.bias))
    bound = 65 * 2.0**-23 * magnitudes
    judge(asked, right + 0.999 * bound)
    with pytest.raises(DeviceMiscomputesError, match=r"is wrong by .*, and float32 allows"):
        judge(asked, right + 1.001 * bound)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, 3.8])
def test_one_wrong_element_is_found(index, value):
    asked = operands(index)
    wrong = answer(asked)
    wrong.flat[-1] += value

    with pytest.raises(DeviceMiscomputesError, match=f"{asked.name} is wrong by"):
        judge(asked, wrong)


def test_a_forgotten_bias_and_a_wrong_shape_are_found():
    asked = operands(1)

    with pytest.raises(DeviceMiscomputesError, match="is wrong by"):
        judge(asked, asked.left @ asked.right)
    with pytest.raises(DeviceMiscomputesError, match=r"has the shape \(8, 32\)"):
        judge(asked, answer(asked)[0])


# with the framework, on the CPU


@pytest.fixture(
    params=[
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not frameworks.is_installed(name), reason=f"{name} is not installed"
            ),
        )
        for name in NAMES
    ]
)
def adapter(request):
    return frameworks.load(request.param)


def test_probe_of_the_cpu_takes_every_step(adapter):
    assert list(adapter.probe("cpu")) == [
        f"import {adapter.name}",
        "find the device",
        "allocate 1 element",
        "allocate 16 MB",
        "multiply 64x64 matrices",
        "3-D linear with bias",
        "synchronize",
    ]


#: For each framework the functions that multiply matrices, and in a linear layer.
MULTIPLIES = {
    "tensorflow": [("tensorflow", "matmul"), ("tensorflow.nn", "bias_add")],
    "mlx": [("mlx.core", "matmul"), ("mlx.core", "addmm")],
    "jax": [("jax.numpy", "matmul"), ("jax.numpy", "matmul")],
}


@pytest.mark.parametrize("dimensions", [2, 3])
def test_probe_finds_a_wrong_product(adapter, dimensions, monkeypatch):
    module_name, function = MULTIPLIES[adapter.name][dimensions - 2]
    module = importlib.import_module(module_name)
    right = getattr(module, function)

    def wrong(*args, **kwargs):
        result = right(*args, **kwargs)
        return result * 1.0001 if len(result.shape) == dimensions else result

    monkeypatch.setattr(module, function, wrong)

    taken = []
    with pytest.raises(DeviceMiscomputesError, match="is wrong by"):
        taken.extend(adapter.probe("cpu"))
    # extend keeps what it was given before the error.
    assert taken[-1] == ["multiply 64x64 matrices", "3-D linear with bias"][dimensions - 2]


def test_probe_says_that_there_is_no_gpu(adapter):
    if sys.platform == "darwin":
        pytest.skip("a Mac may have one")

    with pytest.raises(DeviceAbsentError, match=r"finds no|has no platform") as caught:
        list(adapter.probe("mps"))
    assert caught.value.remedy


def test_health_of_the_cpu_in_a_child_process(adapter):
    result = health._run_child(adapter.name, "cpu")

    assert health.judge(adapter.name, "cpu", LINUX, result).state == "ok", result


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "uint8", "bool", "complex64"])
def test_values_come_back_as_they_went(adapter, dtype):
    values = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)

    there = adapter.to_device(values, "cpu")
    back = adapter.to_host(there)

    wide = {"f": "float64", "c": "complex128"}.get(values.dtype.kind, dtype)
    assert adapter.is_array(there)
    assert back.dtype == wide
    np.testing.assert_array_equal(back, values)
    facts = adapter.facts(there)
    assert (facts.shape, facts.dtype, facts.strides) == ((2, 3), dtype, None)
    assert adapter.on_device(facts, "cpu")
    assert not adapter.on_device(facts, "mps")


def test_what_comes_back_is_a_copy_of_its_own(adapter):
    there = adapter.to_device(np.arange(4, dtype=np.int32), "cpu")

    back = adapter.to_host(there)
    back[0] = 9

    assert adapter.to_host(there)[0] == 0


@pytest.mark.parametrize("shape", [(), (0, 3)])
def test_scalars_and_empty_arrays_keep_their_shape(adapter, shape):
    there = adapter.to_device(np.ones(shape, np.float32), "cpu")

    assert adapter.facts(there).shape == adapter.to_host(there).shape == shape


def test_nested_lists_and_arrays_take_the_dtype_that_is_given(adapter):
    float32 = adapter.dtype("float32")

    from_lists = adapter.to_device([[1, 2], [3, 4]], "cpu", float32)
    from_numpy = adapter.to_device(np.array([[1, 2], [3, 4]]), "cpu", float32)
    from_itself = adapter.to_device(from_lists, "cpu", adapter.dtype("int32"))

    assert adapter.facts(from_lists).dtype == adapter.facts(from_numpy).dtype == "float32"
    assert adapter.facts(from_itself).dtype == "int32"
    for one in (from_lists, from_numpy, from_itself):
        np.testing.assert_array_equal(adapter.to_host(one), [[1, 2], [3, 4]])


def test_bfloat16_comes_back_as_float64_with_its_values(adapter):
    there = adapter.to_device([1.5, -3.0e38, 1 + 2.0**-9], "cpu", adapter.dtype("bfloat16"))

    back = adapter.to_host(there)

    assert adapter.facts(there).dtype == "bfloat16"
    assert back.dtype == np.float64
    assert (back[0], back[2]) == (1.5, 1.0)
    assert back[1] == pytest.approx(-3.0e38, rel=2.0**-8)


def test_dtype_of_a_name(adapter):
    for name in ("float32", "float16", "bfloat16", "int32", "uint8", "bool", "complex64"):
        asked = adapter.dtype(name)
        assert asked is not None
        assert adapter.facts(adapter.to_device([1, 0], "cpu", asked)).dtype == name
    for name in ("float33", "matmul", "floating", "__name__", "object_", "ndarray"):
        assert adapter.dtype(name) is None


def test_only_its_own_arrays_are_arrays(adapter):
    there = adapter.to_device([1.0], "cpu")

    assert adapter.is_array(there)
    assert not any(adapter.is_array(one) for one in (np.ones(2), 1.0, [1.0], None))
    assert frameworks.adapter_of(there) is adapter


def test_device_is_what_the_framework_takes(adapter):
    device = adapter.device("cpu")

    if adapter.name == "tensorflow":
        assert device == "/CPU:0"
        assert adapter.device("mps") == adapter.device("cuda") == "/GPU:0"
        assert adapter.device("cuda:1") == "/GPU:1"
    elif adapter.name == "mlx":
        import mlx.core as mx

        assert device == mx.Device(mx.cpu, 0) == mx.default_device()
    else:
        import jax

        assert device == jax.devices("cpu")[0]


def test_the_same_seed_gives_the_same_numbers(adapter):
    def draw(seed: int) -> list[float]:
        adapter.seed(seed)
        if adapter.name == "tensorflow":
            import tensorflow as tf

            return adapter.to_host(tf.random.normal([4])).tolist()
        import mlx.core as mx

        return adapter.to_host(mx.random.normal([4])).tolist()

    if adapter.name == "jax":
        assert adapter.seed(1) is None  # there is nothing to seed
        return
    assert draw(1) == draw(1) != draw(2)


def test_synchronize_and_memory_of_the_cpu(adapter):
    adapter.to_device([1.0], "cpu")

    adapter.synchronize("cpu")

    assert adapter.memory("cpu") is None


def test_arrays_and_calls_outlive_the_cache(adapter):
    before = adapter.to_device([1.0, 2.0], "cpu")

    adapter.empty_cache("cpu")

    assert adapter.to_host(before).tolist() == [1.0, 2.0]
    assert adapter.to_host(adapter.to_device([3.0], "cpu")).tolist() == [3.0]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("mps", ["wait", "mps"]), ("cuda:1", ["wait cuda:1", "cuda"]), ("cpu", [])],
)
def test_torch_empties_the_cache_of_the_device_once_it_has_finished(spec, expected, monkeypatch):
    torch = pytest.importorskip("torch")
    done = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: done.append("wait"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: done.append("mps"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda spec: done.append(f"wait {spec}"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: done.append("cuda"))

    frameworks.load("torch").empty_cache(spec)

    assert done == expected


def test_versions_name_the_framework(adapter):
    found = adapter.versions()

    assert found[adapter.name] == found[adapter.distribution]
    assert all(found.values())


# one framework each


def only(name: str) -> None:
    if not frameworks.is_installed(name):
        pytest.skip(f"{name} is not installed")


def test_tensorflow_does_not_pass_off_the_cpu_as_the_gpu():
    only("tensorflow")
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")

    with pytest.raises(RuntimeError, match="put a float32 array on CPU:0 instead of GPU:0"):
        frameworks.load("tensorflow").to_device([1.0], "mps")


def test_tensorflow_variable_is_an_array_that_comes_back_as_a_copy():
    only("tensorflow")
    import tensorflow as tf

    adapter = frameworks.load("tensorflow")
    variable = tf.Variable([1, 2], dtype=tf.int32)

    back = adapter.to_host(variable)
    variable.assign([5, 6])

    assert adapter.facts(variable).type == "tensorflow.Variable"
    assert back.tolist() == [1, 2]


def test_tensorflow_lists_are_not_rounded_on_their_way_to_float64():
    only("tensorflow")
    adapter = frameworks.load("tensorflow")

    there = adapter.to_device([1 / 3], "cpu", adapter.dtype("float64"))

    assert adapter.to_host(there)[0] == 1 / 3


def test_mlx_runs_operations_on_the_device_of_the_test(monkeypatch):
    only("mlx")
    import mlx.core as mx

    made_default = []
    monkeypatch.setattr(mx, "set_default_device", made_default.append)
    adapter = frameworks.load("mlx")

    there = adapter.to_device([1.0], "cpu")
    adapter.synchronize("cpu")
    assert made_default == []

    device = adapter.device("cpu")
    assert made_default == [device]
    assert adapter.facts(there).device == "cpu:0"


def default_place(name: str) -> str:
    """Where the framework computes what names no device."""
    if name == "tensorflow":
        import tensorflow as tf

        return tf.zeros(1).device.rpartition("device:")[2]
    if name == "mlx":
        import mlx.core as mx

        return str(mx.default_device())
    import jax.numpy as jnp

    return str(next(iter(jnp.zeros(1).devices())))


def test_what_runs_on_the_cpu_runs_there_and_the_default_comes_back(adapter, monkeypatch):
    before = default_place(adapter.name)
    if adapter.name == "mlx":
        import mlx.core as mx

        # There is no GPU here: a default of another number stands for one.
        told = []
        monkeypatch.setattr(mx, "stream", lambda device: told.append(device) or nullcontext())
    with adapter.running_on("cpu"):
        inside = default_place(adapter.name)

    assert "cpu" in inside.lower()
    assert default_place(adapter.name) == before
    if adapter.name == "mlx":
        assert told == [mx.Device(mx.cpu, 0)]


def test_tensorflow_and_jax_run_on_another_device_inside_the_context():
    code = {
        "tensorflow": (
            "import tensorflow as tf\n"
            "cpu = tf.config.list_physical_devices('CPU')[0]\n"
            "two = [tf.config.LogicalDeviceConfiguration()] * 2\n"
            "tf.config.set_logical_device_configuration(cpu, two)\n"
            "adapter.device = lambda spec: '/CPU:1'\n"
            "with adapter.running_on('cpu'):\n"
            "    print(tf.zeros(1).device[-5:])\n"
        ),
        "jax": (
            "import os\nos.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=2'\n"
            "import jax\n"
            "with adapter.running_on('cpu:1'):\n"
            "    print(str(next(iter(jax.numpy.zeros(1).devices())))[-5:].upper())\n"
        ),
    }
    found = {name: source for name, source in code.items() if frameworks.is_installed(name)}
    if not found:
        pytest.skip("neither tensorflow nor jax is installed")
    for name, source in found.items():
        start = f"from pytest_applesilicon import frameworks\nadapter = frameworks.load({name!r})\n"
        done = subprocess.run(
            [sys.executable, "-c", start + source], capture_output=True, text=True, check=True
        )

        assert done.stdout.strip().replace("_", ":") == "CPU:1"


def test_jax_integers_that_need_64_bits_are_refused_without_them():
    only("jax")
    import jax

    if jax.config.jax_enable_x64:
        pytest.skip("jax_enable_x64 is set")
    adapter = frameworks.load("jax")

    assert adapter.dtype("int64") is None
    assert adapter.facts(adapter.to_device(np.array([2**31 - 1]), "cpu")).dtype == "int32"
    with pytest.raises(OverflowError, match=r"int64 values do not fit into int32; .*enable_x64"):
        adapter.to_device(np.array([2**31]), "cpu")
    with pytest.raises(TypeError, match="made float32 of float64, which was asked for"):
        adapter.to_device([1.0], "cpu", np.dtype("float64"))


def test_jax_waits_for_what_was_started():
    only("jax")
    import jax

    adapter = frameworks.load("jax")
    multiply = jax.jit(lambda a: a @ a @ a)
    large = adapter.to_device(np.ones((1500, 1500), np.float32), "cpu")
    multiply(large).block_until_ready()

    started = multiply(large)
    adapter.synchronize("cpu")

    assert started.is_ready()


def test_the_names_of_the_modules_shadow_no_framework():
    folder = Path(frameworks.__file__).parent

    assert not any(Path(entry or ".").resolve() == folder for entry in sys.path)
