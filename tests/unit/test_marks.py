"""Markers are validated by name and value, and every condition skips with its reason."""

from __future__ import annotations

import re
import types
from typing import Any

import pytest

from pytest_applesilicon import marks
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.records import Health, Host, Selection, Target

GB = 2**30
MAC = Host(
    "macOS",
    os_version="14.5",
    memory_bytes=16 * GB,
    virtual=False,
    machine="arm64",
    interpreter="arm64",
)


def _mac(**changes: Any) -> Host:
    return Host(**{**vars(MAC), **changes})


def _target(device: str = "mps", framework: str = "torch", *, simulated: bool = False) -> Target:
    health = Health(device, framework, "ok", "works", simulated=simulated)
    return Target(framework, device, health, asked=True)


def _mark(marker: str, /, *args: object, **kwargs: object) -> pytest.Mark:
    return getattr(pytest.mark, marker)(*args, **kwargs).mark


@pytest.mark.parametrize(
    "mark",
    [
        _mark("requires_mps"),
        _mark("requires_mps", framework="torch", min_macos="14.0", min_torch="2.6"),
        _mark("requires_mps", min_memory_gb=16, dtype="bfloat16", physical=True),
        _mark("requires_mps", min_memory_gb=0.5, dtype="torch.float16", physical=False),
        _mark("native_only"),
        _mark("no_fallback"),
        _mark("skip_on_device", "mps", reason="slow"),
        _mark("skip_on_device", spec="cpu,cuda:1", reason="slow"),
        _mark("xfail_on_device", "mps", reason="pytorch#1"),
        _mark("xfail_on_device", "mps", reason="pytorch#1", raises=ValueError, strict=False),
        _mark("xfail_on_device", "mps", reason="pytorch#1", raises=(ValueError, TypeError)),
        _mark("frameworks", "torch"),
        _mark("frameworks", "torch", "numpy"),
    ],
)
def test_what_the_signature_allows_is_accepted(mark: pytest.Mark):
    assert marks.validate(mark, "t.py::test") is None


