"""Visit adherence: what counts in the denominators, and that a cut-off counts what is dated by then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.cohort.follow_up_ends import follow_up_ends
from services.analytics.cohort.participants import participants_of_events
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.derivation.derive import derive
from services.analytics.derivation.rows import NEVER
from services.analytics.figures.visit_adherence import VisitAdherence
from services.analytics.snapshot.selection import Selection
from shared.kernel.fact import Fact
from shared.protocol.schedule import Visit
from shared.protocol.visit_status import visit_status
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import record_of, snapshot_of, snapshot_of_events

ANCHOR = date(2025, 1, 15)  # windows: 04-01 to 04-29, 07-01 to 07-29, 10-01 to 10-29, …
STATES = ("done", "done_late", "not_reported", "not_applicable")


def treated(*more: Fact, site: str = "rome", anchor: str = ANCHOR.isoformat()) -> list[Fact]:
    """The facts of a participant whose index course ended on the anchor, and more of them."""
    started = "2024-12-01"
    return [
        facts.participant_screened(started, site_id=site),
        facts.consent_signed(started),
        facts.participant_enrolled(started),
        facts.radiotherapy_started(started),
        facts.radiotherapy_completed(anchor),
        *more,
    ]


def contacts(*days: str) -> list[Fact]:
    """Contacts on these days."""
    return [follow_up.follow_up_recorded(day) for day in days]


def adherence(cut: str, *participants: list[Fact], by: str | None = None) -> VisitAdherence:
    cohort = snapshot_of({f"P{number}": stated for number, stated in enumerate(participants)})
    return VisitAdherence.compute(cohort, Selection(date.fromisoformat(cut), by=by))


def counts(cut: str, *participants: list[Fact]) -> tuple[int, ...]:
    """The numbers done, done late, not reported and not applicable."""
    (group,) = adherence(cut, *participants).groups
    return tuple(getattr(group, state) for state in STATES)


def test_visits_count_from_the_day_after_their_window_closed() -> None:
    reported, silent = treated(*contacts("2025-04-10")), treated()
    assert counts("2025-04-29", reported, silent) == (0, 0, 0, 0)
    assert counts("2025-04-30", reported, silent) == (1, 0, 1, 0)
    assert counts("2025-07-29", reported, silent) == (1, 0, 1, 0)
    assert counts("2025-07-30", reported, silent) == (1, 0, 3, 0)


def test_contact_after_the_window_is_reported_and_not_in_the_window() -> None:
    late = treated(*contacts("2025-05-20"))
    assert counts("2025-05-19", late) == (0, 0, 1, 0)
    assert counts("2025-05-20", late) == (0, 1, 0, 0)
    (group,) = adherence("2025-05-20", late, treated(*contacts("2025-04-15"))).groups
    assert (group.expected, group.participants) == (2, 2)
    assert (group.reported_percent, group.in_window_percent) == (100.0, 50.0)


def test_visit_is_not_expected_if_follow_up_ended_by_the_end_of_its_window() -> None:
    for end in (follow_up.participant_died("2025-07-29"), facts.consent_withdrawn("2025-07-29")):
        assert counts("2026-01-31", treated(end)) == (0, 0, 1, 3)
    alive_through_the_window = treated(follow_up.participant_died("2025-07-30"))
    assert counts("2026-01-31", alive_through_the_window) == (0, 0, 2, 2)
    (group,) = adherence("2026-01-31", treated(follow_up.participant_died("2025-01-16"))).groups
    assert (group.expected, group.reported_percent, group.in_window_percent) == (0, None, None)


def test_loss_stands_at_a_cut_off_before_the_resumption() -> None:
    absent = treated(follow_up.lost_to_follow_up("2025-07-10"), follow_up.follow_up_resumed("2025-12-20"))
    assert counts("2025-12-19", absent) == (0, 0, 1, 2)
    assert counts("2025-12-20", absent) == (0, 0, 3, 0)


def test_visits_are_counted_by_number_and_by_group() -> None:
    figure = adherence("2025-07-30", treated(*contacts("2025-04-10", "2025-07-10")), treated(site="milan"), by="site")
    milan, rome = figure.groups
    assert (milan.name, milan.expected, milan.done) == ("milan", 2, 0)
    assert (rome.name, rome.expected, rome.done) == ("rome", 2, 2)
    assert [(visit.number, visit.expected, visit.done) for visit in rome.visits[:3]] == [
        (1, 1, 1),
        (2, 1, 1),
        (3, 0, 0),
    ]
    header, *rows = (figure.table()[0], *figure.table()[1])
    assert header[0] == "Group"
    assert rows[0] == ["milan", "all", "2", "0", "0", "2", "0", "0.0", "0.0"]
    assert rows[10] == ["rome", "1", "1", "1", "0", "0", "0", "100.0", "100.0"]


def test_every_visit_of_the_plan_is_there_with_0_where_nobody_has_it() -> None:
    groups = sorted(adherence("2025-04-30", treated(), by="sex").groups, key=lambda group: group.expected)
    for group, expected in zip(groups, ([0] * 8, [1, *[0] * 7]), strict=True):
        assert [visit.number for visit in group.visits] == list(range(1, 9))
        assert [visit.expected for visit in group.visits] == expected
    empty = VisitAdherence.compute(snapshot_of({}), Selection(date(2025, 4, 30)))
    assert [row[:3] for row in empty.table()[1]] == [["all", str(visit), "0"] for visit in ("all", *range(1, 9))]


def test_visits_of_an_earlier_plan_stay_beside_those_of_the_plan_in_force() -> None:
    shorter = facts.protocol(follow_up={"for_months": 6})
    study = record_of(facts.study_opened(), facts.protocol_amended("2026-06-01", shorter))
    cohort = snapshot_of_events(participant_events(treated()), study)
    for cut, expected in (("2025-01-31", [0] * 8), ("2026-06-01", [1, 1, 1, 1, 1]), ("2026-07-30", [1, 1, 1, 1, 1])):
        (group,) = VisitAdherence.compute(cohort, Selection(date.fromisoformat(cut))).groups
        assert [visit.expected for visit in group.visits] == expected


def test_imputed_dates_of_anchors_contacts_and_ends_are_counted_once() -> None:
    precise = treated(*contacts("2025-04-10"))
    assert adherence("2026-01-31", precise).imputed_dates == 0
    by_month = treated(*contacts("2025-04"), follow_up.participant_died("2025-09"), anchor="2025-01")
    assert adherence("2026-01-31", by_month).imputed_dates == 3
    assert adherence("2025-07-30", by_month).imputed_dates == 2
    undated = treated(*contacts("2025-04-10"), follow_up.participant_died(None))
    assert adherence("2026-01-31", undated).imputed_dates == 0


def test_participants_who_are_not_enrolled_or_excluded_are_not_counted() -> None:
    cohort = snapshot_of({"P": treated(), "Q": treated()}, excluded=["Q"])
    figure = VisitAdherence.compute(cohort, Selection(date(2025, 7, 30)))
    assert (figure.groups[0].expected, figure.left_out) == (2, 1)


DAYS = st.dates(date(2025, 1, 16), date(2027, 12, 31)).map(date.isoformat)
HAPPENINGS = st.one_of(
    st.builds(follow_up.follow_up_recorded, DAYS),
    st.builds(follow_up.follow_up_recorded, DAYS, mode=st.just("registry")),
    st.builds(follow_up.visit_missed, DAYS, st.integers(1, 8)),
    st.builds(follow_up.lost_to_follow_up, DAYS),
    st.builds(follow_up.follow_up_resumed, DAYS),
    st.builds(facts.consent_withdrawn, DAYS),
)
HISTORIES = st.tuples(
    st.lists(HAPPENINGS, max_size=8), st.lists(st.builds(follow_up.participant_died, DAYS), max_size=1)
)


def counts_by_the_table(stated: Sequence[Fact], study: Sequence[Fact], cut: date) -> Counter[str]:
    """Counts by the truth table, of the facts that are dated by the cut-off alone."""
    dated_by_then = [fact for fact in stated if fact.happened_on and fact.happened_on.earliest <= cut]
    plans = StudyPlans.from_record(record_of(*study))
    (participant,) = participants_of_events(participant_events(dated_by_then, known_on=date(2030, 1, 1)))
    counted: Counter[str] = Counter()
    for row in derive(participant, plans).visit:
        state, _ = visit_status(
            Visit(row.number, row.opens, row.target, row.closes, row.slot_ends),
            contact_on=row.contact_on if row.contact_on != NEVER else None,
            is_declared_missed=row.missed_on != NEVER,
            ends=follow_up_ends(participant, plans),
            today=cut,
        )
        if row.closes < cut and row.valid_from <= cut <= row.valid_to:
            counted[state if state in STATES else "not_reported"] += 1
    return counted


@given(HISTORIES, st.none() | DAYS, st.dates(date(2025, 1, 16), date(2028, 3, 31)))
def test_cut_off_counts_what_the_truth_table_says_of_the_facts_dated_by_then(
    history: tuple[list[Fact], list[Fact]], closed_on: str | None, cut: date
) -> None:
    stated = treated(*history[0], *history[1])
    study = [facts.study_opened(), *([facts.study_closed(closed_on)] if closed_on else [])]
    cohort = snapshot_of_events(participant_events(stated, known_on=date(2030, 1, 1)), record_of(*study))
    (group,) = VisitAdherence.compute(cohort, Selection(cut)).groups
    expected = counts_by_the_table(stated, study, cut)
    assert {state: getattr(group, state) for state in STATES} == {state: expected[state] for state in STATES}


@pytest.mark.parametrize("policy", ["latest", "per_course"])
def test_visits_are_counted_by_the_anchor_policy_of_the_study(policy: str) -> None:
    second: list[Any] = [facts.radiotherapy_started("2025-06-01", "RT2", index=False)]
    second.append(facts.radiotherapy_completed("2025-06-20", "RT2"))
    study = record_of(facts.study_opened(facts.protocol(follow_up={"anchor_policy": policy})))
    cohort = snapshot_of_events(participant_events(treated(*second)), study)
    day_after_the_second_window = date(2025, 7, 29) + timedelta(days=1)
    (group,) = VisitAdherence.compute(cohort, Selection(day_after_the_second_window)).groups
    assert group.expected == {"latest": 1, "per_course": 2}[policy]
    (group,) = VisitAdherence.compute(cohort, Selection(date(2025, 10, 5))).groups
    assert group.expected == {"latest": 2, "per_course": 3}[policy]
