"""The changes of a study from one sealed data cut to the next, as documents of the later one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.analytics.cuts.answers import ChangesAnswer, changes_table
from services.analytics.cuts.changes import (
    Changes,
    ComparedPosition,
    FactDifference,
    compare_numbers,
    compare_participants,
)
from services.analytics.cuts.sealed_study import SealedFigures, SealedStudy
from services.analytics.figures.page_content import PageContent
from services.analytics.snapshot.columns import PARTICIPANT_DTYPE
from services.analytics.snapshot.seals import SealScope
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot
from shared.ui.csv import to_csv


def make_changes_json(study: SealedStudy, scope: SealScope) -> bytes | None:
    """Returns the changes since the data cut before as JSON; None at the first data cut."""
    changes = changes_at_cut(study, scope)
    return ChangesAnswer.from_changes(changes).model_dump_json(by_alias=True).encode() if changes else None


def make_changes_csv(study: SealedStudy, scope: SealScope) -> bytes | None:
    """Returns the changes since the data cut before as one table; None at the first data cut."""
    changes = changes_at_cut(study, scope)
    return to_csv(*changes_table(changes)).encode() if changes else None


def changes_at_cut(study: SealedStudy, scope: SealScope) -> Changes | None:
    """Returns the changes since the data cut before, of the participants of a scope; None at the first data cut.

    A site's participants are those whom it followed at the cut.
    """
    earlier = study.earlier
    if earlier is None:
        return None
    before, after = [_limit(snapshot, study, scope) for snapshot in (earlier.snapshot, study.snapshot)]
    came, left = compare_participants(before, after)
    return Changes(
        study_id=study.snapshot.study_id,
        since=f"cut:{earlier.cut.name}",
        before=_compared_position(earlier.cut),
        after=_compared_position(study.cut),
        facts=_visible_facts(study, scope, earlier.facts),
        participants_in=came,
        participants_out=left,
        numbers=compare_numbers(_contents(earlier.figures), _contents(study.figures)),
    )


def _limit(snapshot: StudySnapshot, study: SealedStudy, scope: SealScope) -> StudySnapshot:
    own = study.followed_at(scope)
    if own is None:
        return snapshot
    return snapshot.limited_to(np.array(sorted(name.encode() for name in own), dtype=PARTICIPANT_DTYPE))


def _visible_facts(study: SealedStudy, scope: SealScope, facts: Sequence[FactDifference]) -> list[FactDifference]:
    """Returns the facts of the study and those of the participants of a scope, but of nobody who is in no analysis."""
    own, subjects = study.followed_at(scope), study.snapshot.subjects
    excluded = {name.decode() for name in subjects["participant_id"][subjects["is_excluded"]].tolist()}
    return [
        fact
        for fact in facts
        if fact.participant_id is None
        or (fact.participant_id not in excluded and (own is None or fact.participant_id in own))
    ]


def _compared_position(cut: DataCut) -> ComparedPosition:
    return ComparedPosition(position=cut.position, recorded_at=cut.recorded_at, cut_date=cut.cut_on)


def _contents(figures: SealedFigures) -> dict[str, PageContent]:
    return {name: figure.page_content() for name, figure in figures.items()}
