"""One participant in clinical order: what comes first, what lasts how long, and how it reads."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.telling import LANES, TELLS, UNTOLD, Known, told
from services.analytics.timeline import timeline
from shared.contracts import catalogue
from shared.kernel.fact import Fact
from shared.kernel.record import Record
from shared.testing import facts
from tests.unit.analytics.stories import stated_anew
from tests.unit.analytics.told import CASES, case, event, events, read

TODAY = date(2025, 1, 31)
Entries = list[dict[str, Any]]


def later(service: str, name: str, **data: Any) -> Fact:
    return read({"service": service, "type": name, "data": data})


def died(on: str | None, **more: Any) -> Fact:
    return later("followup", "participant.died", died_on=on, cause="tumour", **more)


def seen(on: str, **more: Any) -> Fact:
    return later("followup", "followup.recorded", seen_on=on, mode="clinic", **more)


def assessed(on: str, *findings: dict[str, Any], complete: bool = True, timepoint: str = "follow_up") -> Fact:
    said = {"assessed_on": on, "timepoint": timepoint, "findings": findings, "checklist_complete": complete}
    return later("toxicity", "toxicity.assessed", **said)


def serious(name: str, **data: Any) -> Fact:
    said = {"serious_event_id": "SAE1", "aware_at": "2024-03-02T09:00:00+01:00", **data}
    return later("toxicity", f"toxicity.serious_event_{name}", **said)


REPORTED = {
    "term": "3.0:0150", "grade": 4, "onset_on": "2024-03-01", "seriousness": ["hospitalisation"],
    "narrative": "Sealed words.", "outcome": "NOT RECOVERED/NOT RESOLVED",
}  # fmt: skip


def of(*stated: Fact, today: date = TODAY, **asked: Any) -> dict[str, Any]:
    return timeline(events("P", [facts.screened(), *stated]), today, **asked)


def entries_of(*stated: Fact, **asked: Any) -> Entries:
    """All but the screening."""
    return [entry for entry in of(*stated, **asked)["entries"] if entry["type"] != "participant.screened"]


def types(entries: Entries) -> list[str]:
    return [entry["type"].rpartition(".")[2] for entry in entries]


def only(type_name: str, entries: Entries) -> dict[str, Any]:
    (entry,) = [each for each in entries if each["type"] == type_name]
    return entry


@pytest.mark.parametrize("number", CASES)
def test_every_standing_fact_is_told_once_whatever_order_it_comes_in(number: int) -> None:
    told = timeline(case(number), TODAY)
    assert sorted(entry["event_id"] for entry in told["entries"]) == sorted(str(each.event_id) for each in case(number))
    for seed in range(5):
        shuffled = random.Random(seed).sample(case(number), len(case(number)))  # noqa: S311 - a seeded shuffle
        assert timeline(shuffled, TODAY)["entries"] == told["entries"]


@pytest.mark.parametrize("number", CASES)
def test_the_order_in_which_a_site_states_what_happened_does_not_show(number: int) -> None:
    as_told = without_versions(timeline(case(number), TODAY)["entries"])
    for seed in range(5):
        again = stated_anew(case(number), seed)
        assert without_versions(timeline(again, TODAY)["entries"]) == as_told


def without_versions(entries: Entries) -> Entries:
    return [{name: value for name, value in entry.items() if name != "version"} for entry in entries]


@pytest.mark.parametrize("number", CASES)
def test_days_never_go_back_and_what_has_no_day_is_last(number: int) -> None:
    days = [entry["day"] for entry in timeline(case(number), TODAY)["entries"]]
    assert days == sorted(days, key=lambda day: (day is None, day or ""))


def test_what_needs_nobody_alive_does_not_put_off_a_death() -> None:
    declared = later("followup", "followup.visit_missed", visit=1, declared_on="2024-11-28", reason_code="too_ill")
    found = later("followup", "disease.progressed", detected_on="2024-11-27", kind="distant", basis="histology")
    death = only("participant.died", entries_of(seen("2024-11-20"), declared, found, died("2024-11")))
    assert death["day"] == "2024-11-20"


def test_who_was_lost_in_a_month_and_found_late_in_it_is_not_lost() -> None:
    """As the flow of participants counts it: a month is taken for its middle."""
    lost = later("followup", "participant.lost", on="2024-10", reason_code="moved")
    assert of(lost)["status"] == "lost"
    assert of(lost, later("followup", "participant.follow_up_resumed", on="2024-10-20"))["status"] == "screening"


def test_of_one_day_people_are_seen_then_treated_then_what_they_suffered_is_told() -> None:
    day = facts.day(0)
    stated: list[Fact] = [
        died(day), assessed(day), facts.completed(0), facts.course(0), seen(day), facts.lesion("L1", 0),
        assessed(day, timepoint="baseline"), facts.baseline(0), facts.enrolled(0), facts.consented(0),
        later("followup", "disease.progressed", detected_on=day, kind="distant", basis="imaging"),
    ]  # fmt: skip
    assert types(entries_of(*stated)) == [
        "consented", "enrolled", "baseline_recorded", "assessed", "registered", "recorded", "progressed", "started",
        "completed", "assessed", "died",
    ]  # fmt: skip


def test_a_line_stops_before_the_next_one_starts_but_not_before_its_own_start() -> None:
    first, stop, second = facts.line(0, "A"), facts.line_stopped(9, "A"), facts.line(9, "B")
    told = [entry["line_id"] for entry in entries_of(second, stop, first, facts.line_stopped(9, "B"))]
    assert told == ["A", "A", "B", "B"]


def test_a_course_lasts_from_its_first_to_its_last_fraction() -> None:
    entry = only("radiotherapy.started", entries_of(facts.course(1), facts.completed(28)))
    assert (entry["from"], entry["until"], entry["lasts"], entry["ongoing"]) == (
        facts.day(1), facts.day(28), True, False
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fate", "until"),
    [
        ([], "2025-01-31"),
        ([died("2024-06-01")], "2024-06-01"),
        ([died(None), seen("2024-05-05")], "2024-05-05"),
    ],
    ids=["alive", "dead", "dead on a day nobody knows"],
)
def test_what_has_no_stated_end_goes_on_until_today_or_death(fate: list[Fact], until: str) -> None:
    for start in (facts.course(1), facts.line(1)):
        entry = entries_of(start, *fate)[0]
        assert (entry["until"], entry["ongoing"]) == (until, True)


def test_who_is_found_again_was_lost_until_then() -> None:
    lost = later("followup", "participant.lost", on="2024-05-01", reason_code="moved")
    found = later("followup", "participant.follow_up_resumed", on="2024-08-01")
    assert only("participant.lost", entries_of(lost))["ongoing"]
    assert only("participant.lost", entries_of(lost, found))["until"] == "2024-08-01"
    assert (of(lost)["status"], of(lost, found)["status"]) == ("lost", "screening")


def test_an_imprecise_date_stays_as_said_and_spans_the_days_that_it_may_mean() -> None:
    told = of(facts.procedure("2024-02"))
    entry = only("procedure.performed", told["entries"])
    assert [entry[name] for name in ("on", "day", "from", "until", "imputed", "lasts")] == [
        "2024-02", "2024-02-15", "2024-02-01", "2024-02-29", True, False
    ]  # fmt: skip
    assert told["imputed_dates"] == 1


def test_an_imprecise_date_never_means_a_day_that_is_yet_to_come() -> None:
    entry = only("procedure.performed", entries_of(facts.procedure("2024"), today=date(2024, 3, 1)))
    assert (entry["day"], entry["until"]) == ("2024-03-01", "2024-03-01")


def test_an_imprecise_end_is_not_before_its_beginning_nor_death_before_the_last_contact() -> None:
    course = only("radiotherapy.started", entries_of(facts.course("2024-02-20"), facts.completed("2024-02")))
    assert (course["from"], course["until"]) == ("2024-02-20", "2024-02-20")
    told = entries_of(seen("2024-06-24"), died("2024-06"))
    assert [(entry["on"], entry["day"]) for entry in told] == [("2024-06-24", "2024-06-24"), ("2024-06", "2024-06-24")]


def test_a_death_without_a_date_stands_at_the_end_and_says_so() -> None:
    last = entries_of(died(None, presumed=True), seen("2024-06-24"))[-1]
    assert (last["on"], last["day"]) == (None, None)
    assert last["title"] == "Presumed dead, date unknown; cause of death: tumor"


def test_a_restated_fact_is_marked() -> None:
    told = [event("P", 1, facts.screened()), event("P", 2, facts.enrolled(5))]
    entries = timeline(told, TODAY, corrected={told[1].event_id})["entries"]
    assert [entry["corrected"] for entry in entries] == [False, True]


def test_a_course_tells_what_was_prescribed_to_each_target_and_its_end_what_was_delivered() -> None:
    boost = facts.target("boost", "L1", each=300, boost_of="T1", prescription_isodose_percent=80)
    course = facts.course(1, "RT1", facts.target("T1"), boost)
    told = entries_of(facts.lesion("L1"), course, facts.discontinued(14, "RT1", facts.given("T1", 8, 2000)))
    start, end = only("radiotherapy.started", told), only("radiotherapy.discontinued", told)
    assert start["title"] == "Radiotherapy RT1 started: hypofractionated 50 Gy and 60 Gy"
    assert (
        "PTV_50: 20 × 3 Gy = 60 Gy, hypofractionated, prescribed to the 80 % isodose, boost of target T1, "
        "treats L1 (brain)" in start["detail"]
    )
    assert [target["total_dose_gy"] for target in start["targets"]] == [50.0, 60.0]
    assert end["detail"] == [
        "PTV_50: delivered 8 of 20 fractions, 20 Gy of 50 Gy", "PTV_50: delivered dose not recorded",
    ]  # fmt: skip
    assert end["delivered"] == [{"target_id": "T1", "fractions": 8, "dose_gy": 20.0}]


def test_no_toxicity_is_said_only_where_it_was_looked_for() -> None:
    none = {"term": "3.0:0150", "grade": 0}
    for stated, title, grade in (
        (assessed("2024-03-01"), "No toxicity found", 0),
        (assessed("2024-03-01", none), "No toxicity found", 0),
        (assessed("2024-03-01", complete=False), "No toxicity found; checklist incomplete", None),
    ):
        (entry,) = entries_of(stated)
        assert (entry["title"], entry["grade"]) == (title, grade)


def test_a_finding_is_told_with_its_grade_its_causes_and_the_name_of_its_term_where_that_is_known() -> None:
    causes = [{"to": "course:RT1", "level": "possible"}, {"to": "disease", "level": "unlikely"}]
    found = {"term": "3.0:0699", "grade": 3, "attribution": causes, "onset_on": "2024-02-28"}
    stated = assessed("2024-03-01", found, {"term": "3.0:0150", "grade": None, "not_graded": "Sealed words."})
    (entry,) = entries_of(stated, names={"3.0:0699": "Seizure"})
    assert entry["title"] == "Toxicity: Seizure (3.0:0699) grade 3 and 3.0:0150 not graded"
    assert entry["detail"][1] == (
        "Seizure (3.0:0699): grade 3; attribution: RT1 possible, disease unlikely; onset 2024-02-28"
    )
    assert (entry["grade"], [each["name"] for each in entry["findings"]]) == (3, ["Seizure", None])


def test_a_serious_event_lasts_from_its_onset_until_it_is_resolved() -> None:
    resolved = serious("resolved", outcome="RECOVERED/RESOLVED", resolved_on="2024-04-02")
    more = serious("updated", aware_at="2024-03-09T09:00:00+01:00", grade=3)
    told = entries_of(resolved, more, serious("reported", **REPORTED))
    assert types(told) == ["serious_event_reported", "serious_event_updated", "serious_event_resolved"]
    assert [entry["on"] for entry in told] == ["2024-03-01", "2024-03-09", "2024-04-02"]
    assert (told[0]["until"], told[0]["ongoing"]) == ("2024-04-02", False)
    assert only("toxicity.serious_event_reported", entries_of(serious("reported", **REPORTED)))["ongoing"]


def test_a_contact_tells_the_status_of_lesions_and_disease() -> None:
    disease = {
        "lesions": [{"lesion_id": "L1", "status": "progressed", "basis": "imaging"}],
        "regional": "none", "distant": "not_assessed",
    }  # fmt: skip
    symptoms = [{"symptom": "dysphagia", "change": "improved"}]
    contact = seen("2024-06-01", visit=2, disease=disease, response="PD", symptoms=symptoms)
    entry = only("followup.recorded", entries_of(facts.lesion("L1"), contact))
    assert entry["title"] == "Follow-up contact (clinic): L1 progressed, no regional disease, response PD"
    assert entry["detail"] == ["visit 2", "L1 (brain): progressed by imaging", "dysphagia improved"]


def test_what_was_found_on_examination_and_at_follow_up_is_said_as_people_say_it() -> None:
    lesion = {"lesion_id": "L1", "status": "controlled", "basis": "clinical"}
    disease = {"lesions": [lesion], "regional": "none", "distant": "none"}
    contact = seen("2024-06-01", visit=1, disease=disease)
    assert (
        "L1 (brain): controlled clinically"
        in only("followup.recorded", entries_of(facts.lesion("L1"), contact))["detail"]
    )
    withdrawn = entries_of(facts.withdrawn(9, "follow_up"))
    assert withdrawn[-1]["title"] == "Withdrew consent to follow-up"


class Unheard(Fact):
    type_name = "imaging.first_performed"


def test_what_is_about_the_record_is_not_told() -> None:
    explained = later("followup", "query.explained", query_key="0" * 64, reason="Sealed words.")
    snoozed = later("followup", "reminder.snoozed", visit=1, until="2024-06-01")
    assert entries_of(explained, snoozed, facts.voided()) == []


def test_every_other_fact_has_a_lane_and_one_that_nobody_has_words_for_is_told_by_its_name() -> None:
    kinds = {kind for stream in catalogue.STREAMS if stream.subject == "participant" for kind in stream.facts.values()}
    for kind in {kind for kind in kinds if not issubclass(kind, UNTOLD)} - set(TELLS) | {Unheard}:
        entry = told(kind.model_construct(), Known(Record(), {}))
        assert (entry.lane, entry.title.lower()) == ("status", kind.type_name.replace(".", " ").replace("_", " "))
    for number in CASES:
        assert {entry["lane"] for entry in timeline(case(number), TODAY)["entries"]} <= set(LANES)


def test_sealed_words_are_nowhere() -> None:
    stated = [
        serious("reported", **REPORTED), seen("2024-03-01", note="Sealed words."),
        facts.withdrawn(9, reason="Sealed words."), facts.procedure(1, detail="Sealed words."),
        facts.screened(local_reference="Sealed words."),
    ]  # fmt: skip
    assert "Sealed words" not in repr(of(*stated))


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        ([], "screening"), ([facts.consented()], "consented"), ([facts.screen_failed(1)], "screen_failed"),
        ([facts.enrolled()], "enrolled"), ([facts.enrolled(), facts.withdrawn(5)], "withdrawn"),
        ([facts.enrolled(), facts.withdrawn(5), died("2024-06-01")], "died"),
    ],
)  # fmt: skip
def test_status_is_what_weighs_most(stated: list[Fact], status: str) -> None:
    assert of(*stated)["status"] == status


def test_a_participant_is_at_the_site_of_the_last_transfer() -> None:
    assert of()["site_id"] == "rome"
    assert of(facts.transferred("paris", 9), facts.transferred("milan", 5))["site_id"] == "paris"


@given(st.lists(st.integers(0, 200), max_size=8), st.integers(0, 400))
def test_whatever_is_stated_bars_begin_before_they_end_and_within_what_is_shown(days: list[int], end: int) -> None:
    stated = [facts.line(day, f"S{place}") for place, day in enumerate(days)]
    stops = [facts.line_stopped(end, f"S{place}") for place in range(0, len(days), 2)]
    told = of(*stated, *stops)
    for entry in told["entries"]:
        assert entry["from"] <= entry["until"] <= told["ends_on"]
