"""Settings of a process, read from its environment into one typed class. Secrets are printed masked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.clock_file import ClockFile
from shared.kernel.clock import Clock
from shared.mail_server import LOOPBACK_HOSTS, MailServer, is_mail_address

SERVICES = ("enrollment", "toxicity", "followup", "analytics")
PRODUCERS = ("enrollment", "toxicity", "followup")
"""Services that record facts and publish them."""
MIB = 1024 * 1024
DEVELOPMENT_ISSUER = "quartal-development"
"""The issuer of tokens on a developer's own machine; no deployment trusts it."""
CONSUMERS = ("toxicity", "followup", "analytics")
"""Services that apply events of other services."""


class Limits(BaseSettings):
    """Limits on what one request, one caller and one address may cost a serving process: `QUARTAL_MAX_…`."""

    model_config = SettingsConfigDict(env_prefix="QUARTAL_", frozen=True, extra="ignore", hide_input_in_errors=True)

    max_body_bytes: int = Field(default=MIB, ge=1024, le=MIB, description="bytes of a request's body (413)")
    max_form_bytes: int = Field(default=32 * 1024, ge=16 * 1024, le=MIB, description="bytes of a page's form (413)")
    max_body_values: int = Field(default=100_000, ge=100, description="JSON values in a body (422)")
    max_fact_values: int = Field(default=10_000, ge=100, description="JSON values in one fact (422)")
    max_list_items: int = Field(default=500, ge=200, description="entries of a list, or members of an object (422)")
    max_parameters: int = Field(default=100, ge=20, description="parameters in an address (422)")
    max_requests_per_caller: int = Field(default=100, ge=1, description="requests of a caller under way (429)")
    max_turns_per_caller: int = Field(default=16, ge=1, description="of these, worked on at once; the others wait")
    max_streams_per_caller: int = Field(default=32, ge=1, description="open event streams of a caller (429)")
    max_streams: int = Field(default=1000, ge=1, description="open event streams of all callers (503)")
    max_connections: int = Field(default=2000, ge=10, description="open connections of a process (429)")
    max_connections_per_address: int = Field(default=1000, ge=10, description="of these, from one address (429)")
    max_header_seconds: float = Field(default=10, gt=0, description="until a request's headers have arrived (408)")
    max_body_seconds: float = Field(default=30, gt=0, description="from the headers to the end of the body (408)")
    max_idle_seconds: int = Field(default=5, ge=1, description="until a connection without a request is closed")
    max_stall_seconds: float = Field(
        default=10, gt=0, description="in which a reader takes at least 64 KiB of an answer"
    )


