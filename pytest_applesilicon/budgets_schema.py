"""The shape of an entry of ``budgets.toml``; imported only when one is read."""

from __future__ import annotations

import msgspec  # noqa: TID253 - this module is imported inside a function

#: A limit for every machine, or one for each chip.
Limit = float | dict[str, float]


class BudgetField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See ``budgets.Budget``."""

    test: str
    max_median_ms: Limit | None = None
    max_regression: float | None = None
    min_speedup_vs: str | None = None
    min_speedup: float | None = None
    min_fraction_of_peak: float | None = None
    max_peak_mb: Limit | None = None
    reference: str | None = None
