"""Questions about courses, what was prescribed, and what has to be known before and after treatment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations

from services.analytics.queries.case import Case, Question, query_rule
from services.analytics.queries.words import listed
from shared.contracts.enrollment import BaselineRecorded, Enrolled
from shared.contracts.toxicity import Assessed
from shared.contracts.treatment import PrescriptionChanged, RadiotherapyStarted, Target
from shared.kernel.fact import Stated
from shared.protocol.schedule import visits

LONGEST_COURSE = timedelta(days=120)
BASELINE_WITHIN = timedelta(days=14)
MOST_SBRT_FRACTIONS, LEAST_SBRT_FRACTION_CGY, HIGHEST_FRACTION_CGY = 5, 500, 2400


@query_rule("missing_baseline")
def missing_baseline(case: Case) -> Iterator[Question]:
    """Enrolled without a baseline 14 days later, or once the first course begins: it describes the time before."""
    if case.record.all(BaselineRecorded):
        return
    began = [course.fact.started_on.latest for course in case.courses.values()]
    for enrolment in case.all(Enrolled):
        due = min([enrolment.fact.enrolled_on.latest + BASELINE_WITHIN, *began])
        if due <= case.today:
            yield Question("The participant is enrolled, but no baseline assessment is recorded.", (enrolment,), due)


@query_rule("imprecise_course_end")
def imprecise_course_end(case: Case) -> Iterator[Question]:
    """The end of the index course, from which every visit is counted, is known by month or year only."""
    anchor = case.anchor(None)
    if anchor and not anchor[0].fact.ended_on.is_exact:
        end, day = anchor
        text = f"The end of the index course has a partial date ({end.fact.ended_on}). Visits are counted from {day}."
        yield Question(f"{text} What is the exact date?", (end,))


@query_rule("course_without_end")
def course_without_end(case: Case) -> Iterator[Question]:
    """A course has no end more than 120 days after its start."""
    for name, course in case.courses.items():
        due = course.fact.started_on.latest + LONGEST_COURSE + timedelta(days=1)
        if name not in case.ends and due <= case.today:
            text = f"Course {name} started on {course.fact.started_on}, but its end is not recorded."
            yield Question(text, (course,), due)


@query_rule("sbrt_fractionation")
def sbrt_fractionation(case: Case) -> Iterator[Question]:
    """SBRT of more than 5 fractions, or of less than 500 cGy a fraction."""
    for prescription in _prescriptions(case):
        odd = [target.target_id for target in prescription.fact.targets if _is_odd_sbrt(target)]
        if odd:
            course = prescription.fact.course_id
            text = f"SBRT of {listed(odd)} in course {course} has more than 5 fractions or less than 5 Gy per fraction."
            yield Question(text, (prescription,))


@query_rule("two_prescriptions_on_one_day")
def two_prescriptions_on_one_day(case: Case) -> Iterator[Question]:
    """A course's prescription is changed twice on one day, to different targets: nothing says which of them holds."""
    changes = case.all(PrescriptionChanged)
    for one, other in combinations(changes, 2):
        same_course = one.fact.course_id == other.fact.course_id
        if same_course and one.fact.targets != other.fact.targets and case.day(one.fact) == case.day(other.fact):
            day = case.day(one.fact)
            text = f"The prescription of course {one.fact.course_id} was changed twice on {day}. Which change applies?"
            yield Question(text, (one, other))


@query_rule("high_fraction_dose")
def high_fraction_dose(case: Case) -> Iterator[Question]:
    """A fraction of more than 2400 cGy."""
    for prescription in _prescriptions(case):
        targets = prescription.fact.targets
        high = [target.target_id for target in targets if target.dose_per_fraction_cgy > HIGHEST_FRACTION_CGY]
        if high:
            course = prescription.fact.course_id
            text = f"The dose per fraction of {listed(high)} in course {course} is more than 24 Gy."
            yield Question(text, (prescription,))


@query_rule("no_assessment_after_index_course")
def no_assessment_after_index_course(case: Case) -> Iterator[Question]:
    """The index course ended, and toxicity was not assessed by the close of visit 1, on or after the last fraction.

    Until then nothing is late. Not asked of who left follow-up before that day.
    """
    anchor = case.anchor(None)
    if not anchor:
        return
    end, day = anchor
    closes = visits(case.protocol.follow_up, day)[0].closes
    after = [each for each in case.all(Assessed) if not each.fact.assessed_on.surely_before(end.fact.ended_on)]
    if closes < case.today and closes < case.followed_until and not after:
        text = f"The index course ended on {end.fact.ended_on}, but no toxicity assessment since then is recorded."
        yield Question(text, (end,), closes + timedelta(days=1))


def _prescriptions(case: Case) -> list[Stated[RadiotherapyStarted | PrescriptionChanged]]:
    return [*case.all(RadiotherapyStarted), *case.all(PrescriptionChanged)]


def _is_odd_sbrt(target: Target) -> bool:
    many, small = target.fractions > MOST_SBRT_FRACTIONS, target.dose_per_fraction_cgy < LEAST_SBRT_FRACTION_CGY
    return target.delivery == "SBRT" and (many or small)
