"""The check that a fact names a visit which the study plans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from shared.gate.study_timeline import follow_up_plans
from shared.kernel.objection import Objection, ProblemType
from shared.kernel.record import Record

NO_SUCH_VISIT = ProblemType(
    "no-such-visit",
    "The study plans the visits 1 to {last}. Give the number of one of them.",
)


class VisitNaming(Protocol):
    """A fact that names a planned visit by its number, or none."""

    @property
    def visit(self) -> int | None: ...


def check_planned(study: Record, content: VisitNaming, content_before: object) -> Iterator[Objection]:
    """Objects to a visit beyond every protocol of the study, those of amendments that lie ahead included.

    It exists on no day, so nothing can be contradictory about it. Whether a visit within them exists for a participant
    depends on days that later facts may move. `content_before`: the fact that a correction restates, whose number stays
    as it was recorded.
    """
    if content.visit is None or getattr(content_before, "visit", None) == content.visit:
        return
    last = max((len(period.plan.windows) for period in follow_up_plans(study)), default=content.visit)
    if content.visit > last:
        yield NO_SUCH_VISIT.objection(pointer="/visit", last=last)
