"""A macOS wheel of torch made by hand: real Mach-O structures and real arm64 instructions."""

from __future__ import annotations

import struct
import zipfile

BASE = 0x1000  # where the code begins
LITERALS = 0x3000

TABLE = """\
- func: relu(Tensor self) -> Tensor
  variants: function, method
  dispatch:
    CPU: relu
    MPS: relu_mps

- func: add.Tensor(Tensor self, Tensor other) -> Tensor
  structured_delegate: add.out

- func: add.out(Tensor self, Tensor other, *, Tensor(a!) out) -> Tensor(a!)
  structured: True
  dispatch:
    CPU, CUDA, MPS: add_out

- func: heaviside(Tensor self, Tensor values) -> Tensor
  structured_delegate: heaviside.out

- func: heaviside.out(Tensor self, Tensor values, *, Tensor(a!) out) -> Tensor(a!)
  structured: True
  dispatch:
    CPU: heaviside_out

- func: linalg_svd(Tensor A) -> (Tensor U, Tensor S, Tensor Vh)
  python_module: linalg

- func: _slow_conv2d_forward(Tensor self) -> Tensor
  dispatch:
    CPU: slow_conv2d_forward_cpu
  autogen: _slow_conv2d_forward.output

- func: all.dims(Tensor self) -> Tensor
  structured_delegate: all.dims_out
  dispatch:
    CompositeExplicitAutograd: all_dims_default

- func: all.dims_out(Tensor self, *, Tensor(a!) out) -> Tensor(a!)
  structured: True
  dispatch:
    CPU: all_dims_out
"""

EXPECTED = """\
import torch

if torch.backends.mps.is_available():

    def mps_ops_modifier(ops):
        UNSUPPORTED_COMPLEX_OPS = {"addr"}
        UNIMPLEMENTED_XFAILLIST: dict[str, list | None] = {
            "heaviside": None,
            "nn.functional.relu": [torch.bool],
            "dot": [torch.int64] if MACOS_VERSION < 14.0 else [],
        }
        if MACOS_VERSION < 14.0:
            UNIMPLEMENTED_XFAILLIST.update({"isin": None})
"""


def library(*functions: tuple[str, tuple[str, ...]], cut: int | None = None) -> bytes:
    """A dylib that has functions of these names; each makes the addresses of these things.

    A thing is a literal, or with ``&`` before it the function of that name.
    """
    literals: dict[str, int] = {}
    text = b"\0"
    for name in dict.fromkeys(one for _, several in functions for one in several):
        if not name.startswith("&"):
            literals[name] = LITERALS + len(text)
            text += name.encode() + b"\0"
    names = [name for name, _ in functions]
    others = {one[1:] for _, several in functions for one in several if one.startswith("&")}
    places = {name: BASE + 256 * at for at, name in enumerate([*names, *sorted(others - {*names})])}
    code = bytearray(LITERALS - BASE)
    for name, several in functions:
        place = places[name]
        for one in several:
            address = places[one[1:]] if one.startswith("&") else literals[one]
            struct.pack_into("<II", code, place - BASE, *_made(place, address))
            place += 8
    symbols, strings = b"", b"\0"
    for name, place in places.items():
        symbols += struct.pack("<IBBHQ", len(strings), 0x0E, 1, 0, place)
        strings += name.encode() + b"\0"
    body = bytes(BASE) + bytes(code) + text
    whole = _commands(len(body), symbols, strings, len(text)) + body[_SIZE:] + symbols + strings
    return whole[:cut]


def _made(place: int, address: int) -> tuple[int, int]:
    """ADRP and ADD into register 1."""
    pages = (address >> 12) - (place >> 12)
    adrp = 0x90000001 | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
    return adrp, 0x91000021 | (address & 0xFFF) << 10


_SIZE = 32 + 72 + 160 + 24 + 24


def _commands(end: int, symbols: bytes, strings: bytes, text: int) -> bytes:
    sections = b"".join(
        struct.pack("<16s16sQQIIIIIIII", name, b"__TEXT", at, size, at, 0, 0, 0, kind, 0, 0, 0)
        for name, at, size, kind in (
            (b"__text", BASE, LITERALS - BASE, 0x80000400),
            (b"__cstring", LITERALS, text, 2),
        )
    )
    segment = struct.pack("<II16sQQQQIIII", 0x19, 232, b"__TEXT", 0, end, 0, end, 5, 5, 2, 0)
    table = struct.pack("<IIIIII", 2, 24, end, len(symbols) // 16, end + len(symbols), len(strings))
    version = struct.pack("<IIIIII", 0x32, 24, 1, 14 << 16, 0, 0)
    head = struct.pack("<IiIIIIII", 0xFEEDFACF, 0x0100000C, 0, 6, 3, 280, 0, 0)
    made = head + segment + sections + table + version
    assert len(made) == _SIZE
    return made


def init(key: str, number: int, scope: str = "__ZN2at12_GLOBAL__N_134") -> str:
    """The name of the function that registers kernels."""
    return f"{scope}TORCH_LIBRARY_IMPL_init_aten_{key}_{number}ERN5torch7LibraryE"


#: What a small torch registers: two generated functions, one for sparse tensors, one by hand.
FUNCTIONS = (
    (init("MPS", 1), ("add.Tensor", "add.out")),
    (init("MPS", 2), ("&__ZN2at12wrapper_relu", "relu", "no operator", "nothing.at_all")),
    (init("SparseMPS", 1), ("relu",)),
    (init("AutogradMPS", 1), ("heaviside.out",)),
    (
        init("MPS", 3, "__ZN2atL34"),
        ("&__ZN3c1019make_boxed_mps_fallback", "linalg_svd", "&__ZN2at4slow",
         "_slow_conv2d_forward"),
    ),
)  # fmt: skip


PYTHON = """\
mps_lib = torch.library.Library("aten", "IMPL", "MPS")  # noqa
mps_lib.impl("aten::heaviside.out", heaviside_out_mps)
other = torch.library.Library("aten", "IMPL", "CUDA")
other.impl("linalg_svd", svd)
_lib.impl("all.dims_out", all_dims, "MPS")
_lib.impl("add.Tensor", add, "CPU")
"""


def write(
    path, functions=FUNCTIONS, table=TABLE, expected=EXPECTED, python=">=3.10", cut=None, source=""
):
    """Write the wheel."""
    code = library(*functions, cut=cut)
    if cut is None:
        code += b"The MPS backend is supported on macOS 14.0+"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("torch/lib/libtorch_cpu.dylib", code)
        archive.writestr("torchgen/packaged/ATen/native/native_functions.yaml", table)
        archive.writestr("torch/_refs/linalg/__init__.py", source)
        if expected:
            archive.writestr("torch/testing/_internal/common_mps.py", expected)
        name = path.name.split("-")[1]
        archive.writestr(
            f"torch-{name}.dist-info/METADATA", f"Name: torch\nRequires-Python: {python}\n"
        )
    return path
