"""The audit of a run as a part of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_applesilicon.reports.audit import closing
from pytest_applesilicon.reports.parts import Column, Figure, Part, Table, Tone

if TYPE_CHECKING:
    from pytest_applesilicon.audit_records import Audit

_TONES: dict[str, Tone] = {"native": "good", "unsupported": "bad"}


def audit(found: Audit | None) -> Part:
    """What the run used of torch, judged for MPS by the catalog; empty without an audit."""
    if found is None:
        return Part("audit", "Audit for MPS")
    recorded = (
        f"{found.calls:,} calls, {found.signatures:,} signatures of {found.operators} operators, "
        f"run on the CPU and judged for torch {found.release} by the catalog; nothing ran on MPS"
    )
    sentences = [recorded, closing(found)]
    if found.lost:
        sentences.append(f"not heard of: {', '.join(found.lost)}, which ended early")
    rows = tuple(
        (
            one.operator,
            one.verdict,
            str(one.calls),
            str(one.tests),
            one.since,
            one.first_test,
            "; ".join(filter(None, (one.line, one.note))),
        )
        for one in found.uses
    )
    columns = (
        Column("operator", code=True),
        Column("verdict", choose=True),
        Column("calls", number=True),
        Column("tests", number=True),
        Column("native since"),
        Column("first test", code=True),
        Column("line, note"),
    )
    figures = tuple(
        Figure(str(count), name, _TONES.get(name, "warn"))
        for name, count in sorted(found.counts.items())
    )
    return Part(
        "audit",
        "Audit for MPS",
        tuple(sentences),
        (Table(columns, rows, "What is not native, and other findings"),),
        figures=figures,
    )
