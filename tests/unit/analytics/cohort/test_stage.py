"""The stage group of anaplastic carcinoma of the thyroid, and the ECOG status of a Karnofsky status."""

from __future__ import annotations

import pytest

from services.analytics.cohort.performance import ECOG_OF_KARNOFSKY, ecog_status
from services.analytics.cohort.stage import stage_group


def stage_of(t: str, n: str, m: str, edition: str = "8", primary_site: str = "C73", histology: str = "8021/3") -> str:
    return stage_group(t, n, m, edition, primary_site, histology)


@pytest.mark.parametrize(
    ("t", "n", "m", "group"),
    [
        ("pT3a", "pN0", "cM0", "IVA"),
        ("T2", "N1b", "cM0", "IVB"),
        ("T4b", "N0", "cM0", "IVB"),
        ("T1", "N0", "cM1", "IVC"),
        ("T3b", "NX", "cM0", "IVB"),
        ("T3", "N0", "cM0", "not_derivable"),
        ("ypT2", "rN0b", "M0", "IVA"),
        ("T1a", "NX", "M0", "IVA"),
        ("T0", "N1a", "M0", "IVB"),
        ("TX", "N0", "M0", "not_derivable"),
        ("Tis", "N0", "M0", "not_derivable"),
        ("TX", "NX", "pM1", "IVC"),
        ("not_reported", "N1", "M0", "IVB"),
        ("not_reported", "not_reported", "M1", "IVC"),
        ("T2", "not_reported", "M0", "not_derivable"),
        ("T4a", "not_reported", "M0", "IVB"),
        ("T4b", "N1", "not_reported", "not_derivable"),
        ("not_reported", "not_reported", "not_reported", "not_reported"),
    ],
)
def test_stage_follows_ajcc_8(t: str, n: str, m: str, group: str) -> None:
    assert stage_of(t, n, m) == group


def test_stage_of_another_edition_or_another_tumor_is_not_derivable() -> None:
    assert stage_of("T4b", "N1", "M1", edition="7") == "not_derivable"
    assert stage_of("T4b", "N1", "M1", primary_site="C32.0") == "not_derivable"
    assert stage_of("T4b", "N1", "M1", histology="8260/3") == "not_derivable"
    assert stage_of("T4b", "N1", "M1", histology="8020/3") == "IVC"


def test_karnofsky_is_converted_by_the_oken_table_and_ecog_is_kept() -> None:
    assert [ecog_status("KPS", value) for value in range(100, -1, -10)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert [ecog_status("ECOG", value) for value in range(6)] == [0, 1, 2, 3, 4, 5]
    assert ecog_status("not_reported", -1) is None
    assert sorted(ECOG_OF_KARNOFSKY) == list(range(0, 101, 10))
