"""Descriptions of a participant's facts on the timeline."""

from __future__ import annotations

from services.analytics.timeline.descriptions.context import DescriptionContext
from services.analytics.timeline.descriptions.describe import DESCRIPTIONS, LANES, NOT_ON_TIMELINE, describe
from shared.contracts import catalogue
from shared.kernel.fact import Fact
from shared.kernel.record import Record
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import (
    disease_status,
    follow_up_recorded,
    query_explained,
    reminder_snoozed,
    visit_scheduled,
)
from shared.testing.builders.toxicity_facts import (
    attributions,
    finding,
    serious_event_reported,
    serious_event_updated,
    toxicity_assessed,
)
from tests.unit.analytics.published_cases import CASE_NUMBERS, published_case_events
from tests.unit.analytics.support import TODAY, timeline_json
from tests.unit.analytics.timeline.support import entries_of, single_entry, timeline_of


def test_course_entries_show_prescribed_and_delivered_doses_per_target() -> None:
    boost = facts.target("boost", "L1", cgy_per_fraction=300, boost_of="T1", prescription_isodose_percent=80)
    course = facts.radiotherapy_started(1, "RT1", facts.target("T1"), boost)
    entries = entries_of(
        facts.lesion_registered("L1"),
        course,
        facts.radiotherapy_discontinued(14, "RT1", facts.delivered_dose("T1", 8, 2000)),
    )
    start, end = single_entry("radiotherapy.started", entries), single_entry("radiotherapy.discontinued", entries)
    assert start["title"] == "Radiotherapy RT1 started: hypofractionated 50 Gy and 60 Gy"
    assert (
        "PTV_50: 20 × 3 Gy = 60 Gy, hypofractionated, prescribed to the 80 % isodose, boost of target T1, "
        "treats L1 (brain)" in start["detail"]
    )
    assert [target["total_dose_gy"] for target in start["targets"]] == [50.0, 60.0]
    assert end["detail"] == [
        "PTV_50: delivered 8 of 20 fractions, 20 Gy of 50 Gy",
        "PTV_50: delivered dose not recorded",
    ]
    assert end["delivered"] == [{"target_id": "T1", "fractions": 8, "dose_gy": 20.0}]


def test_no_toxicity_is_graded_0_only_with_a_complete_checklist() -> None:
    none = finding(grade=0)
    for assessment, title, grade in (
        (toxicity_assessed("2024-03-01"), "No toxicity found", 0),
        (toxicity_assessed("2024-03-01", none), "No toxicity found", 0),
        (toxicity_assessed("2024-03-01", checklist_complete=False), "No toxicity found; checklist incomplete", None),
    ):
        (entry,) = entries_of(assessment)
        assert (entry["title"], entry["grade"]) == (title, grade)


def test_finding_shows_grade_attribution_and_known_term_name() -> None:
    causes = [*attributions("course:RT1"), *attributions("disease", level="unlikely")]
    seizure = finding("3.0:0699", 3, attribution=causes, onset_on="2024-02-28")
    assessment = toxicity_assessed("2024-03-01", seizure, finding(grade=None))
    (entry,) = entries_of(assessment, term_names={"3.0:0699": "Seizure"})
    assert entry["title"] == "Toxicity: Seizure (3.0:0699) grade 3 and 3.0:0150 not graded"
    assert entry["detail"][1] == (
        "Seizure (3.0:0699): grade 3; attribution: RT1 possible, disease unlikely; onset 2024-02-28"
    )
    assert (entry["grade"], [finding["name"] for finding in entry["findings"]]) == (3, ["Seizure", None])


def test_screening_names_criteria_in_words_that_fit_inclusion_and_exclusion() -> None:
    """F8: "not met" beside an exclusion criterion that is present reads as its opposite."""
    answers = {"adult": "met", "prior-rt": "not_met", "biopsy": "not_assessed", "age-limit": "waived"}
    screening = facts.participant_screened(criteria=answers, waivers={"age-limit": "by the sponsor"})
    described = describe(screening, DescriptionContext(record=Record(), term_names={}))
    assert list(described.detail[1:]) == [
        "criteria that stand in the way: prior-rt",
        "criteria not assessed: biopsy",
        "criteria waived: age-limit",
    ]


def test_contact_shows_status_of_lesions_and_disease() -> None:
    disease = disease_status("L1", status="progressed", distant="not_assessed")
    symptoms = [{"symptom": "dysphagia", "change": "improved"}]
    contact = follow_up_recorded("2024-06-01", visit=2, disease=disease, response="PD", symptoms=symptoms)
    entry = single_entry("followup.recorded", entries_of(facts.lesion_registered("L1"), contact))
    assert entry["title"] == "Follow-up contact (clinic): L1 progressed, no regional disease, response PD"
    assert entry["detail"] == ["visit 2", "L1 (brain): progressed by imaging", "dysphagia improved"]


def test_clinical_basis_and_follow_up_withdrawal_are_worded_naturally() -> None:
    contact = follow_up_recorded("2024-06-01", visit=1, disease=disease_status("L1", basis="clinical"))
    assert (
        "L1 (brain): controlled clinically"
        in single_entry("followup.recorded", entries_of(facts.lesion_registered("L1"), contact))["detail"]
    )
    withdrawn = entries_of(facts.consent_withdrawn(9, "follow_up"))
    assert withdrawn[-1]["title"] == "Withdrew consent to follow-up"


def test_time_of_awareness_is_by_the_clock_of_the_site() -> None:
    """A report through the API may come with another offset; near midnight even the day is another."""
    reported = serious_event_reported(aware_at="2024-03-07T23:30:00Z")
    updated = serious_event_updated(aware_at="2024-07-01T22:10:00-04:00")
    first, second = entries_of(reported, updated)
    assert "site aware since 2024-03-08 00:30 Europe/Rome" in first["detail"]
    assert "site aware since 2024-07-02 04:10 Europe/Rome" in second["detail"]
    assert second["on"] == "2024-07-02"


class FactWithoutDescription(Fact):
    type_name = "imaging.first_performed"


def test_facts_about_the_record_are_not_on_the_timeline() -> None:
    explained = query_explained(reason="Sealed words.")
    snoozed = reminder_snoozed("2024-06-01")
    assert entries_of(explained, snoozed, visit_scheduled(), facts.participant_voided()) == []


def test_facts_without_a_description_are_shown_by_their_type_name() -> None:
    kinds = {kind for stream in catalogue.STREAMS if stream.subject == "participant" for kind in stream.facts.values()}
    for kind in {kind for kind in kinds if not issubclass(kind, NOT_ON_TIMELINE)} - set(DESCRIPTIONS) | {
        FactWithoutDescription
    }:
        entry = describe(kind.model_construct(), DescriptionContext(Record(), {}))
        assert (entry.lane, entry.title.lower()) == ("status", kind.type_name.replace(".", " ").replace("_", " "))
    for number in CASE_NUMBERS:
        assert {entry["lane"] for entry in timeline_json(published_case_events(number), TODAY)["entries"]} <= set(LANES)


def test_sealed_texts_are_not_in_the_timeline() -> None:
    facts_recorded = [
        toxicity_assessed(1, finding(grade=None, not_graded="Sealed words.")),
        serious_event_reported(narrative="Sealed words."),
        follow_up_recorded("2024-03-01", note="Sealed words."),
        facts.consent_withdrawn(9, reason="Sealed words."),
        facts.procedure_performed(1, detail="Sealed words."),
        facts.participant_screened(local_reference="Sealed words."),
    ]
    assert "Sealed words" not in repr(timeline_of(*facts_recorded))
