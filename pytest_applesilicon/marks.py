"""The markers: their arguments are validated at collection, then turned into skip and xfail."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import InvalidVersion, Version

from pytest_applesilicon.budgets import make
from pytest_applesilicon.frameworks.pytorch import SIMULATED, simulating
from pytest_applesilicon.frameworks.versions import version_of
from pytest_applesilicon.option_table import FRAMEWORKS, MARKER_NAMES
from pytest_applesilicon.option_values import OptionError, parse_devices
from pytest_applesilicon.records import Health, Host, Selection, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: MPS has no double precision (pytorch#79019, closed as expected).
_NOT_ON_MPS = ("float64", "complex128")

#: Names that mean one dtype in every framework; ``float`` is float32 in one and float64 in another.
_DTYPE = re.compile(r"bool_?|u?int(8|16|32|64)|bfloat16|float(8_\w+|16|32|64)|complex(32|64|128)")


def requires_mps(
    *,
    framework: str | None = None,
    min_macos: str | None = None,
    min_torch: str | None = None,
    min_memory_gb: float | None = None,
    dtype: object = None,
    physical: bool = False,
) -> None:
    """The signature of the marker; the test's device must be mps and every condition hold."""
    _check(framework is None or framework in FRAMEWORKS, "framework", framework, FRAMEWORKS)
    for name, value in (("min_macos", min_macos), ("min_torch", min_torch)):
        _check(value is None or _is_version(value), name, value, ('a version such as "14.0"',))
    number = isinstance(min_memory_gb, (int, float)) and not isinstance(min_memory_gb, bool)
    _check(min_memory_gb is None or number, "min_memory_gb", min_memory_gb, ("a number of GB",))
    good = dtype is None or _DTYPE.fullmatch(_dtype_name(dtype)) is not None
    _check(good, "dtype", dtype, ('a dtype such as "float16" or torch.float16',))
    _check(isinstance(physical, bool), "physical", physical, ("True", "False"))


def native_only() -> None:
    """The signature of the marker: no arguments."""


def max_host_syncs(n: int) -> None:
    """The signature of the marker."""
    good = isinstance(n, int) and not isinstance(n, bool) and n >= 0
    _check(good, "n", n, ("a whole number from 0",))


def no_fallback() -> None:
    """The signature of the marker: no arguments."""


def skip_on_device(spec: str, *, reason: str) -> None:
    """The signature of the marker."""
    _check_spec(spec)
    _check(isinstance(reason, str) and bool(reason), "reason", reason, ("a text",))


def xfail_on_device(spec: str, *, reason: str, raises: Any = None, strict: bool = True) -> None:
    """The signature of the marker."""
    skip_on_device(spec, reason=reason)
    kinds = raises if isinstance(raises, tuple) else (raises,)
    good = raises is None or all(
        isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds
    )
    _check(good, "raises", raises, ("an exception type or a tuple of them",))
    _check(isinstance(strict, bool), "strict", strict, ("True", "False"))


def frameworks(*names: str) -> None:
    """The signature of the marker."""
    _check(bool(names), "name", "", FRAMEWORKS)
    for name in names:
        _check(name in FRAMEWORKS, "name", name, FRAMEWORKS)


def isolated(*, timeout: float | None = None) -> None:
    """The signature of the marker; the time limit in seconds."""
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    good = timeout is None or (number and 0 < float(timeout) < 1e6)
    _check(good, "timeout", timeout, ("a number of seconds above 0, below 1000000",))


def budget(
    *,
    max_median_ms: Any = None,
    max_regression: Any = None,
    min_speedup_vs: Any = None,
    min_speedup: Any = None,
    min_fraction_of_peak: Any = None,
    max_peak_mb: Any = None,
    reference: Any = None,
) -> None:
    """The signature of the marker; ``budgeting`` reads it, and knows the host."""
    make("marker budget", "", None, locals())


_SIGNATURES: dict[str, Callable[..., None]] = {
    "requires_mps": requires_mps,
    "native_only": native_only,
    "max_host_syncs": max_host_syncs,
    "no_fallback": no_fallback,
    "skip_on_device": skip_on_device,
    "xfail_on_device": xfail_on_device,
    "frameworks": frameworks,
    "isolated": isolated,
    "budget": budget,
}


def _check(good: bool, name: str, value: object, choices: Iterable[str]) -> None:
    if not good:
        raise ValueError(f"{name}={value!r} is not accepted; give {', '.join(choices)}")


def _check_spec(spec: object) -> None:
    _check(isinstance(spec, str), "spec", spec, ('a device spec such as "mps"',))
    devices = parse_devices(str(spec), "spec")
    # No test runs on "auto": it runs on the device that auto chose.
    _check("auto" not in devices, "spec", spec, ("the devices themselves",))


def _dtype_name(dtype: object) -> str:
    """``float64`` for ``"float64"``, ``torch.float64``, ``numpy.float64`` and their like."""
    name = dtype.__name__ if isinstance(dtype, type) else getattr(dtype, "name", dtype)
    return str(name).rpartition(".")[2]


def _is_version(text: object) -> bool:
    try:
        Version(str(text))
    except InvalidVersion:
        return False
    return isinstance(text, str)


def validate(mark: pytest.Mark, nodeid: str) -> None:
    """Check a marker's arguments by name and value.

    Raises:
        OptionError: naming the test, the marker, the argument and what is accepted.
    """
    signature = inspect.signature(_SIGNATURES[mark.name])
    try:
        signature.bind(*mark.args, **mark.kwargs)
        _SIGNATURES[mark.name](*mark.args, **mark.kwargs)
    except (TypeError, ValueError, OptionError) as error:
        accepted = str(signature).partition(" ->")[0].replace("'", "")
        raise OptionError(
            f"{nodeid}: marker {mark.name}: {error}\n  accepted: {mark.name}{accepted}"
        ) from None


