"""What every framework answers, behind one Protocol, and the errors its probe may raise.

An adapter imports its own framework inside functions and never another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import numpy

    from pytest_applesilicon.records import Host


class DeviceAbsentError(Exception):
    """The probe found no such device; the text says why, ``remedy`` what to do."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class DeviceMiscomputesError(Exception):
    """The device works and gives wrong results; the text says which and by how much."""


@dataclass(frozen=True)
class ArrayFacts:
    """What can be said of an array without reading its values."""

    type: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    strides: tuple[int, ...] | None
    """In elements; ``None`` where the framework has none."""


class Framework(Protocol):
    """A framework as the fixtures, the probe and the comparison see it."""

    name: str
    distribution: str
    """The name pip installs it by."""

    def absent(self, spec: str, host: Host) -> tuple[str, str] | None:
        """Reason and remedy where the device plainly cannot be had; else ``None``.

        Imports nothing: where only the framework itself can tell, a probe must.
        """

    def probe(self, spec: str) -> Iterator[str]:
        """Use the device, yielding the name of each step before it is taken.

        Runs in a child process, because a step may crash or hang.

        Raises:
            DeviceAbsentError: there is no such device.
            DeviceMiscomputesError: a result is wrong.
        """

    def device(self, spec: str) -> Any:
        """What this framework takes as a device: ``torch.device("mps")``, ``"/GPU:0"`` ..."""

    def running_on(self, spec: str) -> AbstractContextManager[Any]:
        """A context in which operations run on the device, unless they name another one.

        TensorFlow, MLX and JAX compute on a default device, not where the operands are; torch
        and NumPy need nothing. It holds for the thread that enters it.
        """

    def on_device(self, facts: ArrayFacts, spec: str) -> bool:
        """Whether an array with these facts lives on the device."""

    def dtype(self, name: str) -> Any:
        """The framework's dtype of this name; ``None`` where it has none."""

    def to_device(self, value: Any, spec: str, dtype: Any = None) -> Any:
        """An array, or nested lists, on the device; in ``dtype`` where one is given."""

    def is_array(self, value: Any) -> bool:
        """Whether the value is an array of this framework; imports nothing."""

    def facts(self, array: Any) -> ArrayFacts:
        """Type, shape, dtype, device and strides of an array."""

    def to_host(self, array: Any) -> numpy.ndarray[Any, Any]:
        """The values on the host: float64 or complex128, integers and booleans as they are."""

    def synchronize(self, spec: str) -> None:
        """Wait until everything started on the device is finished."""

    def empty_cache(self, spec: str) -> None:
        """Give back what the framework keeps for later calls: memory, compiled programs."""

    def memory(self, spec: str) -> int | None:
        """Bytes allocated on the device; ``None`` where the framework does not tell."""

    def versions(self) -> dict[str, str]:
        """Versions that matter to a result, without importing the framework."""

    def seed(self, seed: int) -> None:
        """Seed the framework's own random generators."""
