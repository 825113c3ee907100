"""Vital status: facts that need a living participant, and facts that may follow a withdrawal of consent. Pure.

Types are compared by identity: `isinstance` is slow for models, and every fact of a cohort is asked about.
"""

from __future__ import annotations

from shared.contracts.enrollment import (
    ConsentWithdrawn,
    LesionRegistered,
    ParticipantTransferred,
    ScreeningFailed,
)
from shared.contracts.follow_up import (
    DiseaseProgressed,
    LostToFollowUp,
    ParticipantDied,
    VisitMissed,
    VitalStatusConfirmed,
)
from shared.contracts.toxicity import SeriousEventResolved, SeriousEventUpdated
from shared.kernel.fact import Fact

COUNTED_AFTER_WITHDRAWAL: tuple[type[Fact], ...] = (ConsentWithdrawn, ParticipantDied)
"""Facts that analyses still count after a withdrawal of consent."""
POSSIBLE_AFTER_DEATH: frozenset[type[Fact]] = frozenset(
    {
        ScreeningFailed,
        ParticipantTransferred,
        ConsentWithdrawn,
        LesionRegistered,
        SeriousEventResolved,
        VisitMissed,
        LostToFollowUp,
        ParticipantDied,
    }
)
"""Facts that may be dated after a death: a lesion may be found, and an event may end, with death or at autopsy."""


def implies_alive(fact: Fact) -> bool:
    """Returns whether the participant was alive on the day of the fact.

    A progression may be found at autopsy, and more may be learned of a serious event after a death.
    """
    if type(fact) is DiseaseProgressed:
        return fact.basis != "histology"
    if type(fact) is SeriousEventUpdated:
        return fact.onset_on is not None
    return type(fact) not in POSSIBLE_AFTER_DEATH


def possible_after_withdrawal(fact: Fact) -> bool:
    """Returns whether the fact may be dated after a withdrawal of consent.

    Deaths, and the vital status in a registry, are known without the participant.
    """
    if type(fact) is VitalStatusConfirmed:
        return fact.source == "registry"
    return type(fact) in COUNTED_AFTER_WITHDRAWAL
