"""The command line: ``applesilicon report`` shows a JSON report again, without pytest."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import __version__
from pytest_applesilicon import host as hosts
from pytest_applesilicon.reports import document, terminal

if TYPE_CHECKING:
    from pytest_applesilicon.records import Report

_NEEDS_CLICK = "the command line needs click\n  remedy: pip install 'pytest-applesilicon[cli]'"


def main() -> None:
    """The entry point of the ``applesilicon`` command."""
    try:
        import click  # noqa: F401 - only to say what is missing
    except ImportError:
        sys.exit(f"applesilicon: {_NEEDS_CLICK}")
    _command()(prog_name="applesilicon")


def _command() -> Any:
    import click

    @click.group(help="Framework compatibility on Apple silicon.")
    @click.version_option(__version__)
    def applesilicon() -> None:
        """The group that every command belongs to."""

    @applesilicon.command("report", help="Show a JSON report as the terminal showed it.")
    @click.argument("path", type=click.Path(path_type=Path))
    def report(path: Path) -> None:
        try:
            found = document.read(path)
        except document.ReportError as error:
            raise click.ClickException(str(error)) from None
        for line in report_lines(found, shutil.get_terminal_size().columns):
            click.echo(line)

    return applesilicon


def report_lines(found: Report, width: int) -> list[str]:
    """Header and summary of a report, as the run printed them."""
    head = terminal.header(found.facts, hosts.describe(found.facts.host), width)
    return [*head, "", *terminal.summary(found, width)]


if __name__ == "__main__":
    main()
