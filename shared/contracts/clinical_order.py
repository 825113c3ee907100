"""Clinical order: the order of facts that have the same day.

Screening, baseline and follow-up come first, then treatment, then toxicity; the end of participation comes last.
"""

from __future__ import annotations

from shared.contracts import enrollment, follow_up, toxicity, treatment
from shared.kernel.fact import Fact

CLINICAL_ORDER: tuple[type[Fact], ...] = (
    enrollment.ParticipantScreened,
    enrollment.ScreeningFailed,
    enrollment.ConsentSigned,
    enrollment.ParticipantEnrolled,
    enrollment.BaselineRecorded,
    enrollment.LesionRegistered,
    enrollment.ProcedurePerformed,
    follow_up.FollowUpRecorded,
    follow_up.VisitMissed,
    follow_up.DiseaseProgressed,
    treatment.RadiotherapyStarted,
    treatment.PrescriptionChanged,
    treatment.SystemicTherapyStarted,
    treatment.RadiotherapyCompleted,
    treatment.RadiotherapyDiscontinued,
    treatment.SystemicTherapyStopped,
    toxicity.ToxicityAssessed,
    toxicity.SeriousEventReported,
    toxicity.SeriousEventUpdated,
    toxicity.SeriousEventResolved,
    follow_up.VitalStatusConfirmed,
    follow_up.LostToFollowUp,
    follow_up.FollowUpResumed,
    enrollment.ParticipantTransferred,
    enrollment.ConsentWithdrawn,
    follow_up.ParticipantDied,
)
CLINICAL_RANKS = {fact_class: rank for rank, fact_class in enumerate(CLINICAL_ORDER)}
