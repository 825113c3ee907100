"""One attempt to send a message: what each answer of a real mail server means, and that encryption is not given up."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from infra.local.ports import free_port
from services.analytics.reminders.email import NO_ANSWER, SENT, Attempt, SmtpSender
from shared.mail_server import MailServer
from tests.integration.support.mail_servers import make_certificate, run_picky_server, run_silent_server

SENDER, ADDRESS = "quartal@hospital.example", "nurse@hospital.example"
MESSAGE = b"Subject: one\r\nDate: Wed, 30 Apr 2025 06:01:00 +0000\r\n\r\n.a line that begins with a dot\r\nend=20\r\n"


def own_log(caplog: pytest.LogCaptureFixture) -> str:
    """Returns what was logged, but not by the mail server of the test."""
    return "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("mail."))


async def test_the_server_gets_the_bytes_of_the_message() -> None:
    async with run_picky_server() as server:
        assert await SmtpSender(server.at())(SENDER, ADDRESS, MESSAGE) == SENT
    assert server.taken == [(ADDRESS, MESSAGE)]


@pytest.mark.parametrize(
    ("host", "greeting"),
    [("x.example", "x.example"), ("10.0.0.1", "[10.0.0.1]"), ("::1", "[IPv6:::1]")],
)
async def test_we_introduce_ourselves_by_the_name_of_the_installation(host: str, greeting: str) -> None:
    async with run_picky_server() as server:
        assert await SmtpSender(server.at(), own_host=host)(SENDER, ADDRESS, MESSAGE) == SENT
    assert server.greetings == [greeting]


@pytest.mark.parametrize(
    ("answers", "attempt"),
    [
        ({"RCPT": "550 5.1.1 unknown"}, Attempt("refused", "550", is_of_mail=True)),
        ({"RCPT": "450 4.2.1 busy"}, Attempt("later", "450")),
        ({"RCPT": "421 closing"}, Attempt("later", "421")),
        ({"MAIL": "553 not from you"}, Attempt("refused", "553")),
        ({"MAIL": "451 later"}, Attempt("later", "451")),
        ({"DATA": "554 spam"}, Attempt("refused", "554", is_of_mail=True)),
        ({"DATA": "452 full"}, Attempt("later", "452")),
        ({"DATA": "close"}, NO_ANSWER),
    ],
)
async def test_a_refusal_is_final_or_not_by_its_number(
    answers: dict[str, str], attempt: Attempt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with run_picky_server(answers=answers) as server:
        assert await SmtpSender(server.at())(SENDER, ADDRESS, MESSAGE) == attempt
    assert ADDRESS not in own_log(caplog)
    assert server.taken == []


async def test_a_server_that_is_away_or_silent_gives_no_answer() -> None:
    away = MailServer(host="127.0.0.1", port=free_port(), encryption="none")
    assert await SmtpSender(away)(SENDER, ADDRESS, MESSAGE) == NO_ANSWER
    async with run_silent_server() as port:
        silent = MailServer(host="127.0.0.1", port=port, encryption="none")
        assert await SmtpSender(silent, seconds=0.2)(SENDER, ADDRESS, MESSAGE) == NO_ANSWER


async def test_starttls_encrypts_and_checks_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, context = make_certificate(tmp_path)
    async with run_picky_server(starttls=context) as server:
        send = SmtpSender(server.at("starttls"))
        assert await send(SENDER, ADDRESS, MESSAGE) == NO_ANSWER
        assert server.tried == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await send(SENDER, ADDRESS, MESSAGE) == SENT
    assert server.encrypted == [True]


async def test_nothing_goes_to_a_server_that_cannot_encrypt() -> None:
    async with run_picky_server() as server:
        assert await SmtpSender(server.at("starttls"))(SENDER, ADDRESS, MESSAGE) == NO_ANSWER
    assert server.tried == []


async def test_tls_from_the_start_checks_the_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, context = make_certificate(tmp_path)
    async with run_picky_server(tls=context) as server:
        send = SmtpSender(server.at("tls"))
        assert await send(SENDER, ADDRESS, MESSAGE) == NO_ANSWER
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await send(SENDER, ADDRESS, MESSAGE) == SENT
    assert server.encrypted == [True]


async def test_a_password_goes_only_over_tls_and_a_wrong_one_refuses_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    certificate, context = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with run_picky_server(starttls=context, needs_password=True) as server:
        assert await SmtpSender(server.at("starttls", "quartal", "wrong"))(SENDER, ADDRESS, MESSAGE) == NO_ANSWER
        assert await SmtpSender(server.at("starttls", "quartal", "right"))(SENDER, ADDRESS, MESSAGE) == SENT
    assert (server.users, server.encrypted) == (["quartal"], [True])
    assert "wrong" not in own_log(caplog)
