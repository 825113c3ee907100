"""Derives all rows of a participant from their facts and the study's plans. Pure: without a clock, and without others.

The same facts and plans give the same rows, whatever was recorded about other participants and whatever day it is.
"""

from __future__ import annotations

from services.analytics.cohort.participant import Participant, is_excluded
from services.analytics.cohort.study_plans import StudyPlans
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

DERIVATION_VERSION = 12
"""Raised whenever the same facts give other rows or data queries: then every participant is derived again.

docs/architecture/analytics/derivation.md says how a test holds both together.
"""


def derive(participant: Participant, plans: StudyPlans) -> ParticipantRows:
    """Returns the rows of a participant."""
    if is_excluded(participant):
        return ParticipantRows(subject=(excluded_subject(participant),))
    versions = target_versions(participant)
    statuses = tuple(derive_lesion_statuses(participant))
    assessments = dated_assessments(participant, plans)
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
        visit=tuple(derive_visits(participant, plans)),
        absence=tuple(derive_absences(participant)),
    )
