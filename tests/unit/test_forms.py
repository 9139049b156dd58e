"""Operators in other layouts and shapes: right on the CPU, wrong where the device is."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")

from pytest_applesilicon.agreement import forms, layouts, operators, sample_runs, shapes, walking  # noqa: E402
from pytest_applesilicon.opinfo import Sample  # noqa: E402

VIEWS = tuple(name for name in layouts.LAYOUTS if name not in ("contiguous", "expanded"))


def checked(name: str, form: str, direction: str = "forward") -> Any:
    return forms.check(name, form, device="cpu", direction=direction)


def on_the_device(monkeypatch, change):
    """Before the call on the device, ``change`` its tensors."""
    right = sample_runs.Run._moved

    def moved(self, value):
        def leaf(one):
            return change(one) if isinstance(one, torch.Tensor) else one

        return walking.mapped(right(self, value), leaf)

    monkeypatch.setattr(sample_runs.Run, "_moved", moved)


@pytest.mark.parametrize("direction", forms.DIRECTIONS)
@pytest.mark.parametrize("form", forms.FORMS)
@pytest.mark.parametrize("name", ["exp", "add", "addmm"])
def test_operators_of_the_cpu_are_right_in_every_form(name, form, direction):
    found = checked(name, form, direction)

    refused = {"not-run"} if name == "addmm" or form in ("expanded",) else set()
    assert found.outcome in {"native"} | refused, found.reason
    assert found.outcome == "native" or found.reason


@pytest.mark.parametrize("direction", ["forward", "gradient"])
@pytest.mark.parametrize("form", VIEWS)
def test_a_device_that_reads_every_tensor_as_contiguous_is_wrong(form, direction, monkeypatch):
    def dense(tensor: Any) -> Any:
        strides = torch.empty(tensor.shape).stride()
        return tensor if not tensor.numel() else torch.as_strided(tensor, tensor.shape, strides, 0)

    assert checked("exp", form, direction).outcome == "native"
    on_the_device(monkeypatch, dense)

    found = checked("exp", form, direction)

    assert found.outcome == "wrong"
    assert found.reason.startswith(f"layout {form}: exp(")
    assert f"{direction} in float32" in found.reason


@pytest.mark.parametrize("form", VIEWS)
def test_a_write_in_place_that_misses_a_view_is_wrong(form, monkeypatch):
    def lost(operator, sample, layout, *args, **kwargs):
        first = layouts.variant(args[0], layout)
        operator.call_inplace(sample, args=(first.contiguous(), *args[1:]), kwargs=kwargs)
        return first

    run = sample_runs.Run._on_device

    def on_device(self, call, args, kwargs, ran_on_cpu):
        def lossy(*there, **named):
            return lost(self.operator, self.sample, self.layout, *there, **named)

        return run(self, lossy, args, kwargs, ran_on_cpu)

    monkeypatch.setattr(sample_runs.Run, "_on_device", on_device)

    # The storage offset alone leaves a tensor contiguous.
    assert checked("exp", form, "inplace").outcome == ("native" if form == "offset" else "wrong")


@pytest.mark.parametrize("direction", ["forward", "gradient"])
@pytest.mark.parametrize("form", ["zero_dim", "five_dim"])
def test_a_device_that_fails_at_a_shape_is_wrong(form, direction, monkeypatch):
    dims = {"zero_dim": 0, "five_dim": 5}[form]
    on_the_device(monkeypatch, lambda one: one + 1 if one.dim() == dims else one)

    found = checked("exp", form, direction)

    assert found.outcome == "wrong"
    assert found.reason.startswith(f"shape {form}: exp(")


def test_a_device_that_makes_an_element_of_none_is_wrong(monkeypatch):
    on_the_device(monkeypatch, lambda one: torch.ones(1) if not one.numel() else one)

    found = checked("exp", "zero_size")

    assert found.outcome == "wrong"
    assert "shape of result 0 differs" in found.reason


def test_what_the_host_refuses_is_not_judged_and_said():
    found = checked("mm", "zero_dim")

    assert found.outcome == "not-run"
    assert found.reason == "the host refuses every zero_dim input made of its first 16 samples"


@pytest.mark.parametrize("name", sorted(shapes.UNCHECKED))
def test_no_shape_is_tried_of_a_kernel_that_would_read_past_its_arguments(name):
    found = checked(name, "five_dim")

    assert found.outcome == "not-run"
    assert found.reason.startswith("its kernel on the CPU does not check shapes")


def test_known_errors_of_the_cpu_are_still_there():
    """Where one is gone, its entry goes as well."""
    expanded = torch.arange(5.0).expand(2, 5)
    assert not torch.equal(expanded.median(0).values, expanded.contiguous().median(0).values)
    for name, direction, form in forms.WRONG_ON_CPU:
        assert "torch 2.13 on the CPU" in checked(name, form, direction).reason


def test_names_in_the_tables_are_operators():
    names = {case[0] for case in (*forms.NOT_JUDGED, *forms.WRONG_ON_CPU)}
    for name in names | shapes.UNCHECKED | (set(forms.LEFT_OUT) - {"as_strided.partial_views"}):
        operators.find(name)


@pytest.mark.parametrize(
    ("form", "direction"), [("diagonal", "forward"), ("offset", "out"), ("", "forward")]
)
def test_an_unknown_form_or_direction_is_told_with_those_there_are(form, direction):
    with pytest.raises(ValueError, match=r"choose from (contiguous, transposed|forward, gradient)"):
        checked("exp", form, direction)


SITE = """
from pytest_applesilicon.agreement import sample_runs

