"""A mail server as a process of its own, which can be killed, and the digests that it has taken."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

from infra.local.ports import LOOPBACK, free_port
from tests.polling import wait_until
from tests.two_years.plain_schedule import OF_THE_INDEX_COURSE

DOMAIN = "mail.example"
SERVER_SCRIPT = """
import os, sys, time
from contextlib import suppress
from pathlib import Path
from aiosmtpd.controller import Controller

folder, port = Path(sys.argv[1]), int(sys.argv[2])

class Mailbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        refusals = folder / "refusals"
        if refusals.exists() and address in refusals.read_text().split():
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        path = folder / f"{time.time_ns()}-{os.getpid()}.eml"
        path.with_suffix(".part").write_bytes(envelope.original_content)
        path.with_suffix(".part").rename(path)
        victim = folder / "kill-after-next-mail"
        if victim.exists():
            pid = int(victim.read_text())
            victim.unlink()
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        return "250 taken"

controller = Controller(Mailbox(), hostname="127.0.0.1", port=port)
controller.start()
(folder / "started").touch()
while True:
    time.sleep(3600)
"""
_VISIT = re.compile(r"^- ([0-9A-Z-]+), visit (\d+)(?: of course (\S+))?: target (\d{4}-\d{2}-\d{2})", re.MULTILINE)
_ALSO_OPEN = re.compile(r"^Site (\S+):.*?^Also open: (\d+) visit", re.MULTILINE | re.DOTALL)
_DAY = re.compile(r"^Visits of the study \S+ on (\d{4}-\d{2}-\d{2})\.", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, order=True)
class VisitInMail:
    """A visit that a digest names. `schedule`: the course, or `index`."""

    participant_id: str
    schedule: str
    visit: int
    target: date


@dataclass(frozen=True, kw_only=True)
class ReceivedDigest:
    """A digest as the mail server took it. `site_id`: `*` for all sites."""

    member: str
    site_id: str
    day: date
    composed_at: datetime
    visits: frozenset[VisitInMail]
    also_open: Mapping[str, int]
    message_id: str
    content: bytes


class MailServerProcess:
    """A mail server on a port of its own that keeps each message in a file."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"smtp://{LOOPBACK}:{self.port}?tls=off"

    async def start(self) -> None:
        """Starts the server, and returns when it takes connections."""
        started = self._folder / "started"
        started.unlink(missing_ok=True)
        self._process = self._start_process()

        async def is_started() -> bool:
            return started.exists()

        await wait_until(is_started)

    def _start_process(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", SERVER_SCRIPT, str(self._folder), str(self.port)]
        with (self._folder / "server.log").open("ab") as log:
            return subprocess.Popen(argv, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def refuse(self, *members: str) -> None:
        """Refuses mail to these members from now on, and takes that to all others."""
        (self._folder / "refusals").write_text("\n".join(map(address_of, members)))

    def kill_after_next_mail(self, pid: int) -> None:
        """Kills a process when the next message is taken, before its sender learns of it."""
        (self._folder / "kill-after-next-mail").write_text(str(pid))

    def spare(self) -> None:
        """Kills nothing after the next message."""
        (self._folder / "kill-after-next-mail").unlink(missing_ok=True)

    def received(self) -> list[ReceivedDigest]:
        """Returns the digests in the order in which they were taken."""
        return [read_digest(path.read_bytes()) for path in sorted(self._folder.glob("*.eml"))]


@contextmanager
def mail_server(folder: Path) -> Iterator[MailServerProcess]:
    server = MailServerProcess(folder)
    try:
        yield server
    finally:
        server.kill()


def address_of(member: str) -> str:
    return f"{member}@{DOMAIN}"


def read_digest(content: bytes) -> ReceivedDigest:
    """Reads a digest with the parser of the standard library. Raises AssertionError for another message."""
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    assert body
    text = body.get_content()
    subject = re.fullmatch(r"Quartal \S+( \S+)?: .*", message["Subject"])
    day = _DAY.search(text)
    assert subject
    assert day
    return ReceivedDigest(
        member=str(message["To"]).removesuffix(f"@{DOMAIN}"),
        site_id=(subject[1] or " *")[1:],
        day=date.fromisoformat(day[1]),
        composed_at=parsedate_to_datetime(message["Date"]),
        visits=frozenset(
            VisitInMail(
                participant_id=number,
                schedule=course_id or OF_THE_INDEX_COURSE,
                visit=int(visit),
                target=date.fromisoformat(target),
            )
            for number, visit, course_id, target in _VISIT.findall(text)
        ),
        also_open={site_id: int(count) for site_id, count in _ALSO_OPEN.findall(text)},
        message_id=message["Message-ID"],
        content=content,
    )
