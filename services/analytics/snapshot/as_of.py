"""The state of a study that a request asks for: the latest, a position, a time, or a named data cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

from services.analytics.snapshot import repository
from services.analytics.snapshot.repository import Connection, ProjectionPosition
from shared.kernel.errors import NotFound, PositionGone, parameter_error

_POSITION, _NAMED_CUT = re.compile(r"[0-9]{1,15}"), re.compile(r"cut:([A-Za-z0-9][A-Za-z0-9_.:-]{0,63})")

NO_SUCH_CUT = "This study has no data cut of that name. Check its capital and small letters too."


@dataclass(frozen=True, slots=True)
class AsOf:
    """The parameters that select a state of a study; without any of them it is the latest.

    `at`: a position, or `cut:<name>`. `recorded_until`: everything that had been recorded by that time. `epoch`: the
    epoch that `at` counts in.
    """

    at: str | None = None
    recorded_until: datetime | None = None
    epoch: str | None = None


LATEST = AsOf()


@dataclass(frozen=True, slots=True)
class ResolvedPosition:
    """A position, and the day of the named data cut that led to it, if one did."""

    position: int
    named_cut_date: date | None = None


def require_epoch(as_of: AsOf, current: ProjectionPosition) -> None:
    """Raises PositionGone if positions have been counted anew since the epoch that a request names."""
    if as_of.epoch and as_of.epoch != current.epoch:
        raise PositionGone


def cut_name(at: str) -> str | None:
    """Returns the name in `cut:<name>`; None for anything else."""
    named_cut = _NAMED_CUT.fullmatch(at)
    return named_cut[1] if named_cut else None


async def resolve_position(
    connection: Connection, study_id: str, as_of: AsOf, current: ProjectionPosition
) -> ResolvedPosition:
    """Returns the position that `as_of` selects. Raises PositionGone, NotFound or RequestRejected."""
    require_epoch(as_of, current)
    if as_of.at and as_of.recorded_until:
        raise parameter_error("at", "Give `at` or `as_of`, but not both.")
    if as_of.recorded_until:
        position = await repository.position_as_of(connection, study_id, as_of.recorded_until)
        return ResolvedPosition(current.position if position is None else min(position, current.position))
    if as_of.at is None:
        return ResolvedPosition(current.position)
    if name := cut_name(as_of.at):
        return await _named_cut(connection, study_id, name)
    if not _POSITION.fullmatch(as_of.at) or int(as_of.at) > current.position:
        raise parameter_error("at", f"Give a position from 0 to {current.position}, or cut:<name> of a data cut.")
    return ResolvedPosition(int(as_of.at))


async def _named_cut(connection: Connection, study_id: str, name: str) -> ResolvedPosition:
    named_cut = await repository.named_cut(connection, study_id, name)
    if named_cut is None:
        raise NotFound(NO_SUCH_CUT)
    return ResolvedPosition(*named_cut)
