"""The plan by which the steps of study-wide digests go."""

from __future__ import annotations

import pytest

from services.analytics.reminders.log import STUDY_ADDRESSEE
from services.analytics.reminders.recipients import RecipientGroup, plan_of_study
from services.analytics.reminders.repository import SiteDay
from services.analytics.reminders.subscriptions.subscription import Recipient
from shared.protocol.protocol import ReminderPlan
from tests.unit.analytics.reminders.sending import day

MEMBER = Recipient(
    member="coordinator@study",
    site_id=None,
    address="coordinator@hospital.example",
    hour_of_site=None,
    away_until=None,
    ends_on=day("2099-01-01"),
)


def group(site_id: str, today: str, escalate_after_days: int) -> RecipientGroup:
    """Returns the study-wide recipients who chose the hour of a site."""
    plan = ReminderPlan(escalate_after_days=escalate_after_days)
    site = SiteDay(site_id=site_id, zone="UTC", country="DE", today=day(today), plan=plan)
    return RecipientGroup(addressee=STUDY_ADDRESSEE, hour_site=site, recipients=[MEMBER])


TOKYO, BERLIN = group("tokyo", "2025-06-12", 60), group("berlin", "2025-06-11", 21)


@pytest.mark.parametrize(
    ("open_sites", "days"),
    [(["tokyo", "berlin"], 21), (["tokyo"], 60), (["berlin"], 21), ([], 21)],
    ids=["both", "the later date alone", "the earlier date alone", "none"],
)
def test_steps_to_the_study_go_by_the_plan_of_the_earlier_date_of_the_digests_composed_now(
    open_sites: list[str], days: int
) -> None:
    for groups in ([TOKYO, BERLIN], [BERLIN, TOKYO]):
        assert plan_of_study(groups, open_sites).escalate_after_days == days
