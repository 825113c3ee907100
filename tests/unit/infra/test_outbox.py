"""The outbox: messages as files, and texts as pages that no text can break."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from infra.local.outbox import kept_mails
from infra.local.outbox.kept_mails import KeptMails
from infra.local.outbox.page import link_addresses
from services.analytics.reminders.message import Block, Envelope, compose_message


def message(subject: str) -> bytes:
    envelope = Envelope(
        sender="quartal@localhost",
        address="nurse@hospital.example",
        subject=subject,
        composed_at=datetime(2025, 4, 30, 6, 1, tzinfo=UTC),
        message_id="<d.1@x.example>",
        unsubscribe_url="https://x.example/off",
    )
    return compose_message(envelope, [Block("paragraph", "Zürich", "https://x.example/a?b=c&d=e")])


def test_messages_are_listed_the_newest_first_and_found_by_name(tmp_path: Path) -> None:
    mails = KeptMails(tmp_path / "outbox")
    assert mails.newest_first() == []
    for subject in ("one", "two"):
        mails.keep(message(subject))
    newest, oldest = mails.newest_first()
    assert (newest.subject, oldest.subject) == ("two", "one")
    assert newest.recipient == "nurse@hospital.example"
    assert "Zürich" in newest.text
    assert mails.find(oldest.name) == oldest
    assert mails.find("../../etc/passwd") is None


def test_only_the_last_messages_are_kept(tmp_path: Path) -> None:
    mails = KeptMails(tmp_path)
    for number in range(kept_mails.MAX_KEPT + 2):
        mails.keep(message(str(number)))
    assert [len(mails.newest_first()), mails.newest_first()[-1].subject] == [kept_mails.MAX_KEPT, "2"]


def test_addresses_in_a_text_become_links_and_nothing_else_does() -> None:
    text = 'See <b> & https://x.example/a?b=c&d=e\nand https://elsewhere.example/"x'
    assert link_addresses(text) == (
        'See &lt;b&gt; &amp; <a href="https://x.example/a?b=c&amp;d=e">https://x.example/a?b=c&amp;d=e</a>\n'
        'and <a href="https://elsewhere.example/">https://elsewhere.example/</a>&#34;x'
    )