class Settings(Limits):
    """All settings, from variables `QUARTAL_…`. `database_url` selects among the URLs of services and roles."""

    port: int = 8000
    data: Path = Path(".quartal")
    clock: str = Field(
        default="",
        description="today of studies: a frozen date or instant, or +N or -N days; study=value, separated by commas",
    )
    clock_file: Path | None = Field(
        default=None, description="file of days by which studies are advanced; `quartal up` sets it, deployments do not"
    )
    administrators: Annotated[tuple[str, ...], NoDecode] = ()
    jwks: str = Field(default="", description="path or URL of the key set that tokens are checked against")
    issuer: str = DEVELOPMENT_ISSUER
    audience: str = "quartal"
    url: str = Field(default="", description="the address that people reach, without a path")
    oidc_issuer: str = Field(default="", description="the OpenID provider that people sign in with")
    oidc_client_id: str = ""
    oidc_client_secret: Path | None = Field(default=None, description="file of the client's secret at the provider")
    oidc_scope: str = Field(default="openid", description="scopes asked of the provider, separated by spaces")
    session_keys: str = Field(default="", description="URL of enrollment's /session/keys, as the services reach it")
    kek: Path | None = Field(default=None, description="file of the key-encryption key")
    event_key: Path | None = Field(default=None, description="file of the key for event ids, the same for all services")
    kafka_bootstrap: str = Field(default="", validation_alias="KAFKA_BOOTSTRAP")
    plain_http: bool = Field(default=False, description="browsers reach us without TLS: on one's own machine only")
    trusted_proxies: str = Field(
        default="", description="addresses or networks whose X-Forwarded-For names the client, separated by commas"
    )
    smtp_url: SecretStr = Field(
        default=SecretStr(""), description="the server that takes our mails: smtp[s]://user:password@host:port"
    )
    mail_from: str = Field(default="", description="the sender of our mails, a mailbox that somebody reads")
    mail_domains: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="domains of addresses that members may subscribe; empty: any"
    )
    mail_detail: Literal["numbers", "counts"] = Field(
        default="numbers", description="numbers: mails name participants and visits; counts: they only count them"
    )
    links_key: Path | None = Field(default=None, description="file of the key for links in mails and to calendars")
    outbox_port: int = Field(
        default=0, description="port of a mail server of our own, which delivers nothing; `quartal up` sets it"
    )
    relay_shards: int = Field(default=1, ge=1, le=16)
    pool_size: int = Field(default=10, ge=1, le=200)

    enrollment_owner_url: SecretStr = SecretStr("")
    enrollment_app_url: SecretStr = SecretStr("")
    enrollment_system_url: SecretStr = SecretStr("")
    toxicity_owner_url: SecretStr = SecretStr("")
    toxicity_app_url: SecretStr = SecretStr("")
    toxicity_system_url: SecretStr = SecretStr("")
    followup_owner_url: SecretStr = SecretStr("")
    followup_app_url: SecretStr = SecretStr("")
    followup_system_url: SecretStr = SecretStr("")
    analytics_owner_url: SecretStr = SecretStr("")
    analytics_app_url: SecretStr = SecretStr("")
    analytics_system_url: SecretStr = SecretStr("")

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> Self:
        """Returns the settings that these variables state; others are those of the process."""
        members: dict[str, Any] = {
            name.removeprefix("QUARTAL_").lower(): text
            for name, text in variables.items()
            if name.startswith("QUARTAL_")
        }
        return cls(**members, KAFKA_BOOTSTRAP=variables.get("KAFKA_BOOTSTRAP", ""))

    @field_validator("administrators", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @field_validator("mail_domains", mode="before")
    @classmethod
    def _split_domains(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(domain.strip().lower().removeprefix("@") for domain in value.split(",") if domain.strip())

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        if self.smtp_url.get_secret_value():
            MailServer.parse(self.smtp_url.get_secret_value())
        _require(
            not self.mail_from or is_mail_address(self.mail_from),
            "QUARTAL_MAIL_FROM is a bare address such as quartal@hospital.example",
        )
        return self

    @model_validator(mode="after")
    def _check_provider(self) -> Self:
        if self.oidc_issuer:
            _require(bool(self.oidc_client_id), "QUARTAL_OIDC_CLIENT_ID is not set. It names Quartal at the provider.")
            _require(bool(self.url), "QUARTAL_URL is not set. People come back from the provider to that address.")
            _require(_is_origin(self.url), "QUARTAL_URL is a scheme and a host, without a path or a slash at its end")
            _require(_is_protected(self.oidc_issuer), "QUARTAL_OIDC_ISSUER begins with https://")
            _require(_is_protected(self.url), "QUARTAL_URL begins with https://")
            _require(
                self.url.startswith("http://") == self.plain_http,
                "QUARTAL_PLAIN_HTTP is set exactly when QUARTAL_URL begins with http://",
            )
            _require(
                self.issuer != DEVELOPMENT_ISSUER,
                "An OpenID provider is configured (QUARTAL_OIDC_ISSUER), so the development issuer is not trusted. "
                "Set QUARTAL_JWKS and QUARTAL_ISSUER to the keys and the issuer of the provider's access tokens.",
            )
        return self

    @property
    def mail_server(self) -> MailServer | None:
        """The server that takes mails; None where none is set.

        Raises ValueError if another setting is missing that mails need. Services that send none do not ask.
        """
        if not self.smtp_url.get_secret_value():
            return None
        server = MailServer.parse(self.smtp_url.get_secret_value())
        _require(bool(self.mail_from), "QUARTAL_MAIL_FROM is not set. It is the sender of mails.")
        _require(self.links_key is not None, "QUARTAL_LINKS_KEY is not set. Links in mails are derived with it.")
        is_local = server.host in LOOPBACK_HOSTS
        _require(bool(self.url) or is_local, "QUARTAL_URL is not set. Links in mails lead to that address.")
        _require(
            not self.url or _is_origin(self.url),
            "QUARTAL_URL is a scheme and a host, without a path or a slash at its end",
        )
        return server

    @property
    def public_url(self) -> str:
        """The address that people reach, for links in mails: without a setting, that of this machine."""
        return self.url or f"http://127.0.0.1:{self.port}"

    @property
    def session_issuer(self) -> str:
        """The issuer of the tokens in session cookies: enrollment, at the address that people reach."""
        return f"{self.url}/session"

    @property
    def session_keys_url(self) -> str:
        return self.session_keys or f"http://127.0.0.1:{self.port}/session/keys"

    def database_url(self, service: str, role: str) -> str:
        """Returns the URL of a service's database for `owner`, `app` or `system`. Raises ValueError if it is unset."""
        url: SecretStr = getattr(self, f"{service}_{role}_url")
        if not url.get_secret_value():
            raise ValueError(f"QUARTAL_{service.upper()}_{role.upper()}_URL is not set")
        return url.get_secret_value()

    def study_clock(self) -> Clock:
        """Returns the clock of the setting `clock`, the system's by default, advanced as `clock_file` says."""
        return Clock.parse(self.clock, ClockFile(self.clock_file).advanced_days if self.clock_file else dict)

    def may_open_any_study(self, subject: str) -> bool:
        """Returns whether there is a study id under which the subject may open a study."""
        patterns = (
            re.escape(entry.strip()).replace(re.escape("{study}"), "[a-z0-9-]+") for entry in self.administrators
        )
        return any(re.fullmatch(entry, subject) for entry in patterns if entry)

    def may_open_study(self, subject: str, study_id: str) -> bool:
        """Returns whether an entry of `administrators` names the subject; `{study}` in it stands for the study's id."""
        entries = (entry.strip() for entry in self.administrators)
        return any(subject == entry.replace("{study}", study_id) for entry in entries if entry)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _is_origin(url: str) -> bool:
    """Returns whether the URL is a scheme and a host alone, without a slash at its end."""
    parts = urlsplit(url)
    return bool(parts.hostname) and url == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc


def _is_loopback(host: str) -> bool:
    """Returns whether the name is this machine for every browser, as those below `localhost` are (RFC 6761)."""
    return host in LOOPBACK_HOSTS or host.endswith(".localhost")


def _is_protected(url: str) -> bool:
    """Returns whether nobody between here and there can read along: TLS, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
