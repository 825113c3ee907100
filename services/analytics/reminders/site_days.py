"""The sites of a study, each on its own calendar day. Pure."""

from __future__ import annotations

from services.analytics.reminders.repository import SiteDay
from shared.contracts.study import SiteActivated
from shared.gate.study_timeline import protocol_on
from shared.kernel.clock import Clock
from shared.kernel.record import Record


def list_site_days(clock: Clock, study_id: str, study: Record) -> list[SiteDay]:
    """Returns the sites in the order of their activation, each with its day and the plan of reminders on that day."""
    days = list[SiteDay]()
    for site in study.facts_of(SiteActivated):
        today = clock.today(study_id, site.time_zone)
        plan = protocol_on(study, today).reminders
        days.append(SiteDay(site_id=site.site_id, zone=site.time_zone, country=site.country, today=today, plan=plan))
    return days
