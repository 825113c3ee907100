"""What every page of a study begins with: which study, how far it is, who looks, and the ways to its other pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fastapi import Request

from services.analytics.api import PARTS
from services.analytics.asking import Figures
from services.analytics.operations import OPERATING
from services.analytics.pages.render import Study, Way
from shared.contracts.study import Opened
from shared.security.grants import EVERY_SITE, Rights

Here = Literal["cohort", "participants", "participant", "queries", "operations"]


async def head(request: Request, study: str, here: Here, position: int, recorded_at: str, cut: str = "") -> Study:
    """For who was admitted. `recorded_at` is that of the study's last fact, RFC 3339, or empty."""
    figures: Figures = request.app.state.figures
    member = request.state.caller.subject
    state = await figures.studies.current(study)
    return Study(
        study,
        next((opened.title for opened in state.record.facts(Opened)), study),
        position,
        recorded_at,
        cut,
        f"/analytics/v1/studies/{study}/live",
        request.app.state.notes.get(study, []),
        list(_ways(study, state.rights(member), here)),
        member,
        PARTS,
    )


def _ways(study: str, rights: Rights, here: Here) -> Iterator[Way]:
    """The pages of a study that somebody may see."""
    base = f"/analytics/studies/{study}"
    yield Way(base, "Cohort", here == "cohort")
    if rights.visible:
        yield Way(f"{base}/participants", "Participants", here == "participants")
        yield Way(f"{base}/queries", "Data queries", here == "queries")
    if EVERY_SITE in rights.sites(OPERATING):
        yield Way(f"{base}/operations", "Operations", here == "operations")