right = sample_runs.Run._on_device
sample_runs.Run._on_device = lambda self, *args: right(self, *args) * 2
"""


def test_reproduction_is_three_lines_that_show_the_failure_again(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SITE)
    monkeypatch.setattr(
        sample_runs.Run,
        "_on_device",
        lambda self, *args, r=sample_runs.Run._on_device: r(self, *args) * 2,
    )
    found = checked("exp", "offset")
    program = found.reason.partition("reproduce:\n")[2]

    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line.strip() for line in program.splitlines())],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )

    assert len(program.splitlines()) == 3
    assert done.stdout.strip() == f"wrong {found.reason}"


# Shapes


def sample_of(*args: Any) -> Sample:
    return Sample(args, {}, lambda result: result, broadcasts=False)


def test_batches_hold_the_values_rolled_so_that_none_is_like_another():
    (made, *_) = shapes.reshaped(sample_of(torch.arange(6.0).reshape(2, 3)), "five_dim")
    batches = made.args[0].reshape(8, 6)
    assert made.args[0].shape == (2, 2, 2, 2, 3)
    assert len({tuple(one.tolist()) for one in batches}) == 6
    assert all(sorted(one.tolist()) == list(range(6)) for one in batches)


@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_every_made_sample_has_the_shape(shape):
    given = sample_of(torch.ones(2, 3), torch.ones(3), [torch.ones(2, 3)], 2)
    found = list(shapes.reshaped(given, shape))
    assert found
    for one in found:
        first = one.args[0]
        assert {
            "zero_size": first.numel() == 0,
            "zero_dim": first.dim() == 0,
            "five_dim": first.dim() == 5,
        }[shape]
        assert one.args[3] == 2


def test_the_host_tells_in_float64_which_it_takes():
    seen = []

    def call(*args: Any) -> Any:
        seen.append(args[0].dtype)
        return args[0] @ args[1]

    matrices = sample_of(torch.ones(2, 3), torch.ones(3, 2))
    assert shapes.taken(lambda sample: call, matrices, "zero_dim") is None
    found = shapes.taken(lambda sample: call, matrices, "five_dim")
    assert found.args[0].shape == (2, 2, 2, 2, 3)
    assert set(seen) == {torch.float64}
    assert found.args[0].dtype is torch.float32


def test_an_unknown_shape_is_told_with_those_there_are():
    with pytest.raises(ValueError, match="shape 'round': choose from zero_size"):
        list(shapes.reshaped(sample_of(torch.ones(2)), "round"))
