"""Participants of a worklist by what they await, and reads of the list."""

from __future__ import annotations

from typing import Any

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.participant_history import ParticipantHistory
from tests.integration.support.analytics_app import AnalyticsStudy

OVERDUE, DUE, OPENING, LATER = "2024-10-15", "2024-11-05", "2024-11-20", "2024-12-05"
"""Ends of the index course by the state of the first visit today, 2025-01-31: `OPENING` opens it on 2025-02-06."""
ALL_STATES = ["overdue", "due", "planned", "missed", "done_late", "done", "not_applicable"]


def enrolled(site: str = "rome", when: str = "2024-09-01") -> list[Fact]:
    return [
        facts.participant_screened(when, site_id=site),
        facts.consent_signed(when),
        facts.participant_enrolled(when),
    ]


def treated(ended_on: str, site: str = "rome", when: str = "2024-09-01") -> list[Fact]:
    """The facts of a participant whose index course ended on a day."""
    return [*enrolled(site, when), facts.radiotherapy_started(when), facts.radiotherapy_completed(ended_on)]


async def add(study: AnalyticsStudy, ended_on: str, *stated: Fact, site: str = "rome") -> ParticipantHistory:
    return await study.add_participant(site, *treated(ended_on, site), *stated)


async def state_fact(study: AnalyticsStudy, history: ParticipantHistory, fact: Fact) -> None:
    await study.project([history.record(fact)])


async def void_last(study: AnalyticsStudy, history: ParticipantHistory) -> None:
    await study.project([history.void(history.events[-1])])


async def read_worklist(study: AnalyticsStudy, user: str = "coordinator", **params: Any) -> dict[str, Any]:
    response = await study.get("worklist.json", user, **params)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


async def listed(study: AnalyticsStudy, user: str = "coordinator", **params: Any) -> list[tuple[str, int, str]]:
    """Returns participant, visit and state of each row."""
    rows = (await read_worklist(study, user, **params))["rows"]
    return [(row["participant_id"], row["visit"], row["state"]) for row in rows]


async def participants(study: AnalyticsStudy, user: str = "coordinator", **params: Any) -> set[str]:
    return {participant for participant, _, _ in await listed(study, user, **params)}


async def page_text(study: AnalyticsStudy, user: str = "coordinator", **params: Any) -> str:
    response = await study.get_page("worklist", user, **params)
    assert response.status_code == 200, response.text
    return response.text
