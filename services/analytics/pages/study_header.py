"""What every page of a study begins with: which study, how far it is, who looks, and the ways to its other pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fastapi import Request

from services.analytics.live.parts import LIVE_PARTS
from services.analytics.operations.api import OPERATIONS_ROLES
from services.analytics.pages.render import NavLink, StudyHeader
from shared.contracts.study import StudyOpened
from shared.inbox.participant_registry.repository import ReplicatedStudies
from shared.security.grants import EVERY_SITE, Rights

PageId = Literal["cohort", "participants", "participant", "queries", "operations"]


async def build_study_header(
    request: Request, study: str, page_id: PageId, position: int, recorded_at: str, cut: str = ""
) -> StudyHeader:
    """For who was admitted. `recorded_at` is that of the study's last fact, RFC 3339, or empty."""
    studies: ReplicatedStudies = request.app.state.studies
    member = request.state.caller.subject
    state = await studies.current(study)
    return StudyHeader(
        study,
        next((opened.title for opened in state.record.facts_of(StudyOpened)), study),
        position,
        recorded_at,
        cut,
        f"/analytics/v1/studies/{study}/live",
        request.app.state.notes.get(study, []),
        list(_nav_links(study, state.rights(member), page_id)),
        member,
        LIVE_PARTS,
    )


def _nav_links(study: str, rights: Rights, page_id: PageId) -> Iterator[NavLink]:
    """The pages of a study that somebody may see."""
    base = f"/analytics/studies/{study}"
    yield NavLink(base, "Cohort", page_id == "cohort")
    if rights.visible_sites:
        yield NavLink(f"{base}/participants", "Participants", page_id == "participants")
        yield NavLink(f"{base}/queries", "Data queries", page_id == "queries")
    if EVERY_SITE in rights.sites_with_role(OPERATIONS_ROLES):
        yield NavLink(f"{base}/operations", "Operations", page_id == "operations")
