"""The dtypes that the suites run on a device."""

from __future__ import annotations

#: The dtypes that MPS knows (aten/src/ATen/native/mps/OperationUtils.mm, getMPSDataType), in the
#: order of the tests.
DTYPES = (
    "float32",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
    "complex64",
)
