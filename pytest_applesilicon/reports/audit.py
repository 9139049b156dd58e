"""The audit of a run as lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_applesilicon.reports.terminal import wrap

if TYPE_CHECKING:
    from pytest_applesilicon.audit_records import Audit, Use

#: Findings of a kind that are shown; the JSON report has all.
_SHOWN = 12

_TITLES = {
    "unsupported": "no kernel on MPS",
    "fallback": "always runs on the CPU",
    "float64": "float64: no MPS has it",
    "complex128": "complex128: no MPS has it",
    "int64": "int64 arguments, as in a reported bug",
    "layout": "memory layouts, as in a reported bug",
    "unknown": "not in the catalog: decided by another library or release",
}


def lines(audit: Audit, width: int) -> list[str]:
    """What was recorded, what is not native with its first test, and the lowest release."""
    told = wrap(
        f"{audit.calls:,} calls, {audit.signatures:,} signatures of {audit.operators} operators, "
        f"run on the CPU and judged for torch {audit.release} by the catalog; nothing ran on MPS",
        width,
    )
    counts = ", ".join(f"{number} {name}" for name, number in sorted(audit.counts.items()))
    told += [f"operators: {counts}" if counts else "no ATen call was recorded"]
    for name, title in _TITLES.items():
        uses = [one for one in audit.uses if one.verdict == name]
        if uses:
            told += ["", f"{title} ({len(uses)})"]
            told += [line for one in uses[:_SHOWN] for line in _use(one, width)]
            told += [f"  and {len(uses) - _SHOWN} more"] if len(uses) > _SHOWN else []
    if audit.lost:
        told += ["", *wrap(f"not heard of: {', '.join(audit.lost)}, which ended early", width)]
    return [*told, "", *wrap(_closing(audit), width)]


def _use(one: Use, width: int) -> list[str]:
    since = f"since {one.since}" if one.since else "in no release"
    native = {"unsupported": since, "fallback": since}.get(one.verdict, "")
    native = f", native {native}" if native else ""
    own = one.operator.rpartition("::")[2]
    by = [name for name in one.missing if name != own]
    through = f" through {', '.join(by)}" if by else ""
    told = wrap(f"  {one.operator}{through}: {_number(one.calls)}{native}", width)
    if one.note:
        told += [f"    {line}" for line in wrap(one.note, width - 4)]
    told += [f"    {line}" for line in wrap(f"at {one.line}", width - 4)] if one.line else []
    if one.first_test:
        told += [f"    {line}" for line in wrap(f"first in {one.first_test}", width - 4)]
    return told


def _number(calls: int) -> str:
    return f"{calls:,} call{'' if calls == 1 else 's'}"


def _closing(audit: Audit) -> str:
    if not audit.calls:
        return "no operator was used"
    refused = {"float64", "complex128"} & {one.verdict for one in audit.uses}
    except_for = f", {' and '.join(sorted(refused))} aside" if refused else ""
    if audit.lowest:
        return (
            f"lowest torch release on which everything used is native: {audit.lowest}{except_for}"
        )
    return f"no release in the catalog has everything used as native{except_for}"
