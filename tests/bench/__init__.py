"""Benchmarks: `make bench`. Ratios against peers in the same run, never a test."""
