"""Mail servers for tests: real ones, which take messages or refuse them as a test says, also by TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.local.ports import LOOPBACK
from shared.mail_server import Encryption, MailServer

OK = "250 OK"
_NO_ANSWERS: Mapping[str, str] = MappingProxyType({})


@dataclass
class PickyServer:
    """A mail server. `answers`: its answers to MAIL, RCPT and DATA; those that it lacks are 250.

    `taken`: the messages that it took. `tried`: the addresses that it was asked for.
    """

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    greetings: list[str] = field(default_factory=list)
    after_taking: Callable[[], None] = lambda: None

    def at(self, encryption: Encryption = "none", user: str = "", password: str = "") -> MailServer:
        return MailServer(host="localhost", port=self.port, encryption=encryption, user=user, password=password)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.greetings.append(str(session.host_name))
        envelope.mail_from = address
        return self.answers.get("MAIL", OK)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.tried.append(address)
        answer = self.answers.get(address) or self.answers.get("RCPT", OK)
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        assert server.transport is not None
        answer = self.answers.get("DATA", OK)
        if answer == "close":
            server.transport.close()
            return OK
        if answer == OK:
            self.taken.append((envelope.rcpt_tos[0], envelope.original_content or b""))
            self.encrypted.append(session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None)
            self.after_taking()
        return answer

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, credentials: Any
    ) -> AuthResult:
        is_right = isinstance(credentials, LoginPassword) and credentials.password == b"right"
        self.users += [credentials.login.decode()] if is_right else []
        return AuthResult(success=is_right, handled=False)


@asynccontextmanager
async def run_picky_server(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    needs_password: bool = False,
    answers: Mapping[str, str] = _NO_ANSWERS,
) -> AsyncIterator[PickyServer]:
    """Runs a mail server on a free port of this machine. `answers`: such as `{"RCPT": "550 unknown"}`."""
    picky, loop = PickyServer(answers=dict(answers)), asyncio.get_running_loop()

    def create_protocol() -> SMTP:
        return SMTP(
            picky,
            hostname="localhost",
            loop=loop,
            tls_context=starttls,
            auth_required=needs_password,
            auth_require_tls=starttls is not None,
            authenticator=picky.authenticate,
        )

    server = await loop.create_server(create_protocol, LOOPBACK, 0, ssl=tls)
    async with server:
        picky.port = server.sockets[0].getsockname()[1]
        yield picky


@asynccontextmanager
async def run_silent_server() -> AsyncIterator[int]:
    """Runs a server that accepts connections and never says a word; returns its port."""
    connected = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, LOOPBACK, 0) as server:
        yield server.sockets[0].getsockname()[1]


def make_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Makes a certificate of localhost that signs itself; returns its file, and the context of a server that has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = folder / "certificate.pem", folder / "key.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path, key_path)
    return path, context
