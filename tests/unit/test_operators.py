"""An operator's outcome on a device: right, wrong, unsupported, or on the CPU after all."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")

from pytest_applesilicon.agreement import directions, operators, sample_runs  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def on_the_device(monkeypatch, change):
    """Let the device's side of a check, and not the host's, give ``change(result)``."""
    right = sample_runs.Run._on_device

    def wrong(self, call, args, kwargs, ran_on_cpu):
        return change(right(self, call, args, kwargs, ran_on_cpu))

    monkeypatch.setattr(sample_runs.Run, "_on_device", wrong)


@pytest.mark.parametrize("direction", directions.DIRECTIONS)
@pytest.mark.parametrize("name", ["add", "exp", "addmm", "sort", "linalg.svd"])
def test_operator_of_the_cpu_is_native(name, direction):
    operator = operators.find(name)
    if "float32" not in directions.dtypes_of(operator, direction):
        pytest.skip(f"{name} has no {direction} in float32")

    found = operators.check(name, "float32", device="cpu", direction=direction, count=3)

    assert found.outcome == "native", found.reason
    assert found.samples == 3 or direction == "inplace"


def test_integers_and_booleans_are_judged_exactly(monkeypatch):
    on_the_device(monkeypatch, lambda result: result + 1)

    found = operators.check("add", "int64", device="cpu", count=1)

    assert found.outcome == "wrong"


def test_wrong_value_is_wrong_and_its_reason_says_where_and_by_how_much(monkeypatch):
    def spoil(result):
        result.view(-1)[-1] += 1
        return result

    on_the_device(monkeypatch, spoil)

    found = operators.check("exp", "float32", device="cpu", count=2)

    assert found.outcome == "wrong"
    assert re.search(
        r"exp\(float32\[.*\]\), forward in float32: result 0 is wrong at \[.*\]: .*, oracle .*: "
        r"off by 1, .* ULP, .* times what is allowed; 1 of \d+ elements are outside",
        found.reason,
    )


#: The same fault as in the test, in another process.
DOUBLED = """
from pytest_applesilicon.agreement import sample_runs
right = sample_runs.Run._on_device
sample_runs.Run._on_device = lambda self, *given: right(self, *given) * 2
"""


@pytest.mark.parametrize(("before", "outcome"), [(DOUBLED, "wrong"), ("", "native")])
def test_reproduction_is_three_lines_that_show_the_same(monkeypatch, tmp_path, before, outcome):
    """The fault as long as it is there, and none where it was mended."""
    on_the_device(monkeypatch, lambda result: result * 2)
    found = operators.check("exp", "float32", device="cpu", count=1)

    told, _, program = found.reason.partition("\nreproduce:\n")
    lines = [line.strip() for line in program.splitlines()]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([before, *lines])],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=120,
    )

    assert len(lines) == 3
    assert done.stdout.split()[0] == outcome
    assert (told in done.stdout) == bool(before)


def test_samples_that_torch_writes_into_later_are_judged_before():
    """The function that makes those of masked.logsumexp fills tensors it gave with NaN."""
    found = operators.check("masked.logsumexp", "float32", device="cpu", direction="gradient")

    assert (found.outcome, found.reason) == ("native", "")
    assert found.samples > 32


def test_gradient_that_is_one_percent_off_is_wrong(monkeypatch):
    on_the_device(monkeypatch, lambda grads: tuple(grad * 0.99 for grad in grads))

    found = operators.check("exp", "float32", device="cpu", direction="gradient", count=2)

    assert found.outcome == "wrong"
    assert "gradient in float32" in found.reason


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (
            NotImplementedError(
                "The operator 'aten::exp' is not currently implemented for the MPS device."
            ),
            "unsupported",
        ),
        (RuntimeError("\"exp_mps\" not implemented for 'Half'"), "unsupported"),
        (ValueError("broken"), "wrong"),
    ],
)
def test_operator_that_raises_on_the_device_alone(monkeypatch, error, outcome):
    def fail(self, *args):
        raise error

    monkeypatch.setattr(sample_runs.Run, "_on_device", fail)

    found = operators.check("exp", "float32", device="cpu", count=1)

    assert found.outcome == outcome
    assert str(error).partition("\n")[0] in found.reason


def test_operator_that_ran_on_the_cpu_is_a_fallback_and_never_native(monkeypatch):
    right = sample_runs.Run._on_device

    def fall_back(self, call, args, kwargs, ran_on_cpu):
        ran_on_cpu.append("aten::exp")
        return right(self, call, args, kwargs, ran_on_cpu)

    monkeypatch.setattr(sample_runs.Run, "_on_device", fall_back)

    found = operators.check("exp", "float32", device="cpu", count=1)

    assert (found.outcome, found.reason) == ("fallback", "aten::exp")


def test_result_on_another_device_is_wrong(monkeypatch):
    on_the_device(monkeypatch, lambda result: result.to("meta"))

    found = operators.check("exp", "float32", device="cpu", count=1)

    assert found.outcome == "wrong"
    assert "the result is on meta, not on cpu" in found.reason


def test_one_wrong_sample_among_right_ones_makes_the_operator_wrong(monkeypatch):
    calls = []

    def spoil_the_second(result):
        calls.append(1)
        return result + 1 if len(calls) == 2 else result

    on_the_device(monkeypatch, spoil_the_second)

    found = operators.check("add", "float32", device="cpu", count=3)

    assert (found.outcome, found.samples) == ("wrong", 3)
    assert "sample=1)" in found.reason


def test_unknown_operator_is_an_error_with_near_names():
    with pytest.raises(ValueError, match=r"operator 'expp': it is not in .*near names: .*exp"):
        operators.check("expp", "float32", device="cpu")


def test_operator_that_is_left_out_says_why():
    with pytest.raises(ValueError, match=r"jiterator_unary.*CUDA"):
        operators.find("jiterator_unary")
