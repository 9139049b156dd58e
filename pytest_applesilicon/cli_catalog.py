"""``applesilicon catalog``: what MPS implements in each release of torch."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_HELP = """What MPS implements in each torch release, from the released macOS wheels.

\b
  applesilicon catalog linalg_eigh       since when, dtypes, what to use instead
  applesilicon catalog diff 2.13 2.15    what changed between two releases
  applesilicon catalog missing --torch 2.13
  applesilicon catalog releases
"""


def add(group: Any) -> None:
    """Add the command to the group."""
    import click

    class Questions(click.Group):
        """A group in which what is no subcommand is an operator."""

        def resolve_command(self, context: Any, args: list[str]) -> Any:
            if args and args[0] not in self.commands:
                args = ["operator", *args]
            return super().resolve_command(context, args)

    @group.group("catalog", cls=Questions, help=_HELP, options_metavar="OP|COMMAND")  # type: ignore[untyped-decorator]
    def catalog() -> None:
        """The group of the questions."""

    _add_operator(catalog)
    _add_releases(catalog)
    _add_diff(catalog)
    _add_missing(catalog)


def _answer(ask: Callable[[], Any]) -> Any:
    """The answer, or its one line of error."""
    import click

    from pytest_applesilicon.catalog.reading import CatalogError

    try:
        return ask()
    except CatalogError as error:
        raise click.ClickException(str(error)) from None


def _show(lines: list[str]) -> None:
    import click

    for line in lines:
        click.echo(line)


def _width() -> int:
    return shutil.get_terminal_size().columns


def _add_operator(group: Any) -> None:
    import click

    @group.command("operator", help="Since when an operator runs on MPS.", hidden=True)  # type: ignore[untyped-decorator]
    @click.argument("name")
    @click.option("--torch", default="newest", show_default=True, help="For dtypes and advice.")
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
    def operator(name: str, torch: str, as_json: bool) -> None:
        from pytest_applesilicon.catalog import questions, reading
        from pytest_applesilicon.reports import catalog as shown

        found = _answer(lambda: questions.about(reading.load(), name, torch))
        if as_json:
            fields = dataclasses.asdict(found)
            fields["changes"] = shown.changes_as_json(found.changes)
            click.echo(shown.to_json(reading.load(), operator=fields))
        else:
            _show(shown.operator(found, _width()))


def _add_releases(group: Any) -> None:
    import click

    @group.command("releases", help="The releases that the catalog has.")  # type: ignore[untyped-decorator]
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
    def releases(as_json: bool) -> None:
        from pytest_applesilicon.catalog import reading
        from pytest_applesilicon.reports import catalog as shown

        catalog = _answer(reading.load)
        if as_json:
            listed = [dataclasses.asdict(one) for one in catalog.releases]
            click.echo(shown.to_json(catalog, wheels=listed))
        else:
            _show(shown.releases(catalog))


def _add_diff(group: Any) -> None:
    import click

    @group.command("diff", help="What changed between two releases.")  # type: ignore[untyped-decorator]
    @click.argument("older")
    @click.argument("newer")
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
    def diff(older: str, newer: str, as_json: bool) -> None:
        from pytest_applesilicon.catalog import questions, reading
        from pytest_applesilicon.reports import catalog as shown

        found = _answer(lambda: questions.difference(reading.load(), older, newer))
        if as_json:
            changed = [
                {"before": before, "after": after, "overloads": names}
                for (before, after), names in found.changed.items()
            ]
            fields = {"older": found.older, "newer": found.newer, "changed": changed}
            click.echo(shown.to_json(reading.load(), difference=fields))
        else:
            _show(shown.difference(found, _width()))


def _add_missing(group: Any) -> None:
    import click

    @group.command("missing", help="What a release does not run on MPS.")  # type: ignore[untyped-decorator]
    @click.option("--torch", default="newest", show_default=True)
    @click.option("--all", "everything", is_flag=True, help="Internal operators too.")
    @click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
    def missing(torch: str, everything: bool, as_json: bool) -> None:
        from pytest_applesilicon.catalog import questions, reading
        from pytest_applesilicon.reports import catalog as shown

        found = _answer(lambda: questions.missing(reading.load(), torch, everything))
        if as_json:
            click.echo(shown.to_json(reading.load(), missing=dataclasses.asdict(found)))
        else:
            _show(shown.missing(found, _width()))
