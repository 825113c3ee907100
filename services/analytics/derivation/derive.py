"""Derives all rows of a participant from their facts and the study's plans. Pure: without a clock, and without others.

The same facts and plans give the same rows, whatever was recorded about other participants and whatever day it is.
"""

from __future__ import annotations

from datetime import date

from services.analytics.cohort.participant import Participant, is_excluded
from services.analytics.derivation.follow_up import derive_symptoms, derive_visits
from services.analytics.derivation.lesions import derive_lesion_episodes, derive_lesion_statuses
from services.analytics.derivation.rows import ParticipantRows
from services.analytics.derivation.subject import (
    derive_absences,
    derive_subject,
    derive_subject_days,
    excluded_subject,
)
from services.analytics.derivation.toxicity import dated_assessments, derive_assessments, derive_findings
from services.analytics.derivation.treatment import derive_courses, derive_lines, derive_targets, target_versions
from shared.gate.study_timeline import amendment_on, follow_up_plans, protocol_on
from shared.kernel.partial_date import PartialDate
from shared.kernel.record import Record
from shared.protocol.protocol import ToxicityPlan

DERIVATION_VERSION = 1
"""Increased whenever rows of the same facts change; then every participant is derived again."""


def derive(participant: Participant, study: Record) -> ParticipantRows:
    """Returns the rows of a participant. `study`: the study's own facts."""
    if is_excluded(participant.record):
        return ParticipantRows(subject=(excluded_subject(participant),))
    versions = target_versions(participant)
    statuses = tuple(derive_lesion_statuses(participant))
    assessments = dated_assessments(participant, lambda day: _toxicity_plan_on(study, day))
    return ParticipantRows(
        subject=(derive_subject(participant),),
        subject_day=tuple(derive_subject_days(participant)),
        course=tuple(derive_courses(participant)),
        target=tuple(derive_targets(participant, versions)),
        line=tuple(derive_lines(participant)),
        lesion_episode=tuple(derive_lesion_episodes(participant, versions, statuses)),
        lesion_status=statuses,
        assessment=tuple(derive_assessments(participant, assessments)),
        finding=tuple(derive_findings(participant, assessments)),
        symptom=tuple(derive_symptoms(participant)),
        visit=tuple(derive_visits(participant, follow_up_plans(study))),
        absence=tuple(derive_absences(participant)),
    )


def _toxicity_plan_on(study: Record, day: date) -> tuple[ToxicityPlan, str]:
    return protocol_on(study, day).toxicity, amendment_on(study, PartialDate.from_day(day)) or ""
