"""What other processes took of this thread's time: a time that is not the workload's own.

Linux tells exactly how long a thread waited for a CPU (``schedstat`` in ``proc(5)``; its
documentation calls it time spent waiting on a runqueue). Elsewhere it is only known that a CPU
was taken away. Standard library only.
"""

from __future__ import annotations

import os

_SCHEDSTAT = "/proc/thread-self/schedstat"
_LARGEST = 100


class Contention:
    """Counters of the thread that made this object."""

    def __init__(self, path: str = _SCHEDSTAT) -> None:
        self._file: int | None = None
        try:
            self._file = os.open(path, os.O_RDONLY)
            # A kernel may have the file and count nothing: it says 0 0 0.
            if len(os.pread(self._file, _LARGEST, 0).split()) != 3:
                self.close()
        except OSError:
            self.close()

    @property
    def exact(self) -> bool:
        """Whether ``waited_s`` is known."""
        return self._file is not None

    def waited_s(self) -> float:
        """Seconds this thread has waited for a CPU in its life; 0 where it is not known."""
        if self._file is None:
            return 0.0
        return int(os.pread(self._file, _LARGEST, 0).split()[1]) / 1e9

    def switches(self) -> int:
        """How often a CPU was taken away from this process; 0 where it is not known."""
        try:
            import resource
        except ImportError:  # Windows
            return 0
        return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
