"""Values that forms offer: lesions, courses, criteria, terms and what else a service knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256

from shared.contracts.enrollment import LesionRegistered
from shared.contracts.study import SiteActivated
from shared.contracts.toxicity import SeriousEventReported
from shared.contracts.treatment import (
    CourseEnd,
    PrescriptionChanged,
    RadiotherapyCompleted,
    RadiotherapyDiscontinued,
    RadiotherapyStarted,
    SystemicTherapyStarted,
    SystemicTherapyStopped,
    Target,
)
from shared.gate.study_timeline import protocol_periods, site_is_closed
from shared.kernel.partial_date import PartialDate
from shared.kernel.presentation import Offer, code_in_words
from shared.kernel.zones import country_names, place_zones, zones_of_country
from shared.protocol.schedule import Visit
from shared.terminology import ctcae
from shared.ui.forms.context import FormContext, Offered
from shared.ui.forms.visits import ParticipantVisits, describe_visit

PROTOCOL_OFFERS: frozenset[Offer] = frozenset({"criteria", "consent_versions", "symptoms", "checklist"})
"""Offers that follow the protocol, and so the day that a form gives."""
_WORDED_OFFERS: tuple[Offer, ...] = ("criteria", "failure_reasons", "reminder_steps")
MakeOffer = Callable[[FormContext], Iterator[Offered]]
"""Yields the values of one offer."""
_INCLUSION = {"met": "Fulfilled", "not_met": "Not fulfilled", "not_assessed": "Not assessed", "waived": "Waived"}
_EXCLUSION = {"met": "Absent", "not_met": "Present", "not_assessed": "Not assessed", "waived": "Present, waived"}
_CAUSES = {
    "course": "Radiotherapy",
    "line": "Systemic therapy",
    "disease": "Disease",
    "other": "Other cause",
}
_END_REASONS = ("toxicity", "progression", "refusal", "planned", "other")
_TARGET_NAMES = ("PTV", "PTV_High", "PTV_Mid", "PTV_Low", "GTV", "CTV", "PTVp", "PTVn", "PTV_Boost")


def offered(context: FormContext, offer: Offer) -> Sequence[Offered]:
    """Returns the values that a form offers, in their order."""
    return list(_OFFERS[offer](context)) if offer in _OFFERS else []


def worded_offers(context: FormContext) -> Mapping[Offer, Mapping[str, Offered]]:
    """Returns the values whose words the study decides, by offer and value, for pages that show recorded facts."""
    return {offer: {item.value: item for item in offered(context, offer)} for offer in _WORDED_OFFERS}


def describe_unoffered(context: FormContext, offer: Offer, value: str) -> Offered:
    """Returns a value that an offer does not have in words: that of a visit that is over, or of a course that ended."""
    every_choice = _EVERY[offer](context) if offer in _EVERY else ()
    name = f"Visit {value}" if offer in _VISIT_OFFERS else value
    stranger = Offered(value, f"{name} (not among those offered)")
    return next((choice for choice in every_choice if choice.value == value), stranger)


def questions(context: FormContext, offers: Iterable[Offer]) -> str:
    """Returns a short name of the questions that the protocol asks in a form: other questions have another."""
    by_offer = [[offer, offered(context, offer)] for offer in sorted(set(offers) & PROTOCOL_OFFERS)]
    return sha256(repr(by_offer).encode()).hexdigest()[:16] if by_offer else ""


def no_longer_asked(context: FormContext, offer: Offer) -> frozenset[str]:
    """Returns the ids of the questions that only the protocols of other days ask."""
    if offer != "criteria":
        return frozenset()
    every_id = {item.id for period in protocol_periods(context.study) for item in period.protocol.criteria}
    return frozenset(every_id - {item.value for item in offered(context, offer)})


def _sites(context: FormContext) -> Iterator[Offered]:
    today = PartialDate.from_day(context.today)
    for site in context.study.facts_of(SiteActivated):
        if not site_is_closed(context.study, site.site_id, today) and (
            context.sites is None or site.site_id in context.sites
        ):
            note = context.site_notes.get(site.site_id, "")
            yield Offered(site.site_id, f"{site.name} ({site.site_id}){note}")


def _every_site(context: FormContext) -> Iterator[Offered]:
    return (Offered(site.site_id, f"{site.name} ({site.site_id})") for site in context.study.facts_of(SiteActivated))


def _other_sites(context: FormContext) -> Iterator[Offered]:
    for site in context.study.facts_of(SiteActivated):
        if site.site_id != context.site_id and not site_is_closed(
            context.study, site.site_id, PartialDate.from_day(context.today)
        ):
            yield Offered(site.site_id, f"{site.name} ({site.site_id})")


def _criteria(context: FormContext) -> Iterator[Offered]:
    for criterion in context.protocol.criteria if context.protocol else ():
        is_inclusion = criterion.kind == "inclusion"
        label = f"{'Inclusion' if is_inclusion else 'Exclusion'}: {criterion.text}"
        yield Offered(criterion.id, label, _INCLUSION if is_inclusion else _EXCLUSION)


def _failure_reasons(context: FormContext) -> Iterator[Offered]:
    for criterion in _criteria(context):
        yield Offered(criterion.value, criterion.label)
    for reason, label in (("refused", "Refused to take part"), ("died", "Died"), ("other", "Other reason")):
        yield Offered(reason, label)


def _consent_versions(context: FormContext) -> Iterator[Offered]:
    for form in sorted(context.protocol.consent_versions if context.protocol else (), key=lambda form: form.valid_from):
        yield Offered(form.version, f"{form.version}, from {form.valid_from}")


def _symptoms(context: FormContext) -> Iterator[Offered]:
    for symptom in context.protocol.symptoms if context.protocol else ():
        yield Offered(symptom, code_in_words(symptom.replace("-", " ")))


def _lesions(context: FormContext) -> Iterator[Offered]:
    for lesion in context.enrollment.facts_of(LesionRegistered):
        side = [code_in_words(lesion.laterality).lower()] if lesion.laterality else []
        parts = [lesion.kind, code_in_words(lesion.body_site).lower(), *side]
        yield Offered(lesion.lesion_id, f"{lesion.lesion_id}: {', '.join(parts)}")


def _courses(context: FormContext) -> Iterator[Offered]:
    for course in context.enrollment.facts_of(RadiotherapyStarted):
        label = f"{course.course_id}: {code_in_words(course.intent).lower()}, from {course.started_on}"
        yield Offered(course.course_id, label)


def _running_courses(context: FormContext) -> Iterator[Offered]:
    kinds: tuple[type[CourseEnd], ...] = (RadiotherapyCompleted, RadiotherapyDiscontinued)
    ended = {end.course_id for kind in kinds for end in context.enrollment.facts_of(kind)}
    return (course for course in _courses(context) if course.value not in ended)


def _lines(context: FormContext) -> Iterator[Offered]:
    for line in context.enrollment.facts_of(SystemicTherapyStarted):
        agents = ", ".join(agent.name for agent in line.agents)
        yield Offered(line.line_id, f"{line.line_id}: {agents}, from {line.on}")


def _running_lines(context: FormContext) -> Iterator[Offered]:
    stopped = {stop.line_id for stop in context.enrollment.facts_of(SystemicTherapyStopped)}
    return (line for line in _lines(context) if line.value not in stopped)


def prescribed_targets(context: FormContext) -> tuple[Target, ...]:
    """Returns the targets in force of the course that the form names, or of the only running one."""
    running = [course.value for course in _running_courses(context)]
    course_id = context.course_id or (running[0] if len(running) == 1 else "")
    prescriptions = [
        *context.enrollment.facts_of(RadiotherapyStarted),
        *context.enrollment.facts_of(PrescriptionChanged),
    ]
    matching = [prescription.targets for prescription in prescriptions if prescription.course_id == course_id]
    return matching[-1] if matching else ()


def _targets(context: FormContext) -> Iterator[Offered]:
    for target in prescribed_targets(context):
        dose = f"{target.fractions} × {target.dose_per_fraction_cgy} cGy"
        yield Offered(target.target_id, f"{target.target_id}: {target.label}, {dose} prescribed")


def cause_in_words(cause: str) -> str:
    """Returns what may have caused an adverse event in words, such as "Radiotherapy RT1" for `course:RT1`."""
    kind, _, treatment = cause.partition(":")
    return f"{_CAUSES.get(kind, kind)} {treatment}".strip()


def _causes(context: FormContext) -> Iterator[Offered]:
    for kind, treatments in (("course", _courses), ("line", _lines)):
        for treatment in treatments(context):
            yield Offered(f"{kind}:{treatment.value}", cause_in_words(f"{kind}:{treatment.label}"))
    for cause in ("disease", "other"):
        yield Offered(cause, cause_in_words(cause))


def _serious_events(context: FormContext) -> Iterator[Offered]:
    for event in context.own.facts_of(SeriousEventReported):
        yield Offered(event.serious_event_id, f"{event.serious_event_id}: {term_name(event.term)}")


def term_name(term_id: str) -> str:
    """Returns the name of a CTCAE term; its id if no dictionary has it."""
    return ctcae.TermNames().get(term_id, term_id)


def _checklist(context: FormContext) -> Iterator[Offered]:
    for term_id in context.protocol.toxicity.checklist if context.protocol else ():
        yield Offered(term_id, term_name(term_id))


def _all_visits(context: FormContext) -> Iterator[Offered]:
    """Yields the visits with their dates, or by their months where no date is fixed yet."""
    dated = {visit.number: describe_visit(visit) for visit in context.visits.visits}
    plan = context.protocol.follow_up if context.protocol else None
    for number in range(1, len(plan.windows) + 1) if plan and not dated else dated:
        months = number * plan.every_months if plan else 0
        yield Offered(str(number), dated.get(number, f"Visit {number}: {months} months"))


def _some_visits(choose: Callable[[ParticipantVisits, date], Iterator[Visit]]) -> MakeOffer:
    """Returns the offer of those visits that are chosen; of all, where no date is fixed yet."""

    def offer(context: FormContext) -> Iterator[Offered]:
        if not context.visits.visits:
            yield from _all_visits(context)
        for visit in choose(context.visits, context.today):
            yield Offered(str(visit.number), describe_visit(visit))

    return offer


def _visit_courses(context: FormContext) -> Iterator[Offered]:
    """Yields the courses that have visits of their own; none unless the protocol follows each course."""
    if context.protocol and context.protocol.follow_up.anchor_policy == "per_course":
        yield from _courses(context)


def _reminder_steps(_: FormContext) -> Iterator[Offered]:
    yield Offered("open", "When the window opens")
    yield Offered("target", "On the target day")
    yield Offered("overdue", "When the visit is overdue")


def _countries(_: FormContext) -> Iterator[Offered]:
    return (Offered(code, name) for code, name in sorted(country_names().items(), key=lambda pair: pair[1]))


def _zones(context: FormContext) -> Iterator[Offered]:
    """Yields the zones of places, those of the country that the form gives first."""
    first = zones_of_country(context.country)
    return (Offered(zone, zone) for zone in (*first, *sorted(place_zones() - set(first))))


def _codes(codes: Iterable[str]) -> MakeOffer:
    return lambda _: (Offered(code, code_in_words(code) if code.islower() else code) for code in sorted(codes))


def _next_id(prefix: str, ids: MakeOffer) -> MakeOffer:
    def next_id(context: FormContext) -> Iterator[Offered]:
        used_ids = {offered.value for offered in ids(context)}
        number = next(number for number in range(1, len(used_ids) + 2) if f"{prefix}{number}" not in used_ids)
        yield Offered(f"{prefix}{number}", "")

    return next_id


_VISIT_OFFERS: frozenset[Offer] = frozenset({"visits", "open_visits", "coming_visits"})
_EVERY: Mapping[Offer, MakeOffer] = {
    "sites": _every_site,
    "other_sites": _every_site,
    "running_courses": _courses,
    "visit_courses": _courses,
    "running_lines": _lines,
    "open_visits": _all_visits,
    "coming_visits": _all_visits,
}
"""Everything of a kind, by the offers that leave some of it out."""
_OFFERS: Mapping[Offer, MakeOffer] = {
    "sites": _sites,
    "other_sites": _other_sites,
    "criteria": _criteria,
    "failure_reasons": _failure_reasons,
    "consent_versions": _consent_versions,
    "symptoms": _symptoms,
    "lesions": _lesions,
    "next_lesion": _next_id("L", _lesions),
    "courses": _courses,
    "running_courses": _running_courses,
    "next_course": _next_id("RT", _courses),
    "targets": _targets,
    "running_lines": _running_lines,
    "next_line": _next_id("S", _lines),
    "causes": _causes,
    "serious_events": _serious_events,
    "next_serious_event": _next_id("SAE", _serious_events),
    "checklist": _checklist,
    "visits": _all_visits,
    "open_visits": _some_visits(ParticipantVisits.open_on),
    "coming_visits": _some_visits(ParticipantVisits.coming_on),
    "visit_courses": _visit_courses,
    "reminder_steps": _reminder_steps,
    "reasons": _codes(_END_REASONS),
    "target_names": _codes(_TARGET_NAMES),
    "countries": _countries,
    "zones": _zones,
}
