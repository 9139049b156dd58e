"""Framework compatibility on Apple silicon, as a pytest plugin and bundled suites.

The public names are imported on first use: importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_applesilicon.agreement.comparison import assert_same
    from pytest_applesilicon.agreement.functions import assert_agrees, assert_module_agrees
    from pytest_applesilicon.linting import UselessSettingWarning
    from pytest_applesilicon.options import settings_of
    from pytest_applesilicon.records import (
        Comparison,
        CoreLevel,
        Health,
        Host,
        Measurement,
        OpOutcome,
        Published,
        Record,
        Repeats,
        Report,
        RunFacts,
        Target,
        Timing,
    )
    from pytest_applesilicon.simulate.faults import Call, Fault

    __version__: str

_PUBLIC = {
    "Call": "pytest_applesilicon.simulate.faults",
    "Fault": "pytest_applesilicon.simulate.faults",
    "assert_agrees": "pytest_applesilicon.agreement.functions",
    "assert_module_agrees": "pytest_applesilicon.agreement.functions",
    "assert_same": "pytest_applesilicon.agreement.comparison",
    "Comparison": "pytest_applesilicon.records",
    "CoreLevel": "pytest_applesilicon.records",
    "Health": "pytest_applesilicon.records",
    "Host": "pytest_applesilicon.records",
    "Measurement": "pytest_applesilicon.records",
    "OpOutcome": "pytest_applesilicon.records",
    "Published": "pytest_applesilicon.records",
    "Record": "pytest_applesilicon.records",
    "Repeats": "pytest_applesilicon.records",
    "Report": "pytest_applesilicon.records",
    "RunFacts": "pytest_applesilicon.records",
    "Target": "pytest_applesilicon.records",
    "Timing": "pytest_applesilicon.records",
    "UselessSettingWarning": "pytest_applesilicon.linting",
    "settings_of": "pytest_applesilicon.options",
}

__all__ = [
    "Call",
    "Comparison",
    "CoreLevel",
    "Fault",
    "Health",
    "Host",
    "Measurement",
    "OpOutcome",
    "Published",
    "Record",
    "Repeats",
    "Report",
    "RunFacts",
    "Target",
    "Timing",
    "UselessSettingWarning",
    "__version__",
    "assert_agrees",
    "assert_module_agrees",
    "assert_same",
    "settings_of",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(importlib.import_module(module), name)


def _version() -> str:
    """The version that the build made from the tags of git; see ``[tool.setuptools_scm]``."""
    try:
        built = importlib.import_module("pytest_applesilicon._version")
        return str(built.version)
    except ModuleNotFoundError:
        pass
    # A checkout that was installed before its build wrote that file, or never.
    metadata = importlib.import_module("importlib.metadata")
    try:
        return str(metadata.version("pytest-applesilicon"))
    except metadata.PackageNotFoundError:
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted(__all__)
