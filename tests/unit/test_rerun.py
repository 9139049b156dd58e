"""The program in a failure of ``assert_agrees`` shows the failure again in another process."""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from pytest_applesilicon.agreement.functions import (  # noqa: E402
    assert_agrees,
    assert_module_agrees,
)

#: The first call is the one on the device, in the test and in the program.
SOURCE = """
import torch

CALLS = []

def off(x, by=0.5, *, on=1):
    CALLS.append(x)
    return x.sin() + (by if len(CALLS) == on else 0)

class Sine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, upstream):
        CALLS.append(upstream)
        return upstream * ctx.saved_tensors[0].cos() * (0.9 if len(CALLS) == 1 else 1)

def sine(x):
    return Sine.apply(x)

class Off(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((3,), 2.0))

    def forward(self, x, *, more):
        return off(x * self.weight + more)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    folder = tmp_path / "my tests"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "mine.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("package.mine")
    for name in ("package.mine", "package"):
        sys.modules.pop(name)


def given() -> Any:
    return torch.tensor([[0.5, 1.0, -2.0], [3.0, 0.25, 1.5]])


def failure(check: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*args, device="cpu", **options)
    return str(caught.value)


def again(text: str, cwd: Any) -> str:
    """The failure of the program, in a process of its own."""
    program = text.partition("reproduce:\n")[2]
    lines = [line.strip() for line in program.splitlines()]
    assert len(lines) == 3, text
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(cwd)},
    )
    assert done.returncode == 1, done.stderr
    return said(done.stderr.partition("AssertionError: ")[2])


def said(text: str) -> str:
    """What a failure says before its program, which saves its inputs in its own folder."""
    assert "\nreproduce:" in text
    return text.partition("\nreproduce:")[0]


@pytest.mark.parametrize("layout", ["contiguous", "offset"])
def test_a_function_is_imported_by_its_name_and_fails_again(layout, mine, tmp_path):
    text = failure(assert_agrees, mine.off, given(), layouts=layout, gradients=False, keep=tmp_path)

    assert text.startswith(f"off: forward in float32, layout {layout}, on cpu: result 0 is wrong")
    assert "\nsample: (float32[2, 3])\n" in text
    assert "  assert_agrees(package.mine.off, *inputs, device='cpu', " in text
    assert again(text, tmp_path) == said(text)


def test_a_gradient_fails_again(mine, tmp_path):
    text = failure(assert_agrees, mine.sine, given(), layouts="strided", keep=tmp_path)

    assert text.startswith("sine: backward in float32, layout strided, on cpu: gradient of input 0")
    assert again(text, tmp_path) == said(text)


def test_what_has_no_name_but_can_be_saved_fails_again(mine, tmp_path):
    fn = functools.partial(mine.off, by=0.25)
    text = failure(assert_agrees, fn, given(), layouts=None, gradients=False, keep=tmp_path)

    assert "\n  fn, *inputs = torch.load(" in text
    assert again(text, tmp_path) == said(text)


def test_a_module_is_saved_and_fails_again(mine, tmp_path):
    options = {"kwargs": {"more": 1.0}, "keep": tmp_path}
    text = failure(assert_module_agrees, mine.Off(), given(), **options)

    assert "\nsample: (float32[2, 3], more=1.0)\n" in text
    assert again(text, tmp_path) == said(text)


def test_a_local_function_cannot_be_imported_and_the_command_is_told(tmp_path):
    calls = []

    def local(x: Any) -> Any:
        calls.append(x)
        return x + (len(calls) == 1)

    text = failure(assert_agrees, local, given(), gradients=False, keep=tmp_path)

    told = text.partition("reproduce: ")[2]
    assert told.startswith("no other process can import ")
    assert "local" in told.splitlines()[0]
    command = told.splitlines()[1].strip()
    assert command.startswith("pytest ")
    assert "test_rerun.py::test_a_local_function" in command
    assert not list(tmp_path.glob("*.pt"))


def test_the_inputs_are_kept_once_and_whole(mine, tmp_path):
    for _ in range(2):
        mine.CALLS.clear()
        failure(assert_agrees, mine.off, given(), gradients=False, keep=tmp_path)

    (kept,) = tmp_path.glob("*.pt")
    (saved,) = torch.load(kept)
    assert torch.equal(saved, given())
