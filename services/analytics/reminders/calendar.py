"""The calendar of visits as iCalendar text (RFC 5545): two events per visit, their revisions, and the feed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Literal, get_args
from uuid import UUID, uuid5

from icalendar import Calendar, Event, vText

from shared.kernel.ids import QUARTAL_NAMESPACE

EventPart = Literal["target", "window"]
EVENT_PARTS: tuple[EventPart, ...] = get_args(EventPart)
PAST_DAYS, FUTURE_DAYS = 30, 180
"""Days before and after today between which the calendar has the windows of visits, wholly or in part."""
CANCELLED_DAYS = 30
"""Days for which an event that has fallen away stays in the calendar, marked as cancelled."""
MAX_EVENTS = 2000
FEED_DESCRIPTION = (
    f"Visits whose windows have days between {PAST_DAYS} days ago and {FUTURE_DAYS} days ahead and for which no "
    f"contact is recorded; at most {MAX_EVENTS:,} events, those nearest to today. The worklist in Quartal is current; "
    "this calendar shows what it was when your calendar program last fetched it."
)
_FORMAT = 1
"""Raised when the text of the same event changes, so that every event gets a new SEQUENCE."""
_REFRESH = timedelta(hours=4)
_END = b"END:VCALENDAR\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarVisit:
    """A visit that awaits a contact. `schedule`: the course that it is counted from, or `index`.

    The window is `opens` to `closes`, both inclusive.
    """

    site_id: str
    participant_id: str
    schedule: str
    number: int
    opens: date
    target: date
    closes: date


@dataclass(frozen=True, slots=True, kw_only=True)
class EventContent:
    """The content of an event. `starts` and `ends` are its first and its last day."""

    uid: UUID
    site_id: str
    participant_id: str
    schedule: str
    number: int
    part: EventPart
    starts: date
    ends: date
    cancelled_on: date | None = None

    @property
    def summary(self) -> str:
        prefix = "Cancelled: " if self.cancelled_on else ""
        return f"{prefix}{self.participant_id} visit {self.number} {self.part}"

    @property
    def digest(self) -> bytes:
        """The SHA-256 of everything in the event's text but its SEQUENCE and the time of the last change."""
        text = "\n".join([str(_FORMAT), str(self.uid), self.summary, self.starts.isoformat(), self.ends.isoformat()])
        return sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEvent:
    """An event as calendars have received it. `digest`: that of the content which `text`, its iCalendar text, shows."""

    content: EventContent
    sequence: int
    changed_at: datetime
    digest: bytes
    text: bytes


def event_id(study_id: str, visit: CalendarVisit, part: EventPart) -> UUID:
    """Returns the id of an event, which neither other days nor another site change."""
    return uuid5(QUARTAL_NAMESPACE, f"{study_id}/{visit.participant_id}/{visit.schedule}/{visit.number}/{part}")


def describe_events(study_id: str, visit: CalendarVisit) -> list[EventContent]:
    """Returns the contents of the visit's events: its target day and its window."""
    days: Mapping[EventPart, tuple[date, date]] = {
        "target": (visit.target, visit.target),
        "window": (visit.opens, visit.closes),
    }
    return [
        EventContent(
            uid=event_id(study_id, visit, part),
            site_id=visit.site_id,
            participant_id=visit.participant_id,
            schedule=visit.schedule,
            number=visit.number,
            part=part,
            starts=days[part][0],
            ends=days[part][1],
        )
        for part in EVENT_PARTS
    ]


def is_within_range(visit: CalendarVisit, today: date) -> bool:
    """Returns whether a day of the visit's window lies between `PAST_DAYS` ago and `FUTURE_DAYS` ahead."""
    return visit.closes >= today - timedelta(PAST_DAYS) and visit.opens <= today + timedelta(FUTURE_DAYS)


def nearest_visits(visits: Iterable[CalendarVisit], todays: Mapping[str, date], limit: int) -> list[CalendarVisit]:
    """Returns at most `limit` visits, those whose windows close nearest to the today of their site."""
    return sorted(
        visits,
        key=lambda visit: (
            abs((visit.closes - todays[visit.site_id]).days),
            visit.participant_id,
            visit.schedule,
            visit.number,
        ),
    )[:limit]


def revise_events(
    published: Mapping[UUID, Collection[CalendarEvent]], contents: Iterable[EventContent], now: datetime
) -> tuple[list[CalendarEvent], list[CalendarEvent]]:
    """Returns the events with these contents, and those of them that have changed and are to be stored.

    `published` has the earlier events by id; a participant who was at several sites has one event for each. An event
    with new content gets a SEQUENCE above all that were published under its id, and `now` as the time of its change.
    """
    events, changed = list[CalendarEvent](), list[CalendarEvent]()
    for content in contents:
        earlier = published.get(content.uid, ())
        event = next((event for event in earlier if event.content.site_id == content.site_id), None)
        if event is None or event.digest != content.digest:
            sequence = max((event.sequence + 1 for event in earlier), default=0)
            event = _compose_event(content, sequence, now)
            changed.append(event)
        events.append(event)
    return events, changed


def cancel(content: EventContent, today: date) -> EventContent:
    """Returns the content of the event once its visit has been reported, has ceased to apply or has moved away."""
    return replace(content, cancelled_on=today)


def is_still_shown(content: EventContent, today: date) -> bool:
    """Returns whether a cancelled event is in the calendar: for `CANCELLED_DAYS` days."""
    return content.cancelled_on is not None and today < content.cancelled_on + timedelta(CANCELLED_DAYS)


def _compose_event(content: EventContent, sequence: int, changed_at: datetime) -> CalendarEvent:
    changed_at = changed_at.replace(microsecond=0)
    event = Event()
    event.add("uid", f"{content.uid}@quartal")
    event.add("summary", content.summary)
    event.add("dtstart", content.starts)
    event.add("dtend", content.ends + timedelta(days=1))
    event.add("dtstamp", changed_at)
    event.add("last-modified", changed_at)
    event.add("sequence", sequence)
    event.add("transp", "TRANSPARENT")
    event.add("class", "PRIVATE")
    event.add("x-microsoft-cdo-busystatus", "FREE")
    if content.cancelled_on:
        event.add("status", "CANCELLED")
    return CalendarEvent(
        content=content, sequence=sequence, changed_at=changed_at, digest=content.digest, text=event.to_ical()
    )


def compose_calendar(study_id: str, description: str, events: Iterable[CalendarEvent]) -> bytes:
    """Returns the calendar: the events by day and id, with equal bytes for equal events.

    `description`: a sentence for people that says which visits the calendar has.
    """
    ordered = sorted(events, key=lambda event: (event.content.starts, event.content.uid))
    return b"".join([_compose_header(f"Quartal {study_id}", description), *(event.text for event in ordered), _END])


def _compose_header(name: str, description: str) -> bytes:
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", "-//Quartal//Visits//EN")
    calendar.add("name", name)
    calendar.add("x-wr-calname", name)
    calendar.add("description", description)
    calendar["x-wr-caldesc"] = vText(description)  # escaped, as RFC 5545 has it for names that it does not know
    calendar.add("refresh-interval", _REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT4H")
    header: bytes = calendar.to_ical()
    return header.removesuffix(_END)
