"""One participant in clinical order: what comes first, what lasts how long, and how it reads."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.timeline.descriptions.context import DescriptionContext
from services.analytics.timeline.descriptions.describe import DESCRIPTIONS, LANES, NOT_ON_TIMELINE, describe
from shared.contracts import catalogue
from shared.kernel.fact import Fact
from shared.kernel.record import Record
from shared.testing.builders import facts
from tests.unit.analytics.participant_history import reordered
from tests.unit.analytics.published_events import (
    CASE_NUMBERS,
    make_event,
    make_events,
    published_case_events,
    read_fact,
    timeline_json,
)

TODAY = date(2025, 1, 31)
Entries = list[dict[str, Any]]


def fact_of_service(service: str, name: str, **data: Any) -> Fact:
    return read_fact({"service": service, "type": name, "data": data})


def participant_death(on: str | None, **more: Any) -> Fact:
    return fact_of_service("followup", "participant.died", died_on=on, cause="tumour", **more)


def follow_up_contact(on: str, **more: Any) -> Fact:
    return fact_of_service("followup", "followup.recorded", seen_on=on, mode="clinic", **more)


def toxicity_assessment(
    on: str, *findings: dict[str, Any], complete: bool = True, timepoint: str = "follow_up"
) -> Fact:
    content = {"assessed_on": on, "timepoint": timepoint, "findings": findings, "checklist_complete": complete}
    return fact_of_service("toxicity", "toxicity.assessed", **content)


def serious_event(name: str, **data: Any) -> Fact:
    content = {"serious_event_id": "SAE1", "aware_at": "2024-03-02T09:00:00+01:00", **data}
    return fact_of_service("toxicity", f"toxicity.serious_event_{name}", **content)


REPORTED = {
    "term": "3.0:0150",
    "grade": 4,
    "onset_on": "2024-03-01",
    "seriousness": ["hospitalisation"],
    "narrative": "Sealed words.",
    "outcome": "NOT RECOVERED/NOT RESOLVED",
}


def timeline_of(*facts_recorded: Fact, today: date = TODAY, **options: Any) -> dict[str, Any]:
    return timeline_json(make_events("P", [facts.participant_screened(), *facts_recorded]), today, **options)


def entries_of(*facts_recorded: Fact, **options: Any) -> Entries:
    """All but the screening."""
    return [
        entry for entry in timeline_of(*facts_recorded, **options)["entries"] if entry["type"] != "participant.screened"
    ]


def type_suffixes(entries: Entries) -> list[str]:
    return [entry["type"].rpartition(".")[2] for entry in entries]


def single_entry(type_name: str, entries: Entries) -> dict[str, Any]:
    (entry,) = [each for each in entries if each["type"] == type_name]
    return entry


@pytest.mark.parametrize("number", CASE_NUMBERS)
def test_every_current_fact_is_one_entry_in_any_arrival_order(number: int) -> None:
    expected = timeline_json(published_case_events(number), TODAY)
    assert sorted(entry["event_id"] for entry in expected["entries"]) == sorted(
        str(each.event_id) for each in published_case_events(number)
    )
    for seed in range(5):
        shuffled = random.Random(seed).sample(published_case_events(number), len(published_case_events(number)))  # noqa: S311 - a seeded shuffle
        assert timeline_json(shuffled, TODAY)["entries"] == expected["entries"]


@pytest.mark.parametrize("number", CASE_NUMBERS)
def test_timeline_does_not_depend_on_recording_order(number: int) -> None:
    expected = without_versions(timeline_json(published_case_events(number), TODAY)["entries"])
    for seed in range(5):
        reordered_events = reordered(published_case_events(number), seed)
        assert without_versions(timeline_json(reordered_events, TODAY)["entries"]) == expected


def without_versions(entries: Entries) -> Entries:
    return [{name: value for name, value in entry.items() if name != "version"} for entry in entries]


@pytest.mark.parametrize("number", CASE_NUMBERS)
def test_entries_are_in_order_of_days_and_undated_ones_last(number: int) -> None:
    days = [entry["day"] for entry in timeline_json(published_case_events(number), TODAY)["entries"]]
    assert days == sorted(days, key=lambda day: (day is None, day or ""))


def test_facts_that_do_not_imply_being_alive_do_not_delay_a_death() -> None:
    declared = fact_of_service(
        "followup", "followup.visit_missed", visit=1, declared_on="2024-11-28", reason_code="too_ill"
    )
    progression = fact_of_service(
        "followup", "disease.progressed", detected_on="2024-11-27", kind="distant", basis="histology"
    )
    death = single_entry(
        "participant.died",
        entries_of(follow_up_contact("2024-11-20"), declared, progression, participant_death("2024-11")),
    )
    assert death["day"] == "2024-11-20"


def test_participant_lost_and_found_in_one_month_is_not_lost() -> None:
    """The participant flow counts the same: a month is taken for its middle."""
    lost = fact_of_service("followup", "participant.lost", on="2024-10", reason_code="moved")
    assert timeline_of(lost)["status"] == "lost"
    assert (
        timeline_of(lost, fact_of_service("followup", "participant.follow_up_resumed", on="2024-10-20"))["status"]
        == "screening"
    )


def test_same_day_entries_are_in_clinical_order() -> None:
    day = facts.day(0)
    facts_recorded: list[Fact] = [
        participant_death(day),
        toxicity_assessment(day),
        facts.radiotherapy_completed(0),
        facts.radiotherapy_started(0),
        follow_up_contact(day),
        facts.lesion_registered("L1", 0),
        toxicity_assessment(day, timepoint="baseline"),
        facts.baseline_recorded(0),
        facts.participant_enrolled(0),
        facts.consent_signed(0),
        fact_of_service("followup", "disease.progressed", detected_on=day, kind="distant", basis="imaging"),
    ]
    assert type_suffixes(entries_of(*facts_recorded)) == [
        "consented",
        "enrolled",
        "baseline_recorded",
        "assessed",
        "registered",
        "recorded",
        "progressed",
        "started",
        "completed",
        "assessed",
        "died",
    ]


def test_line_stop_precedes_the_next_start_but_follows_its_own() -> None:
    first, stop, second = (
        facts.systemic_therapy_started(0, "A"),
        facts.systemic_therapy_stopped(9, "A"),
        facts.systemic_therapy_started(9, "B"),
    )
    line_ids = [entry["line_id"] for entry in entries_of(second, stop, first, facts.systemic_therapy_stopped(9, "B"))]
    assert line_ids == ["A", "A", "B", "B"]


def test_a_course_lasts_from_its_first_to_its_last_fraction() -> None:
    entry = single_entry(
        "radiotherapy.started", entries_of(facts.radiotherapy_started(1), facts.radiotherapy_completed(28))
    )
    assert (entry["from"], entry["until"], entry["lasts"], entry["ongoing"]) == (
        facts.day(1),
        facts.day(28),
        True,
        False,
    )


@pytest.mark.parametrize(
    ("fate", "until"),
    [
        ([], "2025-01-31"),
        ([participant_death("2024-06-01")], "2024-06-01"),
        ([participant_death(None), follow_up_contact("2024-05-05")], "2024-05-05"),
    ],
    ids=["alive", "dead", "dead on a day nobody knows"],
)
def test_entry_without_recorded_end_lasts_until_today_or_death(fate: list[Fact], until: str) -> None:
    for start in (facts.radiotherapy_started(1), facts.systemic_therapy_started(1)):
        entry = entries_of(start, *fate)[0]
        assert (entry["until"], entry["ongoing"]) == (until, True)


def test_loss_to_follow_up_ends_with_its_resumption() -> None:
    lost = fact_of_service("followup", "participant.lost", on="2024-05-01", reason_code="moved")
    resumed = fact_of_service("followup", "participant.follow_up_resumed", on="2024-08-01")
    assert single_entry("participant.lost", entries_of(lost))["ongoing"]
    assert single_entry("participant.lost", entries_of(lost, resumed))["until"] == "2024-08-01"
    assert (timeline_of(lost)["status"], timeline_of(lost, resumed)["status"]) == ("lost", "screening")


def test_partial_date_is_shown_unchanged_and_spans_its_possible_days() -> None:
    participant_timeline = timeline_of(facts.procedure_performed("2024-02"))
    entry = single_entry("procedure.performed", participant_timeline["entries"])
    assert [entry[name] for name in ("on", "day", "from", "until", "imputed", "lasts")] == [
        "2024-02",
        "2024-02-15",
        "2024-02-01",
        "2024-02-29",
        True,
        False,
    ]
    assert participant_timeline["imputed_dates"] == 1


def test_partial_date_does_not_extend_into_the_future() -> None:
    entry = single_entry("procedure.performed", entries_of(facts.procedure_performed("2024"), today=date(2024, 3, 1)))
    assert (entry["day"], entry["until"]) == ("2024-03-01", "2024-03-01")


def test_partial_end_follows_its_start_and_death_the_last_contact() -> None:
    course = single_entry(
        "radiotherapy.started",
        entries_of(facts.radiotherapy_started("2024-02-20"), facts.radiotherapy_completed("2024-02")),
    )
    assert (course["from"], course["until"]) == ("2024-02-20", "2024-02-20")
    entries = entries_of(follow_up_contact("2024-06-24"), participant_death("2024-06"))
    assert [(entry["on"], entry["day"]) for entry in entries] == [
        ("2024-06-24", "2024-06-24"),
        ("2024-06", "2024-06-24"),
    ]


def test_undated_death_is_the_last_entry() -> None:
    last = entries_of(participant_death(None, presumed=True), follow_up_contact("2024-06-24"))[-1]
    assert (last["on"], last["day"]) == (None, None)
    assert last["title"] == "Presumed dead, date unknown; cause of death: tumor"


def test_corrected_fact_is_marked() -> None:
    recorded_events = [
        make_event("P", 1, facts.participant_screened()),
        make_event("P", 2, facts.participant_enrolled(5)),
    ]
    entries = timeline_json(recorded_events, TODAY, corrected_ids={recorded_events[1].event_id})["entries"]
    assert [entry["corrected"] for entry in entries] == [False, True]


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
    none = {"term": "3.0:0150", "grade": 0}
    for assessment, title, grade in (
        (toxicity_assessment("2024-03-01"), "No toxicity found", 0),
        (toxicity_assessment("2024-03-01", none), "No toxicity found", 0),
        (toxicity_assessment("2024-03-01", complete=False), "No toxicity found; checklist incomplete", None),
    ):
        (entry,) = entries_of(assessment)
        assert (entry["title"], entry["grade"]) == (title, grade)


def test_finding_shows_grade_attribution_and_known_term_name() -> None:
    causes = [{"to": "course:RT1", "level": "possible"}, {"to": "disease", "level": "unlikely"}]
    finding = {"term": "3.0:0699", "grade": 3, "attribution": causes, "onset_on": "2024-02-28"}
    assessment = toxicity_assessment(
        "2024-03-01", finding, {"term": "3.0:0150", "grade": None, "not_graded": "Sealed words."}
    )
    (entry,) = entries_of(assessment, term_names={"3.0:0699": "Seizure"})
    assert entry["title"] == "Toxicity: Seizure (3.0:0699) grade 3 and 3.0:0150 not graded"
    assert entry["detail"][1] == (
        "Seizure (3.0:0699): grade 3; attribution: RT1 possible, disease unlikely; onset 2024-02-28"
    )
    assert (entry["grade"], [each["name"] for each in entry["findings"]]) == (3, ["Seizure", None])


def test_a_serious_event_lasts_from_its_onset_until_it_is_resolved() -> None:
    resolved = serious_event("resolved", outcome="RECOVERED/RESOLVED", resolved_on="2024-04-02")
    update = serious_event("updated", aware_at="2024-03-09T09:00:00+01:00", grade=3)
    entries = entries_of(resolved, update, serious_event("reported", **REPORTED))
    assert type_suffixes(entries) == ["serious_event_reported", "serious_event_updated", "serious_event_resolved"]
    assert [entry["on"] for entry in entries] == ["2024-03-01", "2024-03-09", "2024-04-02"]
    assert (entries[0]["until"], entries[0]["ongoing"]) == ("2024-04-02", False)
    assert single_entry("toxicity.serious_event_reported", entries_of(serious_event("reported", **REPORTED)))["ongoing"]


def test_contact_shows_status_of_lesions_and_disease() -> None:
    disease = {
        "lesions": [{"lesion_id": "L1", "status": "progressed", "basis": "imaging"}],
        "regional": "none",
        "distant": "not_assessed",
    }
    symptoms = [{"symptom": "dysphagia", "change": "improved"}]
    contact = follow_up_contact("2024-06-01", visit=2, disease=disease, response="PD", symptoms=symptoms)
    entry = single_entry("followup.recorded", entries_of(facts.lesion_registered("L1"), contact))
    assert entry["title"] == "Follow-up contact (clinic): L1 progressed, no regional disease, response PD"
    assert entry["detail"] == ["visit 2", "L1 (brain): progressed by imaging", "dysphagia improved"]


def test_clinical_basis_and_follow_up_withdrawal_are_worded_naturally() -> None:
    lesion = {"lesion_id": "L1", "status": "controlled", "basis": "clinical"}
    disease = {"lesions": [lesion], "regional": "none", "distant": "none"}
    contact = follow_up_contact("2024-06-01", visit=1, disease=disease)
    assert (
        "L1 (brain): controlled clinically"
        in single_entry("followup.recorded", entries_of(facts.lesion_registered("L1"), contact))["detail"]
    )
    withdrawn = entries_of(facts.consent_withdrawn(9, "follow_up"))
    assert withdrawn[-1]["title"] == "Withdrew consent to follow-up"


class FactWithoutDescription(Fact):
    type_name = "imaging.first_performed"


def test_facts_about_the_record_are_not_on_the_timeline() -> None:
    explained = fact_of_service("followup", "query.explained", query_key="0" * 64, reason="Sealed words.")
    snoozed = fact_of_service("followup", "reminder.snoozed", visit=1, until="2024-06-01")
    assert entries_of(explained, snoozed, facts.participant_voided()) == []


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
        serious_event("reported", **REPORTED),
        follow_up_contact("2024-03-01", note="Sealed words."),
        facts.consent_withdrawn(9, reason="Sealed words."),
        facts.procedure_performed(1, detail="Sealed words."),
        facts.participant_screened(local_reference="Sealed words."),
    ]
    assert "Sealed words" not in repr(timeline_of(*facts_recorded))


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        ([], "screening"),
        ([facts.consent_signed()], "consented"),
        ([facts.screening_failed(1)], "screen_failed"),
        ([facts.participant_enrolled()], "enrolled"),
        ([facts.participant_enrolled(), facts.consent_withdrawn(5)], "withdrawn"),
        ([facts.participant_enrolled(), facts.consent_withdrawn(5), participant_death("2024-06-01")], "died"),
    ],
)
def test_participant_status_follows_its_precedence(stated: list[Fact], status: str) -> None:
    assert timeline_of(*stated)["status"] == status


def test_timeline_site_is_that_of_the_last_transfer() -> None:
    assert timeline_of()["site_id"] == "rome"
    assert (
        timeline_of(facts.participant_transferred("paris", 9), facts.participant_transferred("milan", 5))["site_id"]
        == "paris"
    )


@given(st.lists(st.integers(0, 200), max_size=8), st.integers(0, 400))
def test_bars_start_before_they_end_and_within_the_timeline(days: list[int], end: int) -> None:
    lines = [facts.systemic_therapy_started(day, f"S{place}") for place, day in enumerate(days)]
    stops = [facts.systemic_therapy_stopped(end, f"S{place}") for place in range(0, len(days), 2)]
    participant_timeline = timeline_of(*lines, *stops)
    for entry in participant_timeline["entries"]:
        assert entry["from"] <= entry["until"] <= participant_timeline["ends_on"]
