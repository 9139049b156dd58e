"""Timings of the workloads that people judge a Mac by."""
