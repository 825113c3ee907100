"""The timeline of a participant: what comes first, and what lasts how long."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import (
    disease_progressed,
    follow_up_recorded,
    follow_up_resumed,
    lost_to_follow_up,
    participant_died,
    visit_missed,
)
from shared.testing.builders.participant_history import participant_events, reordered
from shared.testing.builders.toxicity_facts import (
    serious_event_reported,
    serious_event_resolved,
    serious_event_updated,
    toxicity_assessed,
)
from shared.testing.seeded_random import seeded_random
from tests.unit.analytics.published_cases import CASE_NUMBERS, published_case_events
from tests.unit.analytics.support import SCREENED, TODAY, timeline_json
from tests.unit.analytics.timeline.support import Entries, entries_of, single_entry, timeline_of, type_suffixes


@pytest.mark.parametrize("number", CASE_NUMBERS)
def test_every_current_fact_is_one_entry_in_any_arrival_order(number: int) -> None:
    expected = timeline_json(published_case_events(number), TODAY)
    assert sorted(entry["event_id"] for entry in expected["entries"]) == sorted(
        str(event.event_id) for event in published_case_events(number)
    )
    for seed in range(5):
        shuffled = seeded_random(seed).sample(published_case_events(number), len(published_case_events(number)))
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
    declared = visit_missed("2024-11-28", 1)
    progression = disease_progressed("2024-11-27", basis="histology")
    death = single_entry(
        "participant.died",
        entries_of(follow_up_recorded("2024-11-20"), declared, progression, participant_died("2024-11")),
    )
    assert death["day"] == "2024-11-20"


def test_participant_lost_and_found_in_one_month_is_not_lost() -> None:
    """A month is imputed as its middle, as in the participant flow."""
    lost = lost_to_follow_up("2024-10")
    assert timeline_of(lost)["status"] == "lost"
    assert timeline_of(lost, follow_up_resumed("2024-10-20"))["status"] == "screening"


def test_same_day_entries_are_in_clinical_order() -> None:
    day = facts.day(0)
    facts_recorded: list[Fact] = [
        participant_died(day),
        toxicity_assessed(day),
        facts.radiotherapy_completed(0),
        facts.radiotherapy_started(0),
        follow_up_recorded(day),
        facts.lesion_registered("L1", 0),
        toxicity_assessed(day, timepoint="baseline"),
        facts.baseline_recorded(0),
        facts.participant_enrolled(0),
        facts.consent_signed(0),
        disease_progressed(day),
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
        ([participant_died("2024-06-01")], "2024-06-01"),
        ([participant_died(None), follow_up_recorded("2024-05-05")], "2024-05-05"),
    ],
    ids=["alive", "dead", "dead on a day nobody knows"],
)
def test_entry_without_recorded_end_lasts_until_today_or_death(fate: list[Fact], until: str) -> None:
    for start in (facts.radiotherapy_started(1), facts.systemic_therapy_started(1)):
        entry = entries_of(start, *fate)[0]
        assert (entry["until"], entry["ongoing"]) == (until, True)


def test_loss_to_follow_up_ends_with_its_resumption() -> None:
    lost = lost_to_follow_up("2024-05-01")
    resumed = follow_up_resumed("2024-08-01")
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


def test_partial_end_follows_its_start_and_death_the_last_contact() -> None:
    course = single_entry(
        "radiotherapy.started",
        entries_of(facts.radiotherapy_started("2024-02-20"), facts.radiotherapy_completed("2024-02")),
    )
    assert (course["from"], course["until"]) == ("2024-02-20", "2024-02-20")
    entries = entries_of(follow_up_recorded("2024-06-24"), participant_died("2024-06"))
    assert [(entry["on"], entry["day"]) for entry in entries] == [
        ("2024-06-24", "2024-06-24"),
        ("2024-06", "2024-06-24"),
    ]


def test_undated_death_is_the_last_entry() -> None:
    last = entries_of(participant_died(None, presumed=True), follow_up_recorded("2024-06-24"))[-1]
    assert (last["on"], last["day"]) == (None, None)
    assert last["title"] == "Presumed dead, date unknown; cause of death: tumor"


def test_corrected_fact_is_marked() -> None:
    recorded_events = participant_events([facts.participant_screened(), facts.participant_enrolled(5)])
    entries = timeline_json(recorded_events, TODAY, corrected_ids={recorded_events[1].event_id})["entries"]
    assert [entry["corrected"] for entry in entries] == [False, True]


def test_a_serious_event_lasts_from_its_onset_until_it_is_resolved() -> None:
    resolved = serious_event_resolved(outcome="RECOVERED/RESOLVED", resolved_on="2024-04-02")
    update = serious_event_updated(aware_at="2024-03-09T09:00:00+01:00", grade=3)
    reported = serious_event_reported(when="2024-03-01")
    entries = entries_of(resolved, update, reported)
    assert type_suffixes(entries) == ["serious_event_reported", "serious_event_updated", "serious_event_resolved"]
    assert [entry["on"] for entry in entries] == ["2024-03-01", "2024-03-09", "2024-04-02"]
    assert (entries[0]["until"], entries[0]["ongoing"]) == ("2024-04-02", False)
    assert single_entry("toxicity.serious_event_reported", entries_of(reported))["ongoing"]


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        ([], "screening"),
        ([facts.consent_signed()], "consented"),
        ([facts.screening_failed(1)], "screen_failed"),
        ([facts.participant_enrolled()], "enrolled"),
        ([facts.participant_enrolled(), facts.consent_withdrawn(5)], "withdrawn"),
        ([facts.participant_enrolled(), facts.consent_withdrawn(5), participant_died("2024-06-01")], "died"),
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
    lines = [facts.systemic_therapy_started(day, f"S{line}") for line, day in enumerate(days)]
    stops = [facts.systemic_therapy_stopped(end, f"S{line}") for line in range(0, len(days), 2)]
    participant_timeline = timeline_of(*lines, *stops)
    for entry in participant_timeline["entries"]:
        assert entry["from"] <= entry["until"] <= participant_timeline["ends_on"]


def test_timeline_imputes_partial_dates_independently_of_the_cut_off() -> None:
    events = participant_events([SCREENED, facts.participant_enrolled("2024-03")], known_on=date(2024, 3, 20))
    entry = timeline_json(events, date(2024, 3, 10))["entries"][-1]
    assert [entry[name] for name in ("from", "day", "until")] == ["2024-03-01", "2024-03-15", "2024-03-20"]
