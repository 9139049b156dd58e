"""What a run was to do: how many tests were selected, and from which commit they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_applesilicon import source, workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.options import Settings
    from pytest_applesilicon.records import Source


class Counted:
    """The hooks that count, on the controller."""

    def __init__(self) -> None:
        self._selected: int | None = None
        self._deselected = 0
        self._source: Source | None = None

    def facts(self) -> dict[str, Any]:
        """The fields of ``RunFacts`` that are counted here."""
        return {
            "source": self._source,
            "selected": self._selected,
            "deselected": self._deselected,
        }

    def look_at_source(self, config: pytest.Config, settings: Settings) -> None:
        """Ask git before the tests run, where a report will be written: tests write files."""
        if settings.report is None:
            return
        try:
            self._source = source.read(config.rootpath, leaving_out=[settings.report])
        except source.GitError:
            self._source = None

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._deselected += len(items)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not workers.is_distributed(session.config):
            self._selected = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Every worker collects the same; where each runs all, every one counts its own."""
        self._selected = max(self._selected or 0, len(ids))
