"""The day that an imprecise date is taken for: never one that other facts rule out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.cohort import Participant, Selection
from services.analytics.figures import parameters, provenance
from services.analytics.queries.case import cases
from services.analytics.statistics.flow import flow
from services.analytics.statistics.treatments import treatments
from services.analytics.timeline import timeline
from shared.kernel.fact import Fact
from shared.testing import facts, followup_facts, toxicity_facts
from tests.unit.analytics.told import RECORDED, STUDY, cohort_of, events

TODAY = RECORDED.date()
BEFORE = [facts.screened("2023-11-01"), facts.consented("2023-11-02"), facts.enrolled("2023-11-03")]


def days(told: Sequence[Fact], but: Fact | None = None) -> list[str]:
    """What figures take each fact for; timelines and queries do too, `but` for one that timelines place apart."""
    stated = events("P", told)
    (one,) = cohort_of(stated).participants
    taken = [one.day(each.stated().fact).isoformat() for each in stated]
    entries = {entry["event_id"]: entry["day"] for entry in timeline(stated, TODAY)["entries"]}
    (case,) = cases(STUDY, stated, frozenset(), lambda _: TODAY)
    placed = [entries[str(each.event_id)] for each in stated]
    assert [day for day, fact in zip(placed, told, strict=True) if fact != but] == [
        day for day, fact in zip(taken, told, strict=True) if fact != but
    ]
    assert [case.day(each.stated().fact).isoformat() for each in stated] == taken
    return taken


def counted(told: Sequence[Fact], cut: date = TODAY) -> dict[str, Any]:
    return flow(cohort_of(events("P", told)), Selection(cut))


def person(told: Sequence[Fact]) -> Participant:
    (one,) = cohort_of(events("P", told)).participants
    return one


@pytest.mark.parametrize(
    ("began", "ended", "taken"),
    [
        ("2024", "2024-03-04", ["2024-03-04", "2024-03-04"]),
        ("2024-03", "2024-03-04", ["2024-03-04", "2024-03-04"]),
        ("2024-03", "2024-03-20", ["2024-03-15", "2024-03-20"]),
        ("2024", "2024-03", ["2024-03-15", "2024-03-15"]),
        ("2024-09", "2024", ["2024-09-15", "2024-09-15"]),
        ("2024-03-20", "2024-03", ["2024-03-20", "2024-03-20"]),
        ("2024-03-20", "2024", ["2024-03-20", "2024-07-01"]),
    ],
)
def test_a_course_begins_before_it_ends_and_a_day_that_is_known_is_never_moved(
    began: str, ended: str, taken: list[str]
) -> None:
    assert days([*BEFORE, facts.course(began), facts.completed(ended)])[-2:] == taken


def test_visits_are_counted_from_the_end_that_is_known_whatever_is_not_known_of_the_start() -> None:
    told = [*BEFORE, facts.course("2024"), facts.completed("2024-03-04")]
    (case,) = cases(STUDY, events("P", told), frozenset(), lambda _: TODAY)
    anchor = case.anchor(None)
    assert anchor
    assert anchor[1] == date(2024, 3, 4)
    assert (counted(told, date(2024, 5, 1))["treated"], counted(told, date(2024, 5, 1))["in_follow_up"]) == (1, 1)


@pytest.mark.parametrize(
    ("began", "changed", "ended", "taken"),
    [
        ("2024-05-02", "2024-05", "2024-05-10", ["2024-05-02", "2024-05-10", "2024-05-10"]),
        ("2024-04-01", "2024-05-20", "2024-05", ["2024-04-01", "2024-05-20", "2024-05-20"]),
        ("2024-04-01", "2024", "2024-05", ["2024-04-01", "2024-05-15", "2024-05-15"]),
        ("2024-05-20", "2024-05", "2024-06-10", ["2024-05-20", "2024-05-20", "2024-06-10"]),
        ("2024-05-20", "2024-05", "2024-05", ["2024-05-20", "2024-05-20", "2024-05-20"]),
    ],
)
def test_a_prescription_changes_while_its_course_goes_on(
    began: str, changed: str, ended: str, taken: list[str]
) -> None:
    assert days([*BEFORE, facts.course(began), facts.changed(changed), facts.completed(ended)])[-3:] == taken


def test_lines_and_serious_events_begin_before_they_end() -> None:
    line = [facts.line("2024"), facts.line_stopped("2024-03-04")]
    serious = [toxicity_facts.serious(when="2024"), toxicity_facts.serious_resolved(resolved_on="2024-04-04")]
    assert days([*BEFORE, *line, *serious])[-4:] == ["2024-03-04", "2024-03-04", "2024-04-04", "2024-04-04"]


@pytest.mark.parametrize(
    ("signed", "enrolled", "taken"),
    [
        ("2024-05", "2024-05-10", ["2024-05-10", "2024-05-10"]),
        ("2024-05-20", "2024-05", ["2024-05-20", "2024-05-20"]),
        ("2024-05", "2024-05", ["2024-05-15", "2024-05-15"]),
        ("2024", "2024-05", ["2024-05-15", "2024-05-15"]),
    ],
)
def test_nobody_is_enrolled_before_the_consent(signed: str, enrolled: str, taken: list[str]) -> None:
    assert days([facts.screened("2024-01-01"), facts.consented(signed), facts.enrolled(enrolled)])[-2:] == taken


@pytest.mark.parametrize(
    ("renewed", "taken"), [("2024-05", "2024-05-15"), ("2023", "2023-07-01"), ("2024", "2024-07-01")]
)
def test_a_consent_that_was_renewed_stays_where_it_was(renewed: str, taken: str) -> None:
    first = facts.consented("2023-01-02")
    told = [facts.screened("2023-01-01"), first, facts.enrolled("2023-02-10"), facts.consented(renewed)]
    assert days(told)[1:] == ["2023-01-02", "2023-02-10", taken]


LOST = followup_facts.lost
FOUND = followup_facts.resumed


@pytest.mark.parametrize(
    ("told", "standing"),
    [
        ([LOST("2024-10"), FOUND("2024-10-05")], "awaiting_treatment"),
        ([LOST("2024"), FOUND("2024-03-05")], "awaiting_treatment"),
        ([LOST("2024-10-20"), FOUND("2024-10")], "awaiting_treatment"),
        ([LOST("2024-10-05"), FOUND("2024-10-05")], "awaiting_treatment"),
        ([LOST("2024-03-05"), LOST("2024-04-05"), FOUND("2024-05-05")], "awaiting_treatment"),
        ([LOST("2024-03-05"), FOUND("2024-05-05"), LOST("2024-10")], "lost"),
        ([LOST("2024-10-06"), FOUND("2024-10-05")], "lost"),
        ([LOST("2024-03"), FOUND("2024-10-05"), LOST("2024-10")], "lost"),
        ([LOST("2024-03-05"), FOUND("2024-10-01"), FOUND("2024-10"), LOST("2024-10-20")], "lost"),
        ([FOUND("2024-10-05")], "awaiting_treatment"),
    ],
)
def test_who_is_found_again_was_lost_before_and_is_lost_no_longer(told: list[Fact], standing: str) -> None:
    for order in (told, told[::-1]):
        assert counted([*BEFORE, *order])[standing] == 1
        told_of = timeline(events("P", [*BEFORE, *order]), TODAY)
        assert (told_of["status"] == "lost") == (standing == "lost")
        assert any(entry["ongoing"] for entry in told_of["entries"]) == (standing == "lost")
        (case,) = cases(STUDY, events("P", [*BEFORE, *order]), frozenset(), lambda _: TODAY)
        assert (case.followed_until < date.max) == (standing == "lost")


MONTH_OR_DAY = st.dates(date(2024, 3, 1), date(2024, 6, 30)).flatmap(
    lambda day: st.sampled_from([day.isoformat(), f"{day:%Y-%m}", "2024"])
)


@given(MONTH_OR_DAY, MONTH_OR_DAY, st.none() | MONTH_OR_DAY)
def test_every_day_is_one_that_the_date_may_mean_and_no_end_is_before_its_beginning(
    began: str, ended: str, died: str | None
) -> None:
    told = [*BEFORE, facts.course(began), facts.completed(ended), *([followup_facts.died(died)] if died else [])]
    one = person(told)
    for fact in told:
        assert fact.happened_on
        assert fact.happened_on.earliest <= one.day(fact) <= fact.happened_on.latest
    start, end = told[3], told[4]
    if start.happened_on and end.happened_on and start.happened_on.earliest <= end.happened_on.latest:
        assert one.day(start) <= one.day(end)


def test_what_is_learnt_later_of_a_serious_event_does_not_prove_that_somebody_lives() -> None:
    learnt = toxicity_facts.serious_updated(aware_at="2024-06-30T08:00:00+02:00")
    serious, contact = toxicity_facts.serious(when="2024-02-01"), followup_facts.contact("2024-03-20")
    undated = [*BEFORE, serious, contact, learnt, followup_facts.died(None)]
    assert counted(undated, date(2024, 3, 20))["died"] == 1
    onset = toxicity_facts.serious_updated(aware_at="2024-06-30T08:00:00+02:00", onset_on="2024-06-20")
    assert days([*BEFORE, serious, onset, followup_facts.died("2024-06")], but=onset)[-1] == "2024-06-20"
    in_a_month = [*BEFORE, serious, contact, learnt, followup_facts.died("2024-06")]
    assert days(in_a_month)[-1] == "2024-06-15"


def test_a_target_that_was_treated_before_it_was_taken_out_of_the_prescription_still_counts() -> None:
    first, second = facts.target("T1", fractions=1, each=2000, delivery="SRS"), facts.target("T2")
    course = facts.course("2024-03-01", "RT1", first, second)
    told = [*BEFORE, course, facts.changed("2024-03-05", "RT1", second)]
    assert counted(told)["stereotactic"] == 0  # nobody has said that it was treated
    told.append(facts.completed("2024-03-28", "RT1", facts.given("T1", 1, 2000)))
    assert counted(told)["stereotactic"] == 1
    rows = treatments(cohort_of(events("P", told)), Selection(TODAY))["targets"]
    given = {row["target_id"]: (row["fractions_delivered"], row["dose_delivered_gy"]) for row in rows}
    assert given == {"T2": (20, 50.0), "T1": (1, 20.0)}
    (end,) = [
        each for each in timeline(events("P", told), TODAY)["entries"] if each["type"] == "radiotherapy.completed"
    ]
    assert [each["target_id"] for each in end["delivered"]] == ["T2", "T1"]
    assert len(end["detail"]) == 2  # each of them, and not that all was as prescribed
    never = [*told[:-1], facts.completed("2024-03-28", "RT1", facts.given("T1", 0, 0))]
    assert counted(never)["stereotactic"] == 0


@pytest.mark.parametrize(
    "modality", ["brachytherapy_ldr", "brachytherapy_pdr", "radiopharmaceutical", "carbon_ions", "neutrons", "other"]
)
def test_no_effective_dose_is_told_where_its_formula_does_not_hold(modality: str) -> None:
    course = facts.course("2024-03-01", "RT1", facts.target("T1", modality=modality))
    (row,) = treatments(cohort_of(events("P", [*BEFORE, course])), Selection(TODAY))["targets"]
    assert (row["total_dose_gy"], row["bed_10"], row["eqd2_10"], row["bed_3"]) == (50.0, None, None, None)


def test_a_caption_names_sites_as_they_are_called() -> None:
    figure = {
        "cut": "2024-03-01", "position": 7, "imputed_dates": 0, "left_out": 0,
        "parameters": {"site": "all", "followed_at": "S_1", "subset": "all", "by": None},
    }  # fmt: skip
    assert parameters(figure) == {"site": "all", "followed_at": "S_1"}
    assert "position 7, followed at S_1, site all; 0 imputed" in provenance(figure)
