"""An installation that cannot work says which step failed, and leaves torch as it was."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is written for Linux")

BEGIN = """
import torch
from pytest_applesilicon.simulate import device, hooks, memory, generators, table
"""
END = """
try:
    device.install()
except device.SimulationError as error:
    print(error)
try:
    torch.ones(1, device="mps")
except (NotImplementedError, RuntimeError) as error:
    print("no mps:", type(error).__name__)
x = torch.ones(1, requires_grad=True)
(x * 2).sum().backward()
print(x.grad.item(), torch.accelerator.current_accelerator())
"""

BREAKS = {
    "first backward pass: a backward pass has already run": (
        "(torch.ones(1, requires_grad=True) * 2).sum().backward()"
    ),
    "start: it is tested with torch 2.13 only": "torch.__version__ = '2.99.0'",
    "start: this torch is built with MPS": "torch._C._has_mps = True",
    "memory layout: LayoutError: the device of a DLTensor": "memory.CPU = 77",
    "memory layout: LayoutError: the pointer of a PyCapsule": "memory._POINTER = 24",
    "generator layout: LayoutError": "generators._CPU_DEVICE = 0x1234",
    "device guard: LayoutError: libc10 exports no": "hooks._REGISTRY = 'nothing'",
    "device guard: LayoutError: slot 0 of the guard registry is in use": "hooks._MPS = 0",
    "hooks of MPS: LayoutError: libtorch_cpu exports no": "hooks._GET_HOOKS = 'nothing'",
    "hooks of MPS: LayoutError: the object of getMPSHooks()": (
        "hooks._TABLE = '_ZTIN2at17MPSHooksInterfaceE'"
    ),
    "hooks of MPS: LayoutError: the headers of torch declare no": "hooks._YES = ('isThere',)",
    "accelerator: ": "hooks._YES = ('init',)",
    "operators: TableError": (
        "table.native = lambda text: (_ for _ in ()).throw(table.TableError('x'))"
    ),
}


@pytest.mark.parametrize("reason", BREAKS)
def test_a_broken_step_is_named_and_undone(reason):
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + BREAKS[reason] + END],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    first, remedy, *rest = done.stdout.splitlines()
    assert first.startswith("mps-sim cannot be installed in torch 2."), done.stdout
    assert f", at: {reason}" in first
    assert "--mps-audit" in remedy
    assert rest[0].startswith("no mps:")
    assert rest[1] == "2.0 None"
