"""The comparison of mails with those that were expected finds each kind of mistake."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from tests.two_years.comparison import (
    DigestOfDay,
    differences,
    expected_mails,
    received_mails,
    unequal_repeats,
)
from tests.two_years.mail_server import ReceivedDigest, VisitInMail, read_digest
from tests.two_years.plain_reminders import PlainDigest, list_digests
from tests.two_years.worked_examples import anchor, mornings, study_of

[EXPECTED] = list_digests(study_of(anchor("2025-01-15")), mornings("2025-03-31", "2025-04-02"))
RECEIVED = ReceivedDigest(
    member="at-berlin",
    site_id="berlin",
    day=date(2025, 4, 1),
    composed_at=EXPECTED.composed_at,
    visits=frozenset({VisitInMail(participant_id="P", schedule="index", visit=1, target=date(2025, 4, 15))}),
    also_open={"berlin": 0},
    message_id="<d.1@quartal>",
    content=b"first",
)
OTHER_VISIT = VisitInMail(participant_id="P", schedule="index", visit=2, target=date(2025, 7, 15))
MESSAGE = b"""\
Date: Tue, 01 Apr 2025 06:01:01 +0000\r
From: quartal@hospital.example\r
To: at-berlin@mail.example\r
Message-ID: <d.1@quartal>\r
Subject: Quartal study berlin: 1 opening\r
Content-Type: text/plain; charset="utf-8"\r
Content-Transfer-Encoding: quoted-printable\r
\r
Visits of the study study on 2025-04-01.\r
Site berlin: 1 opening\r
- K7F2-9QXA-3, visit 1: target 2025-04-15 (in 14 days), window 2025-04-01 to =\r
2025-04-29\r
Also open: 2 visits, 1 data query.\r
"""


def compare(expected: list[PlainDigest], received: list[ReceivedDigest]) -> list[tuple[list[str], list[str]]]:
    found_differences = differences(expected_mails(expected), received_mails(received))
    return [(difference.missing, difference.wrong) for difference in found_differences]


def test_equal_digests_do_not_differ() -> None:
    assert compare([EXPECTED], [RECEIVED]) == []
    assert compare([EXPECTED], [RECEIVED, RECEIVED]) == []


def test_missing_and_unexpected_digests_are_found() -> None:
    lines = ["P index V1 target 2025-04-15", "berlin: 0 visits also open", "composed at 2025-04-01 06:01:00"]
    assert compare([EXPECTED], []) == [(lines, [])]
    assert compare([], [RECEIVED]) == [([], lines)]


def test_other_visit_and_other_instant_are_found() -> None:
    visits = frozenset({*RECEIVED.visits, OTHER_VISIT})
    assert compare([EXPECTED], [replace(RECEIVED, visits=visits)]) == [([], ["P index V2 target 2025-07-15"])]
    [(missing, wrong)] = compare([EXPECTED], [replace(RECEIVED, composed_at=datetime(2025, 4, 1, 5, tzinfo=UTC))])
    assert (missing, wrong) == (["composed at 2025-04-01 06:01:00"], ["composed at 2025-04-01 05:00:00"])


def test_repeat_in_other_bytes_is_found() -> None:
    assert unequal_repeats([RECEIVED, RECEIVED]) == []
    changed = replace(RECEIVED, content=b"second")
    assert unequal_repeats([RECEIVED, changed]) == [DigestOfDay("at-berlin", "berlin", date(2025, 4, 1))]


def test_mail_is_read_by_the_parser_of_the_standard_library() -> None:
    digest = read_digest(MESSAGE)
    assert digest.visits == {
        VisitInMail(participant_id="K7F2-9QXA-3", schedule="index", visit=1, target=date(2025, 4, 15))
    }
    assert (digest.member, digest.site_id, digest.day) == ("at-berlin", "berlin", date(2025, 4, 1))
    assert digest.composed_at == datetime(2025, 4, 1, 6, 1, 1, tzinfo=UTC)
    assert digest.also_open == {"berlin": 2}
