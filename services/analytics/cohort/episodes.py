"""Episodes: the facts that start, change and end a course, a line, a serious event, or the enrollment. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.contracts.enrollment import ConsentSigned, ParticipantEnrolled
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.kernel.fact import Fact

FactTypes = tuple[type[Fact], ...]
EpisodeId = tuple[str, str]
"""The name of the kind of episode, and the episode's own id within the participant ("" where there is one only)."""


@dataclass(frozen=True, slots=True)
class EpisodeKind:
    """The facts that start, change and end an episode, and the member that holds its id ("": one per participant)."""

    name: str
    id_member: str
    starts: FactTypes
    ends: FactTypes
    changes: FactTypes = ()

    @property
    def facts(self) -> FactTypes:
        return (*self.starts, *self.changes, *self.ends)


ENROLLMENT = EpisodeKind("enrollment", "", (ConsentSigned,), (ParticipantEnrolled,))
"""The enrollment begins with the first consent, and not again with a renewed one."""
COURSE = EpisodeKind(
    "course",
    "course_id",
    (RadiotherapyStarted,),
    (RadiotherapyCompleted, RadiotherapyDiscontinued),
    (PrescriptionChanged,),
)
SYSTEMIC_LINE = EpisodeKind("line", "line_id", (SystemicTherapyStarted,), (SystemicTherapyStopped,))
SERIOUS_EVENT = EpisodeKind("serious event", "serious_event_id", (SeriousEventReported,), (SeriousEventResolved,))

EPISODE_KINDS = (ENROLLMENT, COURSE, SYSTEMIC_LINE, SERIOUS_EVENT)
LASTING_KINDS = (COURSE, SYSTEMIC_LINE, SERIOUS_EVENT)
"""Episodes that a timeline shows as lasting; the enrollment is two events there."""

EPISODE_STARTS = tuple(fact_type for kind in EPISODE_KINDS for fact_type in kind.starts)
EPISODE_CHANGES = tuple(fact_type for kind in EPISODE_KINDS for fact_type in kind.changes)
EPISODE_ENDS = tuple(fact_type for kind in EPISODE_KINDS for fact_type in kind.ends)
_KINDS_BY_FACT = {fact_type: kind for kind in EPISODE_KINDS for fact_type in kind.facts}
LASTING_STARTS = tuple(fact_type for kind in LASTING_KINDS for fact_type in kind.starts)
LASTING_ENDS = tuple(fact_type for kind in LASTING_KINDS for fact_type in kind.ends)


def episode_of(fact: Fact) -> EpisodeId | None:
    """Returns the episode that the fact starts, changes or ends; None for a fact of no episode."""
    if (kind := _KINDS_BY_FACT.get(type(fact))) is None:
        return None
    return kind.name, str(getattr(fact, kind.id_member)) if kind.id_member else ""