@pytest.mark.parametrize(
    ("mark", "problem"),
    [
        # an argument that does not exist
        (_mark("requires_mps", min_maco="14"), "got an unexpected keyword argument 'min_maco'"),
        (_mark("native_only", reason="x"), "got an unexpected keyword argument 'reason'"),
        (_mark("no_fallback", strict=True), "got an unexpected keyword argument 'strict'"),
        (_mark("skip_on_device", "mps", reasn="x"), "missing a required argument: 'reason'"),
        (_mark("frameworks", "torch", name="x"), "got an unexpected keyword argument 'name'"),
        # too few or too many
        (_mark("requires_mps", "torch"), "too many positional arguments"),
        (_mark("native_only", 1), "too many positional arguments"),
        (_mark("skip_on_device", "mps"), "missing a required argument: 'reason'"),
        (_mark("skip_on_device", reason="x"), "missing a required argument: 'spec'"),
        (_mark("xfail_on_device", "mps"), "missing a required argument: 'reason'"),
        (_mark("xfail_on_device", "mps", "why"), "too many positional arguments"),
        (_mark("frameworks"), "name='' is not accepted; give torch, tensorflow, mlx, jax, numpy"),
        # wrong types
        (
            _mark("requires_mps", min_macos=14.0),
            'min_macos=14.0 is not accepted; give a version such as "14.0"',
        ),
        (_mark("requires_mps", min_torch="new"), "min_torch='new' is not accepted; give a version"),
        (
            _mark("requires_mps", min_memory_gb="16"),
            "min_memory_gb='16' is not accepted; give a number of GB",
        ),
        (_mark("requires_mps", min_memory_gb=True), "min_memory_gb=True is not accepted"),
        (_mark("requires_mps", physical=1), "physical=1 is not accepted; give True, False"),
        (_mark("skip_on_device", "mps", reason=""), "reason='' is not accepted; give a text"),
        (_mark("skip_on_device", "mps", reason=3), "reason=3 is not accepted; give a text"),
        (
            _mark("skip_on_device", 3, reason="x"),
            'spec=3 is not accepted; give a device spec such as "mps"',
        ),
        (
            _mark("xfail_on_device", "mps", reason="x", raises="ValueError"),
            "raises='ValueError' is not accepted; give an exception type",
        ),
        (
            _mark("xfail_on_device", "mps", reason="x", raises=(ValueError, 1)),
            "is not accepted; give an exception type",
        ),
        (
            _mark("xfail_on_device", "mps", reason="x", raises=int),
            "raises=<class 'int'> is not accepted",
        ),
        (
            _mark("xfail_on_device", "mps", reason="x", strict="no"),
            "strict='no' is not accepted; give True, False",
        ),
        # wrong choices
        (
            _mark("requires_mps", framework="pytorch"),
            "framework='pytorch' is not accepted; give torch, tensorflow, mlx, jax, numpy",
        ),
        (
            _mark("requires_mps", dtype="flaot64"),
            "dtype='flaot64' is not accepted; give a dtype such as ",
        ),
        (
            _mark("requires_mps", dtype="double"),
            "dtype='double' is not accepted; give a dtype such as ",
        ),
        (_mark("requires_mps", dtype=16), "dtype=16 is not accepted; give a dtype such as "),
        (
            _mark("skip_on_device", "gpu", reason="x"),
            "spec: 'gpu' is not accepted; give a device or a comma list of devices: ",
        ),
        (_mark("xfail_on_device", "mps,gpu", reason="x"), "spec: 'gpu' is not accepted"),
        (_mark("skip_on_device", "auto", reason="x"), "spec='auto' is not accepted; give "),
        (_mark("frameworks", "torch", "pytorch"), "name='pytorch' is not accepted; give torch"),
        (_mark("frameworks", ["torch"]), "name=['torch'] is not accepted; give torch"),
    ],
)
def test_an_argument_that_is_not_accepted_is_named_with_its_test(mark: pytest.Mark, problem: str):
    with pytest.raises(OptionError) as refused:
        marks.validate(mark, "t.py::test[a]")
    # Python 3.12 says "missing a required keyword-only argument".
    message = str(refused.value).replace("keyword-only argument", "argument")
    first, second = message.split("\n")
    assert first.startswith(f"t.py::test[a]: marker {mark.name}: ")
    assert problem in first
    assert second.startswith(f"  accepted: {mark.name}(")


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        (
            "requires_mps",
            (
                "(*, framework: str | None = None, min_macos: str | None = None, "
                "min_torch: str | None = None, min_memory_gb: float | None = None, "
                "dtype: object = None, physical: bool = False)"
            ),
        ),
        ("native_only", "()"),
        ("no_fallback", "()"),
        ("skip_on_device", "(spec: str, *, reason: str)"),
        ("xfail_on_device", "(spec: str, *, reason: str, raises: Any = None, strict: bool = True)"),
    ],
)
def test_the_message_shows_the_accepted_signature(name: str, signature: str):
    with pytest.raises(OptionError) as refused:
        marks.validate(_mark(name, nonsense=1), "t.py::test")
    assert str(refused.value).endswith(f"\n  accepted: {name}{signature}")


def _unmet(host: Host = MAC, target: Target | None = None, **conditions: object) -> str | None:
    return marks.unmet(conditions, target or _target(), host)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", "auto"])
def test_a_test_that_requires_mps_skips_on_another_device(device: str):
    reason = _unmet(target=_target(device))
    assert reason == f"requires_mps: the device of this test is {device}"


def test_the_device_is_judged_before_the_conditions():
    assert _unmet(target=_target("cpu"), min_macos="99") == (
        "requires_mps: the device of this test is cpu"
    )


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"framework": "torch"},
        {"min_macos": "14"},
        {"min_macos": "14.5"},
        {"min_macos": "14.5.0"},
        {"min_macos": "9.0"},
        {"min_memory_gb": 16},
        {"min_memory_gb": 0.5},
        {"dtype": "float32"},
        {"dtype": "torch.bfloat16"},
        {"dtype": "complex64"},
        {"physical": True},
        {"physical": False},
        {"framework": None, "min_macos": None, "min_torch": None, "dtype": None},
    ],
)
def test_conditions_that_hold_do_not_skip(conditions: dict[str, object]):
    assert _unmet(**conditions) is None


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ({"framework": "mlx"}, "needs mlx, not torch"),
        ({"min_macos": "14.6"}, "needs macOS 14.6 or newer, this is 14.5"),
        ({"min_macos": "15"}, "needs macOS 15 or newer, this is 14.5"),
        ({"min_macos": "14.10"}, "needs macOS 14.10 or newer, this is 14.5"),
        ({"min_memory_gb": 16.5}, "needs 16.5 GB of memory, this host has 16"),
        ({"min_memory_gb": 32}, "needs 32 GB of memory, this host has 16"),
        ({"dtype": "float64"}, "MPS has no float64"),
        ({"dtype": "torch.float64"}, "MPS has no float64"),
        ({"dtype": "complex128"}, "MPS has no complex128"),
        ({"physical": False, "min_macos": "99"}, "needs macOS 99 or newer, this is 14.5"),
    ],
)
def test_a_condition_that_does_not_hold_is_the_reason(conditions: dict[str, object], reason: str):
    assert _unmet(**conditions) == f"requires_mps: {reason}"


