"""--mps-fallback sets torch's variable before torch is imported, or says who was faster."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")

SHOWS = """
import os

SEEN = os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK")

def test_variable(device):
    assert (SEEN or "0") == {expected!r}
"""


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--mps-fallback=allow"], "1"),
        (["--mps-fallback", "allow"], "1"),
        (["--applesilicon-mps-fallback=allow"], "1"),
        (["--device=cpu"], "0"),
    ],
)
def test_variable_is_set_before_a_conftest_is_loaded(pytester, run, args, expected):
    pytester.makeconftest(SHOWS.format(expected=expected))
    pytester.makepyfile("from conftest import test_variable")

    result = run(*args)

    assert result.ret == 0
    result.assert_outcomes(passed=1)


def test_strict_mode_overrides_a_variable_of_the_environment(pytester, run, monkeypatch):
    monkeypatch.setenv("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    pytester.makeconftest(SHOWS.format(expected="0"))
    pytester.makepyfile("from conftest import test_variable")

    result = run("--device=cpu")

    result.assert_outcomes(passed=1)


def test_variable_is_left_alone_where_nothing_of_ours_is_asked_for(pytester, run, monkeypatch):
    pytester.makeini("[pytest]\n")
    monkeypatch.setenv("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    pytester.makeconftest("import os\nSEEN = os.environ['PYTORCH_ENABLE_MPS_FALLBACK']\n")
    pytester.makepyfile("import conftest\ndef test_one():\n    assert conftest.SEEN == '1'\n")

    result = run()

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])
def test_torch_that_is_imported_already_stops_the_run_and_its_importer_is_named(
    pytester, run, workers
):
    pytester.makepyfile(
        torch="",
        early_plugin="import torch\n",
        test_it="raise RuntimeError('collected')",
    )

    result = run("-p", "early_plugin", "--mps-fallback=allow", *workers)

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "ERROR: --mps-fallback=allow: torch was imported by early_plugin (*early_plugin.py)*",
            "  remedy: PYTORCH_ENABLE_MPS_FALLBACK=1 pytest *",
        ]
    )
    assert "Traceback" not in str(result.stderr)
