r"""Which kernels the released macOS wheel of torch registers for MPS, from its symbols.

    pip download torch==2.13.0 --platform macosx_14_0_arm64 --python-version 3.11 \
        --only-binary=:all: --no-deps -d FOLDER
    python tools/mac_operators.py FOLDER/torch-*.whl OUT

Every generated kernel of MPS is a function ``wrapper_MPS_<overload>`` in libtorch_cpu.dylib
(torchgen/dest/register_dispatch_key.py), and the wheel's local symbols are not stripped. A
structured overload is registered under a name of the same form. OUT gets one name a line, with
``.`` and ``_`` as the symbol has them. The library is not run: the symbols are read as bytes.
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

LIBRARY = "torch/lib/libtorch_cpu.dylib"

#: A length and a name in an anonymous namespace, as the Itanium C++ ABI mangles them.
_SYMBOL = re.compile(rb"_GLOBAL__N_1(\d+)wrapper_MPS_([A-Za-z0-9_]+)")


def wrappers(library: bytes) -> list[str]:
    """The names behind ``wrapper_MPS_``, in order, each once."""
    prefix = len("wrapper_MPS_")
    names = {
        found[2][: int(found[1]) - prefix].decode()
        for found in _SYMBOL.finditer(library)
        if int(found[1]) > prefix
    }
    return sorted(names)


def main(wheel: str, target: str) -> None:
    """Read the wheel and write the names."""
    with zipfile.ZipFile(wheel) as archive:
        names = wrappers(archive.read(LIBRARY))
    head = f"# Kernels registered for MPS in {Path(wheel).name}, by tools/mac_operators.py.\n"
    Path(target).write_text(head + "".join(f"{name}\n" for name in names), encoding="utf-8")
    print(f"{len(names)} kernels")


if __name__ == "__main__":
    main(*sys.argv[1:])
