"""Isolated tests: what crashes or hangs ends alone, and the run goes on."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")

SERIAL_AND_WORKERS = pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])

ABORTS = """
import os, time
import pytest

@pytest.mark.isolated
def test_aborts():
    os.write(2, b"-[MPSNDArray init]:10: failed assertion `too large'\\n")
    os.abort()

@pytest.mark.isolated(timeout=1)
def test_hangs():
    time.sleep(600)

@pytest.mark.isolated
@pytest.mark.parametrize("number", range(100))
def test_isolated(number):
    assert number >= 0

@pytest.mark.parametrize("number", range(100))
def test_ordinary(number):
    assert number >= 0
"""


def counted(result):
    return {name: count for name, count in result.parseoutcomes().items() if name != "seconds"}


@SERIAL_AND_WORKERS
def test_crash_and_hang_end_alone(pytester, run, report, workers):
    pytester.makepyfile(ABORTS)

    result = run("--applesilicon-report=report.json", *workers)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert counted(result) == {"passed": 200, "crashed": 1, "hung": 1}
    result.stdout.fnmatch_lines_random(
        [
            "*CRASHED test_crash_and_hang_end_alone.py::test_aborts*",
            "crashed: SIGABRT: -[[]MPSNDArray init[]]:10: failed assertion `too large'",
            "hung: no end after 1 s",
            '*File "*test_crash_and_hang_end_alone.py", line * in test_hangs',
            "CRASHED test_crash_and_hang_end_alone.py::test_aborts - SIGABRT: *",
            "HUNG test_crash_and_hang_end_alone.py::test_hangs - no end after 1 s",
        ]
    )
    records = {one["test_id"].partition("::")[2]: one for one in report()["records"]}
    assert records["test_aborts"]["outcome"] == "crashed"
    assert records["test_aborts"]["reason"].startswith("SIGABRT: -[MPSNDArray init]")
    assert records["test_hangs"]["outcome"] == "hung"
    assert len(records) == 202


def test_report_shows_crashed_and_hung_again(pytester, run):
    pytest.importorskip("click")
    pytester.makepyfile(ABORTS)
    run("--applesilicon-report=report.json", "-k", "aborts or hangs")

    shown = pytester.run(sys.executable, "-m", "pytest_applesilicon.cli", "report", "report.json")

    shown.stdout.fnmatch_lines(["device  framework  tests  crashed  hung", "none *2*1*1"])


@SERIAL_AND_WORKERS
def test_reports_of_isolated_tests_are_those_of_ordinary_ones(pytester, run, workers):
    pytester.makepyfile(
        """
        import sys, warnings
        import pytest

        @pytest.fixture
        def broken():
            yield
            raise KeyError("late")

        def test_passes(request):
            request.node.user_properties.append(("figure", 3))

        def test_fails():
            print("said so"); print("loudly", file=sys.stderr)
            assert [1, 2] == [1, 3]

        def test_skips():
            pytest.skip("not today")

        @pytest.mark.xfail(reason="known", strict=True)
        def test_xfails():
            assert False

        @pytest.mark.xfail(strict=True)
        def test_xpasses():
            pass

        def test_errors(broken):
            pass

        def test_warns():
            warnings.warn(UserWarning("careful"))

        def test_captures(capfd):
            print("seen")
            assert capfd.readouterr().out.strip() == "seen"
        """
    )
    expected = {"failed": 2, "passed": 4, "skipped": 1, "xfailed": 1, "errors": 1, "warnings": 1}

    isolated = run("-ra", "--isolate=always", "--junitxml=isolated.xml", *workers)
    ordinary = run("-ra", "--isolate=never", "--junitxml=ordinary.xml", *workers)

    assert counted(ordinary) == expected
    assert counted(isolated) == expected
    isolated.stdout.fnmatch_lines_random(
        [
            "E*assert [[]1, 2[]] == [[]1, 3[]]",
            "said so",
            "loudly",
            "SKIPPED * not today",
            "*UserWarning: careful",
            "E*KeyError: 'late'",
        ]
    )
    assert cases(pytester, "isolated.xml") == cases(pytester, "ordinary.xml")


def cases(pytester, name):
    import re

    text = (pytester.path / name).read_text()
    text = re.sub(r'(time|timestamp|hostname)="[^"]*"', "", text)
    return sorted(
        re.findall(r"<testcase [^>]*>|<property [^>]*>|<(?:failure|error|skipped) [^>]*>", text)
    )


def test_one_child_runs_many_tests_and_keeps_wider_fixtures(pytester, run):
    pytester.makepyfile(
        """
        import os, pathlib
        import pytest

        @pytest.fixture(scope="module")
        def made():
            with open("log", "a") as file: file.write("made\\n")
            yield os.getpid()
            with open("log", "a") as file: file.write("ended\\n")

        @pytest.mark.parametrize("number", range(5))
        def test_child(made, number):
            assert os.getpid() == made
            with open("log", "a") as file: file.write(f"pid {os.getpid()}\\n")
        """
    )

    run("--isolate=always").assert_outcomes(passed=5)

    log = (pytester.path / "log").read_text().splitlines()
    assert log[0] == "made"
    assert log[-1] == "ended"
    assert log.count("made") == 1
    assert len(set(log[1:-1])) == 1
    assert log[1] != f"pid {os.getpid()}"


def test_fixtures_of_this_process_end_in_time(pytester, run):
    pytester.makepyfile(
        test_one="""
        import pytest

        @pytest.fixture(scope="module", autouse=True)
        def kept(): yield

        def test_here(): pass

        @pytest.mark.isolated
        def test_there(): pass
        """,
        test_two="def test_next(): pass\n",
    )

    run().assert_outcomes(passed=3)


def test_device_is_the_same_in_the_child(pytester, run, report):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.isolated
        def test_measures(device, applesilicon):
            applesilicon.measure("accuracy", 0.5)
        """
    )

    run("--device=cpu", "--applesilicon-report=report.json").assert_outcomes(passed=1)

    (record,) = report()["records"]
    assert record["nodeid"].endswith("::test_measures[cpu]")
    assert record["device"] == "cpu"
    assert record["measurements"] == [
        {"name": "accuracy", "value": 0.5, "unit": "", "published": []}
    ]


