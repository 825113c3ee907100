"""Compares the digests that a mail server took, and the product's log, with those of the plain implementation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date
from typing import NamedTuple

from tests.conftest import Database
from tests.two_years.mail_server import ReceivedDigest, VisitInMail
from tests.two_years.plain_reminders import PlainDigest, PlainReminder


class DigestOfDay(NamedTuple):
    """A digest by its recipient, site (`*`: all sites) and local day."""

    member: str
    site_id: str
    day: date


class SentReminder(NamedTuple):
    participant_id: str
    visit: int
    step: str
    audience: str


class Difference(NamedTuple):
    """A digest with what should have been in it and is not, and what is in it and should not be."""

    digest: DigestOfDay
    missing: list[str]
    wrong: list[str]


def _visit_line(visit: PlainReminder | VisitInMail) -> str:
    return f"{visit.participant_id} {visit.schedule} V{visit.visit} target {visit.target}"


def _count_lines(also_open: Mapping[str, int]) -> list[str]:
    return [f"{site_id}: {count} visits also open" for site_id, count in also_open.items()]


def expected_mails(digests: Iterable[PlainDigest]) -> dict[DigestOfDay, set[str]]:
    """Returns what each mail says of each visit, and the instant of its composition."""
    return {
        DigestOfDay(digest.member, digest.site_id, digest.day): {
            f"composed at {digest.composed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            *_count_lines(digest.also_open),
            *(_visit_line(reminder) for reminder in digest.reminders),
        }
        for digest in digests
    }


def received_mails(digests: Iterable[ReceivedDigest]) -> dict[DigestOfDay, set[str]]:
    return {
        DigestOfDay(digest.member, digest.site_id, digest.day): {
            f"composed at {digest.composed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            *_count_lines(digest.also_open),
            *(_visit_line(visit) for visit in digest.visits),
        }
        for digest in digests
    }


def expected_steps(digests: Iterable[PlainDigest]) -> dict[DigestOfDay, set[str]]:
    return {
        DigestOfDay(digest.member, digest.site_id, digest.day): {
            f"{reminder.participant_id} {reminder.schedule} V{reminder.visit} {reminder.step} ({reminder.audience})"
            for reminder in digest.reminders
        }
        for digest in digests
    }


async def logged_steps(database: Database, study_id: str, state: str = "sent") -> dict[DigestOfDay, set[str]]:
    """Returns the steps of every digest in the product's log whose delivery has this state."""
    rows = await database.system.fetch(
        "select d.member, d.addressee, d.day, r.participant_id, r.schedule, r.visit, r.step, r.audience"
        " from reminder_delivery d join reminder r using (reminder_id) where r.study_id = $1 and d.state = $2",
        study_id,
        state,
    )
    digests: dict[DigestOfDay, set[str]] = defaultdict(set)
    for row in rows:
        line = f"{row['participant_id']} {row['schedule']} V{row['visit']} {row['step']} ({row['audience']})"
        digests[DigestOfDay(row["member"], row["addressee"], row["day"])].add(line)
    return dict(digests)


def differences(
    expected: dict[DigestOfDay, set[str]], actual: dict[DigestOfDay, set[str]], most: int = 20
) -> list[Difference]:
    """Returns the first digests that differ, by day."""
    digests = sorted(expected.keys() | actual.keys(), key=lambda digest: (digest.day, digest.site_id, digest.member))
    found_differences = []
    for digest in digests:
        missing = expected.get(digest, set()) - actual.get(digest, set())
        wrong = actual.get(digest, set()) - expected.get(digest, set())
        if missing or wrong:
            found_differences.append(Difference(digest, sorted(missing), sorted(wrong)))
    return found_differences[:most]


def unequal_repeats(received: Sequence[ReceivedDigest]) -> list[DigestOfDay]:
    """Returns the digests of which the mail server took two messages that are not the same bytes."""
    contents: dict[DigestOfDay, set[bytes]] = defaultdict(set)
    for digest in received:
        contents[DigestOfDay(digest.member, digest.site_id, digest.day)].add(digest.content)
    return [digest for digest, messages in contents.items() if len(messages) > 1]
