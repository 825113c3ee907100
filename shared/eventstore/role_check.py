"""Checks a caller's role before the request's body is read, and waits for facts that enrollment has just published."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.eventstore.study_cache import Studies, StudyState
from shared.kernel.errors import Forbidden, NotFound, NotKnownYet, RequestError
from shared.retry import Backoff

T = TypeVar("T")
MAX_WAIT_SECONDS = 2.0
"""Seconds that a command waits on request until this service has received what another one published."""


async def retry_while_unknown(attempt: Callable[[], Awaitable[T]], *, waits: bool) -> T:
    """Returns what the attempt gives; with `waits`, tries again for a while as long as it raises NotKnownYet."""
    backoff, waited_seconds = Backoff(0.01, 0.1), 0.0
    while True:
        try:
            return await attempt()
        except NotKnownYet:
            if not waits or waited_seconds >= MAX_WAIT_SECONDS:
                raise
        waited_seconds += backoff.seconds
        await backoff.wait()


async def require_role(
    studies: Studies, study_id: str, member: str, roles: frozenset[str], *, owns_participants: bool, waits: bool
) -> None:
    """Raises what the command handler would raise for a member without a grant or without any of the roles."""
    not_visible = NotFound if owns_participants else NotKnownYet

    def check(study: StudyState) -> None:
        member_rights = study.rights(member)
        if not member_rights.grants:
            raise not_visible
        if not member_rights.sites_with_role(roles):
            raise Forbidden

    async def attempt() -> None:
        study = await studies.current(study_id)
        try:
            check(study)
        except RequestError:
            reloaded = await studies.reload(study_id)
            if reloaded.version == study.version:
                raise
            check(reloaded)

    await retry_while_unknown(attempt, waits=waits)
