"""How long Python takes to start, and a framework to be imported: in fresh processes."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_applesilicon import frameworks

from . import child

if TYPE_CHECKING:
    from .bench import Bench

#: What is imported of each framework.
MODULES = {
    "torch": "torch",
    "tensorflow": "tensorflow",
    "mlx": "mlx.core",
    "jax": "jax",
    "numpy": "numpy",
}

IMPORT = """
import time
began = time.perf_counter()
import {module}
took = time.perf_counter() - began
import sys
print(took, getattr(sys.modules["{module}"], "__version__", ""))
"""


def test_interpreter_start(host_bench: Bench) -> None:
    code = "import sys; sys.stdout.write(sys.version)"

    said = host_bench.time(
        lambda: child.run(code), rounds=host_bench.pick(quick=10, full=30), warmup=2
    )

    assert said == sys.version, f"the new process is {said!r}, this one {sys.version!r}"
    host_bench.leave_time("python start-up")


@pytest.mark.parametrize("framework", list(MODULES))
def test_import(framework: str, host_bench: Bench) -> None:
    if not frameworks.is_installed(framework):
        pytest.skip(f"{framework} is not installed")
    seconds = []

    def start() -> str:
        said = child.run(IMPORT.format(module=MODULES[framework]))
        took, _, found = said.strip().rpartition("\n")[2].partition(" ")
        seconds.append(float(took))
        return found

    # The first process reads the files from the disk: it is measured, and not the median.
    found = host_bench.time(start, rounds=host_bench.pick(quick=2, full=10), warmup=1)

    installed = frameworks.load(framework).versions().get(framework)
    assert found == installed, (
        f"the new process imported {framework} {found}, installed is {installed}"
    )
    if host_bench.median_s is not None:
        host_bench.leave(f"import {framework}", statistics.median(seconds[1:]), "s")
        host_bench.leave(f"import {framework}, first time", seconds[0], "s")