def apply_all(items: list[pytest.Item], selection: Selection) -> None:
    """Validate the markers of every test and turn them into skip and xfail.

    A test that takes no device of ours is judged by the first selected one.

    Raises:
        OptionError: a marker has an argument that is not accepted.
    """
    marked = [(item, found) for item in items if (found := ours(item))]
    for item, found in marked:
        for mark in found:
            validate(mark, item.nodeid)
    for item, found in marked:
        if not has_own_device(item):
            apply(item, found, target_of(item) or selection.targets[0], selection.host)


def target_of(item: pytest.Item) -> Target | None:
    """The target a test was parametrised with."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("applesilicon_device") if callspec is not None else None
    return found if isinstance(found, Target) else None


def has_own_device(item: pytest.Item) -> bool:
    """Whether the test takes a ``device`` that is not ours."""
    names = getattr(item, "fixturenames", ())
    return "device" in names and "applesilicon_device" not in names


def skip_on_own_device(item: pytest.Item, selection: Selection) -> None:
    """Judge the markers of a test whose ``device`` is its project's own, now that it exists.

    Its device is known only by its text (``mps:0``), so it counts as unprobed.
    """
    found = ours(item)
    if not found or not has_own_device(item):
        return
    spec = str(getattr(item, "funcargs", {}).get("device"))
    kind = "mps" if spec.partition(":")[0] == "mps" else spec
    first = selection.targets[0]
    simulated = kind == "mps" and simulating()
    health = Health(kind, first.framework, "ok", "the project's own device", simulated=simulated)
    target = Target(first.framework, kind, health, asked=False)
    for mark in found:
        reason = _reason_to_skip(mark, target, selection.host)
        if reason:
            pytest.skip(reason)
        if mark.name == "xfail_on_device" and _names(mark, target):
            item.add_marker(pytest.mark.xfail(**_xfail_arguments(mark)))


def ours(item: pytest.Item) -> list[pytest.Mark]:
    """The markers of this plugin on a test, closest first."""
    return [mark for mark in item.iter_markers() if mark.name in MARKER_NAMES]


def apply(item: pytest.Item, marks: list[pytest.Mark], target: Target, host: Host) -> None:
    """Turn the markers into skip and xfail for the device of this test."""
    for mark in marks:
        reason = _reason_to_skip(mark, target, host)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif mark.name == "xfail_on_device" and _names(mark, target):
            item.add_marker(pytest.mark.xfail(**_xfail_arguments(mark)))


def _xfail_arguments(mark: pytest.Mark) -> dict[str, Any]:
    return {
        "strict": True,
        **{name: value for name, value in mark.kwargs.items() if name != "spec"},
    }


def _names(mark: pytest.Mark, target: Target) -> bool:
    spec = mark.args[0] if mark.args else mark.kwargs["spec"]
    return any(
        target.device == one
        or target.device.partition(":")[0] == one
        or (target.device, one) == (SIMULATED, "mps")
        for one in parse_devices(spec, "spec")
    )


def _reason_to_skip(mark: pytest.Mark, target: Target, host: Host) -> str | None:
    if mark.name == "requires_mps":
        return unmet(mark.kwargs, target, host)
    if mark.name == "native_only" and host.translated:
        return f"native_only: this {host.interpreter} interpreter is translated by Rosetta"
    if mark.name == "skip_on_device" and _names(mark, target):
        return f"{target.device}: {mark.kwargs['reason']}"
    return None


def unmet(conditions: Mapping[str, Any], target: Target, host: Host) -> str | None:
    """The first condition of ``requires_mps`` that does not hold, as a reason to skip."""
    if target.device not in ("mps", SIMULATED):
        return f"requires_mps: the device of this test is {target.device}"
    checks: dict[str, Callable[[Any], str | None]] = {
        "framework": lambda name: _unless(
            name == target.framework, f"needs {name}, not {target.framework}"
        ),
        "min_macos": lambda least: _older("macOS", host.os_version, least),
        "min_torch": lambda least: _older("torch", version_of("torch"), least),
        "min_memory_gb": lambda least: _too_small(host.memory_bytes, least),
        "dtype": lambda dtype: _unless(
            _dtype_name(dtype) not in _NOT_ON_MPS, f"MPS has no {_dtype_name(dtype)}"
        ),
        "physical": lambda wanted: _not_physical(target, host) if wanted else None,
    }
    for name, value in conditions.items():
        problem = checks[name](value) if value is not None else None
        if problem:
            return f"requires_mps: {problem}"
    return None


def _unless(holds: bool, problem: str) -> str | None:
    return None if holds else problem


def _older(what: str, found: str | None, least: str) -> str | None:
    if found is None:
        return f"needs {what} {least} or newer; the version here is not known"
    if not _is_version(found):
        return f"needs {what} {least} or newer; the version here ({found!r}) cannot be compared"
    return _unless(
        Version(found) >= Version(least), f"needs {what} {least} or newer, this is {found}"
    )


def _too_small(found: int | None, least_gb: float) -> str | None:
    if found is None:
        return f"needs {least_gb:g} GB of memory; how much is here is not known"
    have = found / 2**30
    return _unless(have >= least_gb, f"needs {least_gb:g} GB of memory, this host has {have:.0f}")


def _not_physical(target: Target, host: Host) -> str | None:
    if target.health.simulated:
        return "needs a physical Mac, and this device is simulated"
    if host.virtual is None:
        return "needs a physical Mac, and whether this is one is not known"
    return _unless(not host.virtual, "needs a physical Mac, and this is a virtual machine")
