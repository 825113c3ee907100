"""The form of a lesion, filled in, and a screening, as tests of forms use them."""

from __future__ import annotations

from typing import Any

from tests.api.support.form_browser import FormBrowser, Page, form_of
from tests.api.support.study import StudyUnderTest

SCREENING = {
    "screened_on": "2024-02-01",
    "sex": "female",
    "birth_year": "1950",
    "criteria.histology": "met",
    "criteria.rt-indicated": "met",
}
LESION = {"kind": "metastasis", "body_site": "lung", "found_on": "2024-01"}


def lesion_facts(study: StudyUnderTest, participant_id: str) -> list[dict[str, Any]]:
    rows = study.get(f"participants/{participant_id}").json()["facts"]
    return [row["data"] for row in rows if row["type"] == "lesion.registered"]


def open_lesion_form(study: StudyUnderTest, browser: FormBrowser, participant_id: str, **changes: str) -> Page:
    page = browser.open(form_of(study, participant_id, "lesion.registered"))
    page.fill({**LESION, **changes})
    return page
