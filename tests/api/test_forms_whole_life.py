"""A small hospital takes part with a browser alone: from the opening of a study to a death two years later."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest

from infra.reference.study import subject
from tests.api.support.form_browser import FormBrowser, Page, form_browser, form_of, pages_of, recorded_types
from tests.api.support.study import TIMEOUT_SECONDS, StudyUnderTest
from tests.demo import Demo

SITE_USER = "site@oslo"
ENROLLMENT_TYPES = [
    "participant.screened",
    "participant.consented",
    "participant.enrolled",
    "participant.baseline_recorded",
    "lesion.registered",
    "procedure.performed",
    "radiotherapy.started",
    "radiotherapy.prescription_changed",
    "radiotherapy.discontinued",
    "systemic_therapy.started",
    "systemic_therapy.stopped",
]


@contextmanager
def new_study(demo: Demo) -> Iterator[StudyUnderTest]:
    with httpx.Client(base_url=demo.url, timeout=TIMEOUT_SECONDS, trust_env=False) as http:
        yield StudyUnderTest(demo, http, f"own-{secrets.token_hex(6)}")


def record(browser: FormBrowser, address: str, fields: Mapping[str, object], *, adds: tuple[str, ...] = ()) -> Page:
    """Opens a form, adds rows, fills it in and records."""
    page = browser.open(address)
    assert page.status == 200, (address, page.text)
    for name in adds:
        page = browser.press(page, "add", name)
    page.fill(dict(fields))
    recorded = browser.press(page, "record")
    assert "/events/" in str(recorded.response.url), (address, recorded.status, recorded.text)
    return recorded


def open_study(study: StudyUnderTest) -> None:
    with form_browser(study, "administrator") as browser:
        protocol = {
            "protocol.criteria.0.id": "histology",
            "protocol.criteria.0.text": "Anaplastic carcinoma.",
            "protocol.criteria.0.kind": "inclusion",
            "protocol.consent_versions.0.version": "1.0",
            "protocol.consent_versions.0.valid_from": "2020-01-01",
            "protocol.toxicity.dictionary": "ctcae-3.0",
            "protocol.toxicity.checklist.0": "3.0:0150",
            "protocol.symptoms.0": "pain",
            "protocol.accrual_target.participants": "20",
            "protocol.accrual_target.by": "2026-12-31",
        }
        opening = {"study_id": study.study_id, "title": "A study", "ethics_approval": "EC 1", **protocol}
        rows = ("protocol.toxicity.checklist", "protocol.symptoms")
        record(browser, "/enrollment/studies/new", opening, adds=rows)
        site = {"site_id": "oslo", "name": "Oslo", "country": "NO", "time_zone": "Europe/Oslo", "on": "2021-01-01"}
        record(browser, f"{pages_of(study)}/facts/study.site_activated", site)
        member = {"member": subject(study.study_id, "site", "oslo"), "role": "site", "site_id": "oslo"}
        record(browser, f"{pages_of(study)}/facts/study.member_granted", member)


def enroll(browser: FormBrowser, study: StudyUnderTest) -> str:
    screening = {"screened_on": "2022-01-10", "sex": "male", "birth_year": "1950", "criteria.histology": "met"}
    page = record(browser, f"{pages_of(study)}/participants/new", {**screening, "local_reference": "4711"})
    participant_id = str(page.response.url).split("/")[-3]
    options = {f"options.{name}": "true" for name in ("data_use", "registry", "recontact")}
    consent = {"signed_on": "2022-01-10", "form_version": "1.0", **options}
    record(browser, form_of(study, participant_id, "participant.consented"), consent)
    record(browser, form_of(study, participant_id, "participant.enrolled"), {"enrolled_on": "2022-01-11"})
    return participant_id


def treat(browser: FormBrowser, study: StudyUnderTest, participant_id: str) -> None:
    def form(type_name: str) -> str:
        return form_of(study, participant_id, type_name)

    tumor = {"assessed_on": "2022-01-12", "diagnosed_on": "2021-12", "histology": "8021/3", "primary_site": "C73"}
    stage = {"tnm.t": "T4b", "tnm.n.not_reported": "no imaging", "tnm.m": "M1", "metastatic_sites": ["lung"]}
    gene = {"molecular_findings.0.gene": "BRAF", "molecular_findings.0.result": "detected"}
    status = {"performance.scale": "KPS", "performance.value": "80", "symptoms.0.severity": "mild"}
    baseline = {**tumor, **stage, **gene, **status}
    record(browser, form("participant.baseline_recorded"), baseline, adds=("molecular_findings",))
    lesion = {"kind": "metastasis", "body_site": "lung", "laterality": "left", "found_on": "2022", "size_mm": "12,5"}
    record(browser, form("lesion.registered"), lesion)
    biopsy = {"performed_on": "2022-01-13", "kind": "biopsy", "body_site": "lung", "lesion_ids": ["L1"]}
    record(browser, form("procedure.performed"), {**biopsy, "detail": "CT-guided.\r\nNo complication."})
    target = {"target_id": "T1", "label": "PTV_1", "modality": "photons", "technique": "VMAT", "fractions": "20"}
    dose = {"delivery": "hypofractionated", "dose_per_fraction_cgy": "2,5 Gy", "total_dose_cgy": "50 Gy"}
    prescription = {f"targets.0.{name}": value for name, value in {**target, **dose, "lesion_ids": ["L1"]}.items()}
    course = {"started_on": "2022-02-01", "intent": "palliative", "index": "true", **prescription}
    record(browser, form("radiotherapy.started"), course)
    change = {"course_id": "RT1", "on": "2022-02-10", "reason_code": "planned", "targets.0.fractions": "16"}
    record(browser, form("radiotherapy.prescription_changed"), {**change, "targets.0.total_dose_cgy": "4000"})
    end = {"course_id": "RT1", "ended_on": "2022-02-20", "reason_code": "toxicity"}
    delivered = {"delivered.0.fractions": "14", "delivered.0.dose_cgy": "35 Gy"}
    record(browser, form("radiotherapy.discontinued"), {**end, **delivered})
    agent = {"agents.0.name": "Lenvatinib", "agents.0.dose": "24", "agents.0.unit": "mg"}
    record(browser, form("systemic_therapy.started"), {"on": "2022-03-01", "setting": "palliative", **agent})
    stop = {"line_id": "S1", "on": "2022-06", "reason_code": "progression", "cycles_given": "3"}
    record(browser, form("systemic_therapy.stopped"), stop)


def assess(browser: FormBrowser, study: StudyUnderTest, participant_id: str) -> None:
    def form(type_name: str) -> str:
        return form_of(study, participant_id, type_name, "toxicity")

    finding = {"findings.0.grade": "3", "findings.0.onset_on": "2022-02", "findings.0.attribution.0.level": "probable"}
    assessment = {"assessed_on": "2022-02-20", "timepoint": "end_of_rt", "checklist_complete": "true", **finding}
    record(browser, form("toxicity.assessed"), assessment)
    report = {"aware_at": "2022-02-21 09:30", "term": "3.0:0150", "grade": "3", "onset_on": "2022-02-20"}
    event = {"seriousness": ["hospitalisation"], "narrative": "Admitted.", "outcome": "NOT RECOVERED/NOT RESOLVED"}
    record(browser, form("toxicity.serious_event_reported"), {**report, **event})
    update = {"serious_event_id": "SAE1", "aware_at": "2022-02-25 10:00", "outcome": "RECOVERING/RESOLVING"}
    record(browser, form("toxicity.serious_event_updated"), update)
    final = {"serious_event_id": "SAE1", "aware_at": "2022-03-05 10:00", "outcome": "RECOVERED/RESOLVED"}
    record(browser, form("toxicity.serious_event_resolved"), {**final, "resolved_on": "2022-03-04"})


def follow_up(browser: FormBrowser, study: StudyUnderTest, participant_id: str) -> None:
    def form(type_name: str) -> str:
        return form_of(study, participant_id, type_name, "followup")

    disease = {
        "disease.lesions.0.status": "controlled",
        "disease.lesions.0.basis": "imaging",
        "disease.regional": "stable",
        "disease.distant": "not_assessed",
    }
    contact = {"seen_on": "2022-05-20", "visit": "1", "mode": "clinic", "response": "SD", "symptoms.0.change": "stable"}
    record(browser, form("followup.recorded"), {**contact, **disease, "performance.not_reported": "by phone only"})
    missed = {"visit": "2", "declared_on": "2022-09-20", "reason_code": "too_ill"}
    record(browser, form("followup.visit_missed"), missed)
    progression = {"detected_on": "2022-10", "kind": "distant", "body_site": "bone", "basis": "imaging"}
    record(browser, form("disease.progressed"), progression)
    record(browser, form("participant.lost"), {"on": "2023-01-10", "reason_code": "moved"})
    record(browser, form("participant.follow_up_resumed"), {"on": "2023-03-01"})
    record(browser, form("vital_status.confirmed"), {"alive_on": "2023-08-01", "source": "registry"})
    death = {"died_on": "2024-01", "cause": "tumour", "presumed": "false", "detail": "At home."}
    record(browser, form("participant.died"), death)


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with new_study(demo) as study:
        open_study(study)
        yield study


def test_participant_is_followed_from_screening_to_death_by_forms_alone(study: StudyUnderTest) -> None:
    with form_browser(study, SITE_USER) as browser:
        participant_id = enroll(browser, study)
        treat(browser, study, participant_id)
        version = study.get(f"participants/{participant_id}", SITE_USER).json()["version"]
        for service in ("toxicity", "followup"):
            hub = f"{pages_of(study, service)}/participants/{participant_id}"
            assert browser.open(f"{hub}?after=enrollment={version}").status == 200
        assess(browser, study, participant_id)
        follow_up(browser, study, participant_id)
    assert recorded_types(study, participant_id, user=SITE_USER) == ENROLLMENT_TYPES
    assert len(recorded_types(study, participant_id, "toxicity", user=SITE_USER)) == 4
    assert recorded_types(study, participant_id, "followup", user=SITE_USER)[-1] == "participant.died"
