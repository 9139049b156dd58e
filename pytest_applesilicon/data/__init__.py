"""Data sets and tables that ship with the package; each has a reader beside it."""
