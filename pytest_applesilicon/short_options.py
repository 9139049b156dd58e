"""The short spellings of options, which yield to those of other plugins and of conftest.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.option_table import OPTIONS, argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


def declare_short(parser: pytest.Parser) -> tuple[str, ...]:
    """Declare the short spellings that nobody else has; returns those that somebody has.

    Must be called when every plugin and every initial conftest.py has declared its options.
    The parser is asked what it makes of each spelling, because pytest before 9 reports two
    definitions of one option only when it parses, when ours can no longer be withdrawn.
    """
    short = [option for option in OPTIONS if option.short]
    taken = _taken(parser, [str(option.short) for option in short])
    group = parser.getgroup("applesilicon")
    for option in short:
        if option.short not in taken:
            help_text = f"Short for {option.true_name}"
            group.addoption(str(option.short), help=help_text, **argument(option))
    return taken


def _taken(parser: pytest.Parser, names: list[str]) -> tuple[str, ...]:
    probes = [f"{name}=" for name in names]
    try:
        _, unknown = parser.parse_known_and_unknown_args(probes)
    except (Exception, SystemExit):
        # Somebody's own type or choices refused the empty value; ask about each alone.
        if len(names) == 1:
            return tuple(names)
        return tuple(name for name in names for _ in _taken(parser, [name]))
    return tuple(name for name, probe in zip(names, probes, strict=True) if probe not in unknown)


def describe_taken(config: pytest.Config, taken: Sequence[str]) -> list[str]:
    """Header lines for the short spellings that belong to somebody else."""
    plugins = config.pluginmanager.list_name_plugin()
    return [
        f"applesilicon: {option.short} belongs to {owner_of(option.short, plugins)}; "
        f"ours is {option.true_name}"
        for option in OPTIONS
        if option.short and option.short in taken
    ]


def owner_of(option: str, plugins: Sequence[tuple[str, Any]]) -> str:
    """Who declares ``option``: the first of ``plugins`` whose pytest_addoption names it."""
    for name, plugin in plugins:
        hook = getattr(plugin, "pytest_addoption", None)
        code = getattr(getattr(hook, "__wrapped__", hook), "__code__", None)
        if code is not None and option in _constants(code):
            file = getattr(plugin, "__file__", None)
            return file if file and Path(file).name == "conftest.py" else name
    return "another plugin"


def _constants(code: Any) -> set[Any]:
    found: set[Any] = set()
    for constant in code.co_consts:
        found |= _constants(constant) if hasattr(constant, "co_consts") else _flat(constant)
    return found


def _flat(constant: Any) -> set[Any]:
    if isinstance(constant, (tuple, frozenset)):
        return {each for item in constant for each in _flat(item)}
    return {constant}
