"""Digests as mail programs read them: headers of printable ASCII, bytes that are fixed, no text that anybody typed."""

from __future__ import annotations

import email
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.reminders.digest import (
    ALL_SITES,
    Digest,
    DigestState,
    MailSettings,
    SiteInDigest,
    VisitInDigest,
    compose_digest,
)

TODAY = date(2025, 4, 30)
COMPOSED_AT = datetime(2025, 4, 30, 6, 1, tzinfo=UTC)
SETTINGS = MailSettings(mail_from="quartal@hospital.example", url="https://x.example")
ADDRESS = "nurse@hospital.example"
HEADER_NAMES = [
    "Date", "From", "To", "Message-ID", "Subject", "Auto-Submitted", "X-Auto-Response-Suppress",
    "List-Unsubscribe", "MIME-Version", "Content-Type",
]  # fmt: skip


def visit(state: DigestState, number: int = 1, target: date = date(2025, 4, 15)) -> VisitInDigest:
    return VisitInDigest(
        participant_id="K7F2-9QXA-3",
        number=number,
        course_id=None,
        step="overdue",
        state=state,
        target=target,
        opens=target - timedelta(days=14),
        closes=target + timedelta(days=14),
        slot_ends=target + timedelta(days=76),
    )


def part(*visits: VisitInDigest, site_id: str = "rome") -> SiteInDigest:
    return SiteInDigest(
        site_id=site_id,
        visits=visits,
        open_visits=4,
        open_queries=1,
        without_schedule=2,
        longest_without_schedule_days=140,
    )


DIGEST = Digest(
    study_id="atc-sbrt", member="nurse-1", site_id="rome", day=TODAY, sites=(part(visit("overdue"), visit("due", 2)),)
)


def compose(digest: Digest = DIGEST, settings: MailSettings = SETTINGS, address: str = ADDRESS) -> bytes:
    return compose_digest(digest, address, settings, COMPOSED_AT).message


