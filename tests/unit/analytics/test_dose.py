"""Biologically effective dose, against every prescription of the paper and of one comparator."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.analytics.statistics.dose import CNS, LATE, TUMOUR, bed, eqd2

PRESCRIPTIONS = [
    # fractions, Gy a fraction, then BED and EQD2 for α/β of 10, 3 and 2
    (1, "15", "37.5000", "31.2500", "90.0000", "54.0000", "127.5000", "63.7500"),
    (1, "20", "60.0000", "50.0000", "153.3333", "92.0000", "220.0000", "110.0000"),
    (10, "3", "39.0000", "32.5000", "60.0000", "36.0000", "75.0000", "37.5000"),
    (10, "4", "56.0000", "46.6667", "93.3333", "56.0000", "120.0000", "60.0000"),
    (33, "2.12", "84.7915", "70.6596", "119.3984", "71.6390", "144.1176", "72.0588"),
    (33, "1.65", "63.4343", "52.8619", "84.3975", "50.6385", "99.3713", "49.6856"),
    (1, "18", "50.4000", "42.0000", "126.0000", "75.6000", "180.0000", "90.0000"),
    (5, "6", "48.0000", "40.0000", "90.0000", "54.0000", "120.0000", "60.0000"),
    (33, "2", "79.2000", "66.0000", "110.0000", "66.0000", "132.0000", "66.0000"),
    (5, "5", "37.5000", "31.2500", "66.6667", "40.0000", "87.5000", "43.7500"),
    (3, "9", "51.3000", "42.7500", "108.0000", "64.8000", "148.5000", "74.2500"),
]


@pytest.mark.parametrize("prescription", PRESCRIPTIONS)
def test_doses_are_those_of_the_paper_to_four_decimals(prescription: tuple[Any, ...]) -> None:
    fractions, dose, *expected = prescription
    computed = [form(fractions, Decimal(dose), ratio) for ratio in (TUMOUR, LATE, CNS) for form in (bed, eqd2)]
    assert [str(value) for value in computed] == expected
