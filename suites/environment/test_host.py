"""The machine and the interpreter."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_applesilicon.fixtures import AppleSilicon


def test_host_knows_its_cores_and_memory(applesilicon: AppleSilicon) -> None:
    host = applesilicon.host

    assert host.cpu_cores is not None, f"the number of CPU cores is not known: {host}"
    assert host.cpu_cores >= 1
    assert host.memory_bytes is not None, f"the memory is not known: {host}"
    # Nothing that runs a framework has less; a smaller figure means a wrong unit.
    assert host.memory_bytes >= 2**29, f"{host.memory_bytes} bytes of memory are too few"


def test_core_levels_add_up_to_the_cores(applesilicon: AppleSilicon) -> None:
    host = applesilicon.host

    levels = sum(level.cores for level in host.core_levels)

    assert levels in (0, host.cpu_cores), f"{host.core_levels} are not {host.cpu_cores} cores"


def test_interpreter_is_not_translated(applesilicon: AppleSilicon) -> None:
    host, wanted = applesilicon.host, applesilicon.settings.arch

    assert not host.translated or wanted == "x86_64", (
        "this x86_64 Python is translated by Rosetta, which costs speed and the newest wheels; "
        "remedy: install an arm64 Python, or say --arch=x86_64 if this is meant"
    )


def test_architecture_is_what_the_platform_module_says(applesilicon: AppleSilicon) -> None:
    same = {"aarch64": "arm64", "AMD64": "x86_64"}

    said = same.get(platform.machine(), platform.machine())

    found = applesilicon.host.interpreter

    assert found == said, f"the interpreter is said to be {found}, the platform module says {said}"
