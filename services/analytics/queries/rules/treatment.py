"""Data queries about treatment: baseline, courses, prescriptions, and the assessment after the index course."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import combinations
from typing import get_args

from services.analytics.queries.case import Case, QueryFinding, query_rule
from services.analytics.wording.phrasing import join_words
from shared.contracts.enrollment import BaselineRecorded, BodySite, LesionRegistered, ParticipantEnrolled
from shared.contracts.toxicity import ToxicityAssessed
from shared.contracts.treatment import Modality, PrescriptionChanged, RadiotherapyStarted, Target
from shared.kernel.fact import StatedFact
from shared.protocol.schedule import planned_visits

MAX_COURSE_DURATION = timedelta(days=120)
BASELINE_DEADLINE = timedelta(days=14)
MAX_SBRT_FRACTIONS, MIN_SBRT_FRACTION_CGY, MAX_FRACTION_CGY = 5, 500, 2400
MIN_EXTERNAL_FRACTION_CGY = 50
_BODY_SITES = frozenset(get_args(BodySite)) - {"other"}
EXTERNAL_BEAMS: frozenset[Modality] = frozenset({"photons", "electrons", "protons", "carbon_ions", "neutrons"})


@query_rule("missing_baseline")
def missing_baseline(case: Case) -> Iterator[QueryFinding]:
    """Asks for the baseline assessment of a participant 14 days after enrollment.

    It asks from the start of the first course, if that is earlier: the baseline describes the time before treatment.
    """
    if case.record.stated_of(BaselineRecorded):
        return
    course_starts = [course.fact.started_on.latest for course in case.courses.values()]
    for enrollment in case.stated(ParticipantEnrolled):
        due_on = min([enrollment.fact.enrolled_on.latest + BASELINE_DEADLINE, *course_starts])
        yield QueryFinding(
            "The participant is enrolled, but no baseline assessment is recorded.", (enrollment,), due_on
        )


@query_rule("imprecise_course_end")
def imprecise_course_end(case: Case) -> Iterator[QueryFinding]:
    """Asks for the exact date of the end of the index course, from which visits are counted."""
    anchor = case.anchor(None)
    if anchor and not anchor[0].fact.ended_on.is_exact:
        end, day = anchor
        text = f"The end of the index course has a partial date ({end.fact.ended_on}). Visits are counted from {day}."
        yield QueryFinding(f"{text} What is the exact date?", (end,))


@query_rule("course_without_end")
def course_without_end(case: Case) -> Iterator[QueryFinding]:
    """Asks for the end of a course that started more than 120 days ago."""
    for name, course in case.courses.items():
        due_on = course.fact.started_on.latest + MAX_COURSE_DURATION + timedelta(days=1)
        if name not in case.course_ends:
            text = f"Course {name} started on {course.fact.started_on}, but its end is not recorded."
            yield QueryFinding(text, (course,), due_on)


@query_rule("sbrt_fractionation")
def sbrt_fractionation(case: Case) -> Iterator[QueryFinding]:
    """Asks about SBRT of more than 5 fractions, or of less than 5 Gy per fraction."""
    for prescription in _prescriptions(case):
        unusual_ids = [target.target_id for target in prescription.fact.targets if _is_unusual_sbrt(target)]
        if unusual_ids:
            course = prescription.fact.course_id
            text = (
                f"SBRT of {join_words(unusual_ids)} in course {course} has more than 5 fractions "
                f"or less than 5 Gy per fraction."
            )
            yield QueryFinding(text, (prescription,))


@query_rule("two_prescriptions_on_one_day")
def two_prescriptions_on_one_day(case: Case) -> Iterator[QueryFinding]:
    """Asks which of two different changes of the prescription of a course on one day applies."""
    changes = case.stated(PrescriptionChanged)
    for change, other_change in combinations(changes, 2):
        same_course = change.fact.course_id == other_change.fact.course_id
        if (
            same_course
            and change.fact.targets != other_change.fact.targets
            and case.day(change.fact) == case.day(other_change.fact)
        ):
            day = case.day(change.fact)
            text = (
                f"The prescription of course {change.fact.course_id} was changed twice on {day}. Which change applies?"
            )
            yield QueryFinding(text, (change, other_change))


@query_rule("high_fraction_dose")
def high_fraction_dose(case: Case) -> Iterator[QueryFinding]:
    """Asks about a dose per fraction of more than 24 Gy."""
    for prescription in _prescriptions(case):
        targets = prescription.fact.targets
        high_dose_ids = [target.target_id for target in targets if target.dose_per_fraction_cgy > MAX_FRACTION_CGY]
        if high_dose_ids:
            course = prescription.fact.course_id
            text = f"The dose per fraction of {join_words(high_dose_ids)} in course {course} is more than 24 Gy."
            yield QueryFinding(text, (prescription,))


@query_rule("fraction_dose_improbable")
def fraction_dose_improbable(case: Case) -> Iterator[QueryFinding]:
    """Asks about external beams of less than 0.5 Gy per fraction: 2 typed for 2 Gy is 0.02 Gy."""
    for prescription in _prescriptions(case):
        low_dose_ids = [target.target_id for target in prescription.fact.targets if _is_improbably_low(target)]
        if low_dose_ids:
            course = prescription.fact.course_id
            text = f"The dose per fraction of {join_words(low_dose_ids)} in course {course} is less than 0.5 Gy."
            yield QueryFinding(f"{text} Doses are in centigray: 2 Gy are 200. Is the dose right?", (prescription,))


@query_rule("course_names_no_lesion")
def course_names_no_lesion(case: Case) -> Iterator[QueryFinding]:
    """Asks about a course that names no lesion, in a body site with lesions that another course treats.

    The body sites are those in the names of its targets; a target without one in its name may be in any. A lesion that
    was found later is not treated by it.
    """
    treated = _treated_lesion_ids(case)
    for name, course in case.courses.items():
        if treated[name]:
            continue
        others = {lesion_id for other, lesion_ids in treated.items() if other != name for lesion_id in lesion_ids}
        own = [prescription.fact for prescription in _prescriptions(case) if prescription.fact.course_id == name]
        labels = [target.label for prescription in own for target in prescription.targets]
        possible = [
            lesion_id
            for lesion_id in sorted(others & case.participant.lesions.keys())
            if _may_treat(course.fact, labels, case.participant.lesions[lesion_id])
        ]
        if possible:
            text = f"Course {name} names no lesion, and other courses treat {join_words(possible)}."
            yield QueryFinding(f"{text} Which lesions does it treat?", (course,))


@query_rule("no_assessment_after_index_course")
def no_assessment_after_index_course(case: Case) -> Iterator[QueryFinding]:
    """Asks for a toxicity assessment on or after the last fraction of the index course, once visit 1 has closed.

    It does not ask about a participant who died, withdrew or was lost, or whose study ended, before that day.
    """
    anchor = case.anchor(None)
    if not anchor:
        return
    end, day = anchor
    if any(
        not assessment.fact.assessed_on.definitely_before(end.fact.ended_on)
        for assessment in case.stated(ToxicityAssessed)
    ):
        return
    closes = planned_visits(case.plans, day)[0].closes
    if closes < case.end_of_follow_up:
        text = f"The index course ended on {end.fact.ended_on}, but no toxicity assessment since then is recorded."
        yield QueryFinding(text, (end,), closes + timedelta(days=1))


def _prescriptions(case: Case) -> list[StatedFact[RadiotherapyStarted | PrescriptionChanged]]:
    return [*case.stated(RadiotherapyStarted), *case.stated(PrescriptionChanged)]


def _treated_lesion_ids(case: Case) -> dict[str, set[str]]:
    """Returns the lesions that a target of each course names, by any of its prescriptions."""
    treated: dict[str, set[str]] = {name: set() for name in case.courses}
    for prescription in _prescriptions(case):
        lesion_ids = treated.get(prescription.fact.course_id, set())
        lesion_ids.update(name for target in prescription.fact.targets for name in target.lesion_ids)
    return treated


def _may_treat(course: RadiotherapyStarted, labels: Sequence[str], lesion: LesionRegistered) -> bool:
    """Returns whether a target with one of the labels may contain the lesion. `labels`: those of the course."""
    sites = [_body_sites(label) for label in labels]
    is_in_site = any(not named or lesion.body_site in named for named in sites)
    return is_in_site and not course.started_on.definitely_before(lesion.found_on)


def _body_sites(label: str) -> set[str]:
    """Returns the body sites that the name of a target has in it, as `PTV_Lung_L` has lung."""
    return {site for site in _BODY_SITES if site.replace("_", "") in label.replace("_", "").casefold()}


def _is_unusual_sbrt(target: Target) -> bool:
    too_many, too_small = target.fractions > MAX_SBRT_FRACTIONS, target.dose_per_fraction_cgy < MIN_SBRT_FRACTION_CGY
    return target.delivery == "SBRT" and (too_many or too_small)


def _is_improbably_low(target: Target) -> bool:
    return target.modality in EXTERNAL_BEAMS and target.dose_per_fraction_cgy < MIN_EXTERNAL_FRACTION_CGY
