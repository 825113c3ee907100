"""Counts of the participants at each site, for the forms that close a site, accrual or a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request

from shared.contracts.study import SiteActivated
from shared.kernel.record import Record
from shared.postgres.tenancy import Tenant
from shared.web.service import get_service

MAX_COUNTED = 1000
STATUSES_AT_SITE = ("screening", "consented", "enrolled")
"""Statuses in enrollment of participants who take part."""


@dataclass(frozen=True, slots=True)
class SiteCount:
    """The participants of one site by status. `has_more`: the site has more than were counted."""

    site_id: str
    by_status: Mapping[str, int]
    enrolled: frozenset[str] = frozenset()
    has_more: bool = False

    @property
    def taking_part(self) -> int:
        return sum(self.by_status.get(status, 0) for status in STATUSES_AT_SITE)


async def count_participants(request: Request, study_id: str, study: Record) -> Sequence[SiteCount]:
    """Returns the count of at most `MAX_COUNTED` participants at each site, in the order of the sites."""
    sites = dict.fromkeys(site.site_id for site in study.facts_of(SiteActivated))
    return [await _count_at(request, study_id, site) for site in sites]


async def participants_by_site(request: Request, study_id: str, study: Record) -> Mapping[str, str]:
    """Returns how many participants take part at each site, as the end of a sentence about the site."""
    return {count.site_id: _in_words(count) for count in await count_participants(request, study_id, study)}


def _in_words(count: SiteCount) -> str:
    if count.has_more:
        return f", with more than {MAX_COUNTED} participants"
    return f", with {count.taking_part} {'participant' if count.taking_part == 1 else 'participants'}"


async def _count_at(request: Request, study_id: str, site: str) -> SiteCount:
    async with get_service(request).store.unit(Tenant(study_id, site)) as unit:
        heads = await unit.list_streams(site=site, status=None, search_key=None, after="", limit=MAX_COUNTED + 1)
    statuses = [(name, str(head.summary.get("status"))) for name, head in heads[:MAX_COUNTED]]
    return SiteCount(
        site_id=site,
        by_status=Counter(status for _, status in statuses),
        enrolled=frozenset(name for name, status in statuses if status == "enrolled"),
        has_more=len(heads) > MAX_COUNTED,
    )
