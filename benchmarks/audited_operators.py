"""What each operator of torch's database calls, recorded on the CPU."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_applesilicon.audit.recording import Recorder

if TYPE_CHECKING:
    from pytest_applesilicon.audit.signatures import Signature


@dataclass(frozen=True)
class Recorded:
    """An operator of the database, or a variant of it."""

    name: str
    """As in ``simulation_coverage.py``: the variant stands behind a dot."""
    base: str
    """Without the variant."""
    key: str
    """As in the lists of ``common_mps.py``: the variant stands right behind."""
    aten: str
    """The ATen operator that the database names for it."""
    signatures: tuple[Signature, ...]
    refused: str
    """Why the CPU does not run it; empty where it does."""


def record(samples: int = 3, only: str = "") -> list[Recorded]:
    """What each operator of the database calls on the CPU."""
    import simulation_coverage
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    warnings.simplefilter("ignore")
    found = []
    for op in op_db:
        name = op.name + (f".{op.variant_test_name}" if op.variant_test_name else "")
        if not re.search(only, name):
            continue
        known = op.dtypes
        first = (torch.float32, torch.complex64, torch.int64, torch.bool)
        dtype = next((one for one in first if one in known), torch.float32)
        torch.manual_seed(0)
        recorder, refused = Recorder(Path.cwd()), ""
        try:
            drawn = op.sample_inputs("cpu", dtype, requires_grad=False)
            for _, sample in zip(range(samples), drawn, strict=False):
                _call(op, sample, recorder, simulation_coverage.single)
        except Exception as error:  # made for CUDA alone, or refused in this dtype
            refused = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:100]}"
        made = tuple(recorder.signatures)
        found.append(
            Recorded(
                name, op.name, op.name + op.variant_test_name, op.aten_name or "", made, refused
            )
        )
    return found


def _call(op: Any, sample: Any, recorder: Recorder, single: Any) -> None:
    args, kwargs = (sample.input, *single(sample.args)), single(sample.kwargs)
    with recorder.watching():
        op(*args, **kwargs)
