"""A run held against its known failures: anything new is red, and says what to do."""

from __future__ import annotations

import signal
import time

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")

SERIAL_AND_WORKERS = pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])

SUITE = """
import os
import pytest

def test_raises(): raise RuntimeError("known")
def test_passes(): pass
def test_also(): pass
@pytest.mark.isolated
def test_aborts(): os.abort()
@pytest.fixture
def broken(): raise KeyError("setup")
def test_errors(broken): pass
@pytest.fixture
def late():
    yield
    raise ValueError("teardown")
def test_ends_badly(late): pass
@pytest.mark.parametrize("number", [1, 2])
def test_on(device, number): assert number == 0
"""


@pytest.fixture
def recorded(pytester, run):
    """A suite whose failures are recorded, with a comment; returns a run held against them."""
    pytest.importorskip("tomlkit")
    pytester.makepyfile(test_it=SUITE)
    file = pytester.path / "kf.toml"
    file.write_text("# our own words\n")
    assert run("--known-failures=kf.toml", "--known-failures-record").ret == 1
    assert file.read_text().startswith("# our own words\n")

    def held(*arguments, change=None):
        if change is not None:
            old, new = change
            assert old in SUITE
            pytester.makepyfile(test_it=SUITE.replace(old, new))
        return run("--known-failures=kf.toml", *arguments)

    return held


@SERIAL_AND_WORKERS
def test_recorded_then_run_is_green(recorded, workers):
    result = recorded(*workers)

    assert result.ret == 0
    result.assert_outcomes(passed=3, xfailed=6)  # the call of the one with a late error passes
    result.stdout.fnmatch_lines(["kf.toml: 6 entries; 6 failed as known, 0 failed otherwise*"])


@SERIAL_AND_WORKERS
def test_another_exception_is_red(recorded, workers):
    result = recorded(*workers, change=("RuntimeError", "NotImplementedError"))

    assert result.ret == 1
    result.assert_outcomes(passed=3, xfailed=5, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- known failure -*",
            "kf.toml: known_failure[[]0[]] (line 3): known to end in RuntimeError, and it ended in NotImplementedError: fix what changed, or correct the entry",
        ]
    )


@SERIAL_AND_WORKERS
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (('raise RuntimeError("known")', "pass"), "known_failure[[]0[]] (line 3)"),
        (('raise ValueError("teardown")', "pass"), "known_failure[[]3[]] (line *)"),
        (("os.abort()", "pass"), "known_failure[[]1[]] (line *)"),
    ],
    ids=["call", "teardown", "isolated"],
)
def test_pass_is_red(recorded, workers, change, line):
    result = recorded(*workers, change=change)

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [f"kf.toml: {line}: known to end in *, and it passed: remove this entry"]
    )
    result.stdout.fnmatch_lines([f"kf.toml: {line}: test_it.py::* passed: remove*"])


@SERIAL_AND_WORKERS
def test_unlisted_failure_is_red(recorded, workers):
    result = recorded(*workers, change=("def test_also(): pass", "def test_also(): 1 / 0"))

    assert result.ret == 1
    result.assert_outcomes(passed=2, xfailed=6, failed=1)
    result.stdout.fnmatch_lines(
        [
            "not a known failure: test_it.py::test_also",
            "fix what is not a known failure, or list it *",
        ]
    )


