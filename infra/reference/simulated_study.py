"""Facts of the simulated study `demo-live` itself: its opening with the protocol, and its eight sites."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from infra.reference.study import PROTOCOL

STUDY_ID = "demo-live"
FIRST_SCREENING_DAY = date(2024, 1, 8)
"""The first day on which a participant may be screened."""
SCREENING_INTERVAL_DAYS, ACCRUAL_DAYS = 4, 800
"""Days between two screenings, and days of accrual; further participants are screened from the first day again."""


@dataclass(frozen=True)
class SimulatedSite:
    site_id: str
    name: str
    country: str
    time_zone: str


SITES = (
    SimulatedSite("berlin", "Simulated centre Berlin", "DE", "Europe/Berlin"),
    SimulatedSite("rome", "Simulated centre Rome", "IT", "Europe/Rome"),
    SimulatedSite("tokyo", "Simulated centre Tokyo", "JP", "Asia/Tokyo"),
    SimulatedSite("new-york", "Simulated centre New York", "US", "America/New_York"),
    SimulatedSite("sao-paulo", "Simulated centre Sao Paulo", "BR", "America/Sao_Paulo"),
    SimulatedSite("sydney", "Simulated centre Sydney", "AU", "Australia/Sydney"),
    SimulatedSite("johannesburg", "Simulated centre Johannesburg", "ZA", "Africa/Johannesburg"),
    SimulatedSite("kolkata", "Simulated centre Kolkata", "IN", "Asia/Kolkata"),
)

CONSENT_VERSIONS = [{"version": "1.0", "valid_from": "2023-12-01"}, {"version": "1.1", "valid_from": "2025-01-01"}]
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
OPENING_DATA: dict[str, Any] = {
    "title": "Simulated multicentre registry of radiotherapy for thyroid carcinoma (nobody in it ever lived)",
    "ethics_approval": "none needed: simulated",
    "protocol": {
        **PROTOCOL,
        "consent_versions": CONSENT_VERSIONS,
        "toxicity": {"dictionary": "ctcae-5.0", "checklist": CHECKLIST},
        "symptoms": SYMPTOMS,
        "accrual_target": {"participants": 150, "by": (FIRST_SCREENING_DAY + timedelta(days=ACCRUAL_DAYS)).isoformat()},
    },
}
