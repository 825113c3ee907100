"""Vital status: facts that need a living participant, and facts that may follow a withdrawal of consent. Pure."""

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
POSSIBLE_AFTER_DEATH: tuple[type[Fact], ...] = (
    ScreeningFailed,
    ParticipantTransferred,
    ConsentWithdrawn,
    LesionRegistered,
    SeriousEventResolved,
    VisitMissed,
    LostToFollowUp,
    ParticipantDied,
)
"""Facts that may be dated after a death: a lesion may be found, and an event may end, with death or at autopsy."""


def implies_alive(fact: Fact) -> bool:
    """Returns whether the participant was alive on the day of the fact.

    A progression may be found at autopsy, and more may be learned of a serious event after a death.
    """
    at_autopsy = isinstance(fact, DiseaseProgressed) and fact.basis == "histology"
    is_later_information = isinstance(fact, SeriousEventUpdated) and fact.onset_on is None
    return not (at_autopsy or is_later_information or type(fact) in POSSIBLE_AFTER_DEATH)


def possible_after_withdrawal(fact: Fact) -> bool:
    """Returns whether the fact may be dated after a withdrawal of consent.

    Deaths, and the vital status in a registry, are known without the participant.
    """
    from_registry = isinstance(fact, VitalStatusConfirmed) and fact.source == "registry"
    return from_registry or isinstance(fact, ConsentWithdrawn | ParticipantDied)
