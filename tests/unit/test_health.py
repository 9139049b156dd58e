"""A device is judged by how a child process that used it ended."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import frameworks, health
from pytest_applesilicon.frameworks import pytorch
from pytest_applesilicon.frameworks.base import DeviceAbsentError, DeviceMiscomputesError
from pytest_applesilicon.health import ChildResult, judge, probe
from pytest_applesilicon.records import Health, Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAC = Host("macOS", virtual=False, machine="arm64", interpreter="arm64")
HOSTED = Host("macOS", virtual=True, machine="arm64", interpreter="arm64")
ROSETTA = Host("macOS", machine="arm64", interpreter="x86_64", translated=True)
LINUX = Host("Linux", machine="x86_64", interpreter="x86_64")

HOSTED_TEXT = (
    "MPS backend out of memory (MPS allocated: 0 bytes, other allocations: 0 bytes, max allowed: "
    "7.93 GB). Tried to allocate 256 bytes on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO"
    "=0.0 to disable upper limit for memory allocations (may cause system failure)."
)
METAL_ASSERTION = (
    "loading\n/AppleInternal/Library/BuildRoots/MPSNDArray.mm:788: failed assertion "
    "`[MPSNDArray initWithDevice:descriptor:] Error: product of dimension sizes > 2**31'\n\n"
)

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")


def _said(*lines: dict[str, str]) -> str:
    """What the child prints, with a framework's own words around it."""
    spoken = "".join("\n" + health._MARK + json.dumps(line) + "\n" for line in lines)
    return f"Welcome to a framework!{spoken}bye {{"


def _judged(result: ChildResult, host: Host = MAC) -> Health:
    found = judge("torch", "mps", host, result)
    assert (found.framework, found.device, found.simulated) == ("torch", "mps", False)
    return found


def test_a_child_that_says_ok_makes_an_ok_device():
    stdout = _said({"step": "synchronize"}, {"state": "ok", "reason": "allocates and computes"})
    found = _judged(ChildResult(0, stdout, "a warning\n"))
    assert found == Health("mps", "torch", "ok", "allocates and computes", "")


