"""Derives the row of a participant, and the days of which a participant can have several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from services.analytics.cohort.date_imputation import UNDATED, AnalysisDay
from services.analytics.cohort.follow_up_ends import stated_absences
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.vital_status import implies_alive
from services.analytics.derivation.days import NO_DAY, analysis_day, first, impute_day, latest
from services.analytics.derivation.follow_up_rows import AbsenceRow
from services.analytics.derivation.rows import NEVER, UNKNOWN_NUMBER, SubjectDayRow, SubjectRow
from shared.contracts.baseline import NotReported, Performance
from shared.contracts.enrollment import (
    BaselineRecorded,
    ConsentSigned,
    ConsentWithdrawn,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ScreeningFailed,
)
from shared.contracts.follow_up import (
    DiseaseProgressed,
    DiseaseStatus,
    FollowUpRecorded,
    ParticipantDied,
    VitalStatusConfirmed,
)
from shared.contracts.treatment import RadiotherapyStarted
from shared.kernel.fact import Fact
from shared.kernel.record import Record

NOT_REPORTED = "not_reported"
_STEPS = (ParticipantScreened, ScreeningFailed, ConsentSigned, ParticipantEnrolled)


def derive_subject(participant: Participant) -> SubjectRow:
    """Returns the row of a participant who is in analyses."""
    screening = _screening(participant)
    screened, failed, consented, enrolled = (analysis_day(participant, first(participant, kind)) for kind in _STEPS)
    index = next((course for course in participant.counted(RadiotherapyStarted) if course.index), None)
    index_started = analysis_day(participant, index)
    index_ended = analysis_day(participant, participant.course_ends.get(index.course_id) if index else None)
    withdrawn = analysis_day(participant, first(participant, ConsentWithdrawn))
    alive = latest(proofs_of_life(participant))
    death = first(participant, ParticipantDied)
    died = analysis_day(participant, death) if death and death.died_on else NO_DAY
    baseline = first(participant, BaselineRecorded)
    assessed = analysis_day(participant, baseline)
    diagnosed = _diagnosis_day(participant, baseline, assessed.on) if baseline else NO_DAY
    return SubjectRow(
        participant_id=participant.participant_id,
        enrolling_site=screening.site_id if screening else "",
        is_excluded=False,
        is_screened=screening is not None,
        sex=screening.sex if screening else "",
        birth_year=screening.birth_year if screening else UNKNOWN_NUMBER,
        screened_on=screened.on,
        screened_precision=screened.precision,
        screen_failed_on=failed.on,
        screen_failed_precision=failed.precision,
        consented_on=consented.on,
        consented_precision=consented.precision,
        enrolled_on=enrolled.on,
        enrolled_precision=enrolled.precision,
        index_course=index.course_id if index else "",
        index_started_on=index_started.on,
        index_started_precision=index_started.precision,
        index_ended_on=index_ended.on,
        index_ended_precision=index_ended.precision,
        participation_ends_on=withdrawn.on,
        participation_ends_precision=withdrawn.precision,
        alive_on=alive.on,
        alive_precision=alive.precision,
        died_on=died.on,
        died_precision=UNDATED if death and not death.died_on else died.precision,
        dead_from=_dead_from(death, died, alive),
        death_cause=death.cause if death else "",
        is_death_presumed=death.presumed if death else False,
        baseline_on=assessed.on,
        baseline_precision=assessed.precision,
        diagnosed_on=diagnosed.on,
        diagnosed_precision=diagnosed.precision,
        histology=baseline.histology if baseline else "",
        primary_site=baseline.primary_site if baseline else "",
        t=_stage_part(baseline.tnm.t) if baseline else "",
        n=_stage_part(baseline.tnm.n) if baseline else "",
        m=_stage_part(baseline.tnm.m) if baseline else "",
        tnm_edition=baseline.tnm.edition if baseline else "",
        performance_scale=_performance_scale(baseline),
        performance_value=_performance_value(baseline),
        molecular_status=NOT_REPORTED if baseline and isinstance(baseline.molecular_findings, NotReported) else "",
    )


def _screening(participant: Participant) -> ParticipantScreened | None:
    """Returns the earliest screening. One that is dated after a withdrawal has no day, but lists the participant."""
    return min(participant.record.facts_of(ParticipantScreened), key=participant.day, default=None)


def _diagnosis_day(participant: Participant, baseline: BaselineRecorded, assessed_on: date) -> AnalysisDay:
    """Returns the day of the diagnosis: if it is imputed, no day after the assessment that states it."""
    imputed = impute_day(participant, baseline, baseline.diagnosed_on)
    return imputed._replace(on=max(min(imputed.on, assessed_on), baseline.diagnosed_on.earliest))


def _dead_from(death: ParticipantDied | None, died: AnalysisDay, alive: AnalysisDay) -> date:
    """The day from which flow counts the participant as dead: without a date of death, the last proof of life."""
    if death is None:
        return NEVER
    if death.died_on:
        return died.on
    return date.min if alive is NO_DAY else alive.on


def excluded_subject(participant: Participant) -> SubjectRow:
    """Returns the only row of a participant who is in no analysis: the site, for counts of those who are left out."""
    screening = _screening(participant)
    blank = derive_subject(replace(participant, record=Record()))
    return blank._replace(
        enrolling_site=screening.site_id if screening else "",
        is_excluded=True,
        is_screened=screening is not None,
    )


def proofs_of_life(participant: Participant) -> list[AnalysisDay]:
    """Returns the days on which facts show the participant alive, up to the withdrawal of consent, in no order.

    Confirmations by a registry count after it too, while the last consent allows registries.
    """
    registry_counts, withdrawn_on = _registry_is_allowed(participant), participant.withdrawn_on
    return [
        day
        for fact, _ in participant.dated_facts
        if _proves_life(participant, fact)
        and (
            (day := participant.analysis_day(fact)).on <= withdrawn_on or (registry_counts and _is_from_registry(fact))
        )
    ]


def _proves_life(participant: Participant, fact: Fact) -> bool:
    """Returns whether a dated fact shows the participant alive. Histology does unless it may come from an autopsy."""
    if type(fact) is DiseaseProgressed and fact.basis == "histology":
        day = participant.day(fact)
        return not any(death.died_on and participant.day(death) <= day for death in _deaths(participant))
    return implies_alive(fact)


def _deaths(participant: Participant) -> Sequence[ParticipantDied]:
    return participant.record.facts_of(ParticipantDied)


def _is_from_registry(fact: Fact) -> bool:
    return type(fact) is VitalStatusConfirmed and fact.source == "registry"


def _registry_is_allowed(participant: Participant) -> bool:
    consent = participant.last_consent
    return consent is not None and consent.options.registry


def _stage_part(part: str | NotReported) -> str:
    return NOT_REPORTED if isinstance(part, NotReported) else part


def _performance_scale(baseline: BaselineRecorded | None) -> str:
    if baseline is None:
        return ""
    return baseline.performance.scale if type(baseline.performance) is Performance else NOT_REPORTED


def _performance_value(baseline: BaselineRecorded | None) -> int:
    performance = baseline.performance if baseline else None
    return performance.value if type(performance) is Performance else UNKNOWN_NUMBER


def derive_subject_days(participant: Participant) -> Iterator[SubjectDayRow]:
    """Yields the days of which there can be several, by kind, day and code."""
    rows = {
        SubjectDayRow(participant.participant_id, kind, *analysis_day(participant, fact), code)
        for fact, kind, code in _coded_facts(participant)
    }
    yield from sorted(rows | set(_registry_days(participant)) | set(_life_by_withdrawal(participant)))


def _registry_days(participant: Participant) -> Iterator[SubjectDayRow]:
    """Yields the withdrawal of consent of those whose consent to registries stands."""
    if participant.withdrawn_on < date.max and _registry_is_allowed(participant):
        withdrawn = analysis_day(participant, first(participant, ConsentWithdrawn))
        yield SubjectDayRow(participant.participant_id, "registry_consent_stands", *withdrawn, "")


def _life_by_withdrawal(participant: Participant) -> Iterator[SubjectDayRow]:
    """Yields the last proof of life up to the withdrawal of consent, where a registry has proved life after it."""
    if participant.withdrawn_on < date.max:
        proofs = proofs_of_life(participant)
        earlier = [day for day in proofs if day.on <= participant.withdrawn_on]
        if earlier and len(earlier) < len(proofs):
            yield SubjectDayRow(participant.participant_id, "alive_by_withdrawal", *latest(earlier), "")


CodedFact = tuple[Fact, str, str]
"""A fact with the kind and the code of its day."""


def _coded_facts(participant: Participant) -> Iterator[CodedFact]:
    for consent in participant.counted(ConsentSigned):
        yield consent, "consent", "data_use" if consent.options.data_use else "no_data_use"
        yield consent, "registry_consent", "yes" if consent.options.registry else "no"
    for failure in participant.counted(ScreeningFailed):
        yield from ((failure, "screening_failure", code) for code in failure.reason_codes)
    for withdrawal in participant.counted(ConsentWithdrawn):
        yield withdrawal, "withdrawal", withdrawal.scope
    for baseline in participant.counted(BaselineRecorded)[:1]:
        yield from ((baseline, "metastatic_site", site) for site in baseline.metastatic_sites)
        yield from ((baseline, "molecular_finding", code) for code in _molecular_codes(baseline))
    for transfer in participant.counted(ParticipantTransferred):
        yield transfer, "transfer", transfer.to_site
    for progression in participant.counted(DiseaseProgressed):
        yield progression, "progression", _progression_code(participant, progression.kind, progression.lesion_id)
        yield progression, "disease_assessment", ""
    for contact in participant.counted(FollowUpRecorded):
        yield contact, "contact", contact.mode
        if contact.response:
            yield contact, "response", contact.response
        yield from ((contact, kind, code) for kind, code in _disease_codes(participant, contact.disease))


def _molecular_codes(baseline: BaselineRecorded) -> Iterator[str]:
    findings = () if isinstance(baseline.molecular_findings, NotReported) else baseline.molecular_findings
    for finding in findings:
        yield f"{finding.gene}:{NOT_REPORTED if isinstance(finding.result, NotReported) else finding.result}"


def _disease_codes(participant: Participant, disease: DiseaseStatus | None) -> Iterator[tuple[str, str]]:
    """Yields the kinds and codes of a status of the disease; nothing if no part of it was assessed."""
    if disease is None:
        return
    extents = {"regional": disease.regional, "distant": disease.distant}
    statuses = [*extents.values(), *(lesion.status for lesion in disease.lesions)]
    if any(status != "not_assessed" for status in statuses):
        yield "disease_assessment", ""
    yield from (("progression", kind) for kind, extent in extents.items() if extent == "progressed")
    for lesion in disease.lesions:
        if lesion.status == "progressed":
            yield "progression", _progression_code(participant, "local", lesion.lesion_id)


def _progression_code(participant: Participant, kind: str, lesion_id: str | None) -> str:
    """Returns the kind of progression; `local` is followed by the kind of the lesion, as in `local_primary`."""
    lesion = participant.lesions.get(lesion_id or "")
    return f"local_{lesion.kind}" if kind == "local" and lesion else kind


def derive_absences(participant: Participant) -> Iterator[AbsenceRow]:
    """Yields each loss to follow-up with the first resumption on or after its day."""
    absences = stated_absences(participant)
    proofs = proofs_of_life(participant) if absences else []
    for loss, loss_day, resumption_day in absences:
        yield AbsenceRow(
            participant_id=participant.participant_id,
            lost_on=loss_day.on,
            lost_precision=loss_day.precision,
            resumed_on=(resumption_day or NO_DAY).on,
            resumed_precision=(resumption_day or NO_DAY).precision,
            reason=loss.reason_code,
            alive_before=max((proof.on for proof in proofs if proof.on <= loss_day.on), default=date.min),
        )
