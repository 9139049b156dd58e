"""Functions of arrays in TensorFlow, MLX, JAX and NumPy: do they run, and are they right?

What ``suites/ops`` and ``suites/agreement`` are for torch, which has a database of its operators;
here the functions are those of the array API standard. The oracle and the envelope are the same.
"""
