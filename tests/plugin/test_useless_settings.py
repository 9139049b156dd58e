"""A setting that does nothing is a warning of the test, or of the module, that made it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")

#: In place of torch, which not every environment has.
FAKE = {
    "torch/__init__": "",
    "torch/backends/__init__": "",
    "torch/backends/mps": "__all__ = ['is_built']\ndef is_built(): return False\n",
}


@pytest.fixture(autouse=True)
def fake_torch(pytester, monkeypatch):
    pytester.makepyfile(**FAKE)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    for name in ("PYTORCH_MPS_FAST_MATH", "PYTORCH_MPS_HIGH_WATERMARK_RATIO"):
        monkeypatch.delenv(name, raising=False)


def test_settings_of_a_test_are_its_warnings(pytester, run):
    pytester.makepyfile(
        """
        import os
        import torch.backends.mps

        def test_assigns(device):
            torch.backends.mps.allow_tf32 = True

        def test_sets(device):
            os.environ["PYTORCH_MPS_FAST_MATH"] = "1"

        def test_cleans_up(device, monkeypatch):
            monkeypatch.setenv("PYTORCH_MPS_PREFER_METAL", "1")
        """
    )

    result = run("--device=cpu")

    result.assert_outcomes(passed=3, warnings=3)
    result.stdout.fnmatch_lines_random(
        [
            "*::test_assigns*",
            "*UselessSettingWarning: torch.backends.mps.allow_tf32 does not exist, and setting it does nothing; *",
            "*::test_sets*",
            "*UselessSettingWarning: PYTORCH_MPS_FAST_MATH was set after torch was imported, *",
        ]
    )


@pytest.mark.parametrize(
    ("body", "warned"),
    [
        ("import os\nimport torch\nos.environ['PYTORCH_MPS_FAST_MATH'] = '1'\n", True),
        ("import os\nos.environ['PYTORCH_MPS_FAST_MATH'] = '1'\nimport torch\n", False),
    ],
    ids=["after", "before"],
)
def test_order_in_a_conftest_counts(pytester, run, body, warned):
    pytester.makeconftest(body)
    pytester.makepyfile("def test_it(device): pass\n")

    result = run("--device=cpu")

    result.assert_outcomes(passed=1, warnings=int(warned))


def test_watermarks_that_torch_refuses_are_told_before_the_tests(pytester, run, monkeypatch):
    monkeypatch.setenv("PYTORCH_MPS_HIGH_WATERMARK_RATIO", "0.7")
    pytester.makepyfile("def test_it(device): pass\n")

    result = run("--device=cpu")

    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*UselessSettingWarning: PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.7 with *"]
    )


def test_warnings_as_errors_end_in_one_message(pytester, run, monkeypatch):
    monkeypatch.setenv("PYTORCH_MPS_HIGH_WATERMARK_RATIO", "0.7")
    pytester.makepyfile("def test_it(device): pass\n")

    result = run("--device=cpu", "-W", "error")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*ERROR: PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.7 with *"])
