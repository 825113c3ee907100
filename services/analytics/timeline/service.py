"""Timelines on request: one participant as of a position, for members who may see the participant."""

from __future__ import annotations

import time
from collections.abc import Mapping

from services.analytics.cohort.participants import UnreadableFact
from services.analytics.snapshot.as_of import AsOf
from services.analytics.snapshot.study_reader import StudyReader
from services.analytics.timeline.answers import TimelineAnswer
from services.analytics.timeline.entries import TimelineContext, assemble_timeline
from shared.contracts.study import SiteActivated
from shared.kernel.errors import UnreadableFacts
from shared.offload import offload
from shared.retry import Backoff

MAX_WAIT_SECONDS = 2.0
"""Seconds that a page waits for a fact that was recorded a moment ago."""


class TimelineService:
    """Reads and assembles timelines. `term_names`: toxicity terms by id, as timelines show them."""

    def __init__(self, reader: StudyReader, term_names: Mapping[str, str] | None = None) -> None:
        self._reader, self._term_names = reader, term_names or {}

    async def wait_for(self, study_id: str, participant_id: str, member: str, service: str, version: int) -> bool:
        """Waits up to two seconds until an event of a participant is shown; returns whether it is.

        Raises Forbidden for a member who sees no participants, NotFound for one without a grant.
        """
        rights, _ = await self._reader.participant_rights(study_id, member)
        pauses, deadline = Backoff(0.02, 0.2), time.monotonic() + MAX_WAIT_SECONDS
        while not await self._reader.is_shown(study_id, participant_id, rights, service, version):
            if time.monotonic() > deadline:
                return False
            await pauses.wait()
        return True

    async def timeline(self, study_id: str, participant_id: str, member: str, as_of: AsOf) -> TimelineAnswer:
        """Returns the timeline of a participant as of a position.

        Raises NotFound for a participant who is unknown, at a site that the member does not see, or excluded; Forbidden
        for a member who sees no participants; PositionGone, RequestRejected or UnreadableFacts for a state that cannot
        be shown.
        """
        current = await self._reader.projection_position(study_id)  # before the facts: none applied since is missed
        rights, study = await self._reader.participant_rights(study_id, member)
        resolved = await self._reader.resolve_position(study_id, current, as_of)
        facts = await self._reader.participant_facts(study_id, participant_id, rights, resolved.position)
        cut_date = resolved.named_cut_date
        context = TimelineContext(
            position=resolved.position,
            recorded_at=await self._reader.recorded_at(study_id, resolved.position),
            today=cut_date or await self._reader.default_cut_date(study_id, study.record, as_of, resolved.position),
            zones={site.site_id: site.time_zone for site in study.record.facts_of(SiteActivated)},
        )
        try:
            return await offload(
                member,
                lambda: assemble_timeline(facts.events, context, self._term_names, facts.corrected_ids),
                item_count=len(facts.events),
            )
        except UnreadableFact as error:
            raise UnreadableFacts from error