@SERIAL_AND_WORKERS
def test_deleted_test_is_reported_and_red_when_strict(recorded, workers):
    renamed = ("def test_raises", "def test_renamed")
    told = "*kf.toml: known_failure[[]0[]] (line 3): no collected test is named*"

    result = recorded("-k", "not renamed", *workers, change=renamed)
    assert result.ret == 0
    result.stdout.fnmatch_lines([told])

    result = recorded("-k", "not renamed", "--strict-known-failures", *workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines([told])


@pytest.mark.parametrize(
    "arguments",
    [["-k", "passes"], ["test_it.py::test_passes"], ["other"], ["-m", "nothing or not isolated"]],
    ids=["keyword", "one test", "another folder", "marker"],
)
def test_deselected_test_is_not_missing(pytester, recorded, arguments):
    pytester.mkdir("other")
    pytester.makepyfile(**{"other/test_other": "def test_other(): pass\n"})

    result = recorded("--strict-known-failures", *arguments)

    assert result.ret == 0
    assert "no collected test" not in result.stdout.str()


def test_deleted_file_is_missing(pytester, recorded):
    (pytester.path / "test_it.py").unlink()
    pytester.makepyfile(test_other="def test_other(): pass\n")

    assert recorded("--strict-known-failures").ret == 1
    assert recorded("--strict-known-failures", "test_other.py").ret == 0


def test_known_crash_of_a_worker_is_expected(pytester, run):
    pytester.makepyfile(
        test_it="import os\ndef test_aborts(device): os.abort()\ndef test_fine(device): pass\n"
    )
    (pytester.path / "kf.toml").write_text(
        '[[known_failure]]\ntest = "test_it.py::test_aborts[[]cpu]"\noutcome = "crashed"\n'
        'reason = "r"\ndate = 2026-11-21\n'.replace("[[]", "[")
    )

    result = run("--device=cpu", "--known-failures=kf.toml", "-n", "1")

    result.assert_outcomes(passed=1, xfailed=1)


def test_stop_at_first_failure_goes_past_a_known_one(recorded):
    assert recorded("-x", "-n", "2").ret == 0


def test_record_removes_corrects_and_leaves_other_conditions_alone(pytester, run):
    pytest.importorskip("tomlkit")
    pytester.makepyfile(
        test_it="def test_fixed(): pass\ndef test_changed(): 1 / 0\ndef test_elsewhere(): pass\n"
    )
    head = '[[known_failure]]\ntest = "test_it.py::test_{}"\nraises = "X"\nreason = "r"\n'
    entries = [
        f"{head.format(name)}date = 2026-01-01\n{rest}"
        for name, rest in (
            ("fixed", ""),
            ("changed", "# inside\n"),
            ("elsewhere", 'device = "mps"  # not today\n'),
            ("gone", ""),
        )
    ]
    file = pytester.path / "kf.toml"
    file.write_text("\n".join(entries))

    result = run("--known-failures=kf.toml", "--known-failures-record")

    result.stdout.fnmatch_lines(["kf.toml: written: 0 added, 1 corrected, 1 removed; *"])
    text = file.read_text()
    assert "test_fixed" not in text
    assert 'raises = "ZeroDivisionError"' in text
    assert "# inside" in text
    assert entries[2] in text
    assert entries[3] in text


def test_interrupted_record_leaves_the_file_whole(pytester, run, interruptible):
    pytest.importorskip("tomlkit")
    pytester.makepyfile(
        "import time, pathlib\n"
        "def test_fails(): assert False\n"
        "def test_waits(): pathlib.Path('waits').touch(); time.sleep(600)\n"
    )
    file = pytester.path / "kf.toml"
    file.write_text("# whole\n")
    process = interruptible("--known-failures=kf.toml", "--known-failures-record")
    for _ in range(600):
        if (pytester.path / "waits").exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert file.read_text() == "# whole\n"
    assert "kf.toml: not written, because the run did not finish" in output
    assert sorted(pytester.path.glob(".applesilicon*")) == []


def test_record_without_tomlkit_says_what_to_install(pytester, run, monkeypatch):
    pytester.makepyfile("def test_fails(): assert False\n")
    pytester.makeconftest("import sys\nsys.modules['tomlkit'] = None\n")

    result = run("--known-failures=kf.toml", "--known-failures-record")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*needs tomlkit*", "*pip install 'pytest-applesilicon[[]cli[]]'"])


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        (["--known-failures=no.toml"], None, "*--known-failures: no.toml: No such file*"),
        (
            ["--known-failures=kf.toml"],
            "[[known_failure]]\n",
            "*kf.toml: known_failure[[]0[]] (line 1): field test is missing*",
        ),
        (["--known-failures-record"], None, "*--known-failures-record needs --known-failures=PATH"),
        (["--strict-known-failures"], None, "*--strict-known-failures needs --known-failures=PATH"),
        (
            ["--known-failures=kf.toml", "--known-failures-record"],
            "[[known_failure]\n",
            "*kf.toml: not a whole TOML document*",
        ),
    ],
)
def test_bad_input_is_one_error_and_nothing_is_written(pytester, run, arguments, content, message):
    pytester.makepyfile("def test_fails(): assert False\n")
    if content is not None:
        (pytester.path / "kf.toml").write_text(content)

    result = run(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    if content is not None:
        assert (pytester.path / "kf.toml").read_text() == content


def test_file_of_the_ini_is_found_from_any_folder(pytester, run, monkeypatch):
    pytester.makeini(
        "[pytest]\napplesilicon_framework = numpy\napplesilicon_known_failures = kf.toml\n"
    )
    (pytester.path / "kf.toml").write_text(
        '[[known_failure]]\ntest = "below/test_it.py::test_fails"\nraises = "AssertionError"\n'
        'reason = "r"\ndate = 2026-11-21\n'
    )
    pytester.mkdir("below").joinpath("test_it.py").write_text("def test_fails(): assert False\n")
    monkeypatch.chdir(pytester.path / "below")

    run().assert_outcomes(xfailed=1)
