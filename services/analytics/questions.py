"""From what is asked about queries to those that somebody may see: open or explained, of a site, a rule, a person."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from services.analytics.asking import Figures
from services.analytics.projection.reading import Frontier
from services.analytics.queries import Listed, listed
from services.analytics.queries.case import Today, cases
from shared.contracts.event import Event
from shared.eventstore.studies import rights_in
from shared.gate.study import require_site
from shared.kernel.record import Record
from shared.kernel.refusal import NotYourRole
from shared.security.grants import EVERY_SITE

State = Literal["open", "explained", "all"]
MOST_KEPT = 16
Key = tuple[str, str, int, frozenset[str], frozenset[str], frozenset[tuple[str, date]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which queries: None and `all` stand for every one."""

    site: str | None = None
    participant: str | None = None
    rule: str | None = None
    state: State = "open"

    def has(self, row: Listed) -> bool:
        return (
            self.site in (None, row.site_id)
            and self.participant in (None, row.participant_id)
            and self.rule in (None, row.query.rule if row.query else None)
            and self.state in ("all", row.state)
        )


class Queries:
    """Queries are derived when they are asked for; the newest answers are kept for as long as nothing has moved.

    `names`: toxicity terms by their ids, as sentences have them.
    """

    def __init__(self, figures: Figures, names: Mapping[str, str] | None = None) -> None:
        self._figures, self._names = figures, names or {}
        self._kept: OrderedDict[Key, list[Listed]] = OrderedDict()

    async def seen(self, study_id: str, member: str, wanted: Wanted) -> tuple[Frontier, list[Listed]]:
        """What the member may see of what is wanted, by participant and key, and the position that it is of.

        Raises NotFound for who has no grant, NotYourRole for who sees no participants, or not that site's.
        """
        frontier = await self._figures.frontier(study_id, member)  # before the facts: what is applied later is newer
        rights, study = await rights_in(self._figures.studies, study_id, member)
        if not rights.visible or not (wanted.site is None or {wanted.site, EVERY_SITE} & rights.visible):
            raise NotYourRole
        require_site(study.record, wanted.site)
        days, out = self._figures.todays(study_id, study.record), await self._figures.out(study_id)
        key = (study_id, frontier.epoch, frontier.position, rights.visible, out, frozenset(days.items()))
        if key not in self._kept:
            events = await self._figures.facts_seen(study_id, rights, frontier.position)
            self._kept[key] = await self.about(study_id, study.record, events, frontier, out)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return frontier, [row for row in self._kept[key] if wanted.has(row)]

    async def about(
        self, study_id: str, study: Record, events: Sequence[Event], at: Frontier, out: frozenset[str] = frozenset()
    ) -> list[Listed]:
        """What these facts of whole participants, who are not out, raise today at their sites."""
        days, latest = self._figures.todays(study_id, study), self._figures.today(study_id, study)
        known_on = self._figures.known_on(study_id, at.recorded_at)
        return await asyncio.to_thread(
            _listed, study, events, out, lambda site: days.get(site, latest), self._names, known_on
        )


def _listed(
    study: Record, events: Sequence[Event], out: frozenset[str], today: Today, names: Mapping[str, str], known_on: date
) -> list[Listed]:
    return [row for case in cases(study, events, out, today, names, known_on) for row in listed(case)]
