"""What a test asks of the terms of the envelope: samples, and the widths of the magnitude term."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pytest_applesilicon.agreement import oracle
from pytest_applesilicon.agreement.evidence import FEW_DRAWS, Evidence

#: Of float32.
EPS = 2.0**-23


def sample(*shape: int, dtype: Any = None) -> Any:
    """Normal numbers, always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def magnitudes(call: Any, *args: Any, dtype: str = "float32") -> tuple[list[Any], Any]:
    """The magnitude term of every element of every leaf, and the oracle."""
    evidence = Evidence(call, args, {}, dtype, 0, oracle.evaluate(call, args, {}))
    widths = []
    for place, exact in enumerate(evidence.exact):
        width, _ = evidence.magnitude(place, FEW_DRAWS, np.arange(exact.size), dtype)
        widths.append(width.reshape(exact.shape))
    return widths, evidence.exact


def magnitude(call: Any, *args: Any, dtype: str = "float32") -> tuple[Any, Any]:
    """The magnitude term and the oracle of the first leaf."""
    widths, exact = magnitudes(call, *args, dtype=dtype)
    return widths[0], exact[0]
