"""Which tests crashed once, kept in pytest's cache, so that they are isolated from then on.

A test that aborts the only process of a run leaves nobody to write that down. So the name of
the test that runs stands in a small file; who finds it there, with its process gone, knows.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pytest_applesilicon import workers

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_KEY = "applesilicon/crashed"
_RUNNING = "running-"


class CrashCache:
    """The ids of tests that crashed once; empty and forgetful where pytest keeps no cache."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache: pytest.Cache | None = getattr(config, "cache", None)
        self._folder: Path | None = None
        self._running: int | None = None
        self._worker = workers.is_worker(config)
        self.known: set[str] = set()
        if self._cache is not None:
            stored = self._cache.get(_KEY, [])
            self.known = {str(one) for one in stored} if isinstance(stored, list) else set()
            if not self._worker:
                self._folder = self._cache.mkdir("applesilicon")
                self._collect_left_over(self._folder)

    def _collect_left_over(self, folder: Path) -> None:
        for file in folder.glob(f"{_RUNNING}*"):
            with contextlib.suppress(OSError, ValueError):
                if not _lives(int(file.name.removeprefix(_RUNNING))):
                    nodeid = file.read_text(encoding="utf-8", errors="replace").strip()
                    file.unlink()
                    if nodeid:
                        self.add(nodeid)

    def begin(self, nodeid: str) -> None:
        """A test starts in this process; the controller of xdist hears of its end anyway."""
        if self._folder is None:
            return
        if self._running is None:
            file = self._folder / f"{_RUNNING}{os.getpid()}"
            self._running = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        data = nodeid.encode()
        os.pwrite(self._running, data, 0)
        os.ftruncate(self._running, len(data))

    def add(self, nodeid: str) -> None:
        """This test crashed."""
        if nodeid in self.known:
            return
        self.known.add(nodeid)
        if not self._worker and self._cache is not None:
            self._cache.set(_KEY, sorted(self.known))

    def finish(self) -> None:
        """The run ended by itself: no test is running."""
        if self._running is not None and self._folder is not None:
            os.close(self._running)
            self._running = None
            (self._folder / f"{_RUNNING}{os.getpid()}").unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
