"""A snooze or an appointment that outlives the slot of its visit: what is held back, and what is lost for good."""

from __future__ import annotations

import pytest

from shared.protocol.protocol import FollowUpPlan, VisitWindow
from tests.unit.analytics.reminders.sending import Facts, Outbox, changing, day

WIDE = FollowUpPlan(window_days=VisitWindow(before=30, after=30))
"""Windows of 30 days: the first visit closes on 05-15, is escalated on 06-05, and its slot ends on 06-14."""


def test_the_notice_of_a_missed_visit_waits_for_the_end_of_a_snooze() -> None:
    facts = changing(Facts(), ("2025-06-25", {"snoozed": {1: day("2025-07-09")}}))
    assert Outbox().run("2025-04-01", "2025-07-31", facts).listed(1)[-3:] == [
        "06-11 V1 repeat-3 site",
        "07-09 V1 missed site",
        "07-09 V1 missed study",
    ]


def test_the_notice_lapses_when_the_snooze_ends_more_than_two_weeks_after_the_slot() -> None:
    facts = changing(
        Facts(),
        ("2025-06-30", {"snoozed": {1: day("2025-07-14")}}),
        ("2025-07-13", {"snoozed": {1: day("2025-07-16")}}),
    )
    listed = Outbox().run("2025-04-01", "2025-07-31", facts).listed(1)
    assert [line for line in listed if "missed" in line] == []


@pytest.mark.parametrize(
    "silence", [{"snoozed": {1: day("2025-06-18")}}, {"scheduled": {1: day("2025-06-14")}}], ids=["snoozed", "booked"]
)
def test_an_escalation_that_is_held_back_to_the_end_of_the_slot_is_not_sent_afterwards(
    silence: dict[str, object],
) -> None:
    """The notice of a missed visit then goes to the site alone: the study was told nothing of the visit before."""
    outbox = Outbox(follow_up=WIDE).run("2025-03-14", "2025-07-10", changing(Facts(), ("2025-06-04", silence)))
    assert outbox.listed(1, "study") == []
    assert outbox.listed(1, "site")[-1] in ("06-16 V1 missed site", "06-18 V1 missed site")
    assert Outbox(follow_up=WIDE).run("2025-03-14", "2025-07-10", Facts()).listed(1, "study") == [
        "06-05 V1 escalation study",
        "06-16 V1 missed study",
    ]
