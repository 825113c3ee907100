"""The study `demo-live` and the people in it: nobody ever lived, and equal seeds give equal lives.

A life is a participant's enrollment facts, from the screening to the last of them. It does not depend on the day that
it is stated on, so a simulation that was interrupted goes on with the same lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import accumulate
from random import Random
from typing import Any, Literal

from infra.reference.chart import Chart, Entry, day_of, end_course, enrol, lesions, screen, start_course, target
from infra.reference.study import CRITERIA, PROTOCOL, StatedFact
from infra.reference.synthetic import Fate, curative_course, fail, only_consent, treat

STUDY_ID = "demo-live"
SINCE = date(2024, 1, 8)
"""The first day on which somebody may be screened."""
DAYS_BETWEEN, DAYS_OF_ACCRUAL = 4, 800
"""A screening every so many days; after the last day of accrual the next participants are screened from SINCE on."""


@dataclass(frozen=True)
class Site:
    site_id: str
    name: str
    country: str
    time_zone: str


SITES = (
    Site("berlin", "Simulated centre Berlin", "DE", "Europe/Berlin"),
    Site("rome", "Simulated centre Rome", "IT", "Europe/Rome"),
    Site("tokyo", "Simulated centre Tokyo", "JP", "Asia/Tokyo"),
    Site("new-york", "Simulated centre New York", "US", "America/New_York"),
    Site("sao-paulo", "Simulated centre Sao Paulo", "BR", "America/Sao_Paulo"),
    Site("sydney", "Simulated centre Sydney", "AU", "Australia/Sydney"),
    Site("johannesburg", "Simulated centre Johannesburg", "ZA", "Africa/Johannesburg"),
    Site("kolkata", "Simulated centre Kolkata", "IN", "Asia/Kolkata"),
)

FORMS = [{"version": "1.0", "valid_from": "2023-12-01"}, {"version": "1.1", "valid_from": "2025-01-01"}]
SYMPTOMS = ["dysphagia", "dyspnoea", "hoarseness", "pain", "headache"]
CHECKLIST = [
    "5.0:0362",  # Dermatitis radiation
    "5.0:0177",  # Mucositis oral
    "5.0:0130",  # Dysphagia
    "5.0:0122",  # Dry mouth
    "5.0:0226",  # Fatigue
    "5.0:0474",  # Weight loss
    "5.0:0734",  # Hoarseness
    "5.0:0757",  # Pneumonitis
    "5.0:0608",  # Seizure
    "5.0:0563",  # Central nervous system necrosis
]
OPENED: dict[str, Any] = {
    "title": "Simulated multicentre registry of radiotherapy for thyroid carcinoma (nobody in it ever lived)",
    "ethics_approval": "none needed: simulated",
    "protocol": {
        **PROTOCOL,
        "consent_versions": FORMS,
        "toxicity": {"dictionary": "ctcae-5.0", "checklist": CHECKLIST},
        "symptoms": SYMPTOMS,
        "accrual_target": {"participants": 150, "by": (SINCE + timedelta(days=DAYS_OF_ACCRUAL)).isoformat()},
    },
}

Course = Fate | Literal["stereotactic", "failed", "consented"]
COURSES: dict[Course, int] = {
    "curative": 42,
    "palliative": 20,
    "stereotactic": 15,
    "discontinued": 7,
    "withdrawn": 4,
    "failed": 8,
    "consented": 4,
}
"""How often each course of events is drawn, in percent."""
ABLATIVE = {"brain": [("SRS", 1, 1800), ("SRS", 1, 2000), ("FSRT", 5, 600)]}
ABLATIVE_ELSEWHERE = [("SBRT", 5, 600), ("SBRT", 3, 900), ("SBRT", 5, 700)]


@dataclass(frozen=True)
class Life:
    """`days[n]` is the day on which fact n can be stated: its own, or that of an earlier one if that is later."""

    site: Site
    facts: tuple[StatedFact, ...]

    @cached_property
    def days(self) -> list[str]:
        return list(accumulate((day_of(fact) for fact in self.facts), max))


def life(seed: int, index: int, sites: Sequence[Site] = SITES, since: date = SINCE) -> Life:
    """Participant `index` (0, 1, …) of that seed: screened some time after `since`, at one of the sites."""
    rng = Random(f"{seed}/{index}")
    site = rng.choice(sites)
    day = since + timedelta(days=index * DAYS_BETWEEN % DAYS_OF_ACCRUAL + rng.randrange(DAYS_BETWEEN))
    reference = f"SIMULATED-{seed}-{index + 1:05}"
    chart = Chart(rng, Entry(site.site_id, reference, [each["id"] for each in CRITERIA], FORMS, SYMPTOMS), day)
    drawn = rng.choices(list(COURSES), weights=list(COURSES.values()))[0]
    return Life(site, tuple(_lived(chart, drawn).facts))


def _lived(chart: Chart, drawn: Course) -> Chart:
    match drawn:
        case "failed":
            return fail(chart, chart.rng.choice(["histology", "radiotherapy", "refused"]))
        case "consented":
            return only_consent(chart)
        case "stereotactic":
            return _stereotactic(chart)
        case _:
            return treat(chart, drawn)


def _stereotactic(chart: Chart) -> Chart:
    """Radiotherapy of the neck, then ablation of one metastasis."""
    screen(chart)
    sites = enrol(chart, "IVC")
    chart.later(8, 16)
    curative_course(chart)
    chart.later(30, 120)
    delivery, fractions, dose = chart.rng.choice(ABLATIVE.get(sites[0], ABLATIVE_ELSEWHERE))
    treated = {"lesion_ids": lesions(chart, "metastasis")[:1], "prescription_isodose_percent": 80}
    volume = target("met", "PTV_Met", fractions, dose, technique="stereotactic", delivery=delivery, **treated)
    end_course(chart, "RT-2", start_course(chart, "RT-2", "ablative", [volume], index=False))
    return chart
