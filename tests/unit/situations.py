"""The recorded situations: what a machine said, in text, and the one finding that is right.

A file begins with lines ``# source:`` (where the text or the situation is public), ``# kind:``
(``recorded`` where the text is as printed, ``reconstructed`` where it was put together from what
the source says), ``# expect:`` (status and check, or ``nothing``), ``# remedy:`` and, where most
of it is that of another file, ``# like:``. A section ``== NAME`` holds one reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("recorded_doctor")


@dataclass(frozen=True)
class Situation:
    """One file."""

    name: str
    source: str
    kind: str
    expect: str
    """``fail torch.macos``, or ``nothing``."""
    remedy: str
    readings: dict[str, str]


def read(path: Path) -> Situation:
    """The situation in a file."""
    head: dict[str, str] = {}
    sections: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            sections[line[3:]] = current = []
        elif sections:
            current.append(line)
        else:
            key, _, value = line.removeprefix("# ").partition(": ")
            head[key] = value
    base = read(path.with_name(head["like"] + ".txt")).readings if "like" in head else {}
    own = {name: "\n".join(lines) for name, lines in sections.items()}
    return Situation(
        path.stem, head["source"], head["kind"], head["expect"], head.get("remedy", ""), base | own
    )


SITUATIONS = tuple(read(path) for path in sorted(FOLDER.glob("*.txt")))


def named(name: str) -> Situation:
    """The situation of this name."""
    return next(one for one in SITUATIONS if one.name == name)
