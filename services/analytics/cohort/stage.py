"""The stage group of anaplastic carcinoma of the thyroid, derived from TNM by AJCC 8. Pure.

All of them are stage IV: IVC with distant metastasis, IVB with regional nodes or growth beyond the gland, else IVA.
"""

from __future__ import annotations

import re

STAGE_GROUPS = ("IVA", "IVB", "IVC")
NOT_DERIVABLE, NOT_REPORTED = "not_derivable", "not_reported"
_EDITION, _PRIMARY_SITE, _MORPHOLOGIES = "8", "C73", ("8020", "8021")
_PREFIX = re.compile("^(yc|yp|c|p|r)")
_BEYOND_THE_GLAND = frozenset({"T3b", "T4", "T4a", "T4b"})
_WITHIN_THE_GLAND = frozenset({"T1", "T1a", "T1b", "T2", "T3a"})
_NO_NODES = frozenset({"NX", "N0", "N0a", "N0b"})


def stage_group(t: str, n: str, m: str, edition: str, primary_site: str, histology: str) -> str:
    """Returns the stage group; `not_reported` if no category is, else `not_derivable` where the rules leave it open.

    They leave it open for T3 without a letter, for TX and T0 without nodes, without M, for another edition, and for
    another tumor than undifferentiated or anaplastic carcinoma (ICD-O-3 8020, 8021) of the thyroid gland (C73).
    """
    if {t, n, m} == {NOT_REPORTED}:
        return NOT_REPORTED
    is_anaplastic = primary_site.startswith(_PRIMARY_SITE) and histology.startswith(_MORPHOLOGIES)
    if edition != _EDITION or not is_anaplastic:
        return NOT_DERIVABLE
    return _group(*(_PREFIX.sub("", category) for category in (t, n, m)))


def _group(t: str, n: str, m: str) -> str:
    if m == "M1":
        return "IVC"
    if m != "M0":
        return NOT_DERIVABLE
    if n.startswith("N1") or t in _BEYOND_THE_GLAND:
        return "IVB"
    return "IVA" if t in _WITHIN_THE_GLAND and n in _NO_NODES else NOT_DERIVABLE
