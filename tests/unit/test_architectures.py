"""Interpreters of several architectures: which are tried, and what is said of a wrong one."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_applesilicon import __version__, architectures, places
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.records import Host, Record, Timing
from pytest_applesilicon.reports import ratios

MAC = Host("macOS", machine="arm64", interpreter="arm64")
LINUX = Host("Linux", machine="x86_64", interpreter="x86_64")
GOOD = {
    "architecture": "x86_64",
    "prefix": "/somewhere",
    "plugin": __version__,
    "xdist": "3.8.0",
    "compiled": "/somewhere/core.so",
    "error": "",
}


def universal(folder):
    """A file that holds code for both architectures, as a universal2 Python does."""
    path = folder / "python3"
    parts = [
        struct.pack("<IiIIIIII", 0xFEEDFACF, cpu, 0, 2, 0, 0, 0, 0)
        for cpu in (0x01000007, 0x0100000C)
    ]
    head = struct.pack(">II", 0xCAFEBABE, 2)
    for index, cpu in enumerate((0x01000007, 0x0100000C)):
        head += struct.pack(">iiIII", cpu, 0, 64 + 32 * index, 32, 0)
    path.write_bytes(head.ljust(64, b"\0") + b"".join(parts))
    return path


def test_own_interpreter_and_environments_named_after_the_architecture(tmp_path):
    python = tmp_path / ".venv-x86_64" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")

    assert architectures.candidates("arm64", None, MAC, tmp_path)[0] == (sys.executable,)
    assert architectures.candidates("x86_64", None, MAC, tmp_path) == [(str(python),)]


def test_other_slice_of_a_universal2_python_is_started_by_arch(tmp_path, monkeypatch):
    python = universal(tmp_path)
    monkeypatch.setattr(sys, "executable", str(python))

    assert architectures.candidates("x86_64", None, MAC, tmp_path) == [
        ("arch", "-x86_64", str(python))
    ]
    assert architectures.candidates("x86_64", str(python), MAC, tmp_path) == [
        ("arch", "-x86_64", str(python))
    ]
    assert architectures.candidates("x86_64", "/bin/python", MAC, tmp_path) == [("/bin/python",)]


def test_interpreter_is_named_to_xdist_with_its_id():
    one = architectures.Interpreter("x86_64", ("arch", "-x86_64", "/a b/python"), "/a b")

    assert one.spec == "popen//python=arch -x86_64 '/a b/python'//id=x86_64"


@pytest.mark.parametrize(
    ("said", "host", "problem", "remedy"),
    [
        (
            {"failed": "Bad CPU type in executable"},
            MAC,
            "PY does not start: Bad CPU type in executable",
            "softwareupdate --install-rosetta --agree-to-license",
        ),
        (
            {**GOOD, "architecture": "arm64"},
            MAC,
            "PY runs as arm64, not as x86_64",
            "install a universal2 Python",
        ),
        (
            {**GOOD, "plugin": None},
            MAC,
            "pytest-applesilicon is not installed for PY",
            f"PY -m pip install 'pytest-applesilicon=={__version__}'",
        ),
        (
            {**GOOD, "plugin": "0.0.1"},
            MAC,
            f"pytest-applesilicon 0.0.1 is installed for PY, not {__version__}",
            f"PY -m pip install 'pytest-applesilicon=={__version__}'",
        ),
        (
            {**GOOD, "error": "ImportError: incompatible architecture"},
            MAC,
            "the packages of PY cannot be loaded: ImportError: incompatible architecture",
            "PY -m pip install --force-reinstall --no-cache-dir 'pytest-applesilicon==",
        ),
        (
            {**GOOD, "architecture": "aarch64"},
            LINUX,
            "PY runs as aarch64, not as x86_64",
            "run on Apple silicon, which has both; this is Linux on x86_64",
        ),
    ],
)
def test_what_is_wrong_with_an_interpreter_and_how_to_get_a_right_one(said, host, problem, remedy):
    found = architectures.refuse("x86_64", ("PY",), said)

    assert found == problem
    assert architectures.remedy("x86_64", found, host).startswith(remedy)


def test_right_interpreter_is_taken():
    assert architectures.refuse("x86_64", ("PY",), GOOD) == ""


def test_missing_interpreter_is_one_error_with_all_that_helps(tmp_path):
    settings = SimpleNamespace(arch="arm64,x86_64", arch_python=(("x86_64", "/no/python"),))

    with pytest.raises(OptionError) as caught:
        architectures.find_all(["x86_64"], settings, LINUX, tmp_path)

    assert str(caught.value).splitlines() == [
        "--arch=arm64,x86_64: /no/python does not start: No such file or directory",
        "  remedy: run on Apple silicon, which has both; this is Linux on x86_64",
        "  or name one: --arch-python=x86_64=PATH",
    ]


def test_interpreter_is_asked_what_it_is():
    said = architectures.ask([sys.executable])

    assert said["prefix"] == sys.prefix
    assert said["plugin"] == __version__
    assert Path(said["compiled"]).exists()
    assert said["error"] == ""


def test_worker_that_is_another_interpreter_says_so():
    from pytest_applesilicon import host

    here = host.detect().interpreter

    assert "sys.prefix is" in architectures.wrong_here("/elsewhere", here)
    assert "it runs as" in architectures.wrong_here(sys.prefix, "m68k")


def test_worker_that_loads_a_package_of_another_one_says_so(monkeypatch):
    from pytest_applesilicon import host

    monkeypatch.setattr(architectures, "_own_folders", lambda: ["/elsewhere"])

    found = architectures.wrong_here(sys.prefix, host.detect().interpreter)

    assert "msgspec is loaded from" in found


def record(place, test, seconds, outcome="passed", timed=True):
    timing = Timing("", seconds, seconds, 0.0, 5, 1) if timed else None
    return Record(test, test, outcome, duration_s=1.0, timing=timing, place=place)


def test_ratio_of_benchmarks_that_ran_in_both():
    records = [
        record("arm64", "a", 0.002),
        record("x86_64", "a", 0.005),
        record("arm64", "only here", 1.0),
    ]

    lines = ratios.lines(records, 80)

    assert [line.split() for line in lines] == [
        ["time", "per", "call", "arm64", "x86_64", "x86_64/arm64"],
        ["a", "2", "ms", "5", "ms", "2.50"],
        ["all", "tests", "that", "passed", "in", "both", "1", "s", "1", "s", "1.00"],
    ]


def test_no_ratio_of_one_place():
    assert ratios.lines([record("", "a", 1.0), record("", "b", 1.0)], 80) == []


def test_facts_of_a_place_survive_the_trip():
    stash = SimpleNamespace(get=lambda *_: None)

    found = places.from_json(places.to_json(SimpleNamespace(stash=stash)), "mac-a")

    assert (found.name, found.lost) == ("mac-a", "")
    assert found.versions["prefix"] == sys.prefix
    assert found.host.system != "unknown"
