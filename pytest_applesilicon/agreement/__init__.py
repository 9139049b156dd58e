"""Comparing results on the host: what is the same, and by how much the rest differs."""