@pytest.mark.parametrize(
    ("final", "host", "remedy"),
    [
        pytest.param(
            {"state": "absent", "reason": "no such device", "remedy": "buy one"},
            MAC,
            "buy one",
            id="the child's own",
        ),
        pytest.param(
            {"state": "absent", "reason": "no such device", "remedy": ""},
            MAC,
            "use --device=cpu",
            id="none",
        ),
        pytest.param(
            {"state": "miscomputes", "reason": "matmul is wrong by 3.8"},
            MAC,
            "update macOS and the framework",
            id="miscomputes",
        ),
        pytest.param(
            {"state": "miscomputes", "reason": "matmul is wrong by 3.8"},
            HOSTED,
            "a virtual GPU computes differently: use a physical Mac",
            id="miscomputes, virtual",
        ),
        pytest.param(
            {"state": "unusable", "reason": f"allocate 1 element: RuntimeError: {HOSTED_TEXT}"},
            HOSTED,
            "this virtual GPU cannot allocate: on GitHub use runs-on: macos-15",
            id="hosted runner",
        ),
        pytest.param(
            {"state": "unusable", "reason": f"allocate 1 element: RuntimeError: {HOSTED_TEXT}"},
            MAC,
            "close programs that use the GPU",
            id="out of memory",
        ),
        pytest.param(
            {
                "state": "unusable",
                "reason": "import torch: ModuleNotFoundError: No module named 'sympy'",
            },
            MAC,
            "reinstall the framework: a module of it is missing",
            id="half an installation",
        ),
        pytest.param(
            {
                "state": "unusable",
                "reason": "import torch: ImportError: incompatible architecture (have 'x86_64')",
            },
            MAC,
            "reinstall the framework with the same architecture as this Python",
            id="architecture",
        ),
        pytest.param(
            {"state": "unusable", "reason": "multiply: RuntimeError: strange"},
            MAC,
            "use --device=cpu",
            id="anything else",
        ),
    ],
)
def test_what_the_child_says_is_kept_and_has_a_remedy(
    final: dict[str, str], host: Host, remedy: str
):
    found = _judged(ChildResult(0, _said({"step": "find the device"}, final), ""), host)
    assert (found.state, found.reason) == (final["state"], final["reason"])
    assert found.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        pytest.param(
            ChildResult(
                -6, _said({"step": "allocate 1 element"}, {"step": "multiply"}), METAL_ASSERTION
            ),
            "crashed with SIGABRT at: multiply; /AppleInternal/Library/BuildRoots/MPSNDArray.mm:"
            "788: failed assertion `[MPSNDArray initWithDevice:descriptor:] Error: product of "
            "dimension sizes > 2**31'",
            id="Metal assertion",
        ),
        pytest.param(
            ChildResult(-11, _said({"step": "import torch"}), ""),
            "crashed with SIGSEGV at: import torch; it printed nothing",
            id="segmentation fault",
        ),
        pytest.param(
            ChildResult(-9, "", ""),
            "crashed with SIGKILL at: start; it printed nothing",
            id="killed",
        ),
        pytest.param(
            ChildResult(-250, "", ""),
            "crashed with signal 250 at: start; it printed nothing",
            id="unknown signal",
        ),
        pytest.param(
            ChildResult(
                -6,
                _said({"step": "synchronize"}, {"state": "ok", "reason": "fine"}),
                "LLVM ERROR: x",
            ),
            "crashed with SIGABRT at: synchronize; LLVM ERROR: x",
            id="a crash after it said ok",
        ),
        pytest.param(
            ChildResult(1, "", "Traceback (most recent call last):\n  File\nKeyError: 'x'\n"),
            "ended with exit status 1 at: start; KeyError: 'x'",
            id="traceback",
        ),
        pytest.param(
            ChildResult(
                1,
                _said({"step": "synchronize"}, {"state": "ok", "reason": "fine"}),
                "at exit: KeyError",
            ),
            "ended with exit status 1 at: synchronize; at exit: KeyError",
            id="a failure after it said ok",
        ),
        pytest.param(
            ChildResult(0, "", ""),
            "ended with exit status 0 at: start; it printed nothing",
            id="silence",
        ),
        pytest.param(
            ChildResult(None, _said({"step": "import torch"}, {"step": "allocate 16 MB"}), ""),
            "hung for 120 s at: allocate 16 MB",
            id="hang",
        ),
        pytest.param(
            ChildResult(
                None, _said({"step": "synchronize"}, {"state": "ok", "reason": "fine"}), ""
            ),
            "hung for 120 s at: synchronize",
            id="a hang after it said ok",
        ),
        pytest.param(
            ChildResult(
                -6, _said({"step": "multiply"}) + "\n" + health._MARK + '{"step": "mul', ""
            ),
            "crashed with SIGABRT at: multiply; it printed nothing",
            id="cut off in the middle of a line",
        ),
        pytest.param(
            ChildResult(0, health._MARK + "[1]\n" + health._MARK + "text", "last"),
            "ended with exit status 0 at: start; last",
            id="a framework that prints our mark",
        ),
        pytest.param(
            ChildResult(0, _said({"state": "splendid", "reason": "odd"}), ""),
            "odd",
            id="unknown state",
        ),
    ],
)
@needs_posix
def test_a_child_that_ends_badly_makes_an_unusable_device(result: ChildResult, reason: str):
    found = _judged(result)
    assert (found.state, found.reason) == ("unusable", reason)
    assert found.remedy != ""


def test_a_hang_has_a_remedy_of_its_own():
    assert "restart the machine" in _judged(ChildResult(None, "", "")).remedy


def test_a_long_last_line_is_cut():
    assert len(_judged(ChildResult(-6, "", "x" * 5000)).reason) < 300


# Which devices are probed in a child


class _Children:
    """In place of the child process: notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, framework: str, spec: str) -> ChildResult:
        self.asked.append((framework, spec))
        return ChildResult(0, _said({"state": "ok", "reason": "works"}), "")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All frameworks are there, and so is the driver of a GPU."""
    monkeypatch.setattr(frameworks, "is_installed", lambda name: True)
    monkeypatch.setattr(pytorch, "version_of", lambda name: "2.13.0")
    monkeypatch.setattr(pytorch, "_has_gpu_driver", lambda: True)


@pytest.mark.parametrize(
    ("framework", "spec", "host"),
    [
        ("torch", "mps", MAC),
        ("torch", "mps", HOSTED),
        ("torch", "cuda", LINUX),
        ("torch", "cuda:1", LINUX),
    ],
)
def test_a_gpu_is_probed_in_a_child(framework: str, spec: str, host: Host, installed: None):
    children = _Children()
    found = probe(framework, spec, host, run_child=children)
    assert children.asked == [(framework, spec)]
    assert found == Health(spec, framework, "ok", "works")


