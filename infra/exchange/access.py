"""The sites of a study that a token may see, derived from the facts of the study. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from shared.contracts.catalogue import STUDY
from shared.kernel.fact import StatedFact
from shared.kernel.record import Record
from shared.postgres.tenancy import EVERY_SITE
from shared.security.grants import rights_from_record

FactContents = Iterable[tuple[str, dict[str, Any]]]


def visible_sites(facts: FactContents, token: str) -> frozenset[str]:
    """Returns the sites whose participants the token's subject may see; `*` stands for every site."""
    stated_facts = (
        StatedFact(UUID(int=index), STUDY.facts[name].model_validate(data)) for index, (name, data) in enumerate(facts)
    )
    return rights_from_record(Record(tuple(stated_facts)), token_subject(token)).visible_sites


def can_see(visible: frozenset[str], site: str) -> bool:
    return bool(visible & {EVERY_SITE, site})


def token_subject(token: str) -> str:
    """Returns the subject of a token, unverified (the services verify it); '' if the text is not a token."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return ""
    return str(claims.get("sub", "")) if isinstance(claims, dict) else ""
