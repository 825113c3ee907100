"""Benchmarks: ratios of the product to the least that could do the same, run alternately on one machine."""
