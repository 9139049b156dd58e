"""The built-in faults, in families after the bugs that people reported."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_applesilicon.simulate.fault_families import (
    copies,
    empty_and_nan,
    integers,
    layers,
    lost_writes,
    processes,
    random_numbers,
    shapes,
    siblings,
    size_limits,
    stale_state,
    wrong_reads,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_applesilicon.simulate.faults import Fault

_MODULES = (
    lost_writes,
    wrong_reads,
    copies,
    integers,
    stale_state,
    size_limits,
    shapes,
    empty_and_nan,
    layers,
    random_numbers,
    processes,
    siblings,
)

#: Every built-in fault by name, in the order of the families.
BUILT_IN: Mapping[str, Fault] = MappingProxyType(
    {fault.name: fault for module in _MODULES for fault in module.FAULTS}
)
