"""Facts of the reference study itself: its opening with the protocol, its one site, its members.

The protocol follows the cohort of Rennollet et al. (Anticancer Research, 2026): CTCAE 3.0, a follow-up visit every
three months for two years after radiotherapy, accrual from December 2020 to January 2025. Other parts of
the protocol (the wording of the criteria, the checklist, the symptoms, the forms) are ours.
"""

from __future__ import annotations

from typing import Any, TypedDict

STUDY_ID = "atc-rt"
SITE_ID = "site-01"
FIRST_DAY = "2020-12-01"
FROZEN_TODAY = "2025-01-31"
"""Today in the reference study: the end of its accrual. No date in it is later."""


class ReferenceFact(TypedDict):
    """A fact as a member of a batch."""

    type: str
    data: dict[str, Any]


class MemberGrant(TypedDict):
    member: str
    role: str
    site_id: str | None


CRITERIA: list[dict[str, str]] = [
    {
        "id": "histology",
        "text": "Histologically confirmed anaplastic thyroid carcinoma, or a carcinoma with anaplastic areas",
        "kind": "inclusion",
    },
    {
        "id": "radiotherapy",
        "text": "Radiotherapy of the primary tumour, its bed, lymph nodes or metastases is indicated",
        "kind": "inclusion",
    },
    {"id": "consent-capable", "text": "Able to understand the study and to consent in writing", "kind": "inclusion"},
    {"id": "other-malignancy", "text": "Another malignancy that is under treatment", "kind": "exclusion"},
]

CONSENT_VERSIONS: list[dict[str, str]] = [
    {"version": "1.0", "valid_from": "2020-11-16"},
    {"version": "2.0", "valid_from": "2023-01-01"},
]

CHECKLIST: list[str] = [
    "3.0:0114",  # Rash: dermatitis associated with radiation / Radiation
    "3.0:0113",  # Rash: dermatitis associated with radiation / Chemoradiation
    "3.0:0191",  # Mucositis/stomatitis (clinical exam) / Oral cavity
    "3.0:0202",  # Mucositis/stomatitis (functional/symptomatic) / Pharynx
    "3.0:0150",  # Dysphagia (difficulty swallowing)
    "3.0:0149",  # Dry mouth/salivary gland (xerostomia)
    "3.0:0152",  # Esophagitis
    "3.0:0264",  # Taste alteration (dysgeusia)
    "3.0:0207",  # Nausea
    "3.0:0081",  # Fatigue (asthenia, lethargy, malaise)
    "3.0:0090",  # Weight loss
    "3.0:0137",  # Thyroid function, low (hypothyroidism)
    "3.0:0811",  # Voice changes/dysarthria
    "3.0:0787",  # Edema, larynx
    "3.0:0786",  # Dyspnea (shortness of breath)
    "3.0:0785",  # Cough
    "3.0:0804",  # Pneumonitis/pulmonary infiltrates
    "3.0:0752",  # Pain / Neck
    "3.0:0729",  # Pain / Bone
    "3.0:0742",  # Pain / Head/headache
    "3.0:0699",  # Seizure
    "3.0:0664",  # Confusion
    "3.0:0662",  # CNS necrosis/cystic progression
]

SYMPTOMS: list[str] = ["dysphagia", "dyspnoea", "hoarseness", "neck-pain", "bone-pain", "headache", "neck-swelling"]

PROTOCOL: dict[str, Any] = {
    "criteria": CRITERIA,
    "minimum_age": 18,
    "consent_versions": CONSENT_VERSIONS,
    "toxicity": {"dictionary": "ctcae-3.0", "checklist": CHECKLIST},
    "symptoms": SYMPTOMS,
    "follow_up": {
        "anchor": "index_course_end",
        "every_months": 3,
        "for_months": 24,
        "window_days": {"before": 14, "after": 14},
        "anchor_policy": "index",
    },
    "accrual_target": {"participants": 31, "by": FROZEN_TODAY},
    "stereotactic": {"deliveries": ["SRS", "FSRT", "SBRT"]},
    "survival_origin": "rt_start",
}

OPENING_DATA: dict[str, Any] = {
    "title": (
        "Radiotherapy of anaplastic thyroid carcinoma: a prospective cohort "
        "(reference study: 4 published cases, 27 synthetic participants)"
    ),
    "ethics_approval": "19-885",
    "protocol": PROTOCOL,
}

SITE: dict[str, Any] = {
    "site_id": SITE_ID,
    "name": "Radiation Oncology, reference centre",
    "country": "DE",
    "time_zone": "Europe/Berlin",
    "on": FIRST_DAY,
}


PAPER_CUT: dict[str, str] = {"name": "paper", "cut_on": FROZEN_TODAY}
"""The data cut of the published cohort, which readers of the reference study see."""


def subject(study_id: str, role: str, site_id: str | None = None) -> str:
    """Returns the default subject of a role: `site@site-01.atc-rt`, or `monitor@study-wide.atc-rt` without a site."""
    return f"{role}@{site_id or 'study-wide'}.{study_id}"


def member_grant(study_id: str, role: str, site_id: str | None = None) -> MemberGrant:
    return {"member": subject(study_id, role, site_id), "role": role, "site_id": site_id}


def default_grants(study_id: str, site_ids: list[str]) -> list[MemberGrant]:
    """Returns grants of five study-wide roles and of staff at each site. The opener of a study is its administrator."""
    study_wide = [
        member_grant(study_id, role) for role in ("investigator", "coordinator", "monitor", "auditor", "reader")
    ]
    return study_wide + [
        member_grant(study_id, role, site_id) for site_id in site_ids for role in ("site", "coordinator")
    ]
