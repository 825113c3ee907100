"""What Python's collector of cycles is told to leave alone: while it walks over objects, nothing else is done."""

from __future__ import annotations

import gc

RARE_THRESHOLDS = (20_000, 20, 100)


def freeze_startup_objects() -> None:
    """Before the work begins: what is there by now stays, and is not walked over again.

    Modules and their classes are 50,000 to 100,000 objects, and a walk over them takes 50 to 100 ms.
    """
    gc.freeze()


def collect_rarely() -> None:
    """For who remembers much: remembered streams are many objects and no cycles, and each walk visits all."""
    gc.set_threshold(*RARE_THRESHOLDS)
