"""Which ATen calls a test run makes on the CPU, and what MPS would do with them."""
