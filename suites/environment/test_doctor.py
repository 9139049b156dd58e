"""Every check of ``applesilicon doctor`` as a test."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

from pytest_applesilicon.doctor import DoctorWarning, gather, registry
from pytest_applesilicon.doctor import facts as doctor_facts

if TYPE_CHECKING:
    from pytest_applesilicon.doctor.facts import Facts


@pytest.fixture(scope="module")
def facts() -> Facts:
    """What the doctor knows of this machine; gathered once."""
    return doctor_facts.parse(gather.read())


@pytest.mark.parametrize("name", [check.name for check in registry.CHECKS])
def test_doctor(facts: Facts, name: str) -> None:
    """A failure fails; a warning is a warning, and fails under ``-W error``."""
    found = registry.check_named(name).run(facts)

    if found.status == "unknown":
        pytest.skip(f"{found.found}: not looked at")
    if found.status == "warn":
        warnings.warn(f"{found.found}; remedy: {found.remedy}", DoctorWarning, stacklevel=1)
    assert found.status != "fail", f"{found.found}; remedy: {found.remedy}"
