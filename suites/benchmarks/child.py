"""Fresh processes of this Python, timed from their start to their end."""

from __future__ import annotations

import subprocess
import sys

#: Seconds: importing a framework from a cold disk takes up to half a minute.
TIME_LIMIT_S = 180


def run(code: str, *, environment: dict[str, str] | None = None) -> str:
    """What a fresh process that runs ``code`` prints.

    Raises:
        AssertionError: it ended with an error; the text is the end of what it said.
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, f"the new process failed:\n{done.stderr[-2000:]}"
    return done.stdout
