"""Everything that the routes of `/session` need, built once from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from services.enrollment.sign_in.provider import ClientRegistration, Provider
from services.enrollment.sign_in.repository import KeyRepository, SessionRepository
from services.enrollment.sign_in.sealing import SignInCipher
from services.enrollment.sign_in.sessions import Sessions
from services.enrollment.sign_in.signing_keys import KEY_MAX_AGE, PROPAGATION_TIME, SigningKeys
from shared.kernel.clock import Clock
from shared.security.vault import BadKeyFile, KeyEncryptionKey
from shared.settings import Settings
from shared.web.container import Resources, get_container

CALLBACK = "/session/callback"
SIGNED_OUT = "/session"
"""Address that the provider leads back to after the sign-out."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """The provider, the cipher of cookies, and what the sessions of a request are made of."""

    settings: Settings
    clock: Clock
    provider: Provider
    cipher: SignInCipher

    @classmethod
    def create(cls, settings: Settings) -> SignIn:
        """Reads the key files. Raises BadKeyFile, ValueError for a setting that is missing."""
        if settings.kek is None:
            raise ValueError("QUARTAL_KEK is not set. It names the file of the key-encryption key.")
        clock = settings.study_clock()
        cipher = SignInCipher(KeyEncryptionKey.load(settings.kek))
        return cls(settings, clock, Provider(_client_registration(settings), clock), cipher)

    def sessions(self, request: Request) -> Sessions:
        repository = SessionRepository(get_container(request).get_resources(Resources).pool)
        return Sessions(repository, self.cipher, self.provider, self.keys(request))

    def keys(self, request: Request) -> SigningKeys:
        pool = get_container(request).get_resources(Resources).pool
        repository = KeyRepository(pool, max_age=KEY_MAX_AGE, propagation_time=PROPAGATION_TIME)
        issuer, audience = self.settings.session_issuer, self.settings.audience
        return SigningKeys(repository, self.cipher, issuer=issuer, audience=audience, clock=self.clock)


def _client_registration(settings: Settings) -> ClientRegistration:
    return ClientRegistration(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=_read_secret(settings.oidc_client_secret) if settings.oidc_client_secret else "",
        scope=settings.oidc_scope,
        redirect_uri=settings.url + CALLBACK,
        signed_out_uri=settings.url + SIGNED_OUT,
    )


def _read_secret(path: Path) -> str:
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise BadKeyFile(f"The client's secret cannot be read ({type(error).__name__}): {path}") from None
    if not secret:
        raise BadKeyFile(f"The file of the client's secret is empty: {path}")
    return secret
