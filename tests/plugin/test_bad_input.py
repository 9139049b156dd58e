"""Bad input gets one message with the value and what is accepted, and exit status 4."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("numpy_only")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--device=tpu",
            "--device: 'tpu' is not accepted; *: auto, cpu, mps, mps-sim, cuda, cuda:N",
        ),
        ("--device=", "--device: '' is not accepted; *: auto, cpu, mps, mps-sim, cuda, cuda:N"),
        ("--device=cpu,mpss", "--device: 'mpss' is not accepted; *"),
        ("--device=cuda:x", "--device: 'cuda:x' is not accepted; *"),
        ("--arch=ppc", "--arch: 'ppc' is not accepted; give one of: any, native, arm64, x86_64"),
        (
            "--framework=theano",
            "--framework: 'theano' is not accepted; *: torch, tensorflow, mlx, jax, numpy",
        ),
        ("--device-missing=no", "--device-missing: 'no' is not accepted; *: error, skip"),
        ("--mps-fallback=1", "--mps-fallback: '1' is not accepted; give one of: error, allow"),
        ("--size=huge", "--size: 'huge' is not accepted; give one of: quick, full"),
        ("--seed=-1", "--seed: '-1' is not accepted; give a whole number from 0 to 999999999"),
        ("--mnist=nowhere", "--mnist: *nowhere*"),
        ("--applesilicon-report=no/r.json", "--applesilicon-report: *no/r.json: the folder * does"),
    ],
)
@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["serial", "xdist"])
def test_option_with_a_value_that_is_not_accepted(pytester, run, option, message, workers):
    pytester.makepyfile("raise RuntimeError('collected')")

    result = run(option, *workers)

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {message}*"])
    assert "Traceback" not in str(result.stderr)
    assert "collected" not in str(result.stdout)


def test_ini_value_is_refused_by_the_name_of_its_key(pytester, run):
    pytester.makeini("[pytest]\napplesilicon_size = small\n")

    result = run()

    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: ini key applesilicon_size: 'small' is not accepted; give one of: quick, full"]
    )


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("requires_mps(min_maco='14')", "*marker requires_mps: *unexpected keyword*'min_maco'"),
        ("requires_mps(min_macos=14)", "*min_macos=14 is not accepted; give a version such as*"),
        ("skip_on_device('mps')", "*marker skip_on_device: *missing*'reason'"),
        ("skip_on_device('gpu', reason='x')", "*spec: 'gpu' is not accepted; *"),
        ("xfail_on_device('mps', reason='x', raises='E')", "*raises='E' is not accepted; *"),
        ("native_only(1)", "*marker native_only: too many positional arguments"),
        ("frameworks()", "*marker frameworks: *give torch, tensorflow, mlx, jax, numpy"),
    ],
)
@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])
def test_marker_with_an_argument_that_is_not_accepted(pytester, run, marker, message, workers):
    pytester.makepyfile(
        f"import pytest\n@pytest.mark.{marker}\ndef test_marked(device):\n    pass\n"
    )

    result = run(*workers)

    assert result.ret == 4
    text = result.stdout if workers else result.stderr
    text.fnmatch_lines([f"ERROR: *::test_marked*: {message}", "  accepted: *"])
    assert "Traceback" not in str(result.stderr)
    assert "INTERNALERROR" not in str(result.stdout)


def test_interrupted_or_bad_run_leaves_an_old_report_as_it_was(pytester, run):
    pytester.makepyfile("def test_one(device):\n    pass\n")
    pytester.path.joinpath("report.json").write_text("old")

    result = run("--device=tpu", "--applesilicon-report=report.json")

    assert result.ret == 4
    assert pytester.path.joinpath("report.json").read_text() == "old"
