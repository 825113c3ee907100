"""Chance that a test can repeat."""

from __future__ import annotations

from random import Random


def seeded_random(seed: int | str) -> Random:
    """Returns a source of random numbers that are the same in every run."""
    return Random(seed)  # noqa: S311 - numbers of tests are no secrets
