"""Contradictions and corrections of sites; rates.py has their rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import timedelta

from infra.simulator.participant_story import OptionalEvent, ParticipantStory, iso_day
from infra.synthetic.terms import PNEUMONIA
from infra.synthetic.treatment_summary import SimulatedFact

# Contradictions: each raises a data query.


def _contacts_without_progression(story: ParticipantStory) -> list[SimulatedFact]:
    """Returns contacts on whose day no progression is recorded."""
    progression_days = {progression.day for progression in story.facts_of("disease.progressed")}
    return [
        contact
        for contact in story.facts_of("followup.recorded")
        if "response" in contact.data and contact.day not in progression_days
    ]


def _set_response_to_pd(story: ParticipantStory, contact: SimulatedFact) -> None:
    contact.data["response"] = "PD"


def _assessments_at(story: ParticipantStory, timepoint: str) -> list[SimulatedFact]:
    return [
        assessment
        for assessment in story.uncorrected_facts("toxicity.assessed")
        if assessment.data["timepoint"] == timepoint
    ]


def _assessments_of_survivors(story: ParticipantStory) -> list[SimulatedFact]:
    """Returns follow-up assessments of participants without a recorded death."""
    return [] if story.facts_of("participant.died") else _assessments_at(story, "follow_up")


def _grade_5(story: ParticipantStory, assessment: SimulatedFact) -> None:
    term = PNEUMONIA.v5[0]
    assessment.data["findings"] = [*assessment.data["findings"], {"term": term, "grade": 5}]


def _assessments_with_findings(story: ParticipantStory) -> list[SimulatedFact]:
    return [
        assessment
        for assessment in _assessments_at(story, "follow_up")
        if any(finding["grade"] for finding in assessment.data["findings"])
    ]


def _remove_grade(story: ParticipantStory, assessment: SimulatedFact) -> None:
    findings = deepcopy(assessment.data["findings"])
    finding = story.rng.choice([finding for finding in findings if finding["grade"]])
    finding.update(grade=None, not_graded="made up")
    assessment.data["findings"] = findings


def _dated_deaths(story: ParticipantStory) -> list[SimulatedFact]:
    """Returns deaths with a full date; after a withdrawal no later fact can be recorded."""
    if story.facts_of("participant.withdrawn"):
        return []
    return [death for death in story.facts_of("participant.died") if death.data["died_on"] == iso_day(death.day)]


def _grade_after_death(story: ParticipantStory, death: SimulatedFact) -> None:
    day = death.day + timedelta(days=story.rng.randint(1, 20))
    data = {"assessed_on": iso_day(day), "timepoint": "follow_up", "findings": [], "checklist_complete": True}
    story.add("toxicity", "toxicity.assessed", data, day)


def _baseline_assessments(story: ParticipantStory) -> list[SimulatedFact]:
    """Returns baseline assessments if the index course has ended, so that its start was recorded long ago."""
    return _assessments_at(story, "baseline") if (story.index_course_days() or 0) > 7 else []


def _delay_baseline(story: ParticipantStory, baseline: SimulatedFact) -> None:
    if story.participant and story.participant.index_course:
        baseline.day = story.participant.index_course.started_on + timedelta(days=story.rng.randint(1, 5))
        baseline.data["assessed_on"] = iso_day(baseline.day)


def _visit_contacts(story: ParticipantStory) -> list[SimulatedFact]:
    return [contact for contact in story.uncorrected_facts("followup.recorded") if "visit" in contact.data]


def _misnumber_visit(story: ParticipantStory, contact: SimulatedFact) -> None:
    contact.data["visit"] += 1 if contact.data["visit"] < 8 else -1


def _declare_missed(story: ParticipantStory, contact: SimulatedFact) -> None:
    data = {"visit": contact.data["visit"], "declared_on": iso_day(contact.day), "reason_code": "not_attended"}
    story.add("followup", "followup.visit_missed", data, contact.day)


def _omit_progression(story: ParticipantStory, progression: SimulatedFact) -> None:
    story.drop_facts(lambda fact: fact is progression)


def _course_ends(story: ParticipantStory, *, index: bool) -> list[SimulatedFact]:
    courses = {course.data["course_id"]: course.data["index"] for course in story.facts_of("radiotherapy.started")}
    return [
        completion
        for completion in story.uncorrected_facts("radiotherapy.completed")
        if courses[completion.data["course_id"]] is index
    ]


def _coarsen_end(story: ParticipantStory, end: SimulatedFact) -> None:
    end.data["ended_on"] = iso_day(end.day)[:7]


def _omit_end(story: ParticipantStory, end: SimulatedFact) -> None:
    """Drops the end of a course, with the facts of other services that refer to the course."""
    course = end.data["course_id"]
    story.drop_facts(
        lambda fact: fact is end or (fact.service != "enrollment" and fact.data.get("course_id") == course)
    )


def _survived_withdrawals(story: ParticipantStory) -> list[SimulatedFact]:
    return story.withdrawals_before_death(15)


def _add_contact_after_withdrawal(story: ParticipantStory, withdrawal: SimulatedFact) -> None:
    """Adds a contact that is recorded before the letter of withdrawal arrives."""
    day = withdrawal.day + timedelta(days=story.rng.randint(2, 14))
    contact = story.add("followup", "followup.recorded", {"seen_on": iso_day(day), "mode": "phone"}, day)
    withdrawal.after = contact


CONTRADICTIONS = (
    OptionalEvent("a response of PD without progression", _contacts_without_progression, _set_response_to_pd),
    OptionalEvent("grade 5 of a living participant", _assessments_of_survivors, _grade_5),
    OptionalEvent("a finding without a grade", _assessments_with_findings, _remove_grade),
    OptionalEvent("graded after death", _dated_deaths, _grade_after_death),
    OptionalEvent("baseline graded after the start of radiotherapy", _baseline_assessments, _delay_baseline),
    OptionalEvent("another visit than the day's", _visit_contacts, _misnumber_visit),
    OptionalEvent("declared missed though it took place", _visit_contacts, _declare_missed),
    OptionalEvent(
        "a progression that is not recorded", lambda story: story.facts_of("disease.progressed"), _omit_progression
    ),
    OptionalEvent(
        "the end of the index course to the month", lambda story: _course_ends(story, index=True), _coarsen_end
    ),
    OptionalEvent("a course without an end", lambda story: _course_ends(story, index=False), _omit_end),
    OptionalEvent("a contact after the withdrawal", _survived_withdrawals, _add_contact_after_withdrawal),
)

# Corrections: the final record is right.


def _correctable_facts(story: ParticipantStory, type_name: str) -> Sequence[SimulatedFact]:
    """Returns uncorrected facts of the type; none of a record that will be voided."""
    return [] if story.void_after else story.uncorrected_facts(type_name)


def _mistype_birth(story: ParticipantStory, screening: SimulatedFact) -> None:
    story.misreport(screening, birth_year=screening.data["birth_year"] + story.rng.choice([-10, -1, 1]))


def _mistype_performance(story: ParticipantStory, baseline: SimulatedFact) -> None:
    value = baseline.data["performance"]["value"]
    story.misreport(baseline, performance={"scale": "KPS", "value": value - 10})


def _long_course_ends(story: ParticipantStory) -> list[SimulatedFact]:
    if story.void_after or (story.index_course_days() or 0) < 28:
        return []
    return [end for end in _course_ends(story, index=True) if len(end.data["ended_on"]) == len("2024-03-07")]


def _mistype_end(story: ParticipantStory, end: SimulatedFact) -> None:
    """Reports the end a week too early: the planned visits move with the correction."""
    story.misreport(end, ended_on=iso_day(end.day, -7))


def _assessments_of_grade_2_or_3(story: ParticipantStory) -> list[SimulatedFact]:
    if story.void_after:
        return []
    assessments = [
        assessment for assessment in story.uncorrected_facts("toxicity.assessed") if assessment.data["findings"]
    ]
    return [
        assessment
        for assessment in assessments
        if any((finding["grade"] or 0) in (2, 3) for finding in assessment.data["findings"])
    ]


def _mistype_grade(story: ParticipantStory, assessment: SimulatedFact) -> None:
    """Reports a grade too low: 2 for 3, or 0 for 2, grades that all of these terms have."""
    findings = deepcopy(assessment.data["findings"])
    finding = story.rng.choice([finding for finding in findings if (finding["grade"] or 0) in (2, 3)])
    finding["grade"] = 0 if finding["grade"] == 2 else 2
    story.misreport(assessment, findings=findings)


def _mistype_contact(story: ParticipantStory, contact: SimulatedFact) -> None:
    story.misreport(contact, seen_on=iso_day(contact.day, -story.rng.randint(1, 3)))


def _deaths_of_known_cause(story: ParticipantStory) -> list[SimulatedFact]:
    if story.void_after:
        return []
    return [
        death for death in story.uncorrected_facts("participant.died") if death.data["cause"] in ("tumour", "other")
    ]


def _find_out_cause(story: ParticipantStory, death: SimulatedFact) -> None:
    story.misreport(death, "source_corrected", cause="unknown")


def _enter_twice(story: ParticipantStory, contact: SimulatedFact) -> None:
    duplicate = story.add("followup", "followup.recorded", deepcopy(contact.data), contact.day)
    story.correct(duplicate, "entered_in_error", None)


def _mix_up_participants(story: ParticipantStory, assessment: SimulatedFact) -> None:
    data = {**deepcopy(assessment.data), "findings": []}
    mixed_up = story.add("toxicity", "toxicity.assessed", data, assessment.day)
    story.correct(mixed_up, "wrong_participant", None)


def _void_by_mistake(story: ParticipantStory, contact: SimulatedFact) -> None:
    void = story.correct(contact, "entered_in_error", None)
    story.correct(contact, "other", deepcopy(contact.data), after=void)


def _untransferred_screening(story: ParticipantStory) -> Sequence[SimulatedFact]:
    return _correctable_facts(story, "participant.screened") if story.participant else []


CORRECTIONS = (
    OptionalEvent("a year of birth mistyped", _untransferred_screening, _mistype_birth),
    OptionalEvent(
        "a performance mistyped",
        lambda story: _correctable_facts(story, "participant.baseline_recorded"),
        _mistype_performance,
    ),
    OptionalEvent("the end of a course mistyped", _long_course_ends, _mistype_end),
    OptionalEvent("a grade mistyped", _assessments_of_grade_2_or_3, _mistype_grade),
    OptionalEvent(
        "the day of a contact mistyped", lambda story: _correctable_facts(story, "followup.recorded"), _mistype_contact
    ),
    OptionalEvent("the cause of death found out", _deaths_of_known_cause, _find_out_cause),
    OptionalEvent(
        "a contact entered twice", lambda story: _correctable_facts(story, "followup.recorded"), _enter_twice
    ),
    OptionalEvent(
        "an assessment of another participant",
        lambda story: _correctable_facts(story, "toxicity.assessed"),
        _mix_up_participants,
    ),
    OptionalEvent(
        "a contact voided by mistake", lambda story: _correctable_facts(story, "followup.recorded"), _void_by_mistake
    ),
)

PARTIAL_DATE_LENGTHS = {"month": len("2024-03"), "year": len("2024")}


def coarsen_dates(story: ParticipantStory, rates: Mapping[tuple[str, str], Mapping[str, float]]) -> None:
    """Shortens dates to the month or the year, at rates by fact and member."""
    for fact in story.facts:
        for (type_name, member), precisions in rates.items():
            if fact.type != type_name:
                continue
            threshold = story.rng.random()
            for precision, probability in precisions.items():
                if 0 <= threshold < probability:
                    fact.data[member] = fact.data[member][: PARTIAL_DATE_LENGTHS[precision]]
                threshold -= probability
