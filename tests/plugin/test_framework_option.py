"""Which frameworks a run uses, and what happens where one is missing or cannot be imported."""

from __future__ import annotations

import importlib.util

import pytest

#: A TensorFlow that its plugin breaks: it leaves a file where it is imported.
BROKEN = """
import os, pathlib
pathlib.Path(os.environ["IMPORTED"]).touch()
raise ImportError(
    "dlopen(libmetal_plugin.dylib, 0x0006): Symbol not found: __ZN3tsl8internal10LogMessageC1EPKcii"
)
"""

EACH = """
import pytest

@pytest.mark.frameworks("numpy", "tensorflow")
def test_one(device):
    assert device in ("cpu", "/CPU:0")
"""


@pytest.fixture
def broken_tensorflow(pytester, monkeypatch):
    """Make ``import tensorflow`` fail as with a wrong plugin; tells where an import leaves a file."""
    folder = pytester.mkdir("site")
    package = folder / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(BROKEN)
    imported = pytester.path / "imported"
    monkeypatch.setenv("IMPORTED", str(imported))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return imported


def test_a_plugin_that_breaks_the_import_ends_the_run_with_its_remedy(
    pytester, run, broken_tensorflow
):
    pytester.makepyfile(EACH)

    result = run("--device=cpu", "--framework=numpy,tensorflow")

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "ERROR: device cpu is unusable for tensorflow: import tensorflow: ImportError: *LogMessageC1EPKcii",
            "  remedy: pip install 'tensorflow-metal==1.2.0', or for the CPU: pip uninstall -y tensorflow-metal (*tensorflow#81987*)",
            "  to skip its tests instead: --device-missing=skip",
        ]
    )


def test_the_other_frameworks_run_where_it_is_skipped(pytester, run, broken_tensorflow):
    pytester.makepyfile(EACH)

    result = run("--device=cpu", "--framework=numpy,tensorflow", "--device-missing=skip", "-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*device: cpu, tensorflow*: unusable, import tensorflow*"])
    result.stdout.fnmatch_lines(["SKIPPED*cpu is unusable for tensorflow: import tensorflow: *"])


def test_tensorflow_is_never_imported_where_another_framework_is_in_use(
    pytester, run, broken_tensorflow
):
    pytester.makepyfile(EACH)
    suites = ["training", "arrays"]
    there = [f"pytest_applesilicon.suites.{name}" for name in suites]

    ours = run("--device=cpu", "--framework=numpy", "-p", "no:xdist")
    bundled = run(
        "--device=cpu", "--framework=numpy", "--pyargs", *there, "-k", "matmul", "--dtypes=float32"
    )

    ours.assert_outcomes(passed=1)
    assert bundled.ret == 0
    assert bundled.parseoutcomes()["passed"] >= 1
    assert not broken_tensorflow.exists()


@pytest.mark.skipif(importlib.util.find_spec("mlx") is not None, reason="mlx is installed")
def test_a_framework_that_is_not_installed_names_its_extra(pytester, run):
    pytester.makepyfile("def test_one(device): ...\n")

    result = run("--device=cpu", "--framework=numpy,mlx")

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "ERROR: device cpu is absent for mlx: mlx is not installed",
            "  remedy: pip install 'pytest-applesilicon[[]mlx]'",
        ]
    )


def test_each_framework_that_is_named_is_a_parameter(pytester, run):
    pytester.makepyfile("def test_one(device):\n    assert device\n")
    name = "torch" if importlib.util.find_spec("torch") else "numpy"

    result = run("--device=cpu", f"--framework=numpy,{name}", "-v")

    ids = {f"test_one?{each}cpu?" for each in (["numpy-", "torch-"] if name == "torch" else [""])}
    assert result.ret == 0
    for each in ids:
        result.stdout.fnmatch_lines([f"*::{each} PASSED*"])
