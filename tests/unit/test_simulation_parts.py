"""The parts of the simulated device that need neither torch nor an installation."""

from __future__ import annotations

import pytest

from pytest_applesilicon.simulate import device, hooks, table

TABLE = """
- func: add.Tensor(Tensor self, Tensor other) -> Tensor
  structured_delegate: add.out
  dispatch:
    SparseCPU: add_sparse

- func: add.out(Tensor self, Tensor other, *, Tensor(a!) out) -> Tensor(a!)
  structured: True
  dispatch:
    MPS: add_out_mps

- func: eig(Tensor self) -> Tensor
  dispatch:
    CPU, CUDA: eig

- func: angle(Tensor self) -> Tensor
  dispatch:
    CPU, CUDA, MPS: angle
"""


def test_a_structured_operator_is_native_when_its_out_is():
    assert table.native(TABLE) == {"add.Tensor", "add.out", "angle"}


def test_a_table_of_another_form_is_refused():
    with pytest.raises(table.TableError, match="no structured operator"):
        table.native("- func: nothing\n")


@pytest.mark.parametrize(
    ("system", "version", "built", "text"),
    [
        ("darwin", "2.13.0", True, "this is macOS"),
        ("linux", "2.13.0", True, "built with MPS"),
        ("win32", "2.13.0+cpu", False, "64-bit Linux"),
        ("linux", "2.12.1+cpu", False, "tested with torch 2.13 only"),
        ("linux", "2.130.0", False, "tested with torch 2.13 only"),
    ],
)
def test_where_it_cannot_be_had_the_reason_is_named(system, version, built, text):
    assert text in device.refusal(system, version, built)


def test_it_can_be_had_on_linux():
    assert device.refusal("linux", "2.13.0+cpu", False) is None


def test_slots_follow_the_headers():
    accelerator = (
        "  virtual ~AcceleratorHooksInterface() = default;\n  virtual bool isBuilt() const {\n"
    )
    mps = "  ~MPSHooksInterface() override;\n  void init() const override {\n  virtual bool hasMPS() const {\n"

    assert hooks.slots(accelerator, mps) == {"isBuilt": 2, "hasMPS": 3}