def test_a_dtype_may_be_the_object_of_a_framework():
    np = pytest.importorskip("numpy")
    assert _unmet(dtype=np.float32) is None
    assert _unmet(dtype=np.dtype("float64")) == "requires_mps: MPS has no float64"
    assert _unmet(dtype=np.float64) == "requires_mps: MPS has no float64"
    assert marks.validate(_mark("requires_mps", dtype=np.float64), "t.py::test") is None


@pytest.mark.parametrize(
    ("host", "conditions", "reason"),
    [
        (
            _mac(os_version=None),
            {"min_macos": "14"},
            "needs macOS 14 or newer; the version here is not known",
        ),
        (
            _mac(os_version="14.5 beta"),
            {"min_macos": "14"},
            "needs macOS 14 or newer; the version here ('14.5 beta') cannot be compared",
        ),
        (
            _mac(os_version=""),
            {"min_macos": "14"},
            "needs macOS 14 or newer; the version here ('') cannot be compared",
        ),
        (
            _mac(os_version="Sequoia"),
            {"min_macos": "14"},
            "needs macOS 14 or newer; the version here ('Sequoia') cannot be compared",
        ),
        (
            _mac(memory_bytes=None),
            {"min_memory_gb": 8},
            "needs 8 GB of memory; how much is here is not known",
        ),
    ],
)
def test_what_is_not_known_skips_and_never_raises(
    host: Host, conditions: dict[str, object], reason: str
):
    assert _unmet(host, **conditions) == f"requires_mps: {reason}"


@pytest.mark.parametrize(
    ("installed", "least", "reason"),
    [
        ("2.6.0", "2.6", None),
        ("2.13.0+cpu", "2.9", None),
        ("2.10.0", "2.9", None),
        ("2.5.1", "2.6", "needs torch 2.6 or newer, this is 2.5.1"),
        ("2.6.0a0+git1234", "2.6", "needs torch 2.6 or newer, this is 2.6.0a0+git1234"),
        (None, "2.6", "needs torch 2.6 or newer; the version here is not known"),
        (
            "my build",
            "2.6",
            "needs torch 2.6 or newer; the version here ('my build') cannot be compared",
        ),
    ],
)
def test_torch_is_compared_by_its_installed_version(
    installed: str | None, least: str, reason: str | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(marks, "version_of", lambda name: installed if name == "torch" else "9")
    assert _unmet(min_torch=least) == (reason and f"requires_mps: {reason}")


@pytest.mark.parametrize(
    ("virtual", "simulated", "reason"),
    [
        (False, False, None),
        (True, False, "needs a physical Mac, and this is a virtual machine"),
        (None, False, "needs a physical Mac, and whether this is one is not known"),
        (False, True, "needs a physical Mac, and this device is simulated"),
        (True, True, "needs a physical Mac, and this device is simulated"),
    ],
)
def test_physical_refuses_all_that_may_not_be_a_physical_mac(
    virtual: bool | None, simulated: bool, reason: str | None
):
    host, target = _mac(virtual=virtual), _target(simulated=simulated)
    assert _unmet(host, target, physical=True) == (reason and f"requires_mps: {reason}")
    assert _unmet(host, target, physical=False) is None


# From markers to skip and xfail


class _Item:
    """As much of a test as the markers look at."""

    nodeid = "t.py::test"

    def __init__(self, *found: pytest.Mark) -> None:
        self._found = list(found)
        self.added: list[pytest.Mark] = []

    def iter_markers(self) -> list[pytest.Mark]:
        return self._found

    def add_marker(self, marker: pytest.MarkDecorator) -> None:
        self.added.append(marker.mark)


def _applied(mark: pytest.Mark, device: str = "mps", host: Host = MAC) -> list[pytest.Mark]:
    item = _Item(mark)
    marks.apply(item, marks.ours(item), _target(device), host)  # type: ignore[arg-type]
    return item.added


@pytest.mark.parametrize(
    ("spec", "device", "named"),
    [
        ("mps", "mps", True),
        ("mps", "cpu", False),
        ("cpu,mps", "mps", True),
        ("cuda", "cuda:1", True),
        ("cuda:1", "cuda:1", True),
        ("cuda:1", "cuda:2", False),
    ],
)
def test_a_spec_names_its_devices_and_cuda_all_of_them(spec: str, device: str, named: bool):
    skipped = _applied(_mark("skip_on_device", spec, reason="why"), device)
    failing = _applied(_mark("xfail_on_device", spec=spec, reason="why"), device)
    assert [mark.name for mark in skipped] == ["skip"] * named
    assert [mark.name for mark in failing] == ["xfail"] * named


def test_a_skip_gives_the_device_and_the_reason():
    (skip,) = _applied(_mark("skip_on_device", "mps", reason="hangs, pytorch#1"))
    assert skip.kwargs == {"reason": "mps: hangs, pytorch#1"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"reason": "why"}, {"reason": "why", "strict": True}),
        ({"reason": "why", "strict": False}, {"reason": "why", "strict": False}),
        (
            {"reason": "why", "raises": ValueError},
            {"reason": "why", "strict": True, "raises": ValueError},
        ),
    ],
)
def test_an_expected_failure_is_strict_unless_said_otherwise(
    given: dict[str, Any], expected: dict[str, Any]
):
    (xfail,) = _applied(_mark("xfail_on_device", "mps", **given))
    assert xfail.kwargs == expected


