"""A signed report is accepted as it is, and refused after any change to it or around it."""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_made import facts, record

from pytest_applesilicon import cli_evidence, evidence, source
from pytest_applesilicon.evidence import EvidenceError, Statement
from pytest_applesilicon.records import Health, Host, Place, Report, Source, Target
from pytest_applesilicon.reports import document

if TYPE_CHECKING:
    from pathlib import Path

#: What a report of a Mac says of its host; no report here was made on one.
MAC = Host("macOS", chip="Apple M2", virtual=False, machine="arm64", interpreter="arm64")
MPS = Target("torch", "mps", Health("mps", "torch", "ok", "works"), asked=True)
WHOLE = {"ops": "all", "dtypes": "all", "faults": "none"}
RECORDS = (
    record("suites/ops/test_operators.py::test_forward[mps-float32-add]", device="mps"),
    record("suites/agreement/test_layouts.py::test_layouts[mps-add]", device="mps"),
)

_FUNCTION = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def git(folder: Path, *arguments: str) -> str:
    return run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments)


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """Two keys, and a file that allows the first."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        run(folder, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name)
    public = (folder / "mine.pub").read_text()
    (folder / "allowed").write_text(f"me@example.org {public}")
    return folder


class Signed:
    """A checkout with a report and its attestation, which are committed after the code."""

    def __init__(self, folder: Path, keys: Path) -> None:
        self.folder, self.keys = folder, keys
        self.report = folder / "evidence" / "report.json"
        self.attestation = folder / "evidence" / "report.json.attestation"
        self.report.parent.mkdir()
        (folder / "code.py").write_text("x = 1\n")
        git(folder, "init", "-q")
        self.commit()
        self.source = source.read(folder)

    def commit(self) -> str:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", "a commit")
        return git(self.folder, "rev-parse", "HEAD")

    def sign(self, report: Report | None = None, key: str = "mine") -> None:
        made = made_on_mac(self.source) if report is None else report
        document.write(made, self.report)
        statement = Statement(
            evidence.digest(self.report.read_bytes()),
            self.source.commit,
            self.source.tree,
            "2026-11-21T10:00:00+00:00",
        )
        self.attestation.write_bytes(evidence.sign(statement, self.keys / key))

    def judge(self, **asked) -> list[str]:
        fields = {"allowed_signers": self.keys / "allowed", "suites": ("ops",), **asked}
        return cli_evidence.judge(self.report, **fields)[0]


def made_on_mac(came_from: Source | None, **more) -> Report:
    fields = {
        "host": MAC,
        "targets": (MPS,),
        "settings": WHOLE,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "source": came_from,
        "selected": len(RECORDS),
    }
    return Report(facts(**{**fields, **more}), RECORDS)


@pytest.fixture
def signed(tmp_path, keys) -> Signed:
    made = Signed(tmp_path, keys)
    made.sign()
    return made


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory, keys) -> Signed:
    made = Signed(tmp_path_factory.mktemp("unchanged"), keys)
    made.sign()
    return made


def test_a_signed_report_is_accepted_before_and_after_it_is_committed(signed):
    assert signed.judge() == []

    signed.commit()

    assert signed.judge() == []
    assert signed.judge(suites=("ops", "agreement", "suites/ops/")) == []


@_FUNCTION
@given(st.data())
def test_any_byte_of_the_report_that_changes_is_refused(unchanged, data):
    content = unchanged.report.read_bytes()
    changed = _changed(content, data)

    with _replaced(unchanged.report, changed), pytest.raises(EvidenceError):
        unchanged.judge()


@_FUNCTION
@given(st.data())
def test_any_byte_of_the_attestation_that_changes_is_refused(unchanged, data):
    content = unchanged.attestation.read_bytes()
    changed = _changed(content, data)

    with _replaced(unchanged.attestation, changed), pytest.raises(EvidenceError):
        unchanged.judge()


def test_every_character_of_the_signature_counts(unchanged):
    """One bit of each byte; base64 has bits that a decoder drops, and spaces it passes over."""
    content = unchanged.attestation.read_bytes()
    begin = content.index(b"-----BEGIN")
    allowed = unchanged.keys / "allowed"

    for at in range(begin, len(content)):
        changed = bytearray(content)
        changed[at] ^= 1
        with pytest.raises(EvidenceError):
            evidence.read(bytes(changed), allowed, "it")


def _changed(content: bytes, data) -> bytes:
    """One byte replaced, put in or taken out, or the end cut off."""
    at = data.draw(st.integers(0, len(content) - 1), label="position")
    how = data.draw(st.sampled_from(["replace", "insert", "remove", "cut"]), label="how")
    if how == "cut":
        return content[:at]
    if how == "remove":
        return content[:at] + content[at + 1 :]
    byte = data.draw(st.integers(0, 255), label="byte")
    if how == "insert":
        return content[:at] + bytes([byte]) + content[at:]
    return content[:at] + bytes([byte if byte != content[at] else byte ^ 1]) + content[at + 1 :]


class _replaced:  # noqa: N801 - used as a function
    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content, self.before = path, content, path.read_bytes()

    def __enter__(self) -> None:
        self.path.write_bytes(self.content)

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self.before)


@pytest.mark.parametrize("field", ["commit", "tree", "report_sha256", "signed"])
def test_a_field_of_the_statement_that_changes_is_refused(unchanged, field):
    content = unchanged.attestation.read_bytes()
    fields, _, signature = content.partition(b"-----BEGIN")
    statement = json.loads(fields)
    other = dataclasses.replace(Statement(**statement), **{field: "0" * len(statement[field])})

    changed = other.to_bytes() + b"-----BEGIN" + signature
    with (
        _replaced(unchanged.attestation, changed),
        pytest.raises(EvidenceError, match="does not hold"),
    ):
        unchanged.judge()


def test_another_key_is_refused(signed):
    signed.sign(key="other")

    with pytest.raises(EvidenceError, match=r"no key of .*allowed made this signature"):
        signed.judge()


def test_a_signature_made_for_something_else_is_refused(signed):
    text = signed.attestation.read_bytes().partition(b"-----BEGIN")[0]
    (signed.folder / "s").write_bytes(text)
    run(
        signed.folder,
        "ssh-keygen",
        "-q",
        "-Y",
        "sign",
        "-n",
        "git",
        "-f",
        str(signed.keys / "mine"),
        "s",
    )
    signed.attestation.write_bytes(text + (signed.folder / "s.sig").read_bytes())

    with pytest.raises(EvidenceError, match="does not hold"):
        signed.judge()


@pytest.mark.parametrize(
    "text",
    [
        b"{}\n",
        b"[]\n",
        b"not json\n",
        Statement("0" * 64, "HEAD", "0" * 40, "now").to_bytes(),
        Statement("0" * 64, "0" * 40, "0" * 40, "now").to_bytes() + b" ",
        Statement("0" * 64, "0" * 40, "0" * 40, "now", version=2).to_bytes(),
    ],
    ids=range(6),
)
def test_a_good_signature_of_another_statement_is_refused(text, keys):
    made = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-n", evidence.NAMESPACE, "-f", str(keys / "mine")],
        input=text,
        capture_output=True,
        check=True,
    )

    with pytest.raises(EvidenceError, match=r"not a statement of ours|it is of version 2"):
        evidence.read(text + made.stdout, keys / "allowed", "it")


@pytest.mark.parametrize("name", ["allowed", "report", "attestation"])
def test_a_file_that_is_not_there_is_refused(signed, name):
    missing = signed.folder / "absent"
    if name == "allowed":
        with pytest.raises(EvidenceError, match="no file of allowed signers"):
            signed.judge(allowed_signers=missing)
    else:
        getattr(signed, name).unlink()
        with pytest.raises(OSError, match="No such file"):
            signed.judge()


def test_no_ssh_keygen_is_a_refusal(signed, monkeypatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(EvidenceError, match="ssh-keygen is not installed"):
        signed.judge()


def test_code_that_changed_since_the_commit_is_named(signed):
    (signed.folder / "code.py").write_text("x = 2\n")
    signed.commit()

    (problem,) = signed.judge()

    assert problem.startswith("since the signed commit")
    assert problem.endswith("HEAD has changed code.py")


def test_another_commit_of_the_same_content_is_accepted_and_an_unknown_one_is_not(signed):
    signed.commit()

    assert signed.judge(commit="HEAD") == []
    (problem,) = signed.judge(commit="no-such-branch")
    assert problem.startswith("commit no-such-branch is not known here")


def test_a_checkout_without_the_signed_commit_says_what_to_fetch(signed, tmp_path_factory, keys):
    signed.commit()
    shallow = tmp_path_factory.mktemp("shallow") / "clone"
    run(shallow.parent, "git", "clone", "-q", "--depth=1", signed.folder.as_uri(), str(shallow))

    problems, _ = cli_evidence.judge(
        shallow / "evidence" / "report.json", allowed_signers=keys / "allowed", suites=("ops",)
    )

    assert len(problems) == 1
    assert "fetch-depth: 0" in problems[0]


_OTHER = Source("1" * 40, "2" * 40, clean=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": None}, "does not say from which commit"),
        ({"source": _OTHER}, "its tests came from commit 111111111111"),
        ({"created": "2026-01-01T00:00:00+00:00"}, "days ago, and 30 are allowed"),
        ({"created": "2999-01-01T00:00:00+00:00"}, "made in the future"),
        ({"created": "yesterday"}, "when it was made is not known"),
        ({"created": "2026-11-21T10:00:00"}, "when it was made is not known"),
        ({"host": dataclasses.replace(MAC, system="Linux")}, "made on Linux"),
        ({"host": dataclasses.replace(MAC, virtual=True)}, "a virtual machine"),
        ({"host": dataclasses.replace(MAC, virtual=None)}, "not known to be physical"),
        ({"host": dataclasses.replace(MAC, translated=True)}, "not a native arm64 one"),
        ({"host": dataclasses.replace(MAC, interpreter="x86_64")}, "not a native arm64 one"),
        ({"targets": ()}, "mps was not found to work"),
        (
            {
                "targets": (
                    MPS,
                    Target(
                        "torch", "mps-sim", Health("mps-sim", "torch", "ok", "", "", True), True
                    ),
                )
            },
            "was simulated",
        ),
        ({"exit_status": 1}, "exit status 1"),
        ({"exit_status": 2}, "exit status 2"),
        ({"exit_status": None}, "exit status None"),
        ({"selected": None}, "is not known"),
        ({"selected": 3}, "3 tests were to run, and it has 2 results"),
        ({"deselected": 1}, "1 tests were deselected"),
        ({"settings": {**WHOLE, "ops": "add"}}, "--ops=add"),
        ({"settings": {}}, "--dtypes=None"),
        ({"places": (Place("a", MAC, lost="gone"),)}, "a dropped out: gone"),
    ],
    ids=range(22),
)
def test_what_a_report_must_show_is_named_where_it_does_not(signed, change, says):
    came_from = change.pop("source", signed.source)
    signed.sign(made_on_mac(came_from, **change))

    assert says in "; ".join(signed.judge())


def test_a_checkout_that_was_not_clean_is_refused(signed):
    signed.sign(made_on_mac(dataclasses.replace(signed.source, clean=False)))

    assert "differed from" in "; ".join(signed.judge())


def test_a_suite_that_did_not_run_on_the_device_is_named(signed):
    assert signed.judge(suites=("ops", "training")) == ["no test of training ran on mps"]
    assert signed.judge(device="cuda") == [
        "cuda was not found to work",
        "no test of ops ran on cuda",
    ]


@pytest.mark.parametrize("change", [{"simulated": True}, {"faults": ("x",)}])
def test_a_suite_that_was_simulated_is_named(signed, change):
    made = made_on_mac(signed.source)
    records = (dataclasses.replace(RECORDS[0], **change), RECORDS[1])
    signed.sign(dataclasses.replace(made, records=records))

    assert signed.judge() == ["tests of ops were simulated"]


def test_failures_are_accepted_only_where_that_was_said(signed):
    signed.sign(made_on_mac(signed.source, exit_status=1))

    assert signed.judge(allow_failures=True) == []
    assert signed.judge() == ["pytest ended with exit status 1"]


def test_a_test_that_the_baseline_ran_must_have_run(signed, tmp_path):
    more = (*RECORDS, record("suites/ops/test_operators.py::test_forward[mps-float32-sub]"))
    document.write(Report(facts(), more), tmp_path / "old.json")

    assert signed.judge(baseline=tmp_path / "old.json") == [
        "of the baseline, suites/ops/test_operators.py::test_forward[mps-float32-sub] did not run"
    ]


def test_only_a_report_of_this_checkout_on_a_real_device_is_signed(signed):
    def state(made: Report) -> Statement:
        document.write(made, signed.report)
        content = signed.report.read_bytes()
        return cli_evidence.state(made, content, signed.report, signed.attestation, "mps")

    good = made_on_mac(signed.source)
    assert state(good).commit == signed.source.commit
    with pytest.raises(EvidenceError, match="made on Linux"):
        state(made_on_mac(signed.source, host=dataclasses.replace(MAC, system="Linux")))
    with pytest.raises(EvidenceError, match="its tests came from commit 1111"):
        state(made_on_mac(_OTHER))
    (signed.folder / "new.py").write_text("")
    with pytest.raises(EvidenceError, match="this checkout differs from"):
        state(good)


def test_a_key_that_is_none_is_refused(tmp_path):
    (tmp_path / "key").write_text("not a key")

    with pytest.raises(EvidenceError, match="ssh-keygen does not sign with it"):
        evidence.sign(Statement("0" * 64, "0" * 40, "0" * 40, "now"), tmp_path / "key")


def test_commands_say_what_was_verified_and_what_was_refused(signed):
    from click.testing import CliRunner

    from pytest_applesilicon.cli import command

    def invoke(*arguments: object):
        return CliRunner().invoke(command(), [str(one) for one in arguments])

    attested = invoke("attest", signed.report, "--key", signed.keys / "mine")
    asked = ("--allowed-signers", signed.keys / "allowed", "--suite=ops")
    good = invoke("verify", signed.report, *asked)
    bad = invoke("verify", signed.report, *asked, "--suite=training", "--max-age=0")
    unsigned = invoke("verify", signed.attestation, *asked)

    assert (attested.exit_code, good.exit_code) == (0, 0)
    assert attested.output.startswith("signed: ")
    assert good.output.startswith("verified: me@example.org signed 2 results of Apple M2")
    assert bad.exit_code == unsigned.exit_code == 1
    assert bad.output.count("refused: ") == 2
    assert unsigned.output.startswith("refused: ")


def test_verify_wants_a_suite(signed):
    from click.testing import CliRunner

    from pytest_applesilicon.cli import command

    found = CliRunner().invoke(command(), ["verify", str(signed.report), "--allowed-signers=x"])

    assert found.exit_code == 2
    assert "--suite" in found.output
