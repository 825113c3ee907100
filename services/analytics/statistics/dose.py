"""Biologically effective dose by the linear-quadratic model, in decimal arithmetic, half up to 4 decimals.

BED = n d (1 + d / (α/β)), EQD2 = n d (d + α/β) / (2 + α/β); n fractions of d Gy, α/β in Gy (Fowler 1989; Joiner and
Bentzen 2018). Above about 8 to 10 Gy a fraction the model is debated.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

ALPHA_BETA_TUMOR, ALPHA_BETA_LATE, ALPHA_BETA_CNS = Decimal(10), Decimal(3), Decimal(2)
LINEAR_QUADRATIC_MODALITIES = frozenset({"photons", "electrons", "protons", "brachytherapy_hdr"})
"""Modalities for which BED and EQD2 hold: fractions are given at once, in doses that compare to those of photons."""
_FOUR_DECIMALS, _CENTIGRAY_PER_GRAY = Decimal("0.0001"), Decimal(100)


def gray(centigray: int) -> Decimal:
    """Converts centigray to Gy."""
    return Decimal(centigray) / _CENTIGRAY_PER_GRAY


def bed(fractions: int, dose_per_fraction: Decimal, alpha_beta: Decimal) -> Decimal:
    """Returns the biologically effective dose in Gy of a number of fractions of Gy each; α/β in Gy."""
    return _round(fractions * dose_per_fraction * (1 + dose_per_fraction / alpha_beta))


def eqd2(fractions: int, dose_per_fraction: Decimal, alpha_beta: Decimal) -> Decimal:
    """Returns the dose in Gy that has the same effect in fractions of 2 Gy; the same parameters as `bed`."""
    return _round(fractions * dose_per_fraction * (dose_per_fraction + alpha_beta) / (2 + alpha_beta))


def _round(dose: Decimal) -> Decimal:
    return dose.quantize(_FOUR_DECIMALS, ROUND_HALF_UP)
