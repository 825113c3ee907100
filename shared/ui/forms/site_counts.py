"""Counts of the participants at each site, for the form that closes one."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request

from shared.contracts.study import SiteActivated
from shared.kernel.record import Record
from shared.postgres.tenancy import Tenant
from shared.web.service import get_service

MAX_COUNTED = 1000
_STATUSES_AT_SITE = frozenset({"screening", "consented", "enrolled"})


async def participants_by_site(request: Request, study_id: str, study: Record) -> Mapping[str, str]:
    """Returns how many participants take part at each site, as the end of a sentence about the site."""
    sites = [site.site_id for site in study.facts_of(SiteActivated)]
    return {site: await _participants_at(request, study_id, site) for site in sites}


async def _participants_at(request: Request, study_id: str, site: str) -> str:
    async with get_service(request).store.unit(Tenant(study_id, site)) as unit:
        heads = await unit.list_streams(site=site, status=None, search_key=None, after="", limit=MAX_COUNTED + 1)
    if len(heads) > MAX_COUNTED:
        return f", with more than {MAX_COUNTED} participants"
    count = sum(head.summary.get("status") in _STATUSES_AT_SITE for _, head in heads)
    return f", with {count} {'participant' if count == 1 else 'participants'}"
