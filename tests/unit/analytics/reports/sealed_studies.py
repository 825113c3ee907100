"""Sealed data cuts of small studies, made without a database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache

from services.analytics.cuts.rendering import render_scope
from services.analytics.cuts.repository import FigureFile
from services.analytics.cuts.sealed_study import SealedFigure, SealedStudy
from services.analytics.snapshot.seals import STUDY_SCOPE, CutSeal, SealScope
from services.analytics.snapshot.snapshot import DataCut
from services.analytics.snapshot.study_at_cut import StudyAtCut
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded, participant_died
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import RECORDED_AT, record_of, snapshot_of_events

CUT = DataCut("interim", date(2024, 12, 31), 412, RECORDED_AT.replace(microsecond=123456))
TREATED = (*facts.ENROLLMENT_FACTS, facts.radiotherapy_started(7), facts.radiotherapy_completed())
COHORT: Mapping[str, Sequence[Fact]] = {
    "2222-2222-2222": (*TREATED, follow_up_recorded(100), participant_died(200)),
    "3333-3333-3333": (*TREATED, follow_up_recorded(120)),
    "4444-4444-4444": TREATED,
}


def sealed_study(
    participants: Mapping[str, Sequence[Fact]], scope: SealScope = STUDY_SCOPE, *, title: str = "A study"
) -> SealedStudy:
    """Returns a study of these participants, all at one site, at a data cut, with the figures of a scope."""
    study = study_at_cut(participants, title)
    return SealedStudy(
        cut=CUT,
        epoch=study.epoch,
        snapshot=study.snapshot,
        sites=study.sites,
        sealed_later=False,
        seal=CutSeal(
            name=CUT.name,
            cut_on=CUT.cut_on,
            position=CUT.position,
            sealed_later=False,
            digest="ab" * 32,
            excluded=frozenset(),
            software="0.1.0",
            sealed_at=datetime(2025, 1, 1, tzinfo=UTC),
        ),
        streams=3,
        figures=_figures(_files_of_cohort(scope) if participants is COHORT else render_scope(study, scope)),
        earlier=None,
    )


def study_at_cut(participants: Mapping[str, Sequence[Fact]], title: str = "A study") -> StudyAtCut:
    """Returns a study of these participants, all at one site, at a data cut."""
    opened = facts.study_opened().model_copy(update={"title": title})
    events = [event for name, own in participants.items() for event in participant_events(own, name)]
    snapshot = snapshot_of_events(events, record_of(opened, facts.site_activated("rome")))
    return StudyAtCut(
        cut=CUT, epoch="e1", snapshot=snapshot, sites=dict.fromkeys(participants, "rome"), sealed_later=False
    )


@cache
def _files_of_cohort(scope: SealScope) -> list[FigureFile]:
    """Returns the files of the figures of the cohort, which do not depend on the title of the study."""
    return list(render_scope(study_at_cut(COHORT), scope))


def _figures(files: Iterable[FigureFile]) -> dict[str, SealedFigure]:
    contents, digests = defaultdict[str, dict[str, bytes]](dict), defaultdict[str, dict[str, str]](dict)
    for part in files:
        contents[part.figure][part.file_format] = part.file.content
        digests[part.figure][part.file_format] = part.file.sha256.hex()
    return {name: SealedFigure(contents[name], digests[name]) for name in contents}
