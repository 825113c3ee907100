"""The list of a study's data cuts with their seals, as the cohort page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from services.analytics import urls
from services.analytics.snapshot.seals import CutSeal, SealProgress
from services.analytics.snapshot.snapshot import DataCut
from services.analytics.snapshot.study_reader import StudyReader
from shared.ui.navigation import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRow:
    """A data cut in the list.

    `changes`: None for members who see no participants. `digest`: that of its seal, in hexadecimal; empty while it is
    not sealed.
    """

    link: Link
    changes: Link | None
    cut_date: str
    position: int
    state: str
    digest: str


async def cut_rows(reader: StudyReader, study_id: str, *, has_changes: bool) -> list[CutRow]:
    """Returns the data cuts of a study, the one taken last first.

    `has_changes`: with links to what has changed since.
    """
    progress = await reader.seals.progress(study_id)  # before the seals: it has ended when they are there
    seals = {seal.name: seal for seal in await reader.seals.all(study_id)}
    cuts = reversed(await reader.data_cuts(study_id))
    return [
        _row(study_id, cut, _state(seals.get(cut.name), progress.get(cut.name)), seals.get(cut.name), has_changes)
        for cut in cuts
    ]


def _row(study_id: str, cut: DataCut, state: str, seal: CutSeal | None, has_changes: bool) -> CutRow:
    changes = Link(urls.changes_url(study_id, {"since": f"cut:{cut.name}"}), "Changes since then")
    return CutRow(
        link=Link(urls.cohort_url(study_id, {"at": f"cut:{cut.name}"}), cut.name),
        changes=changes if has_changes else None,
        cut_date=cut.cut_on.isoformat(),
        position=cut.position,
        state=state,
        digest=seal.digest if seal else "",
    )


def _state(seal: CutSeal | None, progress: SealProgress | None) -> str:
    if seal is None:
        return f"Being sealed: {progress.words}" if progress else "Not sealed yet"
    state = "Sealed later, after an upgrade" if seal.sealed_later else "Sealed"
    if progress is None or progress.stage == "figures":
        return state
    return f"{state}; its documents are being sealed: {progress.words}"