def parse(message: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(message, policy=SMTP)
    assert isinstance(parsed, EmailMessage)
    return parsed


def text_of(message: bytes, kind: str = "plain") -> str:
    body = parse(message).get_body((kind,))
    assert body is not None
    content: str = body.get_content()
    return content.replace("\r\n", "\n")


def header_lines(message: bytes) -> list[bytes]:
    return message.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_a_digest_has_exactly_these_headers_each_on_one_line_of_printable_ascii() -> None:
    message = compose()
    assert [line.partition(b":")[0].decode() for line in header_lines(message)] == HEADER_NAMES
    assert all(re.fullmatch(rb"[\x20-\x7e]{1,998}", line) for line in header_lines(message))
    assert parse(message).defects == []


def test_the_headers_say_whose_message_it_is_and_how_to_end_it() -> None:
    parsed = parse(compose())
    assert parsed["Subject"] == "Quartal atc-sbrt rome: 1 overdue, 1 due"
    assert parsed["From"] == "quartal@hospital.example"
    assert parsed["To"] == ADDRESS
    assert parsed["Date"].datetime == COMPOSED_AT
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert parsed["X-Auto-Response-Suppress"] == "All"
    assert parsed["List-Unsubscribe"] == ("<https://x.example/analytics/studies/atc-sbrt/subscription>")
    assert parsed["Reply-To"] is None


def test_the_message_id_is_that_of_study_member_site_and_day() -> None:
    first = compose_digest(DIGEST, ADDRESS, SETTINGS, COMPOSED_AT).message_id
    assert re.fullmatch(r"<d\.[0-9a-f]{32}@x\.example>", first)
    later = compose_digest(DIGEST, "other@hospital.example", SETTINGS, COMPOSED_AT + timedelta(hours=3))
    assert later.message_id == first
    for other in (
        replace(DIGEST, study_id="other"),
        replace(DIGEST, member="nurse-2"),
        replace(DIGEST, site_id=ALL_SITES),
        replace(DIGEST, day=TODAY + timedelta(days=1)),
    ):
        assert compose_digest(other, ADDRESS, SETTINGS, COMPOSED_AT).message_id != first


def test_equal_content_gives_equal_bytes() -> None:
    assert compose() == compose()


def test_the_subject_of_a_study_wide_digest_names_no_site() -> None:
    digest = replace(
        DIGEST,
        site_id=ALL_SITES,
        sites=(part(visit("missed")), part(visit("missed"), visit("opening"), site_id="oslo")),
    )
    assert parse(compose(digest))["Subject"] == "Quartal atc-sbrt: 2 missed, 1 opening"
    assert "Site rome: 1 missed" in text_of(compose(digest))
    assert "Site oslo: 1 missed, 1 opening" in text_of(compose(digest))


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_the_body_lists_each_visit_with_its_days_and_a_link(kind: str) -> None:
    text = text_of(compose(), kind)
    assert "K7F2-9QXA-3, visit 1: target 2025-04-15 (15 days ago), window 2025-04-01 to 2025-04-29" in text
    assert "https://x.example/analytics/studies/atc-sbrt/participants/K7F2-9QXA-3" in text
    assert "Also open: 4 visits, 1 data query, 2 participants without a schedule, the longest for 140 days." in text
    assert "https://x.example/analytics/studies/atc-sbrt/worklist?site=rome" in text
    assert "Nobody reads answers to this message." in text


def test_visits_stand_by_state_and_then_by_day() -> None:
    visits = [
        visit("opening", 5),
        visit("due", 4),
        visit("due", 3, date(2025, 4, 1)),
        visit("missed", 1),
        visit("overdue", 2),
    ]
    text = text_of(compose(replace(DIGEST, sites=(part(*visits),))))
    words = re.findall(r"^(?:- K7F2-9QXA-3, (visit \d)|(Missed|Overdue|Due|Opening)$)", text, re.MULTILINE)
    assert " ".join("".join(word) for word in words) == (
        "Missed visit 1 Overdue visit 2 Due visit 3 visit 4 Opening visit 5"
    )


def test_a_digest_of_counts_names_no_participant_and_no_visit() -> None:
    message = compose(settings=replace(SETTINGS, detail="counts"))
    for kind in ("plain", "html"):
        text = text_of(message, kind)
        assert "K7F2" not in text
        assert "2025-04-15" not in text
        assert "Site rome: 1 overdue, 1 due" in text
        assert "/analytics/studies/atc-sbrt/worklist?site=rome" in text


def test_a_digest_asks_to_renew_the_subscription_in_its_last_30_days() -> None:
    for days, asks in ((31, False), (30, True), (1, True)):
        ends_on = TODAY + timedelta(days=days)
        message = compose_digest(DIGEST, ADDRESS, SETTINGS, COMPOSED_AT, ends_on=ends_on).message
        assert (f"Your subscription ends on {ends_on}." in text_of(message)) == asks
    assert "Your subscription ends" not in text_of(compose())


@pytest.mark.parametrize(
    "typed",
    [
        "=?UTF-8?Q?=0A?=Bcc: x@evil.example",
        "a\r\nBcc: x@evil.example",
        "a\nb",
        "a\rb",
        "a\x00b",
        "a\x0bb",
        "Ä",
        "a\u2028b",
        "\x85",
    ],
)
def test_typed_text_never_reaches_a_header(typed: str) -> None:
    assert parse(compose(replace(DIGEST, member=typed))).keys() == HEADER_NAMES
    for message in (
        partial(compose, replace(DIGEST, site_id=typed)),
        partial(compose, address=typed),
        partial(compose, settings=replace(SETTINGS, mail_from=typed)),
    ):
        with pytest.raises(ValueError, match=r"^The header (Subject|To|From) is not one line of printable ASCII\.$"):
            message()


@given(st.text(), st.text(max_size=20), st.lists(st.text(max_size=20), max_size=3))
def test_whatever_the_names_are_a_digest_is_refused_or_has_the_same_headers(
    member: str, site_id: str, sites: list[str]
) -> None:
    digest = replace(
        DIGEST,
        member=member.encode(errors="ignore").decode(),
        sites=tuple(part(visit("due"), site_id=s) for s in sites),
    )
    assert parse(compose(digest)).keys() == HEADER_NAMES
    try:
        message = compose(replace(digest, site_id=site_id))
    except ValueError:
        return
    assert parse(message).keys() == HEADER_NAMES
    assert all(re.fullmatch(rb"[\x20-\x7e]{1,998}", line) for line in header_lines(message))


def test_the_body_is_ascii_in_short_lines_whatever_it_says() -> None:
    message = compose(replace(DIGEST, sites=(part(visit("due"), site_id="Zürich <b>" + "x" * 2000),)))
    assert message.isascii()
    body = message.partition(b"\r\n\r\n")[2]
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert "Zürich &lt;b&gt;" in text_of(message, "html")
    assert "Zürich <b>" in text_of(message)
