"""What a process is told by its environment, in one typed class; secrets are shown masked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.kernel.clock import Clock

SERVICES = ("enrollment", "toxicity", "followup", "analytics")
PRODUCERS = ("enrollment", "toxicity", "followup")
"""Services that record facts and publish them."""
CONSUMERS = ("toxicity", "followup", "analytics")
"""Services that take in what others publish."""


class Settings(BaseSettings):
    """`QUARTAL_*` for everything; a service's three database roles are read by `database`."""

    model_config = SettingsConfigDict(env_prefix="QUARTAL_", frozen=True, extra="ignore", hide_input_in_errors=True)

    port: int = 8000
    data: Path = Path(".quartal")
    clock: str = ""
    administrators: Annotated[tuple[str, ...], NoDecode] = ()
    jwks: str = Field(default="", description="path or URL of the key set that tokens are checked against")
    issuer: str = "quartal-development"
    audience: str = "quartal"
    kek: Path | None = Field(default=None, description="file of the key-encryption key")
    event_key: Path | None = Field(default=None, description="file of the key for event ids, the same for all services")
    kafka_bootstrap: str = Field(default="", validation_alias="KAFKA_BOOTSTRAP")
    plain_http: bool = Field(default=False, description="browsers reach us without TLS: on one's own machine only")
    trusted_proxies: str = Field(
        default="", description="addresses or networks whose X-Forwarded-For names the client, separated by commas"
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

    @field_validator("administrators", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) else value

    def database(self, service: str, role: str) -> str:
        """The URL of a service's database as `owner`, `app` or `system`; ValueError where it was not told."""
        url: SecretStr = getattr(self, f"{service}_{role}_url")
        if not url.get_secret_value():
            raise ValueError(f"QUARTAL_{service.upper()}_{role.upper()}_URL is not set")
        return url.get_secret_value()

    def study_clock(self) -> Clock:
        return Clock.parse(self.clock)

    def may_open(self, subject: str, study_id: str) -> bool:
        """Is the subject listed among those who may open studies? `{study}` in an entry stands for the study's id."""
        listed = (entry.strip() for entry in self.administrators)
        return any(subject == entry.replace("{study}", study_id) for entry in listed if entry)
