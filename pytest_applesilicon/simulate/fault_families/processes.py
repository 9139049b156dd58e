"""A device that ends or stops the process, whatever the tensors are."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_applesilicon.simulate.fault_families import ways
from pytest_applesilicon.simulate.faults import Fault

if TYPE_CHECKING:
    from pytest_applesilicon.simulate.faults import Call


def _in_another_thread(call: Call) -> bool:  # noqa: ARG001
    return threading.current_thread() is not threading.main_thread()


FAULTS = (
    Fault(
        "crash-in-threads",
        "aten::*",
        _in_another_thread,
        ways.killing("SIGSEGV"),
        "an operator that is called from a second thread ends the process",
        "crash",
        ("pytorch#197805",),
    ),
    Fault(
        "crash-matmul",
        "aten::mm,aten::addmm,aten::linear",
        ways.always,
        ways.aborting(
            "-[AGXG13XFamilyCommandBuffer tryCoalescingPreviousComputeCommandEncoder]: failed "
            "assertion `A command encoder is already encoding to this command buffer'"
        ),
        "a matrix product ends the process with an assertion of Metal",
        "crash",
        ("pytorch#197805",),
    ),
    Fault(
        "hang-allocation",
        "aten::_local_scalar_dense",
        ways.always,
        ways.hanging,
        "waiting for a result never ends, as on hosted virtual machines",
        "hang",
        ("actions/runner-images#9918",),
    ),
    Fault(
        "hang-softmax",
        "aten::_softmax,aten::_log_softmax",
        ways.always,
        ways.hanging,
        "the command buffer of a softmax never completes",
        "hang",
        ("actions/runner-images#9918",),
    ),
)
