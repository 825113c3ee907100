"""Why a token was refused, in a sentence for whoever connects an identity provider. Nothing of a token is repeated."""

from __future__ import annotations

from collections.abc import Mapping

from shared.security.tokens import LEEWAY, LONGEST_LIFETIME, LONGEST_TOKEN, Reason

SENTENCES: Mapping[Reason, str] = {
    "oversized": f"The token is longer than {LONGEST_TOKEN} characters.",
    "malformed": "The token is no signed JSON Web Token: header, claims and signature, joined by dots.",
    "duplicate": "The token names a member of its header or a claim twice.",
    "header": "The token has a header (crit, b64) that is not taken here.",
    "algorithm": "The token is signed by an algorithm that is not taken here: use ES256, EdDSA or RS256.",
    "type": "The token is no access token: its header typ must be at+jwt (RFC 9068). Some providers, such as Keycloak, "
    "send JWT until they are set to at+jwt.",
    "unknown-key": "The token names a key (kid) that is not in the key set of the issuer.",
    "signature": "The signature of the token does not fit its content and the key of the issuer.",
    "issuer": "The issuer (iss) of the token is not the one of this installation.",
    "audience": "The token is for another audience (aud) than this installation.",
    "subject": "The token has no subject (sub) that can be used.",
    "lifetime": f"The token lives too long, or lacks iat or exp: from iat to exp at most {LONGEST_LIFETIME} seconds.",
    "not-yet-valid": f"The token is not valid yet (iat, nbf). Clocks may differ by {LEEWAY} seconds: set them right.",
    "expired": f"The token has expired (exp). Clocks may differ by {LEEWAY} seconds.",
}
"""By the reason's stable code. RFC 6750 allows neither quotation marks nor backslashes in these."""


def refused_token(reason: Reason) -> tuple[str, str]:
    """The code and the sentence."""
    return f"token-{reason}", SENTENCES[reason]
