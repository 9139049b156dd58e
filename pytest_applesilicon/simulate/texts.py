"""What MPS says when it refuses something, word for word, with the source of each text."""

from __future__ import annotations

#: aten/src/ATen/mps/MPSFallback.mm, mps_error_fallback.
NOT_IMPLEMENTED = (
    "The operator '{operator}' is not currently implemented for the MPS device. If you want "
    "this op to be considered for addition please comment on "
    "https://github.com/pytorch/pytorch/issues/141287 and mention use-case, that resulted in "
    "missing op as well as commit hash {commit}. As a temporary fix, you can set the "
    "environment variable `PYTORCH_ENABLE_MPS_FALLBACK=1` to use the CPU as a fallback for "
    "this op. WARNING: this will be slower than running natively on MPS."
)

#: aten/src/ATen/mps/MPSFallback.mm, mps_fallback.
FALLS_BACK = (
    "The operator '{operator}' is not currently supported on the MPS backend and will fall "
    "back to run on the CPU. This may have performance implications."
)

#: aten/src/ATen/mps/EmptyTensor.cpp and native/mps/OperationUtils.mm (pytorch#79019, #122602).
NO_DOUBLE = (
    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. "
    "Please use float32 instead."
)

#: aten/src/ATen/native/mps/OperationUtils.mm, getMPSDataType (pytorch#104191, #78168).
NO_DTYPE = (
    "Trying to convert {dtype} to the MPS backend but it does not have support for that dtype."
)

#: c10's common_device_check_failure and TensorIterator.cpp.
TWO_DEVICES = (
    "Expected all tensors to be on the same device, but found at least two devices, "
    "{first} and {second}!"
)

#: aten/src/ATen/native/mps/OperationUtils.mm: a kernel met a buffer that is none of Metal's.
PLACEHOLDER = "Placeholder storage has not been allocated on MPS device!"

#: MPSFallback.mm, slow_conv2d_forward_mps.
CONVOLUTION = (
    "slow_conv2d_forward_mps: input(device='{first}') and weight(device={second})  must be on "
    "the same device"
)

#: Compressed and quantised layouts; this text is the simulation's own.
LAYOUT = "only strided and sparse COO tensors are supported on MPS"

#: aten/src/ATen/core/Generator.h, check_generator.
GENERATOR = "Expected a 'mps' device type for generator but found '{found}'"

#: MPS counts one device (MPSHooks::deviceCount); this text is the simulation's own.
ONE_DEVICE = "mps:{index} was asked for, and MPS has one device, mps:0"