@SERIAL_AND_WORKERS
def test_crashed_once_is_isolated_from_then_on(pytester, workers, monkeypatch):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makepyfile(
        """
        import os

        def test_before(device): pass
        def test_aborts(device): os.abort()
        def test_after(device): pass
        """
    )
    always = ["-p", "no:playwright", "--device=cpu", *workers]

    first = pytester.runpytest_subprocess(*always, timeout=120)
    second = pytester.runpytest_subprocess(*always, timeout=120)

    assert first.ret != 0
    assert not workers or "node down" in first.stdout.str() or "crashed" in first.stdout.str()
    assert counted(second) == {"passed": 2, "crashed": 1}


def test_never_runs_in_this_process(pytester, run):
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.mark.isolated
        def test_here():
            assert os.getppid() == int(os.environ["PARENT"])
        """
    )
    os.environ["PARENT"] = str(os.getpid())
    try:
        run("--isolate=never").assert_outcomes(passed=1)
        run("--isolate=auto").assert_outcomes(failed=1)
    finally:
        del os.environ["PARENT"]


def test_child_that_cannot_collect_says_why(pytester, run):
    pytester.makepyfile(
        """
        import os, pytest

        if os.environ.get("SECOND"):
            raise RuntimeError("only once")
        os.environ["SECOND"] = "1"

        @pytest.mark.isolated
        def test_lost(): pass

        def test_ordinary(): pass
        """
    )

    result = run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*did not start or collect this test:", "*RuntimeError: only once"]
    )


def test_child_that_dies_while_it_collects_is_not_started_for_every_test(pytester, run):
    pytester.makepyfile(
        """
        import os, pytest

        with open("starts", "a") as file: file.write("x")
        if os.environ.get("SECOND"):
            os.abort()
        os.environ["SECOND"] = "1"

        @pytest.mark.isolated
        @pytest.mark.parametrize("number", range(6))
        def test_lost(number): pass
        """
    )

    result = run()

    result.assert_outcomes(errors=6)
    assert (pytester.path / "starts").read_text() == "xxx"
    result.stdout.fnmatch_lines(["*did not start or collect this test:", "SIGABRT*"])


def test_metal_assertion_that_the_process_survives_is_a_crash(pytester, run):
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.mark.isolated
        def test_survives():
            os.write(2, b"-[MTLDebugDevice newBuffer]:635: failed assertion `size'\\n")

        @pytest.mark.isolated
        def test_next(): pass
        """
    )

    result = run()

    assert counted(result) == {"passed": 1, "crashed": 1}
    result.stdout.fnmatch_lines(["crashed: the process went on after -[[]MTLDebugDevice*"])


def test_exit_in_a_child_ends_the_run(pytester, run):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.isolated
        def test_leaves(): pytest.exit("enough")

        def test_never(): pass
        """
    )

    result = run()

    result.stdout.fnmatch_lines(["*Exit: enough*"])
    assert "1 passed" not in result.stdout.str()


def test_interrupt_leaves_no_child(pytester, run, interruptible):
    pytester.makepyfile(
        """
        import os, pathlib, time, pytest

        @pytest.mark.isolated
        def test_waits():
            pathlib.Path("pid").write_text(str(os.getpid()))
            time.sleep(600)
        """
    )
    process = interruptible("-p", "no:cacheprovider")
    file = pytester.path / "pid"
    for _ in range(600):
        if file.exists() and file.read_text():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == pytest.ExitCode.INTERRUPTED, output

    child = int(file.read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.parametrize(
    ("arguments", "mark", "message"),
    [
        (
            ["--isolate=maybe"],
            "",
            "*--isolate: 'maybe' is not accepted; give one of: auto, always, never",
        ),
        (
            ["--isolate-timeout=0"],
            "",
            "*--isolate-timeout: '0' is not accepted; give a number of seconds*",
        ),
        (
            [],
            "(timeout=-1)",
            "*marker isolated: timeout=-1 is not accepted; give a number of seconds*",
        ),
        ([], "(limit=3)", "*marker isolated: *unexpected keyword argument 'limit'"),
    ],
)
def test_bad_value_is_named(pytester, run, arguments, mark, message):
    pytester.makepyfile(f"import pytest\n@pytest.mark.isolated{mark}\ndef test_it(): pass\n")

    result = run(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_output_is_seen_with_capture_off(pytester, run):
    pytester.makepyfile("def test_tells(): print('told')\n")

    result = run("-s", "--isolate=always")

    result.stdout.fnmatch_lines(["*told*"])
    assert json.dumps(counted(result)) == '{"passed": 1}'


def test_isolated_tests_run_where_warnings_are_errors(pytester, run):
    pytester.makeini("[pytest]\nfilterwarnings = error")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.isolated
        def test_one():
            pass
        """
    )

    result = run()

    assert counted(result) == {"passed": 1}
