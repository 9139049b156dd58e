"""Networks trained on real digits: they learn, and the device learns what the CPU does."""
