"""The mail server of an installation: its address, its credentials, and how the connection to it is encrypted. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

Encryption = Literal["tls", "starttls", "none"]
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
_PORTS: dict[Encryption, int] = {"tls": 465, "starttls": 587, "none": 25}
_BARE_ADDRESS = re.compile(r"[A-Za-z0-9.#$&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*", re.ASCII)
"""Neither `%` nor `!` before the @: mail servers read a route to another domain there."""
_LONGEST_ADDRESS = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """An SMTP server. `user`: "" if it asks for no password."""

    host: str
    port: int
    encryption: Encryption
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> MailServer:
        """Reads `smtp[s]://user:password@host:port`.

        `smtps` encrypts from the start. `smtp` encrypts by STARTTLS if a password is given or the host is not this
        machine; only `?tls=off` says otherwise. Raises ValueError with a message that quotes nothing of the URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.fragment:
            raise ValueError(
                "The address of the mail server reads smtp://host:port or smtps://user:password@host:port."
            )
        _require_host(parts.hostname)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if bool(user) != bool(password):
            raise ValueError("The address of the mail server has a user and a password, or neither.")
        encryption = _encryption(parts.scheme, parts.query, parts.hostname, has_password=bool(password))
        port = _port(parts) or _PORTS[encryption]
        return cls(host=parts.hostname, port=port, encryption=encryption, user=user, password=password)


def is_mail_address(text: str) -> bool:
    """Returns whether the text is a bare address of ASCII that is safe in a header."""
    is_address = len(text) <= _LONGEST_ADDRESS and bool(_BARE_ADDRESS.fullmatch(text))
    return is_address and "=?" not in text and ".." not in text and not text.startswith(".") and ".@" not in text


def _encryption(scheme: str, query: str, host: str, *, has_password: bool) -> Encryption:
    is_off, is_local = _is_switched_off(query), host in LOOPBACK_HOSTS
    if scheme == "smtps":
        if is_off:
            raise ValueError("smtps:// and tls=off contradict each other.")
        return "tls"
    if is_off and has_password and not is_local:
        raise ValueError("A password does not go over the network without encryption: leave out tls=off.")
    return "none" if is_off or (is_local and not has_password) else "starttls"


def _is_switched_off(query: str) -> bool:
    parameters = parse_qsl(query, keep_blank_values=True)
    if parameters not in ([], [("tls", "off")]):
        raise ValueError("The only parameter of the address of the mail server is tls=off.")
    return bool(parameters)


def _require_host(host: str) -> None:
    """Raises ValueError for a name that cannot be looked up, which every attempt to send would stumble over."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError("The host in the address of the mail server is no name of a host.") from None


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValueError("The port of the mail server is a number up to 65535.") from None
