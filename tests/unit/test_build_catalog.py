"""The builder of the catalog: from a wheel made by hand, and from one release as recorded."""

from __future__ import annotations

import sys
from pathlib import Path

import made_wheel
import pytest

from pytest_applesilicon.catalog import expected, reading

TOOLS = Path(__file__).parents[2] / "tools"
DATA = Path(__file__).parents[2] / "pytest_applesilicon/catalog/data"
RECORDED = Path(__file__).parent / "recorded_catalog"


sys.path.insert(0, str(TOOLS))


@pytest.fixture(scope="module")
def builder():
    import build_catalog

    return build_catalog


@pytest.fixture
def wheel(tmp_path):
    return made_wheel.write(tmp_path / "torch-2.13.0-cp311-cp311-macosx_14_0_arm64.whl")


def test_a_wheel_is_read(builder, wheel):
    found = builder.read_wheel(wheel)

    assert found["statuses"] == {
        "relu": "native",
        "add.Tensor": "native",
        "add.out": "native",
        "heaviside": "missing",
        "heaviside.out": "missing",
        "linalg_svd": "fallback",
        "_slow_conv2d_forward": "native",
        "_slow_conv2d_forward.output": "composite",
        "all.dims": "composite",
        "all.dims_out": "missing",
    }
    assert found["sparse_coo"] == ["relu"]
    assert found["sparse_csr"] == []
    assert (found["wheel_macos"], found["mps_macos"]) == ("14.0", "14.0")
    assert found["python"] == ">=3.10"
    assert found["refused"] == {"addr": ["complex64"], "nn.functional.relu": ["bool"]}


def test_table_and_registrations_are_held_against_each_other(builder, wheel, tmp_path):
    missing = [one for one in made_wheel.FUNCTIONS if "relu" not in one[1] or "Sparse" in one[0]]
    other = made_wheel.write(tmp_path / "torch-2.12.0-cp311-none-macosx_11_0_arm64.whl", missing)

    found = builder.read_wheel(other)

    assert builder.differences([builder.read_wheel(wheel), found]) == [
        "torch 2.13.0: registered in C++ alone: _slow_conv2d_forward, linalg_svd",
        "torch 2.12.0: listed and not registered: relu",
        "torch 2.12.0: registered in C++ alone: _slow_conv2d_forward, linalg_svd",
    ]
    assert found["statuses"]["relu"] == "missing"


def test_a_function_loaded_before_a_name_is_its_kernel(builder, wheel, tmp_path):
    by_hand = (made_wheel.init("MPS", 3, "__ZN2atL34"), ("linalg_svd", "&__ZN2at4slow", "relu"))
    path = tmp_path / "torch-2.1.0-cp311-none-macosx_11_0_arm64.whl"
    made_wheel.write(path, (made_wheel.FUNCTIONS[0], by_hand))

    statuses = builder.read_wheel(path)["statuses"]

    assert (statuses["linalg_svd"], statuses["relu"]) == ("fallback", "native")


def test_kernels_that_python_registers_are_found(builder, tmp_path):
    path = tmp_path / "torch-2.11.0-cp311-cp311-macosx_11_0_arm64.whl"
    made_wheel.write(path, source=made_wheel.PYTHON)

    found = builder.read_wheel(path)

    assert found["in_python"] == ["all.dims_out", "heaviside.out"]
    assert found["statuses"]["heaviside"] == "native"
    assert found["statuses"]["linalg_svd"] == "fallback"
    assert "torch 2.11.0: registered in Python: all.dims_out, heaviside.out" in (
        builder.differences([found])
    )


def test_the_files_are_the_same_each_time(builder, wheel, tmp_path):
    old = made_wheel.write(
        tmp_path / "torch-2.9.0-cp311-none-macosx_11_0_arm64.whl",
        made_wheel.FUNCTIONS[:1],
        expected="",
    )
    new, old = builder.read_wheel(wheel), builder.read_wheel(old)

    files = builder.files([new, old])

    assert files == builder.files([old, new])
    assert files["releases.tsv"].splitlines()[1:] == [
        "2.9.0\t11.0\t14.0\t>=3.10\t2\t1",
        "2.13.0\t14.0\t14.0\t>=3.10\t4\t3",
    ]
    lines = files["overloads.tsv"].splitlines()
    assert "relu\tM2.9.0 N2.13.0\tN2.13.0" in lines
    assert "linalg_svd\tC2.9.0 F2.13.0" in lines
    assert files["refused.tsv"].splitlines()[1:] == [
        "addr\t2.13.0=complex64",
        "nn.functional.relu\t2.13.0=bool",
    ]
    catalog = reading.parse(*files.values())
    assert catalog.status("relu", "2.9.0") == "missing"
    assert catalog.status("relu", "2.13.0") == "native"


