"""The mean time without event up to a day: the area below a survival curve."""

from __future__ import annotations

import numpy as np

from services.analytics.statistics.intervals import NORMAL_QUANTILE, UNDEFINED, Estimate
from services.analytics.statistics.kaplan_meier import SurvivalCurve


def restricted_mean(curve: SurvivalCurve, until: float) -> tuple[Estimate, float | None]:
    """Returns the restricted mean in days with its normal interval, and its standard error.

    The variance is the sum over the days of (area from the day to `until`)² events / (at risk (at risk - events)), as
    in `summary(survfit, rmean = until)` of R; a day on which all have the event adds nothing. Undefined without
    observations, after the last exit unless the curve has come down to 0, and if the risk set was emptied.
    """
    is_beyond = until > curve.days[-1] and curve.estimate[-1] != 0
    if until < 0 or is_beyond or curve.is_risk_set_emptied or np.isnan(curve.estimate[0]):
        return UNDEFINED, None
    rows = slice(0, int(np.searchsorted(curve.days, until, side="right")))
    widths = np.diff(np.append(curve.days[rows].astype(np.float64), until))
    areas = np.cumsum((curve.estimate[rows] * widths)[::-1])[::-1]
    remaining = curve.at_risk[rows] - curve.events[rows]
    counted = (curve.events[rows] > 0) & (remaining > 0)
    pairs = (curve.at_risk[rows] * remaining)[counted]
    variance = float(np.sum(areas[counted] ** 2 * (curve.events[rows][counted] / pairs)))
    mean, standard_error = float(areas[0]), float(np.sqrt(variance))
    margin = NORMAL_QUANTILE * standard_error
    return Estimate(mean, max(0.0, mean - margin), min(until, mean + margin)), standard_error
