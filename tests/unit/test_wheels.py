"""Wheels for a Mac, asked of a pip that answers from a table."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from pytest_applesilicon import cli, wheels

TARGET = wheels.parse_target("3.12", "14", "arm64")


class Index:
    """A pip that knows some releases: version, file, and the Python they need."""

    def __init__(self, **releases):
        self.releases = releases
        self.asked = []

    def __call__(self, arguments):
        self.asked.append(arguments)
        if arguments[0] == "index":
            found = self.releases.get(arguments[-1].replace("-", "_"), ())
            listed = ", ".join(version for version, *_ in reversed(found))
            return (0, f"x\nAvailable versions: {listed}\n", "") if found else self.nothing()
        start = arguments.index("--python-version") + 2
        report = []
        for text in arguments[start:]:
            wanted = Requirement(text)
            fitting = [
                one
                for one in self.releases.get(wanted.name.replace("-", "_"), ())
                if one[1] and wanted.specifier.contains(one[0])
            ]
            if not fitting:
                return self.nothing()
            version, file, python = fitting[-1]
            report.append(
                {
                    "metadata": {
                        "name": wanted.name,
                        "version": version,
                        "requires_python": python,
                    },
                    "download_info": {"url": f"file:///somewhere/{file}"},
                }
            )
        return 0, json.dumps({"install": report}), ""

    @staticmethod
    def nothing():
        return 1, "", "ERROR: Could not find\nERROR: No matching distribution found for x\n"


def wheel(name, version, tag="cp312-cp312-macosx_11_0_arm64", python=">=3.10"):
    return version, f"{name}-{version}-{tag}.whl", python


ARM = Index(
    both=[wheel("both", "1.0"), wheel("both", "2.0", "cp312-cp312-macosx_10_13_universal2")],
    pure=[wheel("pure", "3.1", "py3-none-any")],
    old=[wheel("old", "1.0"), wheel("old", "1.1"), ("2.0", "", ">=3.10")],
    source=[("0.9", "", ">=3.8")],
    later=[wheel("later", "1.0", "py3-none-any"), wheel("later", "2.0", "py3-none-any", ">=3.13")],
)


@pytest.mark.parametrize(
    ("requirement", "status", "version", "newest", "kind"),
    [
        ("both", "newest", "2.0", "2.0", "universal2"),
        ("both<2", "newest", "1.0", "1.0", "arm64"),
        ("pure", "newest", "3.1", "3.1", "pure"),
        ("old", "older", "1.1", "2.0", "arm64"),
        ("source", "none", "", "0.9", ""),
        ("unheard", "none", "", "", ""),
        ("both; sys_platform == 'linux'", "skipped", "", "", ""),
        ("both; platform_machine == 'arm64'", "newest", "2.0", "2.0", "universal2"),
    ],
)
def test_answers(requirement, status, version, newest, kind):
    found = wheels.ask(Requirement(requirement), TARGET, ARM)

    assert (found.status, found.version, found.newest, found.kind) == (
        status,
        version,
        newest,
        kind,
    )


def test_release_for_a_later_python_is_passed_over():
    """pip itself would refuse it for the Python that runs pip, or take it for any."""
    found = wheels.ask(Requirement("later"), TARGET, ARM)

    assert found.version == "1.0"


def test_wheel_outside_the_requirement_is_told():
    found = wheels.ask(Requirement("old>=2"), TARGET, ARM)

    assert (found.status, found.note) == ("none", "outside >=2, 1.1 has one")


def test_asking_together_gives_the_same_answers_with_fewer_questions():
    wanted = [Requirement(name) for name in ("both", "pure", "later", "old", "both<2", "pure>1")]
    alone = [wheels.ask(one, TARGET, ARM) for one in wanted]
    counting = Index(**ARM.releases)

    together = list(wheels.check(wanted, [TARGET], counting))

    assert together == alone
    installs = [one for one in counting.asked if one[0] == "install"]
    assert len(installs) < len(wanted) + 1


def test_pip_that_fails_is_not_taken_for_a_missing_wheel():
    found = wheels.ask(Requirement("both"), TARGET, lambda _: (1, "", "ERROR: no route to host\n"))

    assert (found.status, found.note) == ("unknown", "ERROR: no route to host")


def test_pip_without_a_report_is_told_to_be_updated():
    found = wheels.ask(
        Requirement("both"), TARGET, lambda arguments: (0, "Available versions: 2.0", "")
    )

    assert (found.status, found.note) == (
        "unknown",
        "pip gave no report; remedy: pip install --upgrade pip",
    )


def test_answers_are_kept_for_a_day(tmp_path):
    counting = Index(**ARM.releases)
    clock = [0.0]
    pip = wheels.cached(counting, tmp_path, lambda: clock[0])

    first = wheels.ask(Requirement("both"), TARGET, pip)
    asked = len(counting.asked)
    assert wheels.ask(Requirement("both"), TARGET, pip) == first
    assert len(counting.asked) == asked
    clock[0] = 24 * 3600.0
    wheels.ask(Requirement("both"), TARGET, pip)
    assert len(counting.asked) == 2 * asked


def test_kept_answer_that_cannot_be_read_is_asked_for_again(tmp_path):
    pip = wheels.cached(ARM, tmp_path)
    first = wheels.ask(Requirement("both"), TARGET, pip)
    for file in tmp_path.iterdir():
        file.write_text("{")

    assert wheels.ask(Requirement("both"), TARGET, pip) == first


def test_failures_are_not_kept(tmp_path):
    pip = wheels.cached(lambda _: (1, "", "ERROR: no route"), tmp_path / "answers")

    wheels.ask(Requirement("both"), TARGET, pip)

    assert not (tmp_path / "answers").exists()


def test_requirements_file(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# comment\nboth>=1  # why\n\npure==3.1 \\\n  --hash=sha256:00\n-r other.txt\n-e .\n"
        "old[extra]; python_version < '3.13'\n"
    )

    found, others = wheels.read_requirements(file)

    assert [str(one) for one in found] == [
        "both>=1",
        "pure==3.1",
        'old[extra]; python_version < "3.13"',
    ]
    assert others == ["-r other.txt", "-e ."]


def command(*args, monkeypatch, tmp_path):
    monkeypatch.setattr(wheels, "run_pip", Index(**ARM.releases))
    monkeypatch.setattr(wheels, "cache_folder", lambda: tmp_path / "cache")
    return CliRunner().invoke(cli.command(), ["wheels", *args], env={"COLUMNS": "80"})


@pytest.mark.parametrize(("content", "status"), [("both\npure\n", 0), ("both\nold\n", 1)])
def test_command(content, status, monkeypatch, tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text(content)

    done = command(str(file), "--python", "3.12", monkeypatch=monkeypatch, tmp_path=tmp_path)

    assert done.exit_code == status, done.output
    assert f"{2 - status} of 2 have a wheel" in done.output
    if status:
        assert "1.1 was the last with a wheel; 2.0 has none" in done.output
    assert max(map(len, done.output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("args", "content", "message"),
    [
        (["--python", "312"], "both", "--python: '312' is not accepted; give a version such as"),
        (["--macos", "Sonoma"], "both", "--macos: 'Sonoma' is not accepted; give a version"),
        ([], "both ==== 1", "requirements.txt: line 1: 'both ==== 1': "),
        ([], None, "requirements.txt: No such file or directory"),
    ],
)
def test_bad_input_is_one_clear_error(args, content, message, monkeypatch, tmp_path):
    file = tmp_path / "requirements.txt"
    if content is not None:
        file.write_text(content)

    done = command(str(file), *args, monkeypatch=monkeypatch, tmp_path=tmp_path)

    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output
