"""TensorFlow: the CPU, CUDA, and the Apple GPU through Apple's tensorflow-metal.

TensorFlow does not run an operation where its operands are: without ``with tf.device(...)``
it takes the GPU wherever there is one, and where a GPU has no kernel it takes the CPU
(soft placement; tensorflow.org, guide "Use a GPU"). An array says where it was made.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.frameworks.base import ArrayFacts, DeviceAbsentError
from pytest_applesilicon.frameworks.cuda import cuda_absent
from pytest_applesilicon.frameworks.product import check_product, products
from pytest_applesilicon.frameworks.tensorflow_failures import Versions, known_failure
from pytest_applesilicon.frameworks.versions import version_of, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import numpy

    from pytest_applesilicon.frameworks.base import Framework
    from pytest_applesilicon.records import Host

#: What ``import tensorflow`` may have been installed by; the first that is, is reported.
_DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-macos")

_GET_METAL = "pip install 'tensorflow>=2.18,<2.20' 'tensorflow-metal>=1.2'"

#: tensorflow-metal 1.2.0 has wheels for CPython 3.9 to 3.12.
_FIRST_PYTHON_WITHOUT_METAL = (3, 13)


class TensorflowAdapter:
    """TensorFlow behind the Framework protocol."""

    name = "tensorflow"

    def __init__(self) -> None:
        self.distribution = _distribution()

    def absent(self, spec: str, host: Host) -> tuple[str, str] | None:
        kind = spec.partition(":")[0]
        if kind == "mps":
            return _metal_absent(host) or _refused(host)
        if kind == "cuda":
            return _cuda_absent(host)
        if spec != "cpu":
            return (f"TensorFlow has no device {spec}", "use --device=mps or --device=cpu")
        return _refused(host)

    def probe(self, spec: str) -> Iterator[str]:
        yield "import tensorflow"
        import tensorflow as tf

        yield "find the device"
        _find(tf, spec)
        name = self.device(spec)
        with tf.device(name):
            yield "allocate 1 element"
            tf.zeros(1).numpy()
            yield "allocate 16 MB"
            tf.zeros(4 * 1024 * 1024)
            for product in products():
                yield product.step
                result = tf.matmul(
                    self.to_device(product.left, spec), self.to_device(product.right, spec)
                )
                if product.bias is not None:
                    result = tf.nn.bias_add(result, self.to_device(product.bias, spec))
                self._check_place(result, spec)
                judged = self.to_host(result)
                check_product(product.name, judged, product.left, product.right, product.bias)
        yield "synchronize"
        self.synchronize(spec)

    def device(self, spec: str) -> str:
        """What ``tf.device`` takes: ``/GPU:0``; both Metal and CUDA are GPU to TensorFlow."""
        return f"/{_place(spec)}"

    def running_on(self, spec: str) -> AbstractContextManager[Any]:
        import tensorflow as tf

        context: AbstractContextManager[Any] = tf.device(self.device(spec))
        return context

    def on_device(self, facts: ArrayFacts, spec: str) -> bool:
        kind, _, index = facts.device.partition(":")
        wanted_kind, _, wanted_index = _place(spec).partition(":")
        return kind == wanted_kind and (":" not in spec or index == wanted_index)

    def dtype(self, name: str) -> Any:
        import tensorflow as tf

        found = getattr(tf, name, None)
        return found if isinstance(found, tf.DType) else None

    def to_device(self, value: Any, spec: str, dtype: Any = None) -> Any:
        """An array, or nested lists, on the device.

        Raises:
            RuntimeError: TensorFlow put it elsewhere, as it does without a word where the
                device is missing or does not hold the dtype.
        """
        import numpy as np
        import tensorflow as tf

        with tf.device("/CPU:0"):
            # As nested lists, numbers would be rounded to TensorFlow's default dtype first.
            by_numpy = dtype is not None and not self.is_array(value)
            array = tf.convert_to_tensor(np.asarray(value) if by_numpy else value)
            if dtype is not None:
                array = tf.cast(array, dtype)
        with tf.device(self.device(spec)):
            array = tf.identity(array)
        self._check_place(array, spec)
        return array

    def is_array(self, value: Any) -> bool:
        tf = sys.modules.get("tensorflow")
        # While tensorflow is being imported its module is there already, without its names.
        kinds = (getattr(tf, "Tensor", ()), getattr(tf, "Variable", ()))
        return isinstance(value, kinds)

    def facts(self, array: Any) -> ArrayFacts:
        import tensorflow as tf

        return ArrayFacts(
            type="tensorflow.Variable" if isinstance(array, tf.Variable) else "tensorflow.Tensor",
            shape=tuple(array.shape),
            dtype=array.dtype.name,
            # /job:localhost/replica:0/task:0/device:GPU:0
            device=array.device.rpartition("device:")[2],
            strides=None,
        )

    def to_host(self, array: Any) -> numpy.ndarray[Any, Any]:
        import numpy as np

        from pytest_applesilicon.frameworks.numpy import to_wide

        values = array.numpy()
        # NumPy does not know that bfloat16 and its like are floating.
        if array.dtype.is_floating:
            values = values.astype(np.float64)
        return to_wide(values)

    def synchronize(self, spec: str) -> None:  # noqa: ARG002
        import tensorflow as tf

        tf.test.experimental.sync_devices()

    def empty_cache(self, spec: str) -> None:
        """Nothing to give back: TensorFlow keeps the memory it has until the process ends."""

    def memory(self, spec: str) -> int | None:
        import tensorflow as tf

        if spec == "cpu":
            return None
        try:
            return int(tf.config.experimental.get_memory_info(_place(spec))["current"])
        except ValueError:  # the device does not count
            return None

    def versions(self) -> dict[str, str]:
        found = versions_of(*_DISTRIBUTIONS, "tensorflow-metal", "keras")
        if self.distribution in found:
            # Under the name of the framework too, whatever build of it this is.
            found["tensorflow"] = found[self.distribution]
        return found

    def seed(self, seed: int) -> None:
        import tensorflow as tf

        tf.random.set_seed(seed)

    def _check_place(self, array: Any, spec: str) -> None:
        facts = self.facts(array)
        if not self.on_device(facts, spec):
            raise RuntimeError(
                f"TensorFlow put a {facts.dtype} array on {facts.device} instead of {_place(spec)}"
            )


def _distribution() -> str:
    return next((name for name in _DISTRIBUTIONS if version_of(name)), _DISTRIBUTIONS[0])


def _place(spec: str) -> str:
    """``CPU:0``, ``GPU:0``, ``GPU:1`` ..."""
    kind, _, index = spec.partition(":")
    return f"{'CPU' if kind == 'cpu' else 'GPU'}:{index or 0}"


def _metal_absent(host: Host) -> tuple[str, str] | None:
    if host.system != "macOS":
        return (
            f"TensorFlow uses tensorflow-metal, which is for macOS, and this is {host.system}",
            "run on a Mac with Apple silicon, or use --device=cpu here",
        )
    if host.interpreter != "arm64":
        # The last x86_64 wheels are tensorflow-metal 1.0.0 and tensorflow 2.16.2.
        return (
            f"tensorflow-metal is for arm64, and this is an {host.interpreter} Python",
            f"install an arm64 Python, and there: {_GET_METAL}",
        )
    if version_of("tensorflow-metal") is None:
        return ("tensorflow-metal is not installed", _metal_remedy())
    return None


def _metal_remedy() -> str:
    if sys.version_info >= _FIRST_PYTHON_WITHOUT_METAL:
        return f"with Python 3.12 or older, for which tensorflow-metal exists: {_GET_METAL}"
    return _GET_METAL


def _refused(host: Host) -> tuple[str, str] | None:
    """Reason and remedy where the table says that tensorflow cannot be imported as it is."""
    versions = installed_versions(host)
    known = known_failure(versions) if versions.tensorflow else None
    return (known.describe(versions), known.remedy) if known else None


def installed_versions(host: Host) -> Versions:
    """What the table of failures asks of this installation; nothing is imported."""
    distribution = _distribution()
    on_mac = host.system == "macOS"
    return Versions(
        tensorflow=version_of(distribution),
        # The plugin and its wheels are for macOS; elsewhere nothing loads it.
        metal=version_of("tensorflow-metal") if on_mac else None,
        numpy=version_of("numpy"),
        python=".".join(str(part) for part in sys.version_info[:2]),
        macos=host.os_version if on_mac else None,
        distribution=distribution,
    )


def _cuda_absent(host: Host) -> tuple[str, str] | None:
    if _distribution() == "tensorflow-cpu":
        return (
            "tensorflow-cpu is a build for the CPU only",
            "install 'tensorflow[and-cuda]' in place of tensorflow-cpu, or use --device=cpu",
        )
    return cuda_absent(host)


def _find(tf: Any, spec: str) -> None:
    """Raise DeviceAbsentError unless TensorFlow has the device."""
    kind, _, index = spec.partition(":")
    if kind == "cpu":
        return
    count = len(tf.config.list_physical_devices("GPU"))
    if count == 0:
        raise DeviceAbsentError(
            f"tensorflow {tf.__version__} finds no GPU",
            _GET_METAL if kind == "mps" else "pip install 'tensorflow[and-cuda]'",
        )
    if int(index or 0) >= count:
        raise DeviceAbsentError(
            f"there is no {spec}: TensorFlow finds {count} GPU{'s' if count > 1 else ''}",
            f"use a number below {count}",
        )


ADAPTER: Framework = TensorflowAdapter()
