"""What a run leaves besides its JSON report: the HTML page, and on GitHub its summary.

GitHub's variables are enough: nothing has to be switched on. Nothing here fails a run that has
come to its end; what could not be written is said.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_applesilicon.files import check_writable, write_whole
from pytest_applesilicon.option_values import OptionError
from pytest_applesilicon.reports import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from pytest_applesilicon.options import Settings
    from pytest_applesilicon.records import Report

#: Of GitHub: the file a step writes its summary into, and whether this is GitHub at all.
_SUMMARY = "GITHUB_STEP_SUMMARY"
_ACTIONS = "GITHUB_ACTIONS"

#: A plugin that annotates every failed test already.
_ANNOTATES = "pytest_github_actions_annotate_failures"


def check(settings: Settings) -> None:
    """Look, before any test runs, whether every file can be written.

    Raises:
        OptionError: naming the option.
    """
    for option, path in (
        ("--applesilicon-report", settings.report),
        ("--report-html", settings.report_html),
    ):
        problem = check_writable(path) if path is not None else None
        if problem:
            raise OptionError(f"{option}: {problem}")
    if settings.report_html is not None and importlib.util.find_spec("jinja2") is None:
        from pytest_applesilicon.reports.html import NEEDS_JINJA

        raise OptionError(f"--report-html: {NEEDS_JINJA}")


def write(report: Report, settings: Settings) -> None:
    """Write the JSON report and the page that were asked for."""
    if settings.report is not None:
        document.write(report, settings.report)
    if settings.report_html is not None:
        from pytest_applesilicon.reports import html, run_parts

        page = html.to_html(run_parts.page(report), report.facts.version)
        write_whole(settings.report_html, page)


def told(settings: Settings) -> list[str]:
    """A line for each file that was asked for."""
    named = (("report", settings.report), ("page", settings.report_html))
    return [f"{name}: {path}" for name, path in named if path is not None]


def to_github(config: pytest.Config, report: Report, environ: Mapping[str, str]) -> list[str]:
    """Write the step summary where GitHub wants one; returns the annotations to print."""
    if not report.records:
        return []
    lines = []
    summary = environ.get(_SUMMARY)
    if summary:
        lines += _summarise(report, Path(summary))
    if environ.get(_ACTIONS) == "true" and not config.pluginmanager.hasplugin(_ANNOTATES):
        from pytest_applesilicon.reports import github

        lines += github.commands(report.records, _prefix(config.rootpath, environ))
    return lines


def _summarise(report: Report, path: Path) -> list[str]:
    from pytest_applesilicon.reports import markdown, run_parts

    text = markdown.to_markdown(run_parts.page(report), folded=False)
    try:
        # Appended to: other commands of the step write into it too.
        taken = path.stat().st_size if path.exists() else 0
        if taken + len(text.encode()) > markdown.LONGEST:
            return [f"applesilicon: no room left in the step summary {path}"]
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        return [f"applesilicon: the step summary {path} cannot be written: {error.strerror}"]
    return []


def _prefix(root: Path, environ: Mapping[str, str]) -> str:
    """The path of pytest's root folder below the checkout, as annotations name files."""
    checkout = Path(environ.get("GITHUB_WORKSPACE") or os.curdir).resolve()
    try:
        below = root.resolve().relative_to(checkout)
    except ValueError:
        return ""
    return "" if below == Path() else f"{below.as_posix()}/"
