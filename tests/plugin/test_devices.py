"""Which device a test runs on, and how a run ends that cannot have the one it asked for."""

from __future__ import annotations

import sys

import pytest

not_on_a_mac = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac may have MPS")

ONE_TEST = "def test_one(device):\n    assert device == 'cpu'\n"


@pytest.mark.usefixtures("numpy_only")
def test_device_is_what_the_framework_takes_and_its_spec_is_in_the_id(pytester, run):
    pytester.makepyfile(ONE_TEST)

    result = run("--device=cpu", "-v")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["*test_one?cpu? PASSED*"])


@pytest.mark.usefixtures("numpy_only")
@pytest.mark.parametrize("args", [["--device", "cpu"], ["--applesilicon-device=cpu"]])
def test_other_ways_to_give_the_option(pytester, run, args):
    pytester.makepyfile(ONE_TEST)

    result = run(*args)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["applesilicon *: device cpu;*"])


@pytest.mark.usefixtures("numpy_only")
def test_option_is_taken_from_the_environment_of_pytest(pytester, run, monkeypatch):
    pytester.makepyfile(ONE_TEST)
    monkeypatch.setenv("PYTEST_ADDOPTS", "--device=cpu")

    result = run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["applesilicon *: device cpu;*"])


def test_ini_key_is_used_and_the_option_wins_over_it(pytester, run):
    pytester.makeini("[pytest]\napplesilicon_framework = numpy\napplesilicon_device = cuda\n")
    pytester.makepyfile(ONE_TEST)

    from_ini = run()
    from_option = run("--device=cpu")

    assert from_ini.ret == 4
    from_ini.stderr.fnmatch_lines(["ERROR: device cuda is absent for numpy: *"])
    assert from_option.ret == 0


@not_on_a_mac
@pytest.mark.usefixtures("numpy_only")
def test_auto_takes_the_cpu_where_nothing_better_works_and_says_why(pytester, run):
    pytester.makepyfile(ONE_TEST)

    result = run("--device=auto")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["auto chose cpu for numpy (mps is absent: NumPy runs on the CPU*"])


@pytest.mark.usefixtures("numpy_only")
def test_header_appears_after_collection_where_no_device_was_asked_for(pytester, run):
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(
        "import pytest\npytestmark = pytest.mark.frameworks('numpy', 'torch')\n"
        + ONE_TEST.replace("== 'cpu'", "is not None")
    )

    result = run()

    assert result.ret == 0
    result.stdout.fnmatch_lines(["collected 1 item", "applesilicon *: device auto;*"])


@not_on_a_mac
@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
@pytest.mark.usefixtures("numpy_only")
def test_absent_device_stops_the_run_before_collection(pytester, run, workers):
    pytester.makepyfile("raise RuntimeError('collected')")

    result = run("--device=mps", *workers)

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "ERROR: device mps is absent for numpy: NumPy runs on the CPU only, not on mps",
            "  remedy: use --device=cpu",
            "  to skip its tests instead: --device-missing=skip",
        ]
    )
    for text in (str(result.stdout), str(result.stderr)):
        assert "Traceback" not in text
        assert "collected" not in text


@not_on_a_mac
@pytest.mark.usefixtures("numpy_only")
@pytest.mark.parametrize("option", ["--help", "--markers", "--fixtures", "--collect-only"])
def test_listing_works_with_an_absent_device(pytester, run, option):
    pytester.makepyfile(ONE_TEST)

    result = run("--device=mps", option)

    assert result.ret == 0
    assert "ERROR" not in str(result.stderr)


@not_on_a_mac
@pytest.mark.usefixtures("numpy_only")
def test_absent_device_is_skipped_where_that_is_asked_for(pytester, run):
    pytester.makepyfile(ONE_TEST)

    result = run("--device=mps,cpu", "--device-missing=skip", "-rs")

    assert result.ret == 0
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * mps is absent for numpy: *"])


@pytest.mark.usefixtures("numpy_only")
@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_run_fails_where_no_test_ran_on_a_device_asked_for_by_name(pytester, run, workers):
    pytester.makepyfile("def test_other():\n    assert True\n")

    result = run("--device=cpu", *workers)

    assert result.ret == 1
    result.stdout.fnmatch_lines(["no test ran on cpu, which was asked for by name"])


