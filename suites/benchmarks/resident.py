"""The memory of this process that is in use, in bytes, where no allocator counts it."""

from __future__ import annotations

import ctypes


def resident_bytes() -> int:
    """Resident bytes of this process, after the C library gave back what is free in its heap.

    Blocks that were freed and not given back are resident too: memory that is taken from them
    would not show.
    """
    import psutil

    give_back()
    return int(psutil.Process().memory_info().rss)


def give_back() -> None:
    """Give the free pages of the heap back to the system, where the C library can.

    glibc: ``malloc_trim(0)`` (manual page malloc_trim(3)). macOS:
    ``malloc_zone_pressure_relief(NULL, 0)``, all zones, as much as there is (malloc/malloc.h).
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(ctypes.c_size_t(0))
    elif hasattr(library, "malloc_zone_pressure_relief"):
        library.malloc_zone_pressure_relief(None, ctypes.c_size_t(0))
