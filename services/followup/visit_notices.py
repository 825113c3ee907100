"""Notices of the page of several visits: what it recorded before, and what was recorded since it was opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.followup.visit_facts import SERVICE, ChosenVisit, KeyEvents, ReminderFact, VisitStatement
from shared.contracts.event import Event
from shared.ui.forms.changed_record import links_since
from shared.ui.forms.pages import FormNotice
from shared.ui.forms.recorded_values import describe_recorded
from shared.ui.forms.targets import zone_of_site
from shared.ui.forms.used_key import RECORDED_ALREADY, recorded_links
from shared.ui.forms.words import FactLine
from shared.ui.navigation import Link


def recorded_notice(statement: VisitStatement, recorded: KeyEvents, ending: str) -> FormNotice:
    """Returns what the page recorded under its key, with links that correct it.

    `ending`: what the present answers are, compared with those that were recorded.
    """
    pairs = [(event, _visit_of(event)) for events in recorded.values() for event in events]
    return FormNotice(
        text=f"{RECORDED_ALREADY} {ending}",
        lines=[FactLine(visit.label, _recorded_in_words(statement, event)) for event, visit in pairs],
        links=[link for event, visit in pairs for link in _links(statement, event, visit)],
    )


def _recorded_in_words(statement: VisitStatement, event: Event) -> str:
    state = statement.states[event.stream_id]
    text = describe_recorded(event, None, zone_of_site(state.study.record, event.site_id))
    return text[0].upper() + text[1:]


def _links(statement: VisitStatement, event: Event, visit: ChosenVisit) -> Sequence[Link]:
    return recorded_links(SERVICE, statement.study_id, event, visit.label)


def _visit_of(event: Event) -> ChosenVisit:
    fact = event.stated_fact().fact
    if not isinstance(fact, ReminderFact):
        raise TypeError(f"The page of several visits records no {event.type}.")
    return ChosenVisit(event.stream_id, fact.visit, fact.course_id or "")


def links_since_opening(statement: VisitStatement, participant_id: str) -> Iterator[Link]:
    """Yields links to what was recorded about a participant since the page was opened."""
    state, version = statement.states[participant_id], statement.versions.get(participant_id, 0)
    zone = zone_of_site(state.study.record, state.site_id)
    for link in links_since(SERVICE, statement.study_id, state.stream.events, version, zone):
        yield Link(link.href, f"{participant_id}: {link.label}")
