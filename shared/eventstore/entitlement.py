"""Whether somebody may state a fact in a study at all: asked before what they send is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.eventstore.studies import Studies, StudyState
from shared.kernel.refusal import NotFound, NotKnownYet, NotYourRole, Refusal

T = TypeVar("T")
WAITS_FOR_OTHERS = 2.0
"""Seconds that a statement waits, if it asks for it, until this service knows what another one published."""


async def once_known(attempt: Callable[[], Awaitable[T]], *, waits: bool) -> T:
    """Return what the attempt gives; with `waits`, try again for a while where something is not known here yet."""
    waited, pause = 0.0, 0.01
    while True:
        try:
            return await attempt()
        except NotKnownYet:
            if not waits or waited >= WAITS_FOR_OTHERS:
                raise
        await asyncio.sleep(pause)
        waited, pause = waited + pause, min(2 * pause, 0.1)


async def require_role(
    studies: Studies, study_id: str, member: str, roles: frozenset[str], *, registers: bool, waits: bool
) -> None:
    """Raise what the recorder would raise for somebody without a grant, or without one of the roles at any site."""
    unseen = NotFound if registers else NotKnownYet

    def check(study: StudyState) -> None:
        rights = study.rights(member)
        if not rights.grants:
            raise unseen
        if not rights.sites(roles):
            raise NotYourRole

    async def attempt() -> None:
        study = await studies.current(study_id)
        try:
            check(study)
        except Refusal:
            fresh = await studies.reload(study_id)
            if fresh.version == study.version:
                raise
            check(fresh)

    await once_known(attempt, waits=waits)
