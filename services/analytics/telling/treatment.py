"""Radiotherapy with every target's dose, and systemic therapy with its agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.analytics.cohort import CourseEnd, targets
from services.analytics.figures import counted, plain, spoken
from services.analytics.statistics.dose import gray
from services.analytics.statistics.treatments import delivered
from services.analytics.telling.words import Known, Tell, Told, amount, capital, gy, listed, some
from shared.contracts.treatment import (
    Agent,
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
    Target,
)
from shared.kernel.fact import Fact


def _started(fact: RadiotherapyStarted, known: Known) -> Told:
    intent = f"{spoken(fact.intent)} intent" if fact.intent != "not_stated" else "intent not stated"
    doses = prescribed(fact.targets)
    return Told(
        "radiotherapy",
        f"Radiotherapy {fact.course_id} started: {doses}",
        capital(_short(fact.targets)),
        (f"{intent}, index course" if fact.index else intent, *_targets(fact.targets, known)),
        {"course_id": fact.course_id, "index": fact.index, "targets": _numbers(fact.targets)},
    )


def _changed(fact: PrescriptionChanged, known: Known) -> Told:
    title = f"Prescription of {fact.course_id} changed: {prescribed(fact.targets)}"
    detail = (f"reason: {spoken(fact.reason_code)}", *_targets(fact.targets, known))
    more = {"course_id": fact.course_id, "targets": _numbers(fact.targets)}
    return Told("radiotherapy", title, detail=detail, more=more)


def prescribed(targets: Sequence[Target]) -> str:
    """`SRS 15 Gy and 20 Gy`; levels of an integrated boost are named, never added."""
    deliveries = dict.fromkeys(target.delivery for target in targets)
    return ", ".join(
        f"{spoken(delivery)} {listed(gy(each.total_dose_cgy) for each in targets if each.delivery == delivery)}"
        for delivery in deliveries
    )


def _short(targets: Sequence[Target]) -> str:
    """`SRS 15 / 20 Gy`."""
    doses = " / ".join(plain(gray(target.total_dose_cgy)) for target in targets)
    return f"{listed(dict.fromkeys(spoken(target.delivery) for target in targets))} {doses} Gy"


def _targets(targets: Sequence[Target], known: Known) -> list[str]:
    return [_target(target, known) for target in targets]


def _target(target: Target, known: Known) -> str:
    isodose = target.prescription_isodose_percent
    treated = listed(known.lesion(name) for name in target.lesion_ids)
    how = some(
        f"{target.label}: {target.fractions} × {gy(target.dose_per_fraction_cgy)} = {gy(target.total_dose_cgy)}",
        spoken(target.delivery),
        f"prescribed to the {isodose} % isodose" if isodose else "",
        f"boost of target {target.boost_of}" if target.boost_of else "",
        f"treats {treated}" if treated else "",
    )
    return ", ".join(how)


def _numbers(targets: Sequence[Target]) -> list[dict[str, Any]]:
    return [
        {
            "target_id": target.target_id,
            "label": target.label,
            "lesion_ids": list(target.lesion_ids),
            "delivery": target.delivery,
            "fractions": target.fractions,
            "dose_per_fraction_gy": float(gray(target.dose_per_fraction_cgy)),
            "total_dose_gy": float(gray(target.total_dose_cgy)),
            "prescription_isodose_percent": target.prescription_isodose_percent,
            "boost_of": target.boost_of,
        }
        for target in targets
    ]


def _ended(fact: CourseEnd, known: Known) -> Told:
    why = f"discontinued: {spoken(fact.reason_code)}" if isinstance(fact, RadiotherapyDiscontinued) else "completed"
    treated = _targets_of(fact, known, end=fact)
    pairs = [(target, delivered(fact, target)) for target in treated]
    as_planned = treated == _targets_of(fact, known, end=None) and all(
        given == (target.fractions, target.total_dose_cgy) for target, given in pairs
    )
    lines = ("delivered as prescribed",) if pairs and as_planned else tuple(_given(*pair) for pair in pairs)
    numbers = [
        {"target_id": target.target_id, "fractions": given[0], "dose_gy": float(gray(given[1]))}
        for target, given in pairs
        if given
    ]
    more = {"course_id": fact.course_id, "delivered": numbers}
    return Told("radiotherapy", f"Radiotherapy {fact.course_id} {why}", detail=lines, more=more)


def _targets_of(of: CourseEnd, known: Known, *, end: CourseEnd | None) -> tuple[Target, ...]:
    """As prescribed last; with the course's end also what was treated before it was taken out."""
    changes = [fact for fact in known.record.facts(PrescriptionChanged) if fact.course_id == of.course_id]
    courses = [fact for fact in known.record.facts(RadiotherapyStarted) if fact.course_id == of.course_id]
    return targets(courses[0], changes, end) if courses else ()


def _given(target: Target, given: tuple[int, int] | None) -> str:
    if given is None:
        return f"{target.label}: delivered dose not recorded"
    fractions, dose = given
    planned = f"{counted(target.fractions, 'fraction')}, {gy(dose)} of {gy(target.total_dose_cgy)}"
    return f"{target.label}: delivered {fractions} of {planned}"


def _line_started(fact: SystemicTherapyStarted, _: Known) -> Told:
    names = agents(fact)
    planned = (f"{counted(fact.planned_cycles, 'cycle')} planned",) if fact.planned_cycles else ()
    setting = f"{fact.line_id}, {spoken(fact.setting)}"
    doses = tuple(_agent(each) for each in fact.agents if each.dose or each.schedule)
    more = {"line_id": fact.line_id, "agents": [each.name for each in fact.agents]}
    label = capital(" + ".join(each.name for each in fact.agents))
    return Told("systemic", f"{capital(names)} started", label, (setting, *doses, *planned), more)


def agents(line: SystemicTherapyStarted) -> str:
    return listed(agent.name for agent in line.agents)


def _agent(agent: Agent) -> str:
    dose = f"{amount(agent.dose)} {agent.unit or ''}".strip() if agent.dose else ""
    dose = f"AUC {amount(agent.dose)}" if agent.dose and agent.unit == "AUC" else dose
    return " ".join(some(agent.name, dose, agent.schedule or ""))


def _line_stopped(fact: SystemicTherapyStopped, known: Known) -> Told:
    line = known.lines.get(fact.line_id)
    given = (f"{counted(fact.cycles_given, 'cycle')} given",) if fact.cycles_given is not None else ()
    title = f"{capital(agents(line)) if line else fact.line_id} stopped: {spoken(fact.reason_code)}"
    return Told("systemic", title, detail=(fact.line_id, *given), more={"line_id": fact.line_id})


TELLS: Mapping[type[Fact], Tell] = {
    RadiotherapyStarted: _started,
    PrescriptionChanged: _changed,
    RadiotherapyCompleted: _ended,
    RadiotherapyDiscontinued: _ended,
    SystemicTherapyStarted: _line_started,
    SystemicTherapyStopped: _line_stopped,
}
