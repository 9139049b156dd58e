"""A bundled test has one id, however the run was started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPECTED = "suites/environment/test_host.py::test_interpreter_is_not_translated"


@pytest.mark.parametrize(
    ("folder", "start"),
    [
        (None, ["--pyargs", "pytest_applesilicon.suites.environment"]),
        (None, [str(ROOT / "suites" / "environment")]),
        (ROOT, ["suites/environment"]),
        (ROOT / "suites" / "environment", ["test_host.py"]),
    ],
    ids=["pyargs", "path", "checkout", "inside"],
)
def test_bundled_test_has_the_same_id_from_anywhere(run, pytester, monkeypatch, folder, start):
    report = pytester.path / "report.json"
    if folder is not None:
        monkeypatch.chdir(folder)

    run(
        *start,
        "--framework=numpy",
        "--device=auto",
        "-k",
        "test_interpreter_is_not_translated",
        f"--applesilicon-report={report}",
    )

    (record,) = json.loads(report.read_text())["records"]
    assert record["test_id"] == EXPECTED


def test_test_of_a_project_keeps_the_id_of_pytest(run, pytester, report):
    pytester.mkpydir("suites")
    pytester.path.joinpath("suites", "test_mine.py").write_text("def test_one():\n    pass\n")

    run("--framework=numpy", "--device=auto", "--applesilicon-report=report.json")

    (record,) = report()["records"]
    assert record["test_id"] == record["nodeid"] == "suites/test_mine.py::test_one"
