"""Sentences about refused tokens, for those who connect an identity provider. They quote nothing of a token."""

from __future__ import annotations

from collections.abc import Mapping

from shared.security.tokens import CLOCK_LEEWAY_SECONDS, MAX_LIFETIME_SECONDS, MAX_TOKEN_LENGTH, TokenRefusalReason

SENTENCES: Mapping[TokenRefusalReason, str] = {
    "oversized": f"The token is longer than {MAX_TOKEN_LENGTH} characters.",
    "several": "The request has several Authorization headers. Send one.",
    "malformed": "The token is not a signed JSON Web Token: header, claims and signature, joined by dots.",
    "duplicate": "The token has a claim or a member of its header twice.",
    "header": "The header of the token has a member (crit, b64) that is not accepted here.",
    "algorithm": "The algorithm of the token is not accepted here. Use ES256, EdDSA or RS256.",
    "type": "The token is not an access token: its header typ must be at+jwt (RFC 9068). Some providers, such as "
    "Keycloak, send JWT until they are set to at+jwt.",
    "unknown-key": "The key (kid) of the token is not in the key set of the issuer.",
    "signature": "The signature of the token does not fit its content and the key of the issuer.",
    "issuer": "The issuer (iss) of the token is not the issuer that this installation trusts.",
    "audience": "The token is for another audience (aud), not for this installation.",
    "subject": "The token has no subject (sub), or one that cannot be used.",
    "lifetime": (
        f"The token has no iat or exp, or is valid for more than {MAX_LIFETIME_SECONDS} seconds from iat to exp."
    ),
    "not-yet-valid": (
        f"The token is not valid yet (iat, nbf). Check the clocks: they may differ by {CLOCK_LEEWAY_SECONDS} seconds."
    ),
    "expired": f"The token has expired (exp). Get a new one. Clocks may differ by {CLOCK_LEEWAY_SECONDS} seconds.",
}
"""Sentences by code of the reason. RFC 6750 allows neither quotation marks nor backslashes in them."""


def describe_refusal(reason: TokenRefusalReason) -> tuple[str, str]:
    """Returns the problem code and the sentence."""
    return f"token-{reason}", SENTENCES[reason]
