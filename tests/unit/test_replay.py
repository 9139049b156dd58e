"""Replaying recorded calls: on the CPU, on a device with faults, and where the child ends."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
testing = pytest.importorskip("click.testing")

from pytest_applesilicon import cli  # noqa: E402
from pytest_applesilicon.audit import recording, replaying, signatures  # noqa: E402

FAULTY = """
import os, time
from pytest_applesilicon import Fault

def wrong(call):
    return call.run(*call.args, **call.kwargs) + 1

FAULTS = [
    Fault("wrong-sin", "aten::sin", lambda call: True, wrong, "test"),
    Fault("dies", "aten::cos", lambda call: True, lambda call: os.abort(), "test"),
    Fault("hangs", "aten::tan", lambda call: True, lambda call: time.sleep(99), "test"),
    Fault("raises", "aten::exp", lambda call: True, lambda call: 1 / 0, "test"),
]
"""


def recorded():
    recorder = recording.Recorder(Path(__file__).parent)
    recorder.test = "t.py::test"
    x = torch.linspace(-1, 1, 300).reshape(20, 15)
    with recorder.watching():
        for name in ("sin", "cos", "tan", "exp"):
            getattr(torch, name)(x)
        torch.sort(x.t())
        x.clone().mul_(2.0).add_(x)
        torch.linalg.eigh(x[:15] @ x[:15].t())
        torch.nn.functional.dropout(x)
        torch.empty(3)
        x[torch.tensor([0, 3, 7])]
        torch.sum(x.expand(2, 20, 15), 0, out=torch.empty(20, 15))
    recorder.close()
    return recorder.signatures


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    path = tmp_path_factory.mktemp("calls") / "calls.json"
    signatures.write(path, recorded(), torch.__version__)
    return path


def replay(path, *args):
    return testing.CliRunner().invoke(cli.command(), ["replay", str(path), *args])


def outcomes(result):
    listed = json.loads(result.stdout)["outcomes"]
    return {one["operator"].removeprefix("aten::"): one["outcome"] for one in listed}


def test_on_the_cpu_nothing_is_wrong(calls):
    result = replay(calls, "--device=cpu", "--json")

    found = outcomes(result)
    assert result.exit_code == 0
    assert set(found.values()) == {"native"}
    assert {"sin", "sort", "mul_.Tensor", "add_.Tensor", "_linalg_eigh", "empty.memory_format",
            "index.Tensor", "sum.IntList_out"} <= set(found)  # fmt: skip


def test_the_factors_of_a_solution_are_those_of_the_backend(tmp_path):
    """``_linalg_solve_ex`` hands out factors too: for other layouts, of the transposed matrix."""
    torch.manual_seed(0)
    matrices = torch.rand(2, 3, 3, 4, 5).permute(0, 3, 4, 1, 2)
    recorder = recording.Recorder(Path(__file__).parent)
    with recorder.watching():
        for one in (matrices, matrices.contiguous()):
            torch.linalg.solve(one, torch.ones(2, 4, 5, 3, 1))
    recorder.close()
    signatures.write(tmp_path / "calls.json", recorder.signatures, torch.__version__)

    result = replay(tmp_path / "calls.json", "--device=cpu", "--json")

    found = json.loads(result.stdout)["outcomes"]
    solved = [one for one in found if one["operator"] == "aten::_linalg_solve_ex"]
    assert [one["outcome"] for one in solved] == ["native"] * 2


@pytest.mark.skipif(
    sys.platform != "linux" or not torch.__version__.startswith("2.13"),
    reason="the simulated device",
)
def test_on_a_device_with_faults_they_and_only_they_are_found(calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("faulty.py").write_text(FAULTY)

    result = replay(calls, "--device=mps-sim", "--faults=faulty.py", "--timeout=5", "--json")

    found = outcomes(result)
    assert result.exit_code == 1
    others = {name: one for name, one in found.items() if one != "native"}
    assert others == {
        "sin": "wrong",
        "exp": "wrong",
        "cos": "crashed",
        "tan": "hung",
        "_linalg_eigh": "unsupported",
    }


def test_the_table_fits_a_terminal(calls, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    result = replay(calls, "--device=cpu")

    assert "outcome on cpu  signatures  operators" in result.output
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_first_test_is_told():
    (one,) = [
        replaying.Replayed("aten::sin", "wrong", "why", "t.py::a", "lib.py:1", ("float32",), 2)
    ]
    from pytest_applesilicon.reports import replay as shown

    text = "\n".join(shown.lines([one], "mps", 80))

    assert "aten::sin (float32): why" in text
    assert "first in t.py::a" in text
    assert shown.exit_status([one]) == 1
    assert shown.exit_status([dataclasses.replace(one, outcome="fallback")]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"signatures_version": 7}', "signatures_version is 7, accepted: 1"),
        ("{", "not a whole JSON document"),
    ],
)
def test_a_file_of_another_version_is_one_error(tmp_path, text, message):
    path = tmp_path / "calls.json"
    path.write_text(text)

    result = replay(path, "--device=cpu")

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {path}: {message}")
    assert len(result.output.splitlines()) == 1


def test_faults_belong_to_the_simulated_device(calls):
    result = replay(calls, "--device=cpu", "--faults=x")

    assert result.output == "Error: --faults: only --device=mps-sim has faults\n"


def test_an_unknown_fault_is_one_error(calls):
    result = replay(calls, "--device=mps-sim", "--faults=no-such-fault")

    assert result.exit_code == 1
    assert "'no-such-fault' is no fault" in result.output
