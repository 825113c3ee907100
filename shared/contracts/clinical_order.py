"""Clinical order: the order in which facts of one day follow each other. Pure.

A participant is assessed, then treated, then observed for toxicity; what ends participation comes last.
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
CLINICAL_RANKS = {fact_type: rank for rank, fact_type in enumerate(CLINICAL_ORDER)}
