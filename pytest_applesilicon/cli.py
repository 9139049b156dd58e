"""The command line: each command a few lines, what it does stands in the core."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from pytest_applesilicon import __version__, cli_catalog, cli_evidence, cli_replay, cli_reports
from pytest_applesilicon import host as hosts

_NEEDS_CLICK = "the command line needs click\n  remedy: pip install 'pytest-applesilicon[cli]'"


def main() -> None:
    """The entry point of the ``applesilicon`` command."""
    try:
        import click  # noqa: F401 - only to say what is missing
        import rich  # noqa: F401
    except ImportError:
        sys.exit(f"applesilicon: {_NEEDS_CLICK}")
    command()(prog_name="applesilicon")


def command() -> Any:
    """The command group, for ``main`` and for tests."""
    import click

    @click.group(help="Framework compatibility on Apple silicon.")
    @click.version_option(__version__)
    def applesilicon() -> None:
        """The group that every command belongs to."""

    cli_reports.add(applesilicon)
    cli_evidence.add(applesilicon)
    _add_doctor(applesilicon)
    _add_wheels(applesilicon)
    cli_catalog.add(applesilicon)
    cli_replay.add(applesilicon)
    return applesilicon


def _add_doctor(group: Any) -> None:
    import click

    from pytest_applesilicon.doctor.registry import TOPICS

    @group.command("doctor", help="Examine this machine, Python and installation.")  # type: ignore[untyped-decorator]
    @click.option("--topic", "topics", multiple=True, type=click.Choice(TOPICS))
    @click.option("--json", "as_json", is_flag=True, help="Print every finding as JSON.")
    @click.option("--strict", is_flag=True, help="End with status 1 where there is a warning.")
    @click.option("--all", "everything", is_flag=True, help="Show what passed too.")
    @click.option("--no-imports", is_flag=True, help="On a Mac, import no framework.")
    def doctor(
        topics: tuple[str, ...], as_json: bool, strict: bool, everything: bool, no_imports: bool
    ) -> None:
        from pytest_applesilicon.doctor import facts, gather, registry
        from pytest_applesilicon.reports import doctor as shown

        known = facts.parse(gather.read(imports=not no_imports))
        findings = registry.examine(known, topics or TOPICS)
        if as_json:
            click.echo(shown.to_json(findings, hosts.describe(known.host)))
        else:
            _print_doctor(shown, findings, hosts.describe(known.host), everything)
        statuses = {one.status for one in findings}
        sys.exit(2 if "fail" in statuses else 1 if strict and "warn" in statuses else 0)


def _print_doctor(shown: Any, findings: Any, host: str, everything: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    console.print(f"host: {host}", markup=False)
    grid = shown.table(findings, everything=everything)
    if grid is not None:
        console.print()
        console.print(grid)
    console.print()
    for line in shown.closing(findings):
        console.print(line, markup=False)


def _add_wheels(group: Any) -> None:
    import click

    @group.command("wheels", help="Say which requirements have a wheel for a Mac.")  # type: ignore[untyped-decorator]
    @click.argument("requirements", type=click.Path(path_type=Path))
    @click.option("--python", default=".".join(map(str, sys.version_info[:2])), show_default=True)
    @click.option("--macos", default="14", show_default=True)
    @click.option(
        "--arch",
        "architectures",
        multiple=True,
        default=("arm64",),
        show_default=True,
        type=click.Choice(("arm64", "x86_64")),
        help="May be given twice.",
    )
    @click.option("--refresh", is_flag=True, help="Ask again, though an answer is kept.")
    @click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON.")
    def wheels(
        requirements: Path,
        python: str,
        macos: str,
        architectures: tuple[str, ...],
        refresh: bool,
        as_json: bool,
    ) -> None:
        from pytest_applesilicon import wheels as asked
        from pytest_applesilicon.reports import wheels as shown

        try:
            targets = [asked.parse_target(python, macos, one) for one in architectures]
            wanted, others = asked.read_requirements(requirements)
        except asked.WheelsError as error:
            raise click.ClickException(str(error)) from None
        pip = asked.run_pip if refresh else asked.cached(asked.run_pip, asked.cache_folder())
        answers = []
        total = len(wanted) * len(targets)
        with click.progressbar(length=total, label="asking pip", file=sys.stderr) as bar:
            for one in asked.check(wanted, targets, pip):
                answers.append(one)
                bar.update(1)
        if as_json:
            click.echo(shown.to_json(answers, targets))
        else:
            for line in shown.lines(answers, targets, others, shutil.get_terminal_size().columns):
                click.echo(line)
        sys.exit(shown.exit_status(answers))


if __name__ == "__main__":
    main()