@pytest.mark.parametrize(
    ("framework", "spec", "host", "state", "reason"),
    [
        ("torch", "cpu", MAC, "ok", "the CPU of this host"),
        ("torch", "cpu", LINUX, "ok", "the CPU of this host"),
        ("numpy", "cpu", MAC, "ok", "the CPU of this host"),
        ("torch", "mps", LINUX, "absent", "MPS is part of macOS, and this is Linux"),
        ("torch", "mps", ROSETTA, "absent", "this is an x86_64 Python under Rosetta"),
        ("torch", "cuda", MAC, "absent", "CUDA does not exist on macOS"),
        ("numpy", "mps", MAC, "absent", "NumPy runs on the CPU only, not on mps"),
        ("numpy", "cuda:1", LINUX, "absent", "NumPy runs on the CPU only, not on cuda:1"),
    ],
)
def test_what_is_plain_needs_no_child(
    framework: str, spec: str, host: Host, state: str, reason: str, installed: None
):
    children = _Children()
    found = probe(framework, spec, host, run_child=children)
    assert children.asked == []
    assert (found.device, found.framework, found.state) == (spec, framework, state)
    assert found.reason.startswith(reason)
    assert bool(found.remedy) is (state == "absent")


@pytest.mark.parametrize("spec", ["cpu", "mps", "cuda"])
def test_a_framework_that_is_not_installed_is_absent(spec: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frameworks, "is_installed", lambda name: False)
    children = _Children()
    found = probe("torch", spec, MAC, run_child=children)
    assert children.asked == []
    assert found == Health(
        spec,
        "torch",
        "absent",
        "torch is not installed",
        "pip install 'pytest-applesilicon[torch]'",
    )


# Real child processes


TORCH_STEPS = [
    "import torch",
    "find the device",
    "allocate 1 element",
    "allocate 16 MB",
    "multiply 64x64 matrices",
    "3-D linear with bias",
    "synchronize",
]


@pytest.mark.parametrize(
    ("framework", "steps"),
    [
        ("numpy", ["import numpy", "multiply 64x64 matrices"]),
        pytest.param("torch", TORCH_STEPS, marks=needs_torch),
    ],
)
def test_a_real_child_tells_its_steps_and_finds_the_cpu_ok(framework: str, steps: list[str]):
    result = health._run_child(framework, "cpu")
    assert result.returncode == 0
    assert [line.get("step") for line in health._said(result.stdout)] == [*steps, None]
    found = judge(framework, "cpu", LINUX, result)
    assert (found.state, found.remedy) == ("ok", "")
    assert found.reason == "allocates, computes and synchronises"


@needs_torch
@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac may have MPS")
def test_a_real_child_finds_no_mps_where_there_is_none():
    found = judge("torch", "mps", MAC, health._run_child("torch", "mps"))
    assert found.state == "absent"
    assert "built without MPS" in found.reason
    assert found.remedy == "pip install 'pytest-applesilicon[torch]'"


ADAPTER = """
import os, sys, time

class Adapter:
    def probe(self, spec):
        yield "begin"
        print("noise without an end", end="")
        {body}
        yield "end"

import pytest_applesilicon.frameworks as frameworks
frameworks.load = lambda name: Adapter()
"""


