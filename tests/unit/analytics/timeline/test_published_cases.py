"""The timelines of the four published cases have the events of the paper in its order.

The sequences are the paper's, in our own words: treatments and findings, one after the other. What the
study itself adds (screening, consent, enrollment, baseline) is left out.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.unit.analytics.published_cases import CASE_NUMBERS, published_case_events
from tests.unit.analytics.support import TODAY, timeline_json

STUDY_PROCEDURE_TYPES = {
    "participant.screened",
    "participant.consented",
    "participant.enrolled",
    "participant.baseline_recorded",
}
NAMES = {
    "3.0:0664": "Confusion",
    "3.0:0699": "Seizure",
    "3.0:0534": "Infection of the lung",
    "3.0:0150": "Dysphagia",
}

EXPECTED_TITLES = {
    1: """
        Thyroidectomy: thyroid
        Thyroidectomy: thyroid
        Metastasis L1 found: brain, left
        Metastasis L2 found: brain, left
        Carboplatin and paclitaxel started
        Radiotherapy SRS started: SRS 15 Gy and 20 Gy
        Radiotherapy SRS completed
        Metastasis L3 found: brain, left
        Follow-up contact (clinic): L1 controlled, L2 controlled, distant disease progressed
        Distant progression: brain
        No toxicity found
        Radiotherapy WBRT started: hypofractionated 30 Gy and 40 Gy
        Radiotherapy WBRT completed
        Follow-up contact (clinic): regional disease stable, distant disease stable, response SD
        Pembrolizumab and lenvatinib started
        Follow-up contact (clinic): L1 controlled, L2 controlled, L3 progressed
        Local progression: L3 (brain, left)
        Toxicity: Confusion (3.0:0664) not graded
        Follow-up contact (clinic): regional disease progressed, distant disease progressed, response PD
        Distant progression: liver
        Distant progression: lung
        Regional progression: neck
        Died; cause of death: tumor
    """,
    2: """
        Primary tumor L0 found: thyroid
        Node N1 found: neck
        Biopsy: thyroid
        Radiotherapy CRT started: conventional 54.45 Gy and 69.96 Gy
        Carboplatin and paclitaxel started
        Carboplatin and paclitaxel stopped: completed
        Radiotherapy CRT completed
        Dabrafenib and trametinib started
        Metastasis L1 found: brain, left
        Follow-up contact (clinic): distant disease progressed
        Distant progression: L1 (brain, left)
        Radiotherapy SRS started: SRS 18 Gy
        Radiotherapy SRS completed
        Toxicity: Seizure (3.0:0699) grade 2
        Toxicity: Infection of the lung (3.0:0534) grade 5
        Died; cause of death: other than tumor and treatment
    """,
    3: """
        Primary tumor L0 found: thyroid, left
        Metastasis L1 found: rib, left
        Metastasis L2 found: spine
        Metastasis L3 found: lung, left
        Biopsy: thyroid
        Surgery: lung
        Radiotherapy CRT started: conventional 54.45 Gy and 69.96 Gy
        Carboplatin and paclitaxel started
        Radiotherapy CRT completed
        Radiotherapy SBRT started: SBRT 30 Gy
        Radiotherapy SBRT completed
        Carboplatin and paclitaxel started
        Follow-up contact (clinic): distant disease progressed, response PD
        Distant progression: lung
        Carboplatin and paclitaxel stopped: progression
        Pembrolizumab and lenvatinib started
        Follow-up contact (clinic): regional disease stable, distant disease stable, response SD
        Bougienage: neck
        Toxicity: Dysphagia (3.0:0150) not graded
        Bougienage: neck
        Follow-up contact (clinic): regional disease stable, distant disease stable, response SD
        Toxicity: Dysphagia (3.0:0150) not graded
        Follow-up contact (clinic)
        Presumed dead, date unknown; cause of death: tumor
    """,
    4: """
        Primary tumor L0 found: thyroid, left
        Thyroidectomy: thyroid
        Radiotherapy CRT started: conventional 66 Gy
        Carboplatin and paclitaxel started
        Radiotherapy CRT completed
        Carboplatin and paclitaxel started
        Carboplatin and paclitaxel stopped: completed
        Metastasis L1 found: spine, left
        Follow-up contact (clinic): no regional disease, distant disease progressed
        Distant progression: L1 (spine, left)
        Radiotherapy SBRT started: SBRT 25 Gy and 30 Gy
        Radiotherapy SBRT completed
        No toxicity found
        Olaparib started
        Metastasis L2 found: liver
        Follow-up contact (clinic): L1 indeterminate, no regional disease, distant disease progressed
        Distant progression: L2 (liver)
        Radiotherapy HDR started: brachytherapy 20 Gy
        Radiotherapy HDR completed
        Confirmed alive
    """,
}


def case_timeline(number: int) -> dict[str, Any]:
    return timeline_json(published_case_events(number), TODAY, NAMES)


def first_entry(number: int, words: str) -> dict[str, Any]:
    return next(entry for entry in case_timeline(number)["entries"] if words in entry["title"])


@pytest.mark.parametrize("number", CASE_NUMBERS)
def test_published_case_has_the_timeline_of_the_paper(number: int) -> None:
    titles = [
        entry["title"] for entry in case_timeline(number)["entries"] if entry["type"] not in STUDY_PROCEDURE_TYPES
    ]
    assert titles == [line.strip() for line in EXPECTED_TITLES[number].strip().splitlines()]


@pytest.mark.parametrize(
    ("number", "earlier", "later", "low", "high"),
    [
        (1, "SRS completed", "distant disease progressed", 42, 42),  # six weeks
        (1, "WBRT completed", "L3 progressed", 90, 92),  # three months
        (2, "CRT completed", "distant disease progressed", 56, 56),  # eight weeks
        (2, "SRS completed", "Died", 21, 29),  # three weeks and four days
        (3, "Pembrolizumab", "distant disease stable", 42, 42),  # six weeks
        (3, "distant disease stable", "Bougienage", 120, 123),  # four months
    ],
)
def test_intervals_of_the_paper_lie_between_their_entries(
    number: int, earlier: str, later: str, low: int, high: int
) -> None:
    start, end = (date.fromisoformat(first_entry(number, words)["day"]) for words in (earlier, later))
    assert low <= (end - start).days <= high


def test_dates_known_to_the_month_stay_months() -> None:
    dates = {entry["title"]: entry["on"] for entry in case_timeline(4)["entries"] if entry["imputed"]}
    assert dates == {
        "Primary tumor L0 found: thyroid, left": "2023-12",
        "Thyroidectomy: thyroid": "2024-01",
        "Carboplatin and paclitaxel started": "2024-04",
        "Carboplatin and paclitaxel stopped: completed": "2024-09",
        "Olaparib started": "2024-12",
    }


def test_each_case_has_the_final_status_of_the_paper() -> None:
    assert {number: case_timeline(number)["status"] for number in CASE_NUMBERS} == {
        1: "died",
        2: "died",
        3: "died",
        4: "enrolled",
    }
    assert first_entry(3, "Presumed dead")["on"] is None
    assert first_entry(2, "grade 5")["findings"][0]["attribution"][0] == {"to": "course:SRS", "level": "unrelated"}
