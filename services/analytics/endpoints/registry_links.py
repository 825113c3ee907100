"""The days on which a registry reports the deaths and the lives of participants, by the links of their sites. Pure.

A participant belongs to the enrolling site until a transfer, and to the other site from its day on: the site that
follows a participant is the one that can state what its registry reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.analytics.snapshot.columns import NEVER_NUMBER, day_number
from services.analytics.snapshot.flow import first_days
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.gate.study_timeline import protocol_periods

Days = NDArray[np.int64]
BEFORE_EVERY_DAY = -(2**31)
Link = tuple[int, int, int]
"""The code of a site, and the first and the last day of a link that a protocol in force on them declares."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stays:
    """The days on which a site follows a participant, both inclusive."""

    subjects: NDArray[np.intp]
    sites: Days
    first: Days
    last: Days


def registry_links(snapshot: StudySnapshot) -> list[Link]:
    """Returns the registry links of a study. A protocol declares them for the days on which it is in force."""
    return list(_links(snapshot))


def _links(snapshot: StudySnapshot) -> Iterator[Link]:
    for period in protocol_periods(snapshot.study):
        for link in period.protocol.registry_links:
            first, last = link.days
            days = day_number(max(first, period.first_day)), day_number(min(last, period.last_day))
            yield snapshot.words.code(link.site_id), *days


def last_reported_days(snapshot: StudySnapshot, links: list[Link], cut: int) -> Days:
    """Returns the last day by a cut-off on which a registry reports on each participant.

    `BEFORE_EVERY_DAY` without one. It never goes back as the cut-off grows.
    """
    stays, reported = _stays(snapshot), np.full(len(snapshot.subjects), BEFORE_EVERY_DAY, dtype=np.int64)
    for site, first_day, last_day in links:
        last = np.minimum(stays.last, min(last_day, cut))
        is_linked = (stays.sites == site) & (np.maximum(stays.first, first_day) <= last)
        np.maximum.at(reported, stays.subjects[is_linked], last[is_linked])
    return reported


def _stays(snapshot: StudySnapshot) -> _Stays:
    days = snapshot.tables["subject_day"]
    transfers = days.where(days["kind"] == snapshot.words.code("transfer"))
    subjects, start = snapshot.subject_indexes(transfers), transfers["day_on"].astype(np.int64)
    end = np.full(len(start), NEVER_NUMBER, dtype=np.int64)
    is_followed = subjects[1:] == subjects[:-1]
    end[:-1][is_followed] = start[1:][is_followed] - 1
    first_transfer = first_days(snapshot, transfers, "day_on", "day_precision").day.astype(np.int64)
    everybody = np.arange(len(snapshot.subjects), dtype=np.intp)
    return _Stays(
        subjects=np.concatenate([everybody, subjects]),
        sites=np.concatenate([snapshot.subjects["enrolling_site"], transfers["code"]]).astype(np.int64),
        first=np.concatenate([np.full(len(everybody), BEFORE_EVERY_DAY, dtype=np.int64), start]),
        last=np.concatenate([first_transfer - 1, end]),
    )
