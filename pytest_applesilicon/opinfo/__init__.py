"""What torch itself knows of its operators, modules and optimizers, as our own records.

The names here are all there is to use; torch is imported when one of the functions is called.
"""

from __future__ import annotations

from pytest_applesilicon.dtypes import DTYPES
from pytest_applesilicon.opinfo.database import OpInfoError
from pytest_applesilicon.opinfo.drawing import Sample
from pytest_applesilicon.opinfo.kinds import SAME_DTYPE_ORACLE, Kind
from pytest_applesilicon.opinfo.module_records import ModuleRecord, ModuleSample, modules
from pytest_applesilicon.opinfo.operator_records import LEFT_OUT, Operator, operators
from pytest_applesilicon.opinfo.optimizer_records import OptimizerRecord, optimizers

__all__ = [
    "DTYPES",
    "LEFT_OUT",
    "SAME_DTYPE_ORACLE",
    "Kind",
    "ModuleRecord",
    "ModuleSample",
    "OpInfoError",
    "Operator",
    "OptimizerRecord",
    "Sample",
    "modules",
    "operators",
    "optimizers",
]
