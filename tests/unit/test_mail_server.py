"""The address of the mail server: encryption is left out only where the address says so."""

from __future__ import annotations

from typing import Any

import pytest

from shared.mail_server import Encryption, MailServer, is_mail_address
from shared.settings import Settings


@pytest.mark.parametrize(
    ("url", "encryption", "port"),
    [
        ("smtp://mail.example", "starttls", 587),
        ("smtp://mail.example:2525", "starttls", 2525),
        ("smtp://user:secret@mail.example", "starttls", 587),
        ("smtp://user:secret@127.0.0.1:25", "starttls", 25),
        ("smtp://mail.example?tls=off", "none", 25),
        ("smtp://user:secret@localhost?tls=off", "none", 25),
        ("smtp://localhost:1025", "none", 1025),
        ("smtp://[::1]:1025", "none", 1025),
        ("smtps://mail.example", "tls", 465),
        ("smtps://user:secret@127.0.0.1:4650", "tls", 4650),
    ],
)
def test_connection_is_encrypted_unless_the_address_says_otherwise(url: str, encryption: Encryption, port: int) -> None:
    server = MailServer.parse(url)
    assert (server.encryption, server.port) == (encryption, port)


def test_user_and_password_are_decoded_and_the_password_is_not_shown() -> None:
    server = MailServer.parse("smtps://a%40b:p%2Fq@mail.example")
    assert (server.user, server.password) == ("a@b", "p/q")
    assert "p/q" not in repr(server)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://mail.example", "reads smtp://"),
        ("smtp://", "reads smtp://"),
        ("mail.example:25", "reads smtp://"),
        ("smtp://mail.example/path", "reads smtp://"),
        ("smtp://mail.example:70000", "port"),
        ("smtp://mail..example", "no name of a host"),
        (f"smtp://{'a' * 64}.example", "no name of a host"),
        ("smtp://user@mail.example", "a user and a password, or neither"),
        ("smtp://:secret@mail.example", "a user and a password, or neither"),
        ("smtp://user:secret@mail.example?tls=off", "without encryption"),
        ("smtps://mail.example?tls=off", "contradict"),
        ("smtp://mail.example?tls=on", "only parameter"),
        ("smtp://mail.example?tls=off&tls=off", "only parameter"),
    ],
)
def test_other_addresses_are_refused_without_quoting_them(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        MailServer.parse(url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("address", ["a@b.example", "first.last+study@ward.hospital.example", "o'neill@localhost"])
def test_bare_addresses_are_accepted(address: str) -> None:
    assert is_mail_address(address)


@pytest.mark.parametrize(
    "address",
    [
        *("", "a", "a@", "@b.example", "a b@c.example", "A <a@b.example>", "a@b.example\n", "a@b.example,c@d.example"),
        *(
            "a@b..example",
            ".a@b.example",
            "a.@b.example",
            "ä@b.example",
            '"a b"@c.example',
            "=?UTF-8?Q?=0A?=@b.example",
            "nurse%elsewhere.example@hospital.example",
            "elsewhere.example!nurse@hospital.example",
            "nurse@elsewhere.example@hospital.example",
        ),
        *("a" * 65 + "@b.example", "a@" + "b" * 64 + ".example", "a@b.example\0"),
    ],
)
def test_other_texts_are_no_addresses(address: str) -> None:
    assert not is_mail_address(address)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"smtp_url": "smtp://u:secret@m.example?tls=off"}, "without encryption"),
        ({"mail_from": "Quartal <a@b.example>"}, "bare address"),
        ({"mail_detail": "names"}, "mail_detail"),
    ],
)
def test_settings_that_cannot_be_read_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        Settings(**settings)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("mail_from", "QUARTAL_MAIL_FROM is not set"),
        ("links_key", "QUARTAL_LINKS_KEY is not set"),
        ("url", "QUARTAL_URL is not set"),
    ],
)
def test_only_a_service_that_sends_mail_needs_all_settings_for_it(missing: str, message: str) -> None:
    complete: dict[str, Any] = {
        "smtp_url": "smtp://mail.example",
        "mail_from": "a@b.example",
        "links_key": "key",
        "url": "https://x.example",
    }
    assert Settings(**complete).mail_server == MailServer.parse("smtp://mail.example")
    others = Settings(**{name: value for name, value in complete.items() if name != missing})
    with pytest.raises(ValueError, match=message):
        _ = others.mail_server


def test_without_a_mail_server_no_mail_is_sent() -> None:
    assert Settings(mail_from="a@b.example").mail_server is None


def test_allowed_domains_are_a_list_without_regard_to_case() -> None:
    assert Settings(mail_domains="Hospital.example, @ward.example,").mail_domains == (
        "hospital.example",
        "ward.example",
    )
