"""Which operators MPS implements, read from the operator table that ships in torch's wheel.

Imports nothing of torch: the table is a file. It is read line by line, because torch does not
require a YAML reader, and the file has one form for every entry (torchgen/model.py).
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

_FUNC = re.compile(r"- func: ([\w.]+)\(")
_DELEGATE = re.compile(r"  structured_delegate: ([\w.]+)")
_KERNEL = re.compile(r"    ([\w, ]+): \S+")

#: Operators that torch registers for MPS in C++ as "always run on the CPU", whatever
#: PYTORCH_ENABLE_MPS_FALLBACK says (aten/src/ATen/mps/MPSFallback.mm, TORCH_LIBRARY_IMPL); as
#: read from the registrations in the released macOS wheel of torch 2.13 (``catalog``).
ALWAYS_FALLBACK = frozenset({"embedding_renorm_", "linalg_svd", "linalg_svd.U"})


class TableError(Exception):
    """The operator table of the installed torch is missing or has another form."""


def path() -> Path:
    """The operator table of the installed torch, found without importing torch.

    Raises:
        TableError: torch or its table is not installed.
    """
    spec = importlib.util.find_spec("torchgen")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        found = Path(folder) / "packaged/ATen/native/native_functions.yaml"
        if found.exists():
            return found
    raise TableError(f"torchgen's native_functions.yaml was not found in {folders or 'sys.path'}")


def native(text: str, key: str = "MPS") -> frozenset[str]:
    """The overloads that have a kernel for ``key``: ``add.out``, ``relu`` ...

    A functional or in-place overload of a structured group has one when its ``.out`` has.

    Raises:
        TableError: ``text`` holds no operator at all.
    """
    listed: set[str] = set()
    delegates: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("- func:"):
            found = _FUNC.match(line)
            name = found[1] if found else ""
        elif line.startswith("    "):
            kernel = _KERNEL.match(line)
            if kernel and key in kernel[1].split(", "):
                listed.add(name)
        elif delegate := _DELEGATE.match(line):
            delegates[name] = delegate[1]
    if not delegates:
        raise TableError("the operator table holds no structured operator")
    return frozenset(listed | {one for one, out in delegates.items() if out in listed})
