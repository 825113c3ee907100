"""Events per time at risk with their exact interval."""

from __future__ import annotations

from scipy.special import gammainccinv, gammaincinv

from services.analytics.statistics.elementary import twelve_digits
from services.analytics.statistics.intervals import UNDEFINED, Estimate


def incidence_rate(events: int, time_at_risk: float) -> Estimate:
    """Returns events per unit of time with the exact 95 % interval of a Poisson count, limits to twelve digits.

    Limits are quantiles of gamma distributions (Garwood, Biometrika 1936;28:437), as in `poisson.test` of R. Undefined
    without time at risk. Raises ValueError for negative numbers.
    """
    if events < 0 or time_at_risk < 0:
        raise ValueError("events and the time at risk cannot be negative")
    if time_at_risk == 0:
        return UNDEFINED
    lower = float(gammaincinv(events, 0.025)) if events else 0.0
    upper = float(gammainccinv(events + 1, 0.025))
    return Estimate(
        value=events / time_at_risk,
        lower=twelve_digits(lower / time_at_risk),
        upper=twelve_digits(upper / time_at_risk),
    )
