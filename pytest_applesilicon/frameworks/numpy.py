"""NumPy: the CPU, and the host that every result is judged on."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.frameworks.base import ArrayFacts
from pytest_applesilicon.frameworks.versions import versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import numpy

    from pytest_applesilicon.records import Host


class NumpyAdapter:
    """NumPy behind the Framework protocol; its only device is ``cpu``."""

    name = "numpy"
    distribution = "numpy"

    def absent(self, spec: str, host: Host) -> tuple[str, str] | None:  # noqa: ARG002
        if spec == "cpu":
            return None
        return (f"NumPy runs on the CPU only, not on {spec}", "use --device=cpu")

    def probe(self, spec: str) -> Iterator[str]:  # noqa: ARG002
        yield "import numpy"
        import numpy as np

        yield "multiply 64x64 matrices"
        np.ones((64, 64)) @ np.ones((64, 64))

    def device(self, spec: str) -> str:
        return spec

    def running_on(self, spec: str) -> AbstractContextManager[Any]:  # noqa: ARG002
        return nullcontext()

    def on_device(self, facts: ArrayFacts, spec: str) -> bool:
        return facts.device == spec

    def dtype(self, name: str) -> Any:
        import numpy as np

        # Not hasattr(np, name): NumPy 1 has no np.bool, and np.array is no dtype.
        try:
            return np.dtype(name)
        except TypeError:
            return None

    def to_device(self, value: Any, spec: str, dtype: Any = None) -> Any:  # noqa: ARG002
        import numpy as np

        return np.asarray(value, dtype=dtype)

    def is_array(self, value: Any) -> bool:
        np = sys.modules.get("numpy")
        return np is not None and isinstance(value, (np.ndarray, np.generic))

    def facts(self, array: Any) -> ArrayFacts:
        size = array.dtype.itemsize or 1
        return ArrayFacts(
            type=f"numpy.{type(array).__name__}",
            shape=tuple(array.shape),
            dtype=str(array.dtype),
            device="cpu",
            strides=tuple(step // size for step in array.strides),
        )

    def to_host(self, array: Any) -> numpy.ndarray[Any, Any]:
        return to_wide(array)

    def synchronize(self, spec: str) -> None:
        """Nothing to wait for: NumPy returns when it is done."""

    def empty_cache(self, spec: str) -> None:
        """Nothing to give back: NumPy keeps nothing for later calls."""

    def memory(self, spec: str) -> int | None:  # noqa: ARG002
        return None

    def versions(self) -> dict[str, str]:
        return versions_of("numpy")

    def seed(self, seed: int) -> None:
        import numpy as np

        np.random.seed(seed)


def to_wide(array: Any) -> numpy.ndarray[Any, Any]:
    """A NumPy array with the values of ``array`` in the widest type of its kind.

    float64 for floating, complex128 for complex; integers, booleans and everything else in
    their own dtype, because a conversion could hide a difference (int64 above 2**53).
    """
    import numpy as np

    values = np.asarray(array)
    if values.dtype.kind == "f" and values.dtype.itemsize <= 8:
        return values.astype(np.float64)
    if values.dtype.kind == "c" and values.dtype.itemsize <= 16:
        return values.astype(np.complex128)
    return values


ADAPTER = NumpyAdapter()
