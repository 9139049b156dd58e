"""JAX: the CPU, CUDA, and the Apple GPU through a Metal plugin."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.frameworks.base import ArrayFacts, DeviceAbsentError
from pytest_applesilicon.frameworks.cuda import cuda_absent
from pytest_applesilicon.frameworks.product import check_product, products
from pytest_applesilicon.frameworks.versions import version_of, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import numpy

    from pytest_applesilicon.frameworks.base import Framework
    from pytest_applesilicon.records import Host

#: Plugins for the Apple GPU, and the platform each registers in its ``jax_plugins`` module.
#: jax-mps is kept up by its community (github.com/tillahoffmann/jax-mps); Apple's jax-metal
#: is not kept up (jax-ml/jax#26968), so it comes second.
_METAL_PLATFORMS = {"jax-mps": "mps", "jax-metal": "METAL"}

#: The last jax that jax-metal 0.1.1 works with; later ones raise "UNIMPLEMENTED:
#: default_memory_space is not supported" for almost every array (jax-ml/jax#27062).
_LAST_FOR_JAX_METAL = "0.5.0"

#: What the extras ``jax[cuda13]`` and ``jax[cuda12]`` install.
_CUDA_DISTRIBUTIONS = ("jax-cuda13-plugin", "jax-cuda12-plugin")

#: The platforms, in lower case, that an array of each kind of device may tell.
_PLATFORMS = {"cpu": ("cpu",), "cuda": ("cuda", "gpu"), "mps": ("mps", "metal")}

_UNMAINTAINED = "Apple's jax-metal is unmaintained (jax-ml/jax#26968)"

_GET_JAX_MPS = (
    "pip install jax-mps, a community plugin (Python 3.12 or newer, the jax it names), "
    "or use --device=cpu"
)


class JaxAdapter:
    """JAX behind the Framework protocol."""

    name = "jax"
    distribution = "jax"

    def absent(self, spec: str, host: Host) -> tuple[str, str] | None:
        kind = spec.partition(":")[0]
        if kind == "mps":
            return _metal_absent(host)
        if kind == "cuda":
            return _cuda_absent(host)
        if spec != "cpu":
            return (f"JAX has no device {spec}", "use --device=mps or --device=cpu")
        return None

    def probe(self, spec: str) -> Iterator[str]:
        yield "import jax"
        import jax
        import jax.numpy as jnp

        yield "find the device"
        device = _find(jax, spec)
        yield "allocate 1 element"
        jnp.zeros(1, device=device).block_until_ready()
        yield "allocate 16 MB"
        jnp.zeros(4 * 1024 * 1024, device=device).block_until_ready()
        for product in products():
            yield product.step
            left, right = (jax.device_put(one, device) for one in (product.left, product.right))
            result = jnp.matmul(left, right)
            if product.bias is not None:
                result += jax.device_put(product.bias, device)
            judged = self.to_host(result)
            check_product(product.name, judged, product.left, product.right, product.bias)
        yield "synchronize"
        self.synchronize(spec)

    def device(self, spec: str) -> Any:
        import jax

        return _find(jax, spec)

    def running_on(self, spec: str) -> AbstractContextManager[Any]:
        import jax

        context: AbstractContextManager[Any] = jax.default_device(_find(jax, spec))
        return context

    def on_device(self, facts: ArrayFacts, spec: str) -> bool:
        if "," in facts.device:  # spread over several devices
            return False
        kind, _, index = spec.partition(":")
        found_kind, _, found_index = facts.device.partition(":")
        return found_kind in _PLATFORMS.get(kind, ()) and index in ("", found_index)

    def dtype(self, name: str) -> Any:
        """The dtype of this name; none with 64 bits unless ``jax_enable_x64`` is set."""
        import jax
        import jax.numpy as jnp
        import numpy as np

        kind = getattr(jnp, name, None)
        # What JAX takes over from NumPy, such as floating and object_, is no dtype of its own.
        if kind is None or (isinstance(kind, type) and issubclass(kind, np.generic)):
            return None
        try:
            found = jnp.dtype(kind)
        except TypeError:
            return None
        is_held = found.kind != "O" and jax.dtypes.canonicalize_dtype(found) == found
        return found if is_held else None

    def to_device(self, value: Any, spec: str, dtype: Any = None) -> Any:
        """An array, or nested lists, on the device.

        Raises:
            TypeError: JAX has not been told to have ``dtype``.
            OverflowError: JAX has not been told to have 64 bits, and the integers need them.
        """
        import jax
        import numpy as np

        if not self.is_array(value):
            value = np.asarray(value, dtype)
        elif dtype is not None:
            value = value.astype(dtype)
        array = jax.device_put(value, _find(jax, spec))
        if array.dtype != value.dtype:
            _check_narrowing(value, array, asked=dtype is not None)
        return array

    def is_array(self, value: Any) -> bool:
        jax = sys.modules.get("jax")
        # While jax is being imported its module is there already, without its names.
        kind = getattr(jax, "Array", None)
        return kind is not None and isinstance(value, kind)

    def facts(self, array: Any) -> ArrayFacts:
        places = sorted(f"{one.platform.lower()}:{one.id}" for one in array.devices())
        return ArrayFacts(
            type="jax.Array",
            shape=tuple(array.shape),
            dtype=str(array.dtype),
            device=",".join(places),
            strides=None,
        )

    def to_host(self, array: Any) -> numpy.ndarray[Any, Any]:
        import jax.numpy as jnp
        import numpy as np

        from pytest_applesilicon.frameworks.numpy import to_wide

        values = np.array(array)
        # NumPy does not know that bfloat16 and its like are floating.
        if jnp.issubdtype(array.dtype, jnp.floating):
            values = values.astype(np.float64)
        return to_wide(values)

    def synchronize(self, spec: str) -> None:
        """Wait for effects, and for a computation that the device starts after all others."""
        import jax

        jax.effects_barrier()
        (jax.device_put(0, _find(jax, spec)) + 1).block_until_ready()

    def empty_cache(self, spec: str) -> None:  # noqa: ARG002
        """Drop what is compiled, for every device: JAX has no cache of one device."""
        import jax

        jax.clear_caches()

    def memory(self, spec: str) -> int | None:
        import jax

        try:
            told = _find(jax, spec).memory_stats()
        except RuntimeError as error:
            if "UNIMPLEMENTED" in str(error):  # a plugin need not count
                return None
            raise
        return None if told is None else int(told["bytes_in_use"])

    def versions(self) -> dict[str, str]:
        return versions_of("jax", "jaxlib", *_METAL_PLATFORMS, *_CUDA_DISTRIBUTIONS)

    def seed(self, seed: int) -> None:
        """Nothing to seed: every random function of JAX takes its key."""


def _metal_plugin() -> str | None:
    """The plugin for the Apple GPU that is installed."""
    return next((name for name in _METAL_PLATFORMS if version_of(name)), None)


def _metal_absent(host: Host) -> tuple[str, str] | None:
    from packaging.version import Version

    if host.system != "macOS":
        return (
            f"JAX uses the Apple GPU through a Metal plugin, on macOS, and this is {host.system}",
            "run on a Mac with Apple silicon, or use --device=cpu here",
        )
    if host.interpreter != "arm64":
        return (
            f"JAX's Metal plugins are for arm64, and this is an {host.interpreter} Python",
            "install an arm64 Python and install jax there",
        )
    plugin, jax = _metal_plugin(), version_of("jax")
    if plugin is None:
        return (
            f"no Metal plugin for JAX is installed, and {_UNMAINTAINED}",
            _GET_JAX_MPS,
        )
    if plugin == "jax-metal" and jax and Version(jax) > Version(_LAST_FOR_JAX_METAL):
        return (
            f"jax {jax} is newer than jax-metal can use (jax-ml/jax#27062), and {_UNMAINTAINED}",
            _GET_JAX_MPS,
        )
    return None


def _cuda_absent(host: Host) -> tuple[str, str] | None:
    if host.system != "macOS" and not any(version_of(name) for name in _CUDA_DISTRIBUTIONS):
        return (
            "jax is installed without its CUDA plugin",
            "pip install 'jax[cuda13]' (or [cuda12]), or use --device=cpu",
        )
    return cuda_absent(host)


def _find(jax: Any, spec: str) -> Any:
    """The device.

    Raises:
        DeviceAbsentError: JAX does not have it.
    """
    kind, _, index = spec.partition(":")
    platform = _METAL_PLATFORMS.get(_metal_plugin() or "", "mps") if kind == "mps" else kind
    try:
        devices = jax.devices(platform)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise DeviceAbsentError(
            f"jax {jax.__version__} has no platform {platform}: {reason}",
            "see what the plugin says when jax is imported, or use --device=cpu",
        ) from error
    number = int(index or 0)
    if number >= len(devices):
        raise DeviceAbsentError(
            f"there is no {spec}: JAX finds {len(devices)} of that kind",
            f"use a number below {len(devices)}",
        )
    return devices[number]


def _check_narrowing(value: Any, array: Any, *, asked: bool) -> None:
    """Raise where JAX, which has no 64 bits unless told, made something else of the values."""
    import numpy as np

    remedy = "jax.config.update('jax_enable_x64', True) gives JAX its 64-bit dtypes"
    if asked:
        raise TypeError(f"JAX made {array.dtype} of {value.dtype}, which was asked for; {remedy}")
    if value.dtype.kind in "iu" and not np.array_equal(np.asarray(array), value):
        raise OverflowError(f"the {value.dtype} values do not fit into {array.dtype}; {remedy}")


ADAPTER: Framework = JaxAdapter()
