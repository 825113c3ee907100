"""Mails that the local mail server has taken, as files of a folder."""

from __future__ import annotations

import email
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from shared.kernel.clock import real_time

MAX_KEPT = 500
_SUFFIX = ".eml"


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A mail. `name` is that of its file, without the suffix; `text` is its body as plain text."""

    name: str
    taken_at: datetime
    recipient: str
    subject: str
    text: str
    source: str


class KeptMails:
    """The mails in a folder, of which the last 500 are kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, message: bytes) -> None:
        """Writes a mail to a file of its own."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        microseconds = int(real_time().timestamp() * 1e6)
        while (path := self._folder / f"{microseconds:020d}{_SUFFIX}").exists():
            microseconds += 1
        part = path.with_suffix(".part")
        part.write_bytes(message)
        os.replace(part, path)
        for old in self._files()[MAX_KEPT:]:
            old.unlink(missing_ok=True)

    def newest_first(self) -> list[KeptMail]:
        """Returns the mails, the newest first."""
        return [_read(path) for path in self._files()]

    def find(self, name: str) -> KeptMail | None:
        path = next((path for path in self._files() if path.stem == name), None)
        return _read(path) if path else None

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"), reverse=True)


def _read(path: Path) -> KeptMail:
    source = path.read_bytes()
    message = email.message_from_bytes(source, policy=SMTP)
    body = message.get_body(("plain",)) if isinstance(message, EmailMessage) else None
    return KeptMail(
        name=path.stem,
        taken_at=datetime.fromtimestamp(int(path.stem) / 1e6, UTC),
        recipient=str(message["To"]),
        subject=str(message["Subject"]),
        text=body.get_content() if body else "",
        source=source.decode("ascii", "replace"),
    )
