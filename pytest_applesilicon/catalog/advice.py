"""What to use instead of an operator that MPS lacks.

``data/instead.tsv`` has for some operators a call of torch and an expression that gives the same
without it; a test computes both on the CPU.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_applesilicon.catalog.reading import Catalog

#: Operators that no program calls by name on MPS: torch's own, and those of other backends.
_INTERNAL = re.compile(
    r"_|mkldnn|cudnn|miopen|fbgemm|quantize|dequantize|q_|int_repr|q_per|fake_quantize|slow_conv"
    r"|thnn|to_mkldnn|sspaddmm|hspmm|copy_sparse|crow_|ccol_|row_ind|col_ind|is_pinned|from_file"
    r"|batch_norm_(gather|stats|elemt|update|backward)|quantized|rnn_|nested|conv_depthwise"
    r"|choose_qparams|resize_as_sparse|sparse_|dense_dim|indices|values|is_coalesced"
)


_ON_CPU = (
    'run it on the CPU: PYTORCH_ENABLE_MPS_FALLBACK=1, or .cpu() before it and .to("mps") after it'
)


@dataclass(frozen=True)
class Instead:
    """An expression that does without an operator."""

    operator: str
    call: str
    """A call of the operator, of float32 tensors ``x`` and ``y``."""
    instead: str
    """What gives the same values."""


def internal(operator: str) -> bool:
    """Whether an operator is one that programs do not call by name."""
    return _INTERNAL.match(operator) is not None or operator.endswith(
        ("_backward", "_backward_data", "_jvp", "_forward")
    )


@functools.lru_cache(maxsize=1)
def table() -> tuple[Instead, ...]:
    """Every expression that is known."""
    folder = resources.files("pytest_applesilicon.catalog") / "data"
    lines = (folder / "instead.tsv").read_text(encoding="utf-8").splitlines()
    return tuple(Instead(*line.split("\t")) for line in lines if line and line[0] != "#")


def of(operator: str, catalog: Catalog, names: Sequence[str], release: str) -> tuple[str, ...]:
    """What to do about an operator that a release lacks on MPS, best first."""
    versions = [one.version for one in catalog.releases]
    later = versions[versions.index(release) + 1 :]
    known = [f"instead of {one.call}: {one.instead}" for one in table() if one.operator == operator]
    came = next(
        (one for one in later if any(catalog.status(name, one) == "native" for name in names)), ""
    )
    newer = [f"torch {came} has a kernel for it on MPS"] if came else []
    status = {catalog.status(name, release) for name in names}
    if "fallback" in status:
        return (*newer, *known, "it runs on the CPU by itself, with two copies and a wait")
    return (
        *newer,
        *known,
        _ON_CPU,
    )
