"""Networks trained on real digits: they learn, and the device learns what the CPU does.

Each framework has modules of its own; those of a framework that is not installed are skipped.
"""
