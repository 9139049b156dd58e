"""The benchmark that holds the catalog against PyTorch's own list sees a wrong catalog."""

from __future__ import annotations

import sys
from pathlib import Path

import made_wheel
import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import audited_operators
import catalog_truth

from pytest_applesilicon.audit.signatures import Signature


def recorded(name, operator):
    one = Signature(f"aten::{operator}", (), {}, ("float32",), False, 1, 1, "", "")
    return audited_operators.Recorded(name, name, name, name, (one,), "")


def release(listed, names):
    return catalog_truth.List("2.13.0", dict.fromkeys(listed), frozenset(names))


OPERATORS = [recorded("linalg.eig", "linalg_eig"), recorded("heaviside", "heaviside"),
             recorded("sin", "sin")]  # fmt: skip
NAMES = ["linalg.eig", "heaviside", "sin"]


def test_a_list_that_the_catalog_matches(capsys):
    assert catalog_truth.compare(release(NAMES[:2], NAMES), OPERATORS, False)
    assert "precision 1.000  recall 1.000  (2 in both)" in capsys.readouterr().out


def test_what_is_missing_and_not_listed_lowers_precision(capsys):
    assert not catalog_truth.compare(release(NAMES[:1], NAMES), OPERATORS, False)
    assert "unsupported and not listed: heaviside: heaviside" in capsys.readouterr().out


def test_what_is_listed_and_supported_lowers_recall(capsys):
    supported = [*OPERATORS, recorded("other", "sin")]
    assert not catalog_truth.compare(
        release([*NAMES[:2], "other"], [*NAMES, "other"]), supported, False
    )
    assert "listed and supported: other" in capsys.readouterr().out


def test_an_entry_whose_operator_has_a_kernel_is_set_aside(capsys):
    assert catalog_truth.compare(release(NAMES, NAMES), OPERATORS, True)
    assert "set aside: sin: MPS has a kernel for it" in capsys.readouterr().out


def test_a_wheel_without_the_list_is_named(tmp_path, monkeypatch, capsys):
    wheel = made_wheel.write(tmp_path / "torch-2.6.0-cp311-none-macosx_11_0_arm64.whl", expected="")
    monkeypatch.setattr(sys, "argv", ["catalog_truth", str(wheel)])

    assert catalog_truth.main() == 2
    assert f"{wheel.name}: no torch/testing/_internal/common_mps.py" in capsys.readouterr().err


def test_operators_that_the_database_skips_are_not_tested():
    source = 'OpInfo("slow", skips=(DecorateInfo(unittest.skip("long")),)); UnaryUfuncInfo("sin")'

    assert catalog_truth.tested_in(source) >= {"sin"}
    assert "slow" not in catalog_truth.tested_in(source)


def test_the_exceptions_are_few_and_have_reasons():
    assert len(catalog_truth.EXCEPTIONS) <= 15
    assert all(len(reason) > 10 for reason in catalog_truth.EXCEPTIONS.values())
