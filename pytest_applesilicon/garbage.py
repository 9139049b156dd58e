"""Python's collector of garbage, kept from looking where there is none.

With torch imported, each full collection goes through its modules, a quarter of a second.
"""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """The collector rests while thousands of objects are made of which none is garbage."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


class Kept:
    """What is there at a call of ``keep`` is left out of collections until ``end``."""

    def __init__(self) -> None:
        self._frozen = False

    def keep(self) -> None:
        """Nothing where somebody else has kept theirs: ``end`` would take it back too.

        After a rest it is to be called before the rest ends: the first collection goes through
        all that was made.
        """
        if self._frozen or not gc.get_freeze_count():
            gc.freeze()
            self._frozen = True

    def end(self) -> None:
        """Hand it back to the collector."""
        if self._frozen:
            gc.unfreeze()
            self._frozen = False
