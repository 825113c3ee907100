"""Links to the facts recorded since a form was opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.contracts.event import Event
from shared.ui.forms import addresses
from shared.ui.forms.site_time import write_site_time
from shared.ui.forms.targets import fact_heading
from shared.ui.navigation import Link

RECORDED_MEANWHILE = "Since you opened this page, this was recorded. Record again only if yours is another fact."


def links_since(service: str, study_id: str, events: Sequence[Event], version: int, zone: str) -> Iterator[Link]:
    """Yields links to the events of a record after a version, with their times by the clock of the zone."""
    for event in events:
        if event.version > version:
            participant = "" if event.is_study_event else event.stream_id
            url = addresses.event_url(service, study_id, event.event_id, participant)
            heading = fact_heading(event.stream.facts[event.type]) if event.is_readable else event.type
            yield Link(url, f"{heading}, {write_site_time(event.recorded_at, zone)}")
