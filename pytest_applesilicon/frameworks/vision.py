"""torchvision beside a torch that its compiled operators do not load into.

Its released Linux wheel is built for CUDA (``0.28.0+cu130``) and wants libtorch_cuda, which a
torch for the CPU has not. Importing it then ends in "operator torchvision::nms does not exist",
and with it ``transformers``. Its models need no compiled operator: only the names must be
declared before the import.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

#: What the Python code of torchvision 0.28 registers kernels for when it is imported.
DECLARED = ("nms", "qnms")

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

#: A library ends with the object that declared it.
_kept: list[Any] = []


def note() -> str:
    """For the header: that the compiled operators do not load here; ``""`` where they may.

    Looks at names of files and at one version, and imports nothing.
    """
    vision, torch = _folder("torchvision"), _folder("torch")
    if vision is None or torch is None:
        return ""
    built = _built_for(vision)
    if not built.startswith("cu") or (torch / "lib" / "libtorch_cuda.so").exists():
        return ""
    names = " and ".join(DECLARED)
    return (
        f"torchvision: its compiled operators want CUDA ({built}) and do not load; "
        f"{names} are declared, not usable"
    )


def prepare() -> bool:
    """Make ``import torchvision`` work: declare what its compiled operators would have defined.

    Call it before torchvision or transformers are imported; a second call does nothing.

    Returns:
        Whether the compiled operators are there.
    """
    if _kept:
        return False
    if _load():
        return True
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in DECLARED:
        library.define(f"{name}{_SCHEMA}")
    _kept.append(library)
    return False


def _load() -> bool:
    """Load the compiled operators as torchvision does; whether it worked."""
    import torch

    folder = _folder("torchvision")
    for file in sorted(folder.glob("_C*.so")) if folder is not None else ():
        try:
            torch.ops.load_library(str(file))
        except OSError:
            return False
        return True
    return False


def _folder(package: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _built_for(folder: Path) -> str:
    """The local part of the version: ``cu130``, ``cpu``; empty where there is none."""
    try:
        text = (folder / "version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"__version__ = '[^'+]*\+(\w+)'", text)
    return found[1] if found else ""
