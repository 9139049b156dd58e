"""The generated tables of the guides: options, markers, fixtures, commands, hosted images.

MkDocs calls ``on_page_markdown`` for every page; ``<!-- table: options -->`` in a page becomes
the table. Made from what the plugin itself is made from, so that a table cannot be wrong.
"""

from __future__ import annotations

import csv
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon import doctor, fixtures, option_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MARK = re.compile(r"^<!-- table: (\w+) -->$", re.M)

#: For users; the others are parts of these.
_FIXTURES = (
    *("device", "applesilicon", "assert_same", "assert_agrees", "assert_module_agrees"),
    *("device_benchmark", "measure", "mnist"),
)


def table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; in code a bar ends no cell."""
    head = list(names)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def options() -> str:
    """Every option with its ini key and its default."""
    return table(
        ("option", "ini key", "default", "what it does"),
        (
            (
                _spelled(one),
                f"`{one.dest}`",
                f"`{one.default}`" if one.default else "none",
                one.help,
            )
            for one in option_table.OPTIONS
        ),
    )


def _spelled(option: option_table.Option) -> str:
    value = f"={option.metavar}" if option.metavar else ""
    also = f"<br>`{option.true_name}`" if option.short else ""
    return f"`{option.spelling}{value}`{also}"


def markers() -> str:
    """Every marker."""
    return table(
        ("marker", "what it does"),
        ((f"`{name}`", meaning) for name, meaning in option_table.MARKERS.items()),
    )


def fixture_table() -> str:
    """Every fixture for users, with the first line of its docstring."""
    return table(
        ("fixture", "what it is"), ((f"`{name}`", _first_line(name)) for name in _FIXTURES)
    )


def _first_line(name: str) -> str:
    found = getattr(fixtures, name)
    function = getattr(found, "__wrapped__", None) or getattr(found, "_fixture_function", found)
    return (inspect.getdoc(function) or "").partition("\n")[0].replace("``", "`")


def commands() -> str:
    """Every command with its options."""
    from pytest_applesilicon.cli import command

    found: Any = command()
    return table(
        ("command", "options", "what it does"),
        (
            (f"`applesilicon {name}`", _parameters(one), one.help or "")
            for name, one in sorted(found.commands.items())
        ),
    )


def _parameters(command: Any) -> str:
    names = [
        one.opts[-1] if one.param_type_name == "option" else one.name.upper()
        for one in command.params
    ]
    return ", ".join(f"`{name}`" for name in names)


def images() -> str:
    """What is known of GitHub's hosted images."""
    path = Path(doctor.__file__).parent / "tables" / "images.tsv"
    text = path.read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader([line for line in text if not line.startswith("#")], delimiter="\t")
    return table(
        ("image", "what MPS does there", "remedy", "source"),
        ((row["image"], row["found"], row["remedy"] or "none", row["source"]) for row in rows),
    )


TABLES: dict[str, Callable[[], str]] = {
    "options": options,
    "markers": markers,
    "fixtures": fixture_table,
    "commands": commands,
    "images": images,
}


def with_tables(markdown: str) -> str:
    """The page with its tables.

    Raises:
        KeyError: it asks for a table that there is not.
    """
    return _MARK.sub(lambda found: TABLES[found[1]](), markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The hook of MkDocs."""
    return with_tables(markdown)
