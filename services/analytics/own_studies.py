"""The studies of a person, for the start page."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from services.analytics import urls
from services.analytics.snapshot import repository
from services.analytics.snapshot.api import StudyResources
from shared.contracts.study import StudyOpened
from shared.ui.navigation import Link
from shared.web.container import get_container


async def list_own_studies(request: Request) -> Sequence[Link]:
    """Returns a link to each study in which the signed-in person has a role now, by study id."""
    resources, member = get_container(request).get_resources(StudyResources), request.state.caller.subject
    links = list[Link]()
    for study_id in await repository.studies_with_grants(resources.system_pool, member):
        study = await resources.studies.reload(study_id)
        if study.rights(member).grants:
            title = next((opened.title for opened in study.record.facts_of(StudyOpened)), study_id)
            links.append(Link(urls.cohort_url(study_id), title, study_id))
    return links