@pytest.fixture
def child_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a real child whose framework does what the text says."""

    def run(body: str) -> ChildResult:
        (tmp_path / "fake_adapter_abc.py").write_text(ADAPTER.format(body=body))
        monkeypatch.syspath_prepend(tmp_path)
        before, call = health._CHILD.split("from ", 1)
        monkeypatch.setattr(health, "_CHILD", f"{before}import fake_adapter_abc; from {call}")
        return health._run_child("fake", "mps")

    return run


@needs_posix
def test_a_child_that_aborts_is_a_crash(child_that):
    result = child_that("sys.stderr.write('failed assertion'); sys.stderr.flush(); os.abort()")
    assert result.returncode == -signal.SIGABRT
    found = _judged(result)
    assert found.state == "unusable"
    assert found.reason == "crashed with SIGABRT at: begin; failed assertion"


def test_a_child_that_hangs_is_ended_and_its_last_step_known(
    child_that, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(health, "TIME_LIMIT_S", 4.0)
    result = child_that("sys.stdout.flush(); time.sleep(600)")
    assert result.returncode is None
    found = _judged(result)
    assert (found.state, found.reason) == ("unusable", "hung for 4 s at: begin")


def test_a_child_whose_framework_raises_says_at_which_step(child_that):
    found = _judged(child_that("raise RuntimeError('no\\nluck \\u00e9')"))
    assert (found.state, found.reason) == ("unusable", "begin: RuntimeError: no\nluck \u00e9")


def test_a_child_ignores_a_module_in_the_current_folder(
    child_that, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = tmp_path / "here"
    here.mkdir()
    (here / "pytest_applesilicon.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(here)
    assert _judged(child_that("pass")).state == "ok"


class _Adapter:
    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def probe(self, spec: str) -> Iterator[str]:
        yield f"use {spec}"
        if self._error:
            raise self._error

    def absent(self, spec: str, host: Host) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (None, {"state": "ok", "reason": "allocates, computes and synchronises"}),
        (
            DeviceAbsentError("none", "buy one"),
            {"state": "absent", "reason": "none", "remedy": "buy one"},
        ),
        (DeviceMiscomputesError("by 3"), {"state": "miscomputes", "reason": "by 3"}),
        (ValueError("x"), {"state": "unusable", "reason": "use mps: ValueError: x"}),
    ],
)
def test_the_child_says_how_its_framework_ended(
    error: Exception | None,
    final: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(frameworks, "load", lambda name: _Adapter(error))
    health.child("fake", "mps")
    assert health._said(capsys.readouterr().out) == [{"step": "use mps"}, final]


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (None, "ok", "allocates, computes and synchronises"),
        (DeviceAbsentError("none", "buy one"), "absent", "none"),
        (DeviceMiscomputesError("by 3"), "miscomputes", "by 3"),
        (ValueError("x"), "unusable", "use mps-sim: ValueError: x"),
    ],
)
def test_the_simulated_device_is_probed_in_this_process(
    error: Exception | None,
    state: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(frameworks, "is_installed", lambda name: True)
    monkeypatch.setattr(frameworks, "load", lambda name: _Adapter(error))
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: pytest.fail("a child"))

    found = probe("torch", "mps-sim", LINUX)

    assert (found.state, found.reason, found.simulated) == (state, reason, True)
    assert capsys.readouterr().out == ""


# The checks of torch's probe against wrong answers


class _Device:
    """Torch whose product has an error added to one element."""

    def __init__(self, torch: Any, error: float) -> None:
        self.finfo, self.float32 = torch.finfo, torch.float32
        self.nn = types.SimpleNamespace(functional=types.SimpleNamespace(linear=self._linear))
        self._torch, self._error = torch, error

    def _linear(self, *args: Any) -> Any:
        result = self._torch.nn.functional.linear(*args)
        result.view(-1)[3] += self._error
        return result


def _check_linear(error: float) -> None:
    torch = pytest.importorskip("torch")
    draw = torch.Generator().manual_seed(0)
    batch = torch.randn(2, 8, 64, generator=draw)
    weight, bias = torch.randn(32, 64, generator=draw), torch.randn(32, generator=draw)
    fake = _Device(torch, error)
    pytorch._check_product(fake, "linear", batch, weight.t(), bias, torch.device("cpu"))


@needs_torch
def test_the_right_linear_is_accepted():
    assert _check_linear(0.0) is None


@needs_torch
@pytest.mark.parametrize("error", [3.8, -0.01, float("nan"), float("inf")])
def test_a_wrong_linear_is_caught(error: float):
    with pytest.raises(DeviceMiscomputesError, match=r"^linear is wrong by \S+\b.* float32 allows"):
        _check_linear(error)


@needs_torch
def test_a_bias_that_is_left_out_is_caught():
    torch = pytest.importorskip("torch")
    plain = types.SimpleNamespace(linear=lambda x, w, b: torch.nn.functional.linear(x, w))
    fake = types.SimpleNamespace(
        finfo=torch.finfo, float32=torch.float32, nn=types.SimpleNamespace(functional=plain)
    )
    ones = torch.ones(4, 4)
    with pytest.raises(DeviceMiscomputesError, match=r"is wrong by 1\b"):
        pytorch._check_product(fake, "linear", ones, ones, torch.ones(4), "cpu")


class _WrongAway:
    """A tensor whose copy on a device is scaled."""

    def __init__(self, tensor: Any, scale: float) -> None:
        self._tensor, self._scale = tensor, scale
        self.shape, self.double = tensor.shape, tensor.double

    def to(self, device: Any) -> Any:
        return self._tensor.to(device) * self._scale


def _check_product(scale: float) -> None:
    torch = pytest.importorskip("torch")
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.randn(64, 64, generator=draw) for _ in range(2))
    pytorch._check_product(torch, "matmul", _WrongAway(left, scale), right, None, "cpu")


@needs_torch
def test_the_right_product_is_accepted():
    assert _check_product(scale=1.0) is None


@needs_torch
@pytest.mark.parametrize("scale", [1.001, 0.0, -1.0])
def test_a_wrong_product_is_caught(scale: float):
    with pytest.raises(DeviceMiscomputesError, match=r"^matmul is wrong by "):
        _check_product(scale)
