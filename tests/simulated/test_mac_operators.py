"""The simulated device has a kernel for an operator where the released macOS wheel has one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from pytest_applesilicon.simulate import table

HERE = Path(__file__).parent
RECORDED = HERE / "data/mac_kernels_2.13.0.txt"


def mac_kernels():
    return frozenset(RECORDED.read_text().splitlines()[1:])


def spellings(overload):
    """What torchgen calls the kernel of an overload, structured or not, functional or out."""
    name, _, rest = overload.partition(".")
    if not rest:
        return {name, f"_{name}"}
    return {f"{name}_{rest}", f"{name}_out_{rest}", f"{rest}_{name}", f"{rest}_{name}_out"}


@pytest.mark.skipif(not torch.__version__.startswith("2.13.0"), reason="recorded from 2.13.0")
def test_the_table_is_that_of_the_mac():
    kernels = mac_kernels()
    listed = table.native(table.path().read_text())

    assert len(kernels) > 800
    assert [name for name in sorted(listed) if not spellings(name) & kernels] == []


@pytest.mark.skipif(not torch.__version__.startswith("2.13.0"), reason="recorded from 2.13.0")
def test_every_kernel_of_the_mac_is_known():
    listed = table.native(table.path().read_text())
    known = {spelling for name in listed for spelling in spellings(name)}

    assert sorted(mac_kernels() - known) == []


def test_a_missing_operator_is_missing_on_the_mac():
    kernels = mac_kernels()
    for name in ("linalg_eig", "frexp.Tensor_out", "mode", "take", "heaviside.out", "_ctc_loss"):
        assert not spellings(name) & kernels, name
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", "MPS") is False


def test_names_are_read_from_mangled_symbols():
    path = HERE.parents[1] / "tools/mac_operators.py"
    spec = importlib.util.spec_from_file_location("mac_operators", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    library = b"..__ZN2at12_GLOBAL__N_122wrapper_MPS_add_TensorERKNS_6TensorE\0x13wrapper_MPS_x"

    assert module.wrappers(library) == ["add_Tensor"]
