"""Ratios: what the product does against the least that could do the same, run alternately on one machine."""
