"""The order of the worklist, and keys at which pages begin."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.schedule.worklist import (
    GROUPS,
    VISIT_STATES,
    UnscheduledParticipant,
    WorklistEntry,
    WorklistKey,
    WorklistVisit,
    in_order,
    is_beyond,
    remaining_groups,
)
from services.analytics.wording.phrasing import describe_days
from shared.protocol.visit_status import VisitState

DAYS = st.dates(date(2024, 1, 1), date(2024, 1, 5))
PARTICIPANTS = st.sampled_from(["0000-0000-0", "K7F2-9QXA-3", "ZZZZ-ZZZZ-Z"])


def visit(participant_id: str, sequence: int, closes: date, state: VisitState) -> WorklistVisit:
    return WorklistVisit(
        participant_id=participant_id,
        site_id="rome",
        sequence=sequence,
        schedule=1,
        number=1,
        opens=closes,
        target=closes,
        closes=closes,
        slot_ends=closes,
        declared_on=None,
        scheduled_on=None,
        today=closes,
        state=state,
        reason=None,
    )


def waiting(participant_id: str, enrolled_on: date) -> UnscheduledParticipant:
    return UnscheduledParticipant(
        participant_id=participant_id, site_id="rome", enrolled_on=enrolled_on, today=date(2024, 2, 1)
    )


VISITS = st.builds(visit, PARTICIPANTS, st.integers(0, 3), DAYS, st.sampled_from(VISIT_STATES))
ENTRIES: st.SearchStrategy[list[WorklistEntry]] = st.lists(
    VISITS | st.builds(waiting, PARTICIPANTS, DAYS), unique_by=lambda entry: entry.key
)


@given(ENTRIES)
def test_groups_follow_each_other_with_the_earliest_of_those_that_await_something_first(
    entries: list[WorklistEntry],
) -> None:
    keys = [entry.key for entry in in_order(entries)]
    assert sorted(keys, key=lambda key: GROUPS.index(key.group)) == keys
    for group in ("overdue", "due", "planned", "no_schedule"):
        assert sorted(key for key in keys if key.group == group) == [key for key in keys if key.group == group]
    for group in ("missed", "done", "done_late", "not_applicable"):
        days = [key.day for key in keys if key.group == group]
        assert sorted(days, reverse=True) == days


@given(ENTRIES)
def test_pages_that_begin_after_the_key_of_the_last_entry_leave_nothing_out(entries: list[WorklistEntry]) -> None:
    ordered = in_order(entries)
    for number, entry in enumerate(ordered):
        assert [later for later in ordered if is_beyond(later.key, entry.key)] == ordered[number + 1 :]
        groups = remaining_groups(GROUPS, entry.key)
        assert {later.key.group for later in ordered[number:]} <= set(groups)


@given(ENTRIES)
def test_key_is_read_from_its_text(entries: list[WorklistEntry]) -> None:
    assert all(WorklistKey.parse(str(entry.key)) == entry.key for entry in entries)


@pytest.mark.parametrize(
    "text",
    ["", "overdue", "overdue.2024-01-01.K7F2-9QXA-3", "late.2024-01-01.K7F2-9QXA-3.1", "due.2024-02-30.K7F2-9QXA-3.1"],
)
def test_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|day"):
        WorklistKey.parse(text)


@pytest.mark.parametrize(
    ("days", "words"), [(0, "today"), (1, "in 1 day"), (14, "in 14 days"), (-1, "1 day ago"), (-53, "53 days ago")]
)
def test_distance_from_today_is_given_in_words(days: int, words: str) -> None:
    assert describe_days(days) == words
