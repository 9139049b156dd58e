"""What a run leaves besides its JSON report: the page, GitHub's summary, JUnit properties."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("numpy_only")

TESTS = """
def test_passes(device, applesilicon):
    applesilicon.measure("accuracy", 0.5)

def test_fails(device):
    assert 1 == 2
"""


def test_page_is_written_where_it_was_asked_for(pytester, run):
    pytester.makepyfile(test_it=TESTS)

    result = run("--device=cpu", "--report-html=page.html")

    text = pytester.path.joinpath("page.html").read_text()
    assert "<code>test_it.py::test_fails[cpu]</code>" in text
    result.stdout.fnmatch_lines(["page: *page.html"])


@pytest.mark.parametrize("option", ["--report-html", "--applesilicon-report"])
def test_page_that_cannot_be_written_stops_the_run_before_its_tests(pytester, run, option):
    pytester.makepyfile(test_it=TESTS)

    result = run("--device=cpu", f"{option}=absent/page")

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {option}: *absent does not exist"])


def test_page_without_jinja_stops_the_run_with_the_remedy(pytester, run):
    pytester.makepyfile(test_it=TESTS)
    pytester.makepyfile(
        conftest="import importlib.util as u\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'jinja2' else real(name, *more)\n"
    )

    result = run("--device=cpu", "--report-html=page.html")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*remedy: pip install 'pytest-applesilicon?report?'"])


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])
def test_step_summary_and_annotations_come_by_themselves(pytester, run, monkeypatch, workers):
    summary = pytester.path / "summary.md"
    summary.write_text("before\n")
    run()  # sets up the environment of the inner run
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path.parent))
    pytester.makepyfile(test_it=TESTS)

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--device=cpu", *workers)

    text = summary.read_text()
    assert text.startswith("before\n## applesilicon report\n")
    assert "| `test_it.py::test_fails[cpu]` | failed | assert 1 == 2 |" in text
    told = [line for line in result.outlines if line.startswith("::error")]
    where = f"file={pytester.path.name}/test_it.py"
    title = "title=failed on cpu%3A test_it.py%3A%3Atest_fails[cpu]"
    assert told == [f"::error {where},{title}::assert 1 == 2"]


def test_summary_that_cannot_be_written_is_said_and_fails_nothing(pytester, run, monkeypatch):
    run()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path))
    pytester.makepyfile(test_it="def test_passes(device): ...")

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--device=cpu")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["applesilicon: the step summary * cannot be written: *"])


def test_a_run_that_uses_nothing_of_ours_writes_no_summary(pytester, run, monkeypatch):
    run()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    pytester.path.joinpath("tox.ini").unlink()  # of numpy_only: an option of ours
    pytester.makepyfile("def test_fails(): assert False")

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    assert not pytester.path.joinpath("summary.md").exists()
    result.stdout.no_fnmatch_line("::error*")


def test_junit_has_the_device_and_what_was_measured(pytester, run):
    pytester.makepyfile(test_it=TESTS)

    run("--device=cpu", "--junit-xml=junit.xml")

    text = pytester.path.joinpath("junit.xml").read_text()
    assert text.count('<property name="applesilicon.device" value="cpu"') == 2
    assert '<property name="applesilicon.measured.accuracy" value="0.5"' in text


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["serial", "xdist"])
def test_report_says_from_which_commit_and_how_many_tests(pytester, run, report, workers):
    pytester.makepyfile(test_it=TESTS)
    pytester.path.joinpath(".gitignore").write_text("*\n")  # what pytester writes
    commit = _commit(pytester.path)

    run("--device=cpu", "--applesilicon-report=report.json", "-k", "passes", *workers)
    clean = report()
    pytester.path.joinpath("test_it.py").write_text(TESTS + "\n")
    run("--device=cpu", "--applesilicon-report=report.json", *workers)
    changed = report()

    assert clean["source"]["commit"] == commit
    assert clean["source"]["clean"] is True
    assert clean["selected"] == 1
    assert changed["source"]["clean"] is False
    assert changed["selected"] == 2
    if not workers:
        assert (clean["deselected"], changed["deselected"]) == (1, 0)


def _commit(folder: Path) -> str:
    def git(*arguments: str) -> str:
        told = ["-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        done = subprocess.run(
            ["git", *told], cwd=folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", "--force", "test_it.py", ".gitignore")
    git("commit", "-q", "-m", "tests")
    return git("rev-parse", "HEAD")


def test_two_runs_are_compared_at_the_command_line(pytester, run):
    pytester.makepyfile(test_it="def test_one(device): ...\ndef test_two(device): ...\n")
    run("--device=cpu", "--applesilicon-report=a.json")
    pytester.makepyfile(test_it="def test_one(device): ...\ndef test_two(device): assert 0\n")
    run("--device=cpu", "--applesilicon-report=b.json")
    command = [sys.executable, "-m", "pytest_applesilicon.cli", "compare"]

    def compare(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=pytester.path, capture_output=True, text=True, check=False
        )

    same = compare("a.json", "a.json", "--fail-on=any")
    differing = compare(
        "a.json", "b.json", "--fail-on=broken,lost", "--html=c.html", "--markdown=c.md"
    )
    refused = compare("a.json", "test_it.py")

    assert (same.returncode, differing.returncode, refused.returncode) == (0, 1, 2)
    assert "Nothing differs." in same.stdout
    assert "test_it.py::test_two  broken  passed  failed" in differing.stdout
    assert "test_one" not in differing.stdout
    assert differing.stdout.endswith("--fail-on: 1 broken\n")
    assert "test_it.py::test_two" in pytester.path.joinpath("c.html").read_text()
    assert "test_it.py::test_two" in pytester.path.joinpath("c.md").read_text()
    assert "test_it.py: not a whole JSON document" in refused.stderr


def test_a_known_failure_tells_its_issue_and_its_date(pytester, run, report):
    pytester.makepyfile(test_it="def test_known(device): assert 0")
    pytester.path.joinpath("known.toml").write_text(
        '[[known_failure]]\ntest = "test_it.py::test_known*"\nreason = "no kernel"\n'
        'raises = "AssertionError"\nissue = "https://example.org/1"\ndate = 2026-11-21\n'
    )

    run("--device=cpu", "--known-failures=known.toml", "--applesilicon-report=report.json")

    (record,) = report()["records"]
    assert record["outcome"] == "xfailed"
    assert record["reason"].endswith("no kernel (https://example.org/1, since 2026-11-21)")
