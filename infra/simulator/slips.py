"""What sites contradict themselves in, and what they mistype and correct: how often is in rates.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import timedelta

from infra.reference.terms import PNEUMONIA
from infra.reference.treated import Happening
from infra.simulator.story import Story, Turn, iso

# Contradictions: each becomes a query.


def _without_finding(story: Story) -> list[Happening]:
    """Contacts on whose day no progression is stated."""
    found = {each.day for each in story.all("disease.progressed")}
    return [each for each in story.all("followup.recorded") if "response" in each.data and each.day not in found]


def _respond_with_pd(story: Story, contact: Happening) -> None:
    contact.data["response"] = "PD"


def _graded(story: Story, timepoint: str) -> list[Happening]:
    return [each for each in story.untouched("toxicity.assessed") if each.data["timepoint"] == timepoint]


def _alive(story: Story) -> list[Happening]:
    """Assessments of people whose death nobody tells."""
    return [] if story.all("participant.died") else _graded(story, "follow_up")


def _grade_5(story: Story, assessment: Happening) -> None:
    term = PNEUMONIA.v5[0]
    assessment.data["findings"] = [*assessment.data["findings"], {"term": term, "grade": 5}]


def _with_findings(story: Story) -> list[Happening]:
    return [each for each in _graded(story, "follow_up") if any(found["grade"] for found in each.data["findings"])]


def _ungrade(story: Story, assessment: Happening) -> None:
    findings = deepcopy(assessment.data["findings"])
    which = story.rng.choice([found for found in findings if found["grade"]])
    which.update(grade=None, not_graded="made up")
    assessment.data["findings"] = findings


def _dated_deaths(story: Story) -> list[Happening]:
    """Deaths of people who had not withdrawn: of those nothing later can be told."""
    if story.all("participant.withdrawn"):
        return []
    return [each for each in story.all("participant.died") if each.data["died_on"] == iso(each.day)]


def _grade_the_dead(story: Story, death: Happening) -> None:
    day = death.day + timedelta(days=story.rng.randint(1, 20))
    data = {"assessed_on": iso(day), "timepoint": "follow_up", "findings": [], "checklist_complete": True}
    story.add("toxicity", "toxicity.assessed", data, day)


def _baselines(story: Story) -> list[Happening]:
    """Those of people whose index course ended: then the day of its start is long known."""
    index = story.treated.index if story.treated else None
    return _graded(story, "baseline") if index and index.ended and (index.ended - index.began).days > 7 else []


def _baseline_too_late(story: Story, baseline: Happening) -> None:
    if story.treated and story.treated.index:
        baseline.day = story.treated.index.began + timedelta(days=story.rng.randint(1, 5))
        baseline.data["assessed_on"] = iso(baseline.day)


def _of_a_visit(story: Story) -> list[Happening]:
    return [each for each in story.untouched("followup.recorded") if "visit" in each.data]


def _another_visit(story: Story, contact: Happening) -> None:
    contact.data["visit"] += 1 if contact.data["visit"] < 8 else -1


def _declare_missed(story: Story, contact: Happening) -> None:
    data = {"visit": contact.data["visit"], "declared_on": iso(contact.day), "reason_code": "not_attended"}
    story.add("followup", "followup.visit_missed", data, contact.day)


def _forget_progression(story: Story, progression: Happening) -> None:
    story.forget(lambda each: each is progression)


def _ends(story: Story, *, index: bool) -> list[Happening]:
    courses = {each.data["course_id"]: each.data["index"] for each in story.all("radiotherapy.started")}
    return [each for each in story.untouched("radiotherapy.completed") if courses[each.data["course_id"]] is index]


def _end_to_the_month(story: Story, end: Happening) -> None:
    end.data["ended_on"] = iso(end.day)[:7]


def _no_end(story: Story, end: Happening) -> None:
    """Nor is anything said of the toxicity at its end, or of its lesions."""
    course = end.data["course_id"]
    story.forget(lambda each: each is end or (each.service != "enrollment" and each.data.get("course_id") == course))


def _withdrawals(story: Story) -> list[Happening]:
    if not story.outlook:
        return []
    dies_on = story.outlook.dies_on
    return [each for each in story.all("participant.withdrawn") if each.day + timedelta(days=15) < dies_on]


def _see_after_withdrawal(story: Story, withdrawal: Happening) -> None:
    """A contact that is told before the letter of withdrawal arrives."""
    day = withdrawal.day + timedelta(days=story.rng.randint(2, 14))
    contact = story.add("followup", "followup.recorded", {"seen_on": iso(day), "mode": "phone"}, day)
    withdrawal.after = contact


CONTRADICTIONS = (
    Turn("a response of PD without progression", _without_finding, _respond_with_pd),
    Turn("grade 5 of somebody who lives", _alive, _grade_5),
    Turn("a finding without a grade", _with_findings, _ungrade),
    Turn("graded after death", _dated_deaths, _grade_the_dead),
    Turn("baseline graded after the start of radiotherapy", _baselines, _baseline_too_late),
    Turn("another visit than the day's", _of_a_visit, _another_visit),
    Turn("declared missed though it took place", _of_a_visit, _declare_missed),
    Turn("progression seen and not stated", lambda story: story.all("disease.progressed"), _forget_progression),
    Turn("the end of the index course to the month", lambda story: _ends(story, index=True), _end_to_the_month),
    Turn("a course without an end", lambda story: _ends(story, index=False), _no_end),
    Turn("seen after the withdrawal", _withdrawals, _see_after_withdrawal),
)

# Corrections: what stands in the end is right.


def _stays(story: Story, type_name: str) -> Sequence[Happening]:
    """Of a record that stays: one that is void is corrected no more."""
    return [] if story.voided else story.untouched(type_name)


def _mistype_birth(story: Story, screening: Happening) -> None:
    story.told_wrong(screening, birth_year=screening.data["birth_year"] + story.rng.choice([-10, -1, 1]))


def _mistype_performance(story: Story, baseline: Happening) -> None:
    value = baseline.data["performance"]["value"]
    story.told_wrong(baseline, performance={"scale": "KPS", "value": value - 10})


def _long_ends(story: Story) -> list[Happening]:
    index = story.treated.index if story.treated else None
    if story.voided or not index or not index.ended or (index.ended - index.began).days < 28:
        return []
    return [each for each in _ends(story, index=True) if len(each.data["ended_on"]) == len("2024-03-07")]


def _mistype_end(story: Story, end: Happening) -> None:
    """A week too early: the visits that follow from it move when it is restated."""
    story.told_wrong(end, ended_on=iso(end.day, -7))


def _clearly_graded(story: Story) -> list[Happening]:
    if story.voided:
        return []
    graded = [each for each in story.untouched("toxicity.assessed") if each.data["findings"]]
    return [each for each in graded if any((found["grade"] or 0) in (2, 3) for found in each.data["findings"])]


def _mistype_grade(story: Story, assessment: Happening) -> None:
    """Too low: 2 for 3, or 0 for 2, grades that all of these terms have."""
    findings = deepcopy(assessment.data["findings"])
    which = story.rng.choice([found for found in findings if (found["grade"] or 0) in (2, 3)])
    which["grade"] = 0 if which["grade"] == 2 else 2
    story.told_wrong(assessment, findings=findings)


def _mistype_contact(story: Story, contact: Happening) -> None:
    story.told_wrong(contact, seen_on=iso(contact.day, -story.rng.randint(1, 3)))


def _known_causes(story: Story) -> list[Happening]:
    if story.voided:
        return []
    return [each for each in story.untouched("participant.died") if each.data["cause"] in ("tumour", "other")]


def _find_out_cause(story: Story, death: Happening) -> None:
    story.told_wrong(death, "source_corrected", cause="unknown")


def _enter_twice(story: Story, contact: Happening) -> None:
    again = story.add("followup", "followup.recorded", deepcopy(contact.data), contact.day)
    story.correct(again, "entered_in_error", None)


def _of_somebody_else(story: Story, assessment: Happening) -> None:
    data = {**deepcopy(assessment.data), "findings": []}
    mixed_up = story.add("toxicity", "toxicity.assessed", data, assessment.day)
    story.correct(mixed_up, "wrong_participant", None)


def _void_by_mistake(story: Story, contact: Happening) -> None:
    void = story.correct(contact, "entered_in_error", None)
    story.correct(contact, "other", deepcopy(contact.data), after=void)


def _untransferred_screening(story: Story) -> Sequence[Happening]:
    return _stays(story, "participant.screened") if story.treated else []


CORRECTIONS = (
    Turn("a year of birth mistyped", _untransferred_screening, _mistype_birth),
    Turn("a performance mistyped", lambda story: _stays(story, "participant.baseline_recorded"), _mistype_performance),
    Turn("the end of a course mistyped", _long_ends, _mistype_end),
    Turn("a grade mistyped", _clearly_graded, _mistype_grade),
    Turn("the day of a contact mistyped", lambda story: _stays(story, "followup.recorded"), _mistype_contact),
    Turn("the cause of death found out", _known_causes, _find_out_cause),
    Turn("a contact entered twice", lambda story: _stays(story, "followup.recorded"), _enter_twice),
    Turn("an assessment of somebody else", lambda story: _stays(story, "toxicity.assessed"), _of_somebody_else),
    Turn("a contact voided by mistake", lambda story: _stays(story, "followup.recorded"), _void_by_mistake),
)

PARTIAL = {"month": len("2024-03"), "year": len("2024")}


def know_less(story: Story, exact_to: Mapping[tuple[str, str], Mapping[str, float]]) -> None:
    """Dates of which the site knows the month or the year only: how often, by fact and member."""
    for happening in story.happenings:
        for (type_name, member), precisions in exact_to.items():
            if happening.type != type_name:
                continue
            drawn = story.rng.random()
            for precision, probability in precisions.items():
                if 0 <= drawn < probability:
                    happening.data[member] = happening.data[member][: PARTIAL[precision]]
                drawn -= probability
