"""The commands that read JSON reports: ``report`` and ``compare``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import __version__, comparing
from pytest_applesilicon import host as hosts
from pytest_applesilicon.files import write_whole
from pytest_applesilicon.reports import (
    audit,
    compared,
    document,
    html,
    markdown,
    page_lines,
    run_parts,
    terminal,
)

if TYPE_CHECKING:
    from pytest_applesilicon.records import Report
    from pytest_applesilicon.reports.parts import Page

#: How ``compare`` ends when it refuses: 1 says that ``--fail-on`` found something.
_REFUSED = 2


def add(group: Any) -> None:
    """Add the commands to the group."""
    _add_report(group)
    _add_compare(group)


def _add_report(group: Any) -> None:
    import click

    @group.command("report", help="Show a JSON report: here, as a page, as Markdown, as a picture.")  # type: ignore[untyped-decorator]
    @click.argument("path", type=click.Path(path_type=Path), required=False)
    @click.option("--html", "page", type=click.Path(path_type=Path), help="Write the page here.")
    @click.option(
        "--markdown", "text", type=click.Path(path_type=Path), help="Write Markdown here."
    )
    @click.option("--picture", type=click.Path(path_type=Path), help="Draw --monitor as SVG here.")
    @click.option("--schema", is_flag=True, help="Print the JSON schema of reports.")
    def report(
        path: Path | None, page: Path | None, text: Path | None, picture: Path | None, schema: bool
    ) -> None:
        if schema:
            click.echo(document.schema_text(), nl=False)
            return
        if path is None:
            raise click.UsageError("give the PATH of a report, or --schema")
        try:
            found = document.read(path)
            if picture is not None:
                _draw(found, path, picture)
            _write(run_parts.page(found), page, text)
        except (document.ReportError, html.MissingJinjaError, OSError) as error:
            raise click.ClickException(str(error)) from None
        for line in report_lines(found, shutil.get_terminal_size().columns):
            click.echo(line)


def _draw(found: Report, path: Path, picture: Path) -> None:
    """Write the picture of the samples in a report."""
    from pytest_applesilicon.reports import samples

    if not found.facts.samples:
        raise document.ReportError(f"{path}: it has no samples; run with --monitor")
    write_whole(picture, samples.svg(found.facts.samples, str(path)))


def _write(page: Page, as_html: Path | None, as_markdown: Path | None) -> None:
    if as_html is not None:
        write_whole(as_html, html.to_html(page, __version__))
    if as_markdown is not None:
        write_whole(as_markdown, markdown.to_markdown(page))


def report_lines(found: Report, width: int) -> list[str]:
    """Header and summary of a report, as the run printed them."""
    head = terminal.header(found.facts, hosts.describe(found.facts.host), width)
    lines = [*head, "", *terminal.summary(found, width)]
    if found.facts.audit is not None:
        lines += ["", "MPS audit", *audit.lines(found.facts.audit, width)]
    return lines


def _add_compare(group: Any) -> None:
    import click

    @group.command("compare", help="Say what differs between the first report and the others.")  # type: ignore[untyped-decorator]
    @click.argument("first", type=click.Path(path_type=Path))
    @click.argument("others", type=click.Path(path_type=Path), nargs=-1, required=True)
    @click.option("--html", "as_html", type=click.Path(path_type=Path), help="Write a page here.")
    @click.option(
        "--markdown", "as_markdown", type=click.Path(path_type=Path), help="Write Markdown here."
    )
    @click.option(
        "--fail-on",
        default="",
        metavar="KIND[,KIND]",
        help=f"End with status 1 where there is one of: {', '.join(comparing.FAIL_ON)}.",
    )
    def compare(
        first: Path,
        others: tuple[Path, ...],
        as_html: Path | None,
        as_markdown: Path | None,
        fail_on: str,
    ) -> None:
        kinds = _kinds(fail_on)
        try:
            found, simulated = _compared(first, others)
            page = compared.page(found, simulated=simulated)
            _write(page, as_html, as_markdown)
        except (
            document.ReportError,
            comparing.NotComparableError,
            html.MissingJinjaError,
            OSError,
        ) as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(_REFUSED)
        for line in page_lines.lines(page, shutil.get_terminal_size().columns):
            click.echo(line)
        failed = {kind: sum(one.count(kind) for one in found) for kind in kinds}
        told = ", ".join(f"{count} {kind}" for kind, count in failed.items() if count)
        if told:
            click.echo(f"\n--fail-on: {told}")
            sys.exit(1)


def _kinds(text: str) -> list[str]:
    import click

    kinds = [one.strip() for one in text.split(",") if one.strip()]
    for one in kinds:
        if one not in comparing.FAIL_ON:
            raise click.UsageError(
                f"--fail-on: {one!r} is not accepted; give one of: {', '.join(comparing.FAIL_ON)}"
            )
    return kinds


def _compared(first: Path, others: tuple[Path, ...]) -> tuple[list[comparing.Differences], bool]:
    """The first report held against each of the others; whether one is of a simulated device."""
    names = _names([first, *others])
    reports = [
        (name, document.read(path)) for name, path in zip(names, [first, *others], strict=True)
    ]
    found = [comparing.compare(reports[0], other) for other in reports[1:]]
    return found, any(report.facts.simulated for _, report in reports)


def _names(paths: list[Path]) -> list[str]:
    """The names of the files, with their folders where two are the same."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