def test_a_build_goes_on_where_it_was(builder, wheel, monkeypatch, capsys):
    folder = wheel.parent
    monkeypatch.setattr(sys, "argv", ["x", str(folder), "--releases=2.13.0", f"--write={folder}"])
    assert builder.main() == 0
    assert not wheel.exists()
    written = (folder / "overloads.tsv").read_text()
    monkeypatch.setattr(builder, "download", lambda *_: pytest.fail("it was read before"))

    assert builder.main() == 0

    assert (folder / "overloads.tsv").read_text() == written


@pytest.mark.parametrize("size", [0, 100, 5000, 12400])
def test_a_truncated_library_is_refused(builder, tmp_path, size):
    path = made_wheel.write(tmp_path / "torch-2.13.0-x-macosx_14_0_arm64.whl", cut=size)

    with pytest.raises(builder.BuildError, match=r"^torch-2.13.0-x-macosx_14_0_arm64.whl: .+"):
        builder.read_wheel(path)


def test_a_truncated_wheel_writes_nothing(builder, wheel, monkeypatch, capsys):
    wheel.write_bytes(wheel.read_bytes()[:-300])
    folder = wheel.parent
    out = folder / "out"
    monkeypatch.setattr(sys, "argv", ["x", str(folder), "--releases=2.13.0", f"--write={out}"])

    assert builder.main() == 1

    assert "torch-2.13.0-cp311-cp311-macosx_14_0_arm64.whl: File is not a zip" in (
        capsys.readouterr().err
    )
    assert not out.exists()


def test_a_release_without_a_mac_wheel_is_named(builder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(builder, "pip", lambda *_: (1, "", "ERROR: No matching distribution\n"))
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path), "--releases=2.99.0"])

    assert builder.main() == 1

    error = capsys.readouterr().err
    assert "torch 2.99.0: pip has no macOS wheel for arm64: ERROR: No matching" in error


def test_the_releases_are_those_pip_lists(builder, monkeypatch):
    text = "torch (2.15.0)\nAvailable versions: 2.15.0, 2.13.0+cpu, 2.9.0rc1, 2.9.0, 1.13.1\n"
    monkeypatch.setattr(builder, "pip", lambda *_: (0, text, ""))

    assert builder.published() == ["2.9.0", "2.15.0"]


def test_one_release_is_rebuilt_as_shipped():
    """From torch's own table and the registrations recorded from the macOS wheel of 2.13.0."""
    pytest.importorskip("torch")
    import operator_table

    from pytest_applesilicon.simulate import table

    lines = (RECORDED / "registered_2.13.0.txt").read_text().splitlines()
    kernels = frozenset(line for line in lines if line[0] not in "#~")
    fallbacks = frozenset(line[1:] for line in lines if line[0] == "~")
    kernels |= {"linalg_lu_solve.out"}  # registered in Python, torch/_refs/linalg
    text = table.path().read_text()
    if "- func: _linalg_eigh(" not in text or "2.13" not in _torch_version():
        pytest.skip("recorded for torch 2.13")

    rebuilt = operator_table.statuses(operator_table.parse(text), kernels, fallbacks)

    catalog = reading.load()
    shipped = {name: catalog.status(name, "2.13.0") for name in catalog.overloads}
    assert rebuilt == {name: one for name, one in shipped.items() if one != "absent"}


def _torch_version():
    import torch

    return torch.__version__


def test_the_list_of_expected_failures_is_read_from_the_source():
    assert expected.unimplemented(made_wheel.EXPECTED) == {
        "heaviside": None,
        "nn.functional.relu": ("bool",),
    }


@pytest.mark.parametrize("source", ["x = 1", "UNIMPLEMENTED_XFAILLIST = {1: None}", "def f(:"])
def test_a_source_of_another_form_is_refused(source):
    with pytest.raises(expected.ExpectedError, match=r"common_mps\.py"):
        expected.unimplemented(source)
