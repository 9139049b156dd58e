"""What the failures of libraries on the simulated MPS device are, and whether a Mac has them.

A failure goes into the first class whose expressions find it. A class says what it would be on
a Mac with the same torch: ``yes``, it fails there too; ``no``, it is a gap of the simulation;
``unknown``, it cannot be told from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True)
class FailureClass:
    """One kind of failure."""

    name: str
    text: str
    """A regular expression found in the text of the failure, or of one that caused it; its
    group ``what`` is counted apart."""
    on_a_mac: Literal["yes", "no", "unknown"]
    because: str
    frames: str = ""
    """A regular expression found in the innermost lines of the traceback."""
    key: str = ""
    """The dispatch key whose table must not list ``what``; else it is a ``GAP``."""


GAP = FailureClass(
    "operator not simulated",
    "",
    "no",
    "the installed torch's own table lists a kernel for it, and the simulation has none",
)


CLASSES = (
    FailureClass(
        "float64 refused",
        r"Cannot convert a MPS Tensor to float64 dtype|"
        r"Trying to convert \S+ to the MPS backend but it does not have support",
        "yes",
        "MPS has no float64 and no complex128 (EmptyTensor.cpp, OperationUtils.mm)",
    ),
    FailureClass(
        "operator missing",
        r"The operator '(?P<what>\S+?)' is not currently implemented for the MPS device",
        "yes",
        "the installed torch's own table, native_functions.yaml, lists no MPS kernel for it",
        key="MPS",
    ),
    FailureClass(
        "sparse operator missing",
        r"Could not run '(?P<what>\S+?)' (with arguments from the 'SparseMPS' backend|"
        r"from the 'mps:0' device)",
        "yes",
        "the installed torch's own table lists no SparseMPS kernel for it; compressed sparse "
        "tensors are refused for mps in new_compressed_tensor",
        key="SparseMPS",
    ),
    FailureClass(
        "numpy() of an mps tensor",
        r"can't convert mps:0 device type tensor to numpy",
        "yes",
        "torch refuses it for every device but the CPU (tensor_numpy.cpp)",
    ),
    FailureClass(
        "device mix",
        r"Expected all tensors to be on the same device|"
        r"Placeholder storage has not been allocated on MPS device|"
        r"Expected a 'mps' device type for generator|must be on the same device",
        "yes",
        "MPS kernels refuse a CPU tensor with dimensions, in a text that differs by operator. "
        "These do not follow torch.set_default_device: torch.Tensor(...), LongTensor(...), "
        "device='cpu', torch.normal, and code below __torch_function__",
    ),
    FailureClass(
        "device unknown to the library",
        r"^ValueError: Unknown device mps",
        "yes",
        "the library's own check of the device's name knows only cpu and cuda",
    ),
    FailureClass(
        "the CPU is expected",
        r"^AssertionError: device\(type='mps', index=0\) != device\(type='cpu'\)|"
        r"^AssertionError: item1 \(<class 'torch.device'>\) and item2 \(<class 'torch.device'>\)",
        "yes",
        "the test compares the device with the CPU",
        frames=r"torch\.device\(.cpu.\)",
    ),
)


def classify(
    failure: dict[str, Any], listed: Mapping[str, Collection[str]]
) -> tuple[FailureClass | None, str]:
    """The class of a failure, ``None`` where it fits none, and what its expression names.

    Args:
        failure: ``text`` and ``frames`` as ``library_child.failure`` writes them.
        listed: by dispatch key, the overloads for which torch has a kernel.
    """
    frames = "\n".join(failure["frames"])
    for one in CLASSES:
        found = re.search(one.text, failure["text"])
        if found and re.search(one.frames, frames):
            what = found.groupdict().get("what") or ""
            gap = what.removeprefix("aten::") in listed.get(one.key, ())
            return GAP if gap else one, what
    return None, ""
