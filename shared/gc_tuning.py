"""Settings of Python's garbage collector, which stops everything else while it traverses objects."""

from __future__ import annotations

import gc

RARE_THRESHOLDS = (20_000, 20, 100)
"""Thresholds of the three generations, for `gc.set_threshold`."""


def freeze_startup_objects() -> None:
    """Exempt the objects that exist at the start from collections.

    Modules and their classes are 50,000 to 100,000 objects; traversing them takes 50 to 100 ms.
    """
    gc.freeze()


def collect_rarely() -> None:
    """Run full collections rarely: the stream cache holds many objects without cycles, and a collection visits all."""
    gc.set_threshold(*RARE_THRESHOLDS)
