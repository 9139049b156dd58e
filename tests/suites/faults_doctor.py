"""A fault for each check of the doctor: the readings of a machine that has it.

The readings are those of ``tests/unit/recorded_doctor``; the first situation of each check is enough.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "unit"))

import situations

DOCTOR = "environment/test_doctor.py::test_doctor"

#: Warnings of the doctor fail, so that each check can be seen to notice its fault.
OPTIONS = ("-Werror::pytest_applesilicon.doctor.DoctorWarning",)


def readings_of(situation: situations.Situation) -> Any:
    """Install the readings of a machine in place of those of this one."""

    def install(patch: Any) -> None:
        from pytest_applesilicon.doctor import gather

        patch.setattr(gather, "read", lambda *args, **kwargs: dict(situation.readings))

    return install


def first_of_each_check() -> dict[str, situations.Situation]:
    """A situation by the check that reports it."""
    found: dict[str, situations.Situation] = {}
    for one in situations.SITUATIONS:
        check = one.expect.partition(" ")[2]
        if check:
            found.setdefault(check, one)
    return found


#: Arguments of ``faults.Fault`` for each check.
PLANTED: tuple[dict[str, Any], ...] = tuple(
    {
        "name": f"doctor-{one.name}",
        "what": one.source,
        "fails": {f"{DOCTOR}[{check}]": "remedy: "},
        "install": readings_of(one),
        "options": OPTIONS,
        # Checks that cannot look at the machine that runs the tests look at the planted one.
        "others": ("passed", "skipped"),
    }
    for check, one in first_of_each_check().items()
)
