"""Clinical order: the order of facts that have the same day.

Screening, baseline and follow-up come first, then treatment, then toxicity; the end of participation comes last.
"""

from __future__ import annotations

from shared.contracts.enrollment import (
    BaselineRecorded,
    ConsentSigned,
    ConsentWithdrawn,
    LesionRegistered,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ProcedurePerformed,
    ScreeningFailed,
)
from shared.contracts.follow_up import (
    DiseaseProgressed,
    FollowUpRecorded,
    FollowUpResumed,
    LostToFollowUp,
    ParticipantDied,
    VisitMissed,
    VitalStatusConfirmed,
)
from shared.contracts.toxicity import SeriousEventReported, SeriousEventResolved, SeriousEventUpdated, ToxicityAssessed
from shared.contracts.treatment import (
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
)
from shared.kernel.fact import Fact

CLINICAL_ORDER: tuple[type[Fact], ...] = (
    ParticipantScreened,
    ScreeningFailed,
    ConsentSigned,
    ParticipantEnrolled,
    BaselineRecorded,
    LesionRegistered,
    ProcedurePerformed,
    FollowUpRecorded,
    VisitMissed,
    DiseaseProgressed,
    RadiotherapyStarted,
    PrescriptionChanged,
    SystemicTherapyStarted,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    SystemicTherapyStopped,
    ToxicityAssessed,
    SeriousEventReported,
    SeriousEventUpdated,
    SeriousEventResolved,
    VitalStatusConfirmed,
    LostToFollowUp,
    FollowUpResumed,
    ParticipantTransferred,
    ConsentWithdrawn,
    ParticipantDied,
)
CLINICAL_RANKS = {fact_class: rank for rank, fact_class in enumerate(CLINICAL_ORDER)}