def test_native_only_skips_under_rosetta_alone():
    (skip,) = _applied(_mark("native_only"), host=_mac(translated=True, interpreter="x86_64"))
    assert re.search("native_only: this x86_64 .* translated by Rosetta", skip.kwargs["reason"])
    assert _applied(_mark("native_only")) == []


@pytest.mark.parametrize(
    "mark", [_mark("no_fallback"), _mark("frameworks", "mlx"), _mark("usefixtures", "x")]
)
def test_other_markers_neither_skip_nor_expect_a_failure(mark: pytest.Mark):
    assert _applied(mark) == []


def test_every_marker_of_a_run_is_validated_before_any_is_applied():
    good = _Item(_mark("skip_on_device", "mps", reason="why"))
    bad = _Item(_mark("native_only", 1))
    selection = Selection(MAC, (_target(),))
    with pytest.raises(OptionError, match="marker native_only"):
        marks.apply_all([good, bad], selection)  # type: ignore[list-item]
    assert good.added == []
    marks.apply_all([good], selection)  # type: ignore[list-item]
    assert [mark.name for mark in good.added] == ["skip"]


def test_a_device_of_its_own_is_judged_when_the_test_has_it():
    item = _Item(_mark("requires_mps", min_macos="99"))
    item.fixturenames = ["device"]  # type: ignore[attr-defined]
    item.funcargs = {"device": "mps:0"}  # type: ignore[attr-defined]
    selection = Selection(MAC, (_target("cpu"),))
    marks.apply_all([item], selection)  # type: ignore[list-item]
    assert item.added == []
    with pytest.raises(pytest.skip.Exception, match="needs macOS 99 or newer"):
        marks.skip_on_own_device(item, selection)  # type: ignore[arg-type]


@pytest.mark.parametrize(("device", "expected"), [("mps:0", ["xfail"]), ("cpu", [])])
def test_a_failure_is_expected_on_a_device_of_its_own(device: str, expected: list[str]):
    item = _Item(_mark("xfail_on_device", "mps", reason="why"))
    item.fixturenames = ["device"]  # type: ignore[attr-defined]
    item.funcargs = {"device": device}  # type: ignore[attr-defined]
    marks.skip_on_own_device(item, Selection(MAC, (_target("cpu"),)))  # type: ignore[arg-type]
    assert [mark.name for mark in item.added] == expected


def test_a_test_is_judged_by_the_target_it_was_parametrised_with():
    item = _Item(_mark("skip_on_device", "cpu", reason="why"))
    item.callspec = types.SimpleNamespace(params={"applesilicon_device": _target("cpu")})  # type: ignore[attr-defined]
    marks.apply_all([item], Selection(MAC, (_target("mps"),)))  # type: ignore[list-item]
    assert [mark.name for mark in item.added] == ["skip"]
