"""The calendar of visits: its text as parsers read it, and the revisions of events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from services.analytics.reminders.calendar import (
    FEED_DESCRIPTION,
    CalendarEvent,
    CalendarVisit,
    EventContent,
    cancel,
    compose_calendar,
    describe_events,
    is_still_shown,
    is_within_range,
    nearest_visits,
    revise_events,
)

NOW = datetime(2025, 1, 20, 9, 30, tzinfo=UTC)
V1 = CalendarVisit(
    site_id="mainz",
    participant_id="K7F2-9QXA-3",
    schedule="index",
    number=1,
    opens=date(2025, 4, 1),
    target=date(2025, 4, 15),
    closes=date(2025, 4, 29),
)
CORRECTED = replace(V1, opens=date(2025, 5, 1), target=date(2025, 5, 15), closes=date(2025, 5, 29))
"""The same visit after the anchor was corrected from 2025-01-15 to 2025-02-15."""


def by_id(events: Iterable[CalendarEvent]) -> dict[UUID, list[CalendarEvent]]:
    """Groups events as the repository does: the last stored event of each id and site."""
    latest = {(event.content.uid, event.content.site_id): event for event in events}
    groups: dict[UUID, list[CalendarEvent]] = {}
    for (uid, _), event in latest.items():
        groups.setdefault(uid, []).append(event)
    return groups


def revise(events: Sequence[CalendarEvent], contents: Iterable[EventContent], days: int = 0) -> list[CalendarEvent]:
    return revise_events(by_id(events), contents, NOW + timedelta(days=days))[0]


def compose_feed(events: Sequence[CalendarEvent]) -> bytes:
    return compose_calendar("atc-rt", FEED_DESCRIPTION, events)


def logical_lines(feed: bytes) -> list[str]:
    """Reads iCalendar text as RFC 5545 3.1 defines it, and checks the physical lines."""
    assert feed.endswith(b"\r\n")
    assert b"\n" not in feed.replace(b"\r\n", b"")
    assert all(len(line) <= 75 for line in feed.split(b"\r\n"))
    return feed.replace(b"\r\n ", b"").decode().split("\r\n")[:-1]


def properties(feed: bytes) -> list[dict[str, str]]:
    """Returns the properties of each event by their names with parameters."""
    text = "\n".join(logical_lines(feed))
    return [
        dict(line.split(":", 1) for line in body.split("\n"))
        for body in re.findall(r"BEGIN:VEVENT\n(.*?)\nEND:VEVENT", text, re.S)
    ]


def of_part(events: Sequence[Mapping[str, str]], part: str) -> Mapping[str, str]:
    (event,) = [event for event in events if event["SUMMARY"].endswith(part)]
    return event


def test_a_visit_has_an_event_of_its_window_and_one_of_its_target_day() -> None:
    events = properties(compose_feed(revise([], describe_events("atc-rt", V1))))
    window, target = of_part(events, "window"), of_part(events, "target")
    assert (window["DTSTART;VALUE=DATE"], window["DTEND;VALUE=DATE"]) == ("20250401", "20250430")
    assert (target["DTSTART;VALUE=DATE"], target["DTEND;VALUE=DATE"]) == ("20250415", "20250416")
    assert window["SUMMARY"] == "K7F2-9QXA-3 visit 1 window"
    assert target["SUMMARY"] == "K7F2-9QXA-3 visit 1 target"
    for event in (window, target):
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}@quartal", event["UID"])
        assert event["DTSTAMP"] == event["LAST-MODIFIED"] == "20250120T093000Z"
        assert event["SEQUENCE"] == "0"
        assert event["TRANSP"] == "TRANSPARENT"
        assert event["X-MICROSOFT-CDO-BUSYSTATUS"] == "FREE"
        assert event["CLASS"] == "PRIVATE"
        assert "STATUS" not in event


def test_a_corrected_anchor_a_death_and_its_void_raise_the_sequence() -> None:
    """The worked example of the calendar."""
    first = revise([], describe_events("atc-rt", V1))
    corrected = revise(first, describe_events("atc-rt", CORRECTED), 1)
    assert [event.content.uid for event in corrected] == [event.content.uid for event in first]
    events = properties(compose_feed(corrected))
    window, target = of_part(events, "window"), of_part(events, "target")
    assert (window["DTSTART;VALUE=DATE"], window["DTEND;VALUE=DATE"]) == ("20250501", "20250530")
    assert (target["DTSTART;VALUE=DATE"], target["DTEND;VALUE=DATE"]) == ("20250515", "20250516")
    assert [event["SEQUENCE"] for event in events] == ["1", "1"]
    dead = revise(corrected, [cancel(event.content, date(2025, 3, 1)) for event in corrected], 2)
    events = properties(compose_feed(dead))
    assert {event["STATUS"] for event in events} == {"CANCELLED"}
    assert [event["SEQUENCE"] for event in events] == ["2", "2"]
    assert of_part(events, "target")["SUMMARY"] == "Cancelled: K7F2-9QXA-3 visit 1 target"
    voided = revise(dead, describe_events("atc-rt", CORRECTED), 3)
    events = properties(compose_feed(voided))
    assert [event["SEQUENCE"] for event in events] == ["3", "3"]
    assert not any("STATUS" in event for event in events)
    assert {event["LAST-MODIFIED"] for event in events} == {"20250123T093000Z"}


def test_an_unchanged_event_keeps_its_bytes_at_a_later_time() -> None:
    first = revise([], describe_events("atc-rt", V1))
    events, changed = revise_events(by_id(first), describe_events("atc-rt", V1), NOW + timedelta(days=9))
    assert changed == []
    assert compose_feed(events) == compose_feed(first)


def test_only_the_part_that_changes_is_revised() -> None:
    first = revise([], describe_events("atc-rt", V1))
    later = revise(first, describe_events("atc-rt", replace(V1, closes=date(2025, 4, 22))), 1)
    assert {event.content.part: event.sequence for event in later} == {"target": 0, "window": 1}


def test_another_site_continues_the_sequence_of_the_same_event() -> None:
    """A study-wide coordinator sees both sites, and a calendar ignores a lower SEQUENCE."""
    at_mainz = revise([], describe_events("atc-rt", V1))
    moved = [cancel(event.content, date(2025, 4, 2)) for event in at_mainz]
    events, _ = revise_events(by_id(at_mainz), [*moved, *describe_events("atc-rt", replace(V1, site_id="rome"))], NOW)
    again, _ = revise_events(by_id([*at_mainz, *events]), describe_events("atc-rt", V1), NOW)
    assert {(event.content.site_id, event.sequence) for event in events} == {("mainz", 1), ("rome", 1)}
    assert {event.sequence for event in again} == {2}


def test_ids_differ_by_study_participant_schedule_visit_and_part() -> None:
    others = [replace(V1, participant_id="ZZZZ-ZZZZ-Z"), replace(V1, schedule="RT1"), replace(V1, number=2)]
    ids = {content.uid for visit in (V1, *others) for content in describe_events("atc-rt", visit)}
    assert len(ids | {content.uid for content in describe_events("other", V1)}) == 10


def test_the_feed_says_what_it_has_and_how_often_to_fetch_it() -> None:
    lines = logical_lines(compose_feed([]))
    assert lines[:2] == ["BEGIN:VCALENDAR", "VERSION:2.0"]
    assert lines[-1] == "END:VCALENDAR"
    assert "REFRESH-INTERVAL;VALUE=DURATION:PT4H" in lines
    assert "X-PUBLISHED-TTL:PT4H" in lines
    assert not [line for line in lines if line.startswith("METHOD")]
    (description,) = [line for line in lines if line.startswith("DESCRIPTION:")]
    assert f"X-WR-CALDESC:{description.removeprefix('DESCRIPTION:')}" in lines
    assert r"at most 2\,000 events\, those nearest to today" in description
    assert re.search(r"(?<!\\)[,;]", description) is None


def test_the_library_reads_what_was_written() -> None:
    calendar = Calendar.from_ical(compose_feed(revise([], describe_events("atc-rt", V1))))
    read = {
        str(event["summary"]): (event.decoded("dtstart"), event.decoded("dtend")) for event in calendar.walk("VEVENT")
    }
    assert read == {
        "K7F2-9QXA-3 visit 1 target": (date(2025, 4, 15), date(2025, 4, 16)),
        "K7F2-9QXA-3 visit 1 window": (date(2025, 4, 1), date(2025, 4, 30)),
    }
    assert not [error for event in calendar.walk() for error in event.errors]


def test_the_calendar_reaches_from_30_days_ago_to_180_days_ahead() -> None:
    assert is_within_range(V1, V1.closes + timedelta(days=30))
    assert not is_within_range(V1, V1.closes + timedelta(days=31))
    assert is_within_range(V1, V1.opens - timedelta(days=180))
    assert not is_within_range(V1, V1.opens - timedelta(days=181))


def test_a_long_calendar_has_the_nearest_visits() -> None:
    today = date(2025, 4, 5)
    visits = [replace(V1, number=number, closes=today + timedelta(days=number * 7 % 150 - 30)) for number in range(120)]
    nearest = nearest_visits(visits, {"mainz": today}, 50)
    assert len(nearest) == 50
    farthest = max(abs((visit.closes - today).days) for visit in nearest)
    assert all(abs((visit.closes - today).days) >= farthest for visit in visits if visit not in nearest)
    assert nearest_visits(reversed(visits), {"mainz": today}, 50) == nearest


def test_a_cancelled_event_is_shown_for_30_days() -> None:
    content = cancel(describe_events("atc-rt", V1)[0], date(2025, 3, 1))
    assert is_still_shown(content, date(2025, 3, 1))
    assert is_still_shown(content, date(2025, 3, 30))
    assert not is_still_shown(content, date(2025, 3, 31))


DAYS = st.dates(date(2024, 1, 1), date(2026, 12, 31))


@given(days=st.lists(st.tuples(DAYS, st.booleans()), max_size=8))
def test_sequences_rise_with_every_change_and_with_nothing_else(days: list[tuple[date, bool]]) -> None:
    stored: list[CalendarEvent] = []
    for target, is_over in days:
        visit = replace(V1, opens=target, target=target, closes=target)
        contents = describe_events("atc-rt", visit)
        before = {event.content.uid: event for event in stored}
        events, changed = revise_events(
            by_id(stored), [cancel(content, target) if is_over else content for content in contents], NOW
        )
        assert len({event.content.uid for event in events}) == 2
        for event in events:
            earlier = before.get(event.content.uid)
            is_changed = earlier is None or earlier.digest != event.digest
            assert (event in changed) == is_changed
            if earlier:
                assert event.sequence == earlier.sequence + is_changed
        stored = [*stored, *changed]


@given(order=st.permutations(range(6)))
def test_the_order_of_visits_changes_no_byte(order: Sequence[int]) -> None:
    visits = [replace(V1, number=number) for number in order]
    ordered = [replace(V1, number=number) for number in range(6)]
    contents, in_turn = (
        [content for visit in group for content in describe_events("atc-rt", visit)] for group in (visits, ordered)
    )
    assert compose_feed(revise([], contents)) == compose_feed(revise([], in_turn))
