"""Descriptions of radiotherapy with the dose of every target, and of systemic therapy with its agents. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from services.analytics.cohort.date_imputation import impute
from services.analytics.cohort.treatment import current_targets, delivered_dose
from services.analytics.statistics.dose import gray
from services.analytics.timeline.answers import FactMembers, TimelineDelivery, TimelineTarget
from services.analytics.timeline.descriptions.context import Describe, Description, DescriptionContext
from services.analytics.wording.phrasing import (
    capitalize,
    count_noun,
    format_gray,
    format_number,
    humanize,
    join_words,
    non_empty,
)
from shared.contracts.treatment import (
    Agent,
    CourseEnd,
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
    Target,
)
from shared.kernel.fact import Fact


def _describe_course_start(fact: RadiotherapyStarted, context: DescriptionContext) -> Description:
    intent = f"{humanize(fact.intent)} intent" if fact.intent != "not_stated" else "intent not stated"
    doses = format_prescription(fact.targets)
    return Description(
        "radiotherapy",
        f"Radiotherapy {fact.course_id} started: {doses}",
        capitalize(_short_prescription(fact.targets)),
        (f"{intent}, index course" if fact.index else intent, *_describe_targets(fact.targets, context)),
        FactMembers(course_id=fact.course_id, index=fact.index, targets=_target_members(fact.targets)),
    )


def _describe_prescription_change(fact: PrescriptionChanged, context: DescriptionContext) -> Description:
    title = f"Prescription of {fact.course_id} changed: {format_prescription(fact.targets)}"
    detail = (f"reason: {humanize(fact.reason_code)}", *_describe_targets(fact.targets, context))
    members = FactMembers(course_id=fact.course_id, targets=_target_members(fact.targets))
    return Description("radiotherapy", title, detail=detail, members=members)


def format_prescription(targets: Sequence[Target]) -> str:
    """Returns `SRS 15 Gy and 20 Gy`; levels of an integrated boost are named, never added."""
    deliveries = dict.fromkeys(target.delivery for target in targets)
    return ", ".join(
        (
            f"{humanize(delivery)} "
            f"{join_words(format_gray(target.total_dose_cgy) for target in targets if target.delivery == delivery)}"
        )
        for delivery in deliveries
    )


def _short_prescription(targets: Sequence[Target]) -> str:
    """Returns `SRS 15 / 20 Gy`."""
    doses = " / ".join(format_number(gray(target.total_dose_cgy)) for target in targets)
    return f"{join_words(dict.fromkeys(humanize(target.delivery) for target in targets))} {doses} Gy"


def _describe_targets(targets: Sequence[Target], context: DescriptionContext) -> list[str]:
    return [_describe_target(target, context) for target in targets]


def _describe_target(target: Target, context: DescriptionContext) -> str:
    isodose = target.prescription_isodose_percent
    lesions = join_words(context.describe_lesion(name) for name in target.lesion_ids)
    parts = non_empty(
        (
            f"{target.label}: {target.fractions} × {format_gray(target.dose_per_fraction_cgy)} = "
            f"{format_gray(target.total_dose_cgy)}"
        ),
        humanize(target.delivery),
        f"prescribed to the {isodose} % isodose" if isodose else "",
        f"boost of target {target.boost_of}" if target.boost_of else "",
        f"treats {lesions}" if lesions else "",
    )
    return ", ".join(parts)


def _target_members(targets: Sequence[Target]) -> tuple[TimelineTarget, ...]:
    return tuple(
        TimelineTarget(
            target_id=target.target_id,
            label=target.label,
            lesion_ids=target.lesion_ids,
            delivery=target.delivery,
            fractions=target.fractions,
            dose_per_fraction_gy=float(gray(target.dose_per_fraction_cgy)),
            total_dose_gy=float(gray(target.total_dose_cgy)),
            prescription_isodose_percent=target.prescription_isodose_percent,
            boost_of=target.boost_of,
        )
        for target in targets
    )


def _describe_course_end(fact: CourseEnd, context: DescriptionContext) -> Description:
    outcome = (
        f"discontinued: {humanize(fact.reason_code)}" if isinstance(fact, RadiotherapyDiscontinued) else "completed"
    )
    treated_targets = _prescribed_targets(fact, context, end=fact)
    pairs = [(target, delivered_dose(fact, target)) for target in treated_targets]
    as_planned = treated_targets == _prescribed_targets(fact, context, end=None) and all(
        actual_dose == (target.fractions, target.total_dose_cgy) for target, actual_dose in pairs
    )
    detail = (
        ("delivered as prescribed",) if pairs and as_planned else tuple(_describe_delivery(*pair) for pair in pairs)
    )
    delivered = tuple(
        TimelineDelivery(target_id=target.target_id, fractions=dose[0], dose_gy=float(gray(dose[1])))
        for target, dose in pairs
        if dose
    )
    members = FactMembers(course_id=fact.course_id, delivered=delivered)
    return Description("radiotherapy", f"Radiotherapy {fact.course_id} {outcome}", detail=detail, members=members)


def _prescribed_targets(
    course_end: CourseEnd, context: DescriptionContext, *, end: CourseEnd | None
) -> tuple[Target, ...]:
    """Returns the targets as prescribed last; with `end` also those that were treated before they were removed."""
    changes = [fact for fact in context.record.facts_of(PrescriptionChanged) if fact.course_id == course_end.course_id]
    courses = [fact for fact in context.record.facts_of(RadiotherapyStarted) if fact.course_id == course_end.course_id]
    return current_targets(courses[0], changes, end, _day_of) if courses else ()


def _day_of(fact: Fact) -> date:
    return impute(fact.happened_on, date.max) if fact.happened_on else date.max


def _describe_delivery(target: Target, actual_dose: tuple[int, int] | None) -> str:
    if actual_dose is None:
        return f"{target.label}: delivered dose not recorded"
    fractions, dose = actual_dose
    planned = f"{count_noun(target.fractions, 'fraction')}, {format_gray(dose)} of {format_gray(target.total_dose_cgy)}"
    return f"{target.label}: delivered {fractions} of {planned}"


def _describe_line_start(fact: SystemicTherapyStarted, _: DescriptionContext) -> Description:
    names = agent_names(fact)
    planned = (f"{count_noun(fact.planned_cycles, 'cycle')} planned",) if fact.planned_cycles else ()
    setting = f"{fact.line_id}, {humanize(fact.setting)}"
    doses = tuple(_describe_agent(agent) for agent in fact.agents if agent.dose or agent.schedule)
    members = FactMembers(line_id=fact.line_id, agents=tuple(agent.name for agent in fact.agents))
    label = capitalize(" + ".join(agent.name for agent in fact.agents))
    return Description("systemic", f"{capitalize(names)} started", label, (setting, *doses, *planned), members)


def agent_names(line: SystemicTherapyStarted) -> str:
    return join_words(agent.name for agent in line.agents)


def _describe_agent(agent: Agent) -> str:
    dose = f"{format_number(agent.dose)} {agent.unit or ''}".strip() if agent.dose else ""
    dose = f"AUC {format_number(agent.dose)}" if agent.dose and agent.unit == "AUC" else dose
    return " ".join(non_empty(agent.name, dose, agent.schedule or ""))


def _describe_line_end(fact: SystemicTherapyStopped, context: DescriptionContext) -> Description:
    line = context.systemic_lines.get(fact.line_id)
    cycles = (f"{count_noun(fact.cycles_given, 'cycle')} given",) if fact.cycles_given is not None else ()
    title = f"{capitalize(agent_names(line)) if line else fact.line_id} stopped: {humanize(fact.reason_code)}"
    return Description("systemic", title, detail=(fact.line_id, *cycles), members=FactMembers(line_id=fact.line_id))


DESCRIPTIONS: Mapping[type[Fact], Describe] = {
    RadiotherapyStarted: _describe_course_start,
    PrescriptionChanged: _describe_prescription_change,
    RadiotherapyCompleted: _describe_course_end,
    RadiotherapyDiscontinued: _describe_course_end,
    SystemicTherapyStarted: _describe_line_start,
    SystemicTherapyStopped: _describe_line_end,
}
