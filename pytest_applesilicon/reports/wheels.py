"""The answers of ``applesilicon wheels`` as lines of text, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from pytest_applesilicon.reports.columns import columns, shorten
from pytest_applesilicon.reports.terminal import wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.wheels import Answer, Target

#: Version of the JSON that ``to_json`` writes.
SCHEMA_VERSION = 1

_LONGEST_NAME = 30


def to_json(answers: Sequence[Answer], targets: Sequence[Target]) -> str:
    """Every answer, with what was asked for."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "targets": [dataclasses.asdict(one) for one in targets],
        "answers": [dataclasses.asdict(one) for one in answers],
    }
    return json.dumps(document, indent=1)


def lines(
    answers: Sequence[Answer], targets: Sequence[Target], others: Sequence[str], width: int
) -> list[str]:
    """A table, what is missing first, and a closing line."""
    order = ("unknown", "none", "older", "newest", "skipped")
    rows = [("requirement", "arch", "wheel", "kind", "newest")]
    rows += [
        (
            shorten(one.requirement, _LONGEST_NAME),
            one.architecture,
            one.version or {"none": "none", "unknown": "?"}.get(one.status, "-"),
            one.kind or "-",
            one.newest or "-",
        )
        for one in sorted(answers, key=lambda one: order.index(one.status))
    ]
    found = [f"for Python {one.python} on macOS {one.macos} {one.architecture}" for one in targets]
    shown = [*found, "", *columns(rows, left=4)]
    notes = [f"{one.requirement} ({one.architecture}): {sentence(one)}" for one in answers]
    wanted = [note for note, one in zip(notes, answers, strict=True) if one.status != "newest"]
    wanted += [f"not looked at: {line}" for line in others]
    shown += ["", *(part for note in wanted for part in wrap(note, width))] if wanted else []
    good = sum(one.status == "newest" for one in answers)
    asked = sum(one.status != "skipped" for one in answers)
    return [*shown, "", f"{good} of {asked} have a wheel of the newest version they allow"]


def sentence(answer: Answer) -> str:
    """One answer in words."""
    if answer.status == "older":
        return f"{answer.version} was the last with a wheel; {answer.newest} has none"
    if answer.status == "none":
        newest = f" (newest: {answer.newest})" if answer.newest else ""
        return f"no version has a wheel{newest}{'; ' + answer.note if answer.note else ''}"
    if answer.status == "unknown":
        return f"could not be asked: {answer.note}"
    return answer.note or f"{answer.version} has a wheel"


def exit_status(answers: Sequence[Answer]) -> int:
    """0 where every newest version has a wheel, 2 where pip could not be asked, else 1."""
    statuses = {one.status for one in answers}
    return 2 if "unknown" in statuses else int(bool(statuses & {"none", "older"}))
