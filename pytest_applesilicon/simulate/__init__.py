"""A simulated MPS device for torch on Linux: operators, dtypes, placement and syncs.

Tensors stand on torch's real ``MPS`` dispatch key and share the memory of the CPU, so
autograd, autocast, ``.to("mps")`` and the choice of composite operators are torch's own. It
computes with the kernels of the CPU: nothing is said of Metal's numerics, speed or memory.
"""
