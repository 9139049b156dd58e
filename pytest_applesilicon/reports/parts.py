"""The parts of a page: what every renderer (HTML, Markdown, terminal) writes out.

A part has a title, sentences, tables and pictures. Whoever adds one to a report adds a function
that returns it to the list of ``run_parts`` or ``compared``; no renderer changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: How a figure or a cell is to be taken; colour is never the only sign of it.
Tone = Literal["", "good", "bad", "warn"]

#: Longest text of a cell, in characters: a page stays a page whatever a test is called.
LONGEST = 600

#: What the outcomes of tests and of operators, and the changes of a comparison, say.
TONES: dict[str, Tone] = {
    **dict.fromkeys(("failed", "error", "crashed", "hung", "xpassed", "wrong", "present"), "bad"),
    **dict.fromkeys(("lost", "worse", "exceeded", "unusable", "miscomputes", "absent"), "bad"),
    **dict.fromkeys(("unsupported", "fallback", "xfailed", "inconclusive", "changed"), "warn"),
    **dict.fromkeys(("gained", "better", "met"), "good"),
}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    number: bool = False
    """Aligned to the right and sorted by value."""
    choose: bool = False
    """Few values: the page offers a list of them."""
    code: bool = False
    """Names of tests, operators and files: written as code."""


@dataclass(frozen=True)
class Table:
    """Rows of text under columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    name: str = ""
    """Said above the table, and to who cannot see it."""
    links: dict[str, str] = field(default_factory=dict)
    """Addresses of cells, by their text."""
    toned: bool = True
    """Whether cells are coloured by ``TONES``."""

    @property
    def prose(self) -> bool:
        """Whether the last column is text of any length: a phone shows it below the others."""
        last = self.columns[-1]
        return not (last.number or last.choose or last.code)


@dataclass(frozen=True)
class Picture:
    """An SVG, made from data, with what it shows in words."""

    svg: str
    """Written by ``charts``, which escapes every text in it."""
    words: str


@dataclass(frozen=True)
class Figure:
    """One number in large type."""

    value: str
    name: str
    tone: Tone = ""


@dataclass(frozen=True)
class Part:
    """One part of a page; a part without content is left out."""

    id: str
    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    figures: tuple[Figure, ...] = ()
    folded: bool = False
    """Closed at first: details."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        full = any(table.rows for table in self.tables)
        return not (self.sentences or full or self.pictures or self.figures)


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    lead: str
    """What this is of, in one line."""
    notice: str = ""
    """What must not be overlooked: that results are simulated, that a run was interrupted."""
    parts: tuple[Part, ...] = ()


def full(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts that have content."""
    return tuple(part for part in parts if not part.empty)


def visible(text: str, longest: int = LONGEST) -> str:
    r"""The text on one line, with what cannot be seen written out, cut where it is too long.

    Control characters, marks of writing direction and lone surrogates become ``\x1b``,
    ``\u202e``: they could hide or reorder what stands beside them.
    """
    if len(text) > longest:
        text = f"{text[:longest]}... ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _written(one) for one in text)


def _written(character: str) -> str:
    return " " if character == "\n" else character.encode("unicode_escape").decode("ascii")