@pytest.mark.usefixtures("numpy_only")
def test_run_fails_where_every_test_on_the_device_was_skipped(pytester, run):
    pytester.makepyfile(
        "import pytest\ndef test_one(device):\n    pytest.skip('no')\ndef test_two():\n    pass\n"
    )

    result = run("--device=cpu")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["no test ran on cpu, which was asked for by name"])


@pytest.mark.usefixtures("numpy_only")
def test_run_with_auto_does_not_fail_where_no_test_takes_a_device(pytester, run):
    pytester.makepyfile("def test_other():\n    assert True\n")

    result = run("--device=auto")

    assert result.ret == 0


@pytest.mark.usefixtures("numpy_only")
def test_project_with_a_device_fixture_of_its_own_keeps_it(pytester, run):
    pytester.makepyfile(
        "import pytest\n@pytest.fixture\ndef device():\n    return 'theirs'\n"
        "def test_own(device):\n    assert device == 'theirs'\n"
    )

    result = run("--device=cpu", "-v")

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*test_own PASSED*", "no test ran on cpu*the tests take a device of their project's own"]
    )


@pytest.mark.usefixtures("numpy_only")
def test_project_may_build_its_device_on_ours(pytester, run):
    pytester.makepyfile(
        "import pytest\n@pytest.fixture\ndef device(device):\n    return device + ':0'\n"
        "def test_own(device):\n    assert device == 'cpu:0'\n"
    )

    result = run("--device=cpu", "-v")

    assert result.ret == 0
    # Before 9, pytest does not look behind a fixture that overrides another of its name: the
    # test takes the first selected device and is not repeated for each.
    seen = "*test_own?cpu? PASSED*" if pytest.version_tuple >= (9,) else "*test_own PASSED*"
    result.stdout.fnmatch_lines([seen])


@pytest.mark.usefixtures("numpy_only")
def test_test_that_is_parametrised_over_devices_itself_is_left_alone(pytester, run):
    pytester.makepyfile(
        "import pytest\n@pytest.mark.parametrize('device', ['a', 'b'])\n"
        "def test_own(device):\n    assert device in 'ab'\n"
    )

    result = run("--device=auto", "-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_own?a? PASSED*", "*test_own?b? PASSED*"])


@pytest.mark.usefixtures("numpy_only")
def test_device_can_be_asked_for_in_the_middle_of_a_test(pytester, run):
    pytester.makepyfile(
        "def test_late(request):\n    assert request.getfixturevalue('device') == 'cpu'\n"
    )

    result = run("--device=auto")

    result.assert_outcomes(passed=1)


@pytest.mark.usefixtures("numpy_only")
def test_fixture_tells_where_a_test_runs(pytester, run):
    pytester.makepyfile(
        """
        def test_facts(applesilicon, device):
            assert applesilicon.spec == "cpu"
            assert applesilicon.health.state == "ok"
            assert applesilicon.framework.name == "numpy"
            assert applesilicon.settings.seed == 7
            assert applesilicon.host.interpreter in ("x86_64", "arm64")
        """
    )

    result = run("--device=cpu", "--seed=7")

    result.assert_outcomes(passed=1)


def test_two_frameworks_are_kept_apart_in_the_ids(pytester, run):
    pytest.importorskip("torch")
    pytester.makepyfile("def test_one(device):\n    assert str(device) == 'cpu'\n")

    result = run("--framework=torch,numpy", "--device=cpu", "-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_one?torch-cpu? PASSED*", "*test_one?numpy-cpu? PASSED*"])


def test_framework_a_test_is_not_written_for_is_a_visible_skip(pytester, run):
    pytester.makepyfile(
        "import pytest\n@pytest.mark.frameworks('mlx')\ndef test_one(device):\n    assert False\n"
    )

    result = run("--framework=numpy", "--device=auto", "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * written for mlx; the framework in use is numpy"])


def test_missing_framework_is_named_with_its_extra(pytester, run):
    pytester.makepyfile("def test_one(device):\n    assert device\n")
    # A folder first on the path whose mlx cannot be found stands for one that is not installed.
    result = run("--framework=tensorflow", "--device=cpu")
    if result.ret == 0:
        pytest.skip("TensorFlow is installed")

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "ERROR: device cpu is absent for tensorflow: tensorflow is not installed",
            "  remedy: pip install 'pytest-applesilicon?tensorflow?'",
        ]
    )
