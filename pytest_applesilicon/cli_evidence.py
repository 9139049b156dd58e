"""The commands ``attest`` and ``verify``: evidence of a Mac for a CI without one."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import evidence, evidence_checks, source
from pytest_applesilicon import host as hosts
from pytest_applesilicon.files import check_writable, write_whole
from pytest_applesilicon.reports import document
from pytest_applesilicon.reports.parts import visible

if TYPE_CHECKING:
    from pytest_applesilicon.records import Report

#: Beside the report.
_SUFFIX = ".attestation"


def add(group: Any) -> None:
    """Add the commands to the group."""
    _add_attest(group)
    _add_verify(group)


def _add_attest(group: Any) -> None:
    import click

    @group.command("attest", help="Sign a report that was made on this Mac, with an SSH key.")  # type: ignore[untyped-decorator]
    @click.argument("report", type=click.Path(path_type=Path))
    @click.option("--key", type=click.Path(path_type=Path), required=True, help="The SSH key.")
    @click.option("--output", type=click.Path(path_type=Path), help="Default: REPORT.attestation.")
    @click.option("--device", default="mps", show_default=True, help="That the tests ran on.")
    def attest(report: Path, key: Path, output: Path | None, device: str) -> None:
        written = output or beside(report)
        try:
            problem = check_writable(written)
            if problem:
                raise evidence.EvidenceError(problem)
            content = report.read_bytes()
            made = document.parse(report, content)
            statement = state(made, content, report, written, device)
            write_whole(written, evidence.sign(statement, key))
        except (document.ReportError, evidence.EvidenceError, source.GitError, OSError) as error:
            raise click.ClickException(visible(str(error))) from None
        click.echo(f"signed: {written}, commit {statement.commit[:12]}")


def beside(report: Path) -> Path:
    """Where the attestation of a report is looked for."""
    return report.with_name(report.name + _SUFFIX)


def state(
    made: Report, content: bytes, report: Path, written: Path, device: str
) -> evidence.Statement:
    """The statement that is to be signed.

    Raises:
        EvidenceError: the report is not one of this checkout, or not of a real device.
        GitError: this is no checkout.
    """
    here = source.read(report.resolve().parent, leaving_out=[report, written])
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    statement = evidence.Statement(evidence.digest(content), here.commit, here.tree, now)
    problems = evidence_checks.of_source(statement, made)
    problems += evidence_checks.of_machine(made, device)
    if not here.clean:
        problems.append(f"this checkout differs from {here.commit[:12]}: commit, and run again")
    if problems:
        raise evidence.EvidenceError(f"{report} is not signed: {'; '.join(problems)}")
    return statement


def _add_verify(group: Any) -> None:
    import click

    @group.command("verify", help="Hold a signed report against what is required of it.")  # type: ignore[untyped-decorator]
    @click.argument("report", type=click.Path(path_type=Path))
    @click.option(
        "--allowed-signers",
        type=click.Path(path_type=Path),
        required=True,
        help="The keys that are trusted, in the format of OpenSSH.",
    )
    @click.option("--attestation", type=click.Path(path_type=Path), help="REPORT.attestation.")
    @click.option("--commit", default="HEAD", show_default=True, help="What it must be of.")
    @click.option(
        "--max-age", type=click.FloatRange(min=0), default=30.0, show_default=True, help="In days."
    )
    @click.option(
        "--suite",
        "suites",
        multiple=True,
        required=True,
        help="A bundled suite, or the path that test ids begin with, that must have run; "
        "may be given several times.",
    )
    @click.option("--device", default="mps", show_default=True, help="That the tests ran on.")
    @click.option("--allow-failures", is_flag=True, help="Accept a run in which tests failed.")
    @click.option(
        "--baseline",
        type=click.Path(path_type=Path),
        help="A report, all of whose tests must have run.",
    )
    def verify(report: Path, **asked: Any) -> None:
        try:
            problems, told = judge(report, **asked)
        except (document.ReportError, evidence.EvidenceError, OSError) as error:
            problems, told = [str(error)], ""
        for problem in problems:
            click.echo(f"refused: {visible(problem)}", err=True)
        if problems:
            sys.exit(1)
        click.echo(f"verified: {visible(told)}")


def judge(
    report: Path,
    *,
    allowed_signers: Path,
    suites: tuple[str, ...],
    attestation: Path | None = None,
    commit: str = "HEAD",
    max_age: float = 30.0,
    device: str = "mps",
    allow_failures: bool = False,
    baseline: Path | None = None,
) -> tuple[list[str], str]:
    """What is wrong with a signed report, and in one line what was verified.

    Raises:
        EvidenceError: the signature does not hold, or is of another report.
        ReportError: a report cannot be read.
        OSError: a file cannot be read.
    """
    signed = attestation or beside(report)
    statement, identity = evidence.read(signed.read_bytes(), allowed_signers, str(signed))
    content = report.read_bytes()
    if evidence.digest(content) != statement.report_sha256:
        raise evidence.EvidenceError(f"{report}: it is not the report that {identity} signed")
    found = document.parse(report, content)
    now = datetime.datetime.now(datetime.timezone.utc)
    folder = report.resolve().parent
    problems = [
        *evidence_checks.of_source(statement, found),
        *evidence_checks.of_commit(statement, folder, commit, [report, signed]),
        *evidence_checks.of_age(found, now, max_age),
        *evidence_checks.of_machine(found, device),
        *evidence_checks.of_tests(found, suites, device, failures=allow_failures),
    ]
    if baseline is not None:
        problems += evidence_checks.of_baseline(found, document.read(baseline))
    told = (
        f"{identity} signed {len(found.records)} results of {hosts.describe(found.facts.host)}, "
        f"{found.facts.created}, commit {statement.commit[:12]}"
    )
    return problems, told
