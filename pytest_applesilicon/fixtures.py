"""The fixtures, a few lines each; what they do stands in the core."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_applesilicon.data.mnist import Mnist
    from pytest_applesilicon.frameworks.base import Framework
    from pytest_applesilicon.measuring import DeviceBenchmark
    from pytest_applesilicon.options import Settings
    from pytest_applesilicon.records import Health, Host, OpOutcome, Published, Target


def leave_figure(
    item: pytest.Item, name: str, value: float, unit: str, published: Iterable[Published]
) -> None:
    """Keep a figure until the test's record is made."""
    from pytest_applesilicon.recorder import MEASUREMENTS
    from pytest_applesilicon.records import Measurement

    if not isinstance(name, str) or not isinstance(unit, str):
        raise TypeError(f"measure({name!r}, unit={unit!r}): name and unit are texts")
    figure = Measurement(name, float(value), unit, tuple(published))
    item.stash.setdefault(MEASUREMENTS, []).append(figure)


@dataclass(frozen=True)
class AppleSilicon:
    """What a test may ask about where it runs, and where it leaves what it measured."""

    host: Host
    health: Health
    """Of the device of this test."""
    framework: Framework
    settings: Settings
    spec: str
    """The device spec of this test, for example ``mps``."""
    _item: pytest.Item

    def measure(
        self, name: str, value: float, unit: str = "", published: Iterable[Published] = ()
    ) -> None:
        """Leave a figure for the report: an accuracy, a rate, a loss.

        In a test that pytest-benchmark times, the first one is what the table of benchmarks
        shows; ``published`` is what others printed of the same workload.

        Raises:
            TypeError: ``value`` is not a number, or ``name`` or ``unit`` not a text.
        """
        leave_figure(self._item, name, value, unit, published)

    def leave_operator(self, outcome: OpOutcome) -> None:
        """Leave how an operator did, for the coverage table and the report."""
        from pytest_applesilicon.recorder import OPERATOR

        self._item.stash[OPERATOR] = outcome

    def synchronize(self) -> None:
        """Wait until everything started on the device of this test is finished."""
        self.framework.synchronize(self.spec)


class AssertSame(Protocol):
    """The type of the ``assert_same`` fixture."""

    def __call__(self, actual: Any, expected: Any) -> None: ...


@pytest.fixture(scope="session")
def applesilicon_device(request: pytest.FixtureRequest) -> Target:
    """The target of this test: framework, device spec and health."""
    from pytest_applesilicon.selection import selection_of

    target: Target = getattr(request, "param", None) or selection_of(request.config).targets[0]
    return target


@pytest.fixture(scope="session")
def device(applesilicon_device: Target) -> Any:
    """The device to test on, as the framework takes it: ``torch.device("mps")``, ..."""
    from pytest_applesilicon import frameworks

    return frameworks.load(applesilicon_device.framework).device(applesilicon_device.device)


@pytest.fixture
def applesilicon(request: pytest.FixtureRequest) -> AppleSilicon:
    """Host, health, framework and settings; ``measure`` leaves a figure for the report."""
    from pytest_applesilicon import frameworks
    from pytest_applesilicon.options import SETTINGS
    from pytest_applesilicon.selection import selection_of

    target: Target = request.getfixturevalue("applesilicon_device")
    return AppleSilicon(
        host=selection_of(request.config).host,
        health=target.health,
        framework=frameworks.load(target.framework),
        settings=request.config.stash[SETTINGS],
        spec=target.device,
        _item=request.node,
    )


class Measure(Protocol):
    """The type of the ``measure`` fixture."""

    def __call__(
        self, name: str, value: float, unit: str = "", published: Iterable[Published] = ()
    ) -> None: ...


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Measure:
    """``measure(name, value, unit)`` leaves a figure of a test that needs no device."""

    def leave(name: str, value: float, unit: str = "", published: Iterable[Published] = ()) -> None:
        leave_figure(request.node, name, value, unit, published)

    return leave


@pytest.fixture
def assert_same(request: pytest.FixtureRequest) -> AssertSame:
    """Fail unless two values are exactly the same; arrays of the first must be on the device."""
    from pytest_applesilicon.agreement import comparison

    target: Target | None = None
    if "applesilicon_device" in request.fixturenames:
        target = request.getfixturevalue("applesilicon_device")

    def same(actual: Any, expected: Any) -> None:
        __tracebackhide__ = True
        comparison.assert_same(actual, expected, device=target.device if target else None)

    return same


@pytest.fixture
def assert_agrees(
    applesilicon_device: Target, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """``assert_agrees(fn, *inputs)``: fn gives on the device what float64 on the host allows.

    With gradients and in every memory layout, unless told otherwise: see
    ``pytest_applesilicon.assert_agrees``.
    """
    from pytest_applesilicon.agreement import functions

    return partial(
        functions.assert_agrees,
        device=_torch_device(applesilicon_device),
        keep=tmp_path_factory.getbasetemp(),
    )


@pytest.fixture
def assert_module_agrees(
    applesilicon_device: Target, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """``assert_module_agrees(module, inputs)``: the same for a module and its parameters."""
    from pytest_applesilicon.agreement import functions

    return partial(
        functions.assert_module_agrees,
        device=_torch_device(applesilicon_device),
        keep=tmp_path_factory.getbasetemp(),
    )


@pytest.fixture
def device_benchmark(
    request: pytest.FixtureRequest, applesilicon_device: Target
) -> DeviceBenchmark:
    """pytest-benchmark on the device of this test: ``latency``, ``throughput``, ``pedantic``."""
    from pytest_applesilicon import measuring

    return measuring.device_benchmark(request, applesilicon_device)


def _torch_device(target: Target) -> Any:
    if target.framework != "torch":
        pytest.fail(
            f"this check is written for torch; the framework of this test is {target.framework}"
        )
    from pytest_applesilicon import frameworks

    return frameworks.load("torch").device(target.device)


@pytest.fixture(scope="session")
def mnist(request: pytest.FixtureRequest) -> Mnist:
    """MNIST as NumPy arrays: what --mnist names, a cache, or the shipped subset."""
    from pytest_applesilicon.data import mnist as digits
    from pytest_applesilicon.options import SETTINGS

    return digits.load(digits.find(request.config.stash[SETTINGS].mnist))
