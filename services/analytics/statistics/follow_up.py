"""Completeness of follow-up. The distribution of follow-up is the reverse curve of `kaplan_meier`."""

from __future__ import annotations

import numpy as np

from services.analytics.statistics.risk_sets import Days


def clark_completeness(observed: Days, potential: Days) -> float | None:
    """Returns Clark's C: all observed days of follow-up divided by all potential ones (Lancet 2002;359:1309).

    Observed days are capped by the potential ones of the same participant. None if no day was potential.
    """
    if not potential.sum():
        return None
    return float(np.minimum(observed, potential).sum() / potential.sum())
