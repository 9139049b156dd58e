"""The process that runs the suites under one fault after the other.

Imports neither torch nor the plugin before the first run: what is set here must hold for both.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
from typing import TYPE_CHECKING

import pytest
from faults import VARIABLE

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path


def serve(pipe: Connection) -> None:
    """Answer each fault, folder and list of arguments with exit status and output of pytest."""
    # Nothing of the run that started this process, such as its xdist worker, is handed on.
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        del os.environ[name]
    # Where several runs share the cores, threads of one wait long for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(run(*pipe.recv()))
            # pytest collects garbage at the end of each run: not what torch's modules hold.
            gc.freeze()


def run(fault: str, cwd: Path, args: list[str]) -> tuple[int, str]:
    """The exit status and the output of pytest in a folder, under a fault if one is named."""
    os.environ[VARIABLE] = fault
    os.chdir(cwd)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        # From the second run on, the suites of an editable install are imported already.
        status = pytest.main([*args, "-W", "ignore::pytest.PytestAssertRewriteWarning"])
    return int(status), output.getvalue()
