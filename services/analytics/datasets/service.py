"""Archives of data sets on request: authorized, read under row-level security, and made off the event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.analytics.datasets.archive import make_archive
from services.analytics.datasets.cohort import CutCohort
from services.analytics.snapshot.as_of import NO_SUCH_CUT, cut_name
from services.analytics.snapshot.seals import STUDY_SCOPE, SealScope, site_scope
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot
from services.analytics.snapshot.study_reader import StudyReader
from shared.async_cache import AsyncCache
from shared.eventstore.study_cache import load_rights
from shared.kernel.errors import NotFound, parameter_error
from shared.kernel.record import Record
from shared.postgres.tenancy import EVERY_SITE
from shared.security.grants import Rights

DATA_SET_ROLES = frozenset({"investigator", "auditor", "coordinator", "site"})
"""Roles that read data sets: of the whole study, or staff and coordinators of a site those of its own participants."""
CACHE_SIZE = 1
"""Archives can be large, so that the last one alone is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetArchive:
    """An archive of data sets. `participants`: how many it shows, followed at `site_id`, or at any site."""

    content: bytes
    cut: DataCut
    scope: SealScope
    participants: int


class DataSetService:
    """Makes archives of data sets, one at a time."""

    def __init__(self, reader: StudyReader) -> None:
        self._reader, self._archives = reader, AsyncCache[DataSetArchive](CACHE_SIZE)
        self._turn = asyncio.Lock()

    async def archive(self, study_id: str, member: str, at: str | None) -> DataSetArchive:
        """Returns the data sets at a named data cut, of the participants whom the member sees.

        Raises NotFound, Forbidden or ReadersSeeCuts, and RequestRejected for anything but a named data cut.
        """
        rights, study = await load_rights(self._reader.studies, study_id, member)
        own_rights = data_set_rights(rights)
        name = cut_name(at or "")
        if name is None:
            raise parameter_error("at", "Give cut:<name> of a data cut: data sets are made at named data cuts only.")
        cut = next((cut for cut in await self._reader.data_cuts(study_id) if cut.name == name), None)
        if cut is None:
            raise NotFound(NO_SUCH_CUT)
        current = await self._reader.projection_position(study_id)
        sites = tuple(sorted(own_rights.visible_sites))
        key = (study_id, current.epoch, current.position, current.revision, cut, sites)
        return await self._archives.get(key, lambda: self._make(study_id, study.record, own_rights, cut))

    async def _make(self, study_id: str, study: Record, rights: Rights, cut: DataCut) -> DataSetArchive:
        async with self._turn:
            snapshot = await self._reader.past_snapshot(study_id, study, cut.position, rights)
            sites = await self._reader.sites_at(study_id, cut.position)
            return await asyncio.to_thread(_make_archive, snapshot, cut, sites, _scope(rights))


def _make_archive(snapshot: StudySnapshot, cut: DataCut, sites: dict[str, str], scope: SealScope) -> DataSetArchive:
    content = make_archive(snapshot, cut, sites, scope)
    participants = len(CutCohort(snapshot, cut, sites).places)
    return DataSetArchive(content=content, cut=cut, scope=scope, participants=participants)


def data_set_rights(rights: Rights) -> Rights:
    """Returns the grants that open data sets. Raises Forbidden or ReadersSeeCuts for a member without any."""
    grants = frozenset(grant for grant in rights.grants if grant.role in DATA_SET_ROLES)
    if not grants:
        raise rights.refuse_reading()
    return Rights(rights.member, grants)


def _scope(rights: Rights) -> SealScope:
    sites = rights.visible_sites
    return STUDY_SCOPE if EVERY_SITE in sites else site_scope(", ".join(sorted(sites)))
