"""The reported bugs as data: ``bugs.tsv``, one row a bug."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

SIZES = ("S", "M", "L")

#: The owners of the repositories in which bugs were reported.
_OWNERS = {
    "TransformerLens": "TransformerLensOrg",
    "keras": "keras-team",
    "kornia": "kornia",
    "pytorch": "pytorch",
    "transformers": "huggingface",
    "ultralytics": "ultralytics",
}


@dataclass(frozen=True)
class Bug:
    """One reported bug."""

    name: str
    """Repository and number of the first issue: ``pytorch-118115``."""
    size: str
    """Memory of its test: S below 100 MB, M below 2 GB or slow, L several GB."""
    crashes: bool
    """It ends the process: its test runs in a child process."""
    operator: str
    trigger: str
    title: str
    issues: tuple[str, ...]
    """Where it was reported: ``pytorch#118115``; the first names the bug."""
    versions: str
    """Of torch, then of macOS, as the reporters gave them."""

    @property
    def url(self) -> str:
        """The address of the first issue."""
        return url(self.issues[0])


def url(issue: str) -> str:
    """The address of ``repository#number``, which serves pull requests too."""
    repository, _, number = issue.partition("#")
    return f"https://github.com/{_OWNERS[repository]}/{repository}/issues/{number}"


@functools.cache
def all_bugs() -> dict[str, Bug]:
    """Every bug by name.

    Raises:
        ValueError: a row has a wrong number of fields, an unknown size, or the name of another.
    """
    return parse((Path(__file__).parent / "bugs.tsv").read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, Bug]:
    """The bugs of a table: see ``all_bugs``."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    found: dict[str, Bug] = {}
    for row in rows:
        name = row["bug"]
        for field, choices in (("size", SIZES), ("crashes", ("yes", "no"))):
            if row[field] not in choices:
                raise ValueError(f"{name}: {field} is {row[field]!r}; give {', '.join(choices)}")
        if name in found or None in row or None in row.values():
            raise ValueError(f"{name}: the row is there twice, or has a wrong number of fields")
        found[name] = Bug(
            name=name,
            size=row["size"],
            crashes=row["crashes"] == "yes",
            operator=row["operator"],
            trigger=row["trigger"],
            title=row["title"],
            issues=tuple(row["issues"].split(",")),
            versions=row["versions"],
        )
    return found
