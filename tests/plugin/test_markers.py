"""The markers choose which tests run, and say why others do not."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")


def test_requires_mps_is_skipped_with_its_reason_on_another_device(pytester, run):
    pytester.makepyfile(
        "import pytest\n@pytest.mark.requires_mps\ndef test_one(device):\n    assert False\n"
        "def test_two(device):\n    pass\n"
    )

    result = run("--device=cpu", "-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * requires_mps: the device of this test is cpu"])


def test_marked_test_that_takes_no_device_is_judged_by_the_first_one(pytester, run):
    pytester.makepyfile(
        "import pytest\n@pytest.mark.requires_mps\ndef test_one():\n    assert False\n"
    )

    result = run("-rs")

    result.assert_outcomes(skipped=1)


@pytest.mark.parametrize(("own", "outcome"), [("mps:0", "passed"), ("cpu", "skipped")])
def test_requires_mps_looks_at_a_device_of_the_projects_own(pytester, run, own, outcome):
    pytester.makepyfile(
        f"import pytest\n@pytest.fixture\ndef device():\n    return '{own}'\n"
        "@pytest.mark.requires_mps\ndef test_one(device):\n    pass\n"
    )

    result = run("-rs")

    result.assert_outcomes(**{outcome: 1})


def test_skip_on_device_skips_there_and_nowhere_else(pytester, run):
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.skip_on_device("cpu", reason="too slow")
        def test_here(device):
            assert False
        @pytest.mark.skip_on_device("mps,cuda", reason="too slow")
        def test_elsewhere(device):
            pass
        """
    )

    result = run("--device=cpu", "-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *test_*.py:*: cpu: too slow"])


def test_xfail_on_device_is_strict_and_checks_the_exception(pytester, run):
    pytester.makepyfile(
        """
        import pytest
        wrong = dict(reason="known", raises=ZeroDivisionError)
        @pytest.mark.xfail_on_device("cpu", **wrong)
        def test_expected(device):
            1 / 0
        @pytest.mark.xfail_on_device("cpu", **wrong)
        def test_other_exception(device):
            raise KeyError
        @pytest.mark.xfail_on_device("cpu", **wrong)
        def test_passes(device):
            pass
        @pytest.mark.xfail_on_device("cpu", strict=False, **wrong)
        def test_may_pass(device):
            pass
        @pytest.mark.xfail_on_device("mps", **wrong)
        def test_elsewhere(device):
            pass
        """
    )

    result = run("--device=cpu")

    result.assert_outcomes(xfailed=1, failed=2, xpassed=1, passed=1)


def test_native_only_runs_on_an_interpreter_that_is_not_translated(pytester, run):
    pytester.makepyfile("import pytest\n@pytest.mark.native_only\ndef test_one():\n    pass\n")

    result = run()

    result.assert_outcomes(passed=1)


def test_native_only_is_skipped_under_rosetta(pytester, run):
    fake_rosetta(pytester)
    pytester.makepyfile("import pytest\n@pytest.mark.native_only\ndef test_one():\n    pass\n")

    result = run("-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * native_only: this x86_64 interpreter is translated*"])


@pytest.mark.parametrize("arch", ["arm64", "native"])
def test_architecture_that_the_interpreter_does_not_have_stops_the_run(pytester, run, arch):
    fake_rosetta(pytester)
    pytester.makepyfile("raise RuntimeError('collected')")

    result = run(f"--arch={arch}")

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            f"ERROR: --arch={arch}: this interpreter runs as x86_64, translated by Rosetta on arm64",
            "  remedy: arch -arm64 *python* -m pytest",
        ]
    )


def test_architecture_that_the_interpreter_has_lets_the_run_go_on(pytester, run):
    fake_rosetta(pytester)
    pytester.makepyfile("def test_one(device):\n    pass\n")

    result = run("--arch=x86_64")

    assert result.ret == 0


def fake_rosetta(pytester: pytest.Pytester) -> None:
    """Let the host be an M1 whose Python is translated."""
    pytester.makeconftest(
        """
        import pytest_applesilicon.host
        from pytest_applesilicon.records import Host

        rosetta = Host(system="macOS", chip="Apple M1", machine="arm64", interpreter="x86_64",
                       translated=True)
        pytest_applesilicon.host.detect = lambda: rosetta
        """
    )


FALLS_BACK = """
import warnings
import pytest
TEXT = ("The operator 'aten::{}' is not currently supported on the MPS backend and will fall "
        "back to run on the CPU. This may have performance implications. (function operator())")

def fall_back(name):
    warnings.warn(TEXT.format(name), UserWarning)
"""


def test_no_fallback_fails_and_names_the_operators(pytester, run):
    pytester.makepyfile(
        FALLS_BACK
        + """
@pytest.mark.no_fallback
def test_two(device):
    fall_back("linalg_eig")
    fall_back("linalg_eig")
    fall_back("_ctc_loss")
@pytest.mark.no_fallback
def test_none(device):
    warnings.warn("something else")
def test_unmarked(device):
    fall_back("linalg_eig")
"""
    )

    result = run("--device=cpu")

    result.assert_outcomes(passed=2, failed=1, warnings=5)
    result.stdout.fnmatch_lines(
        ["*no_fallback: ran on the CPU instead of MPS: aten::linalg_eig, aten::_ctc_loss*"]
    )


def test_no_fallback_fails_also_where_warnings_are_errors(pytester, run):
    pytester.makepyfile(
        FALLS_BACK + "@pytest.mark.no_fallback\ndef test_one():\n    fall_back('linalg_eig')\n"
    )

    result = run("-W", "error")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no_fallback: ran on the CPU instead of MPS: aten::linalg_eig*"])
