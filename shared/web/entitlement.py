"""Entitlements: declared at an endpoint, checked before the body of a request is read."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from fastapi import Request

from shared.kernel.errors import NotFound
from shared.kernel.patterns import explain_pattern
from shared.web.service import get_service

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Entitlement = Callable[[Request], Awaitable[None]]
STUDY_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,30}[a-z0-9]")
AFTER_PATTERN = explain_pattern(
    r"^enrollment=[0-9]{1,9}$",
    "Give Quartal-Version of enrollment's answer, as it was answered: enrollment=7, for example.",
)
_ENTITLEMENT_ATTRIBUTE = "__entitlement__"


def require_entitlement(check: Entitlement) -> Callable[[Endpoint], Endpoint]:
    """Declares that `check` must accept the caller; it raises a RequestError otherwise."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ENTITLEMENT_ATTRIBUTE, check)
        return endpoint

    return mark


def entitlement_of(endpoint: Callable[..., Any]) -> Entitlement | None:
    """Returns the check that the endpoint declares, if any."""
    return getattr(endpoint, _ENTITLEMENT_ATTRIBUTE, None)


def study_of_path(request: Request) -> str:
    """Returns the study that the path names. Raises NotFound for a text that no study can have as its id."""
    study: str = request.path_params["study_id"]
    if not STUDY_ID.fullmatch(study):
        raise NotFound
    return study


def require_roles(roles: Iterable[str]) -> Callable[[Endpoint], Endpoint]:
    """Declares that the caller must have one of the roles in the study, at any site."""
    accepted_roles = frozenset(roles)

    async def check(request: Request) -> None:
        study = study_of_path(request)
        waits = re.search(AFTER_PATTERN, request.headers.get("quartal-after", "")) is not None
        await get_service(request).require_role(study, request.state.caller.subject, accepted_roles, waits=waits)

    return require_entitlement(check)
