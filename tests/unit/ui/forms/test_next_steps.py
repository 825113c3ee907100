"""A page leads on to the facts that are likely next, and only to facts that the rules accept as things stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import pytest

from services.enrollment.rules import participant
from services.followup import rules as follow_up_rules
from services.toxicity import rules as toxicity_rules
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.kernel.fact import Fact
from shared.kernel.record import Record
from shared.security.grants import Grant, Rights
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from shared.testing.spec import numbered_facts
from shared.ui.forms.context import FormContext
from shared.ui.forms.next_steps import likely_facts, next_study_links

TODAY = date(2024, 12, 1)
SCREENED = (facts.participant_screened(),)
CONSENTED = (*SCREENED, facts.consent_signed())
ENROLLED = (*CONSENTED, facts.participant_enrolled())
IN_TREATMENT = (*ENROLLED, facts.lesion_registered(), facts.radiotherapy_started(0))
TREATED = (*IN_TREATMENT, facts.radiotherapy_completed())
WITH_BASELINE = (*TREATED, facts.baseline_recorded())
ON_SYSTEMIC_THERAPY = (*WITH_BASELINE, facts.systemic_therapy_started())
INELIGIBLE = (facts.participant_screened(criteria={"histology": "met", "rt-indicated": "not_met"}), *CONSENTED[1:])
REPORTED = toxicity.serious_event_reported()
STATES: Mapping[str, Sequence[Fact]] = {
    "screened": SCREENED,
    "screening failure": (*SCREENED, facts.screening_failed()),
    "consented": CONSENTED,
    "consented, not eligible": INELIGIBLE,
    "enrolled": ENROLLED,
    "in treatment": IN_TREATMENT,
    "treated": TREATED,
    "treated, with a baseline": WITH_BASELINE,
    "on systemic therapy": ON_SYSTEMIC_THERAPY,
    "in a second course": (*WITH_BASELINE, facts.radiotherapy_started(60, "RT2", index=False)),
    "withdrawn": (*WITH_BASELINE, facts.consent_withdrawn(90)),
    "voided": (*WITH_BASELINE, facts.participant_voided()),
    "transferred": (*WITH_BASELINE, facts.participant_transferred("milan", 90)),
}
OWN_STATES: Mapping[str, Sequence[Fact]] = {
    "nothing": (),
    "an adverse event": (REPORTED,),
    "a resolved adverse event": (REPORTED, toxicity.serious_event_resolved()),
    "a contact": (followup.follow_up_recorded(95),),
    "a death": (followup.participant_died(100),),
    "a loss": (followup.lost_to_follow_up(100),),
    "a loss that ended": (followup.lost_to_follow_up(100), followup.follow_up_resumed(120)),
}
EXAMPLES: Mapping[str, Fact] = {
    example.type_name: example
    for example in (
        *(facts.consent_signed(), facts.screening_failed(), facts.participant_enrolled(), facts.baseline_recorded()),
        *(facts.lesion_registered("L9"), facts.procedure_performed(), facts.systemic_therapy_started(0, "S9")),
        *(facts.radiotherapy_started(0, "RT9", index=False), facts.systemic_therapy_stopped(0)),
        *(toxicity.toxicity_assessed(0, toxicity.finding()), toxicity.serious_event_reported("SAE9")),
        *(toxicity.serious_event_updated(), toxicity.serious_event_resolved()),
        *(followup.follow_up_recorded(95), followup.disease_progressed(40, "L1"), followup.vital_status_confirmed(50)),
        *(followup.lost_to_follow_up(130), followup.follow_up_resumed(140)),
    )
}
"""An example of every fact that is ever likely next, but the end of a course, which names the one that is running."""
COURSE_ENDS = {
    "radiotherapy.completed": facts.radiotherapy_completed,
    "radiotherapy.discontinued": facts.radiotherapy_discontinued,
}


def record_of(stated: Sequence[Fact]) -> Record:
    return Record(tuple(numbered_facts(stated)))


def context_of(state: Sequence[Fact], own: Sequence[Fact] | None = None, *study: Fact) -> FormContext:
    """Returns what a service knows: enrollment if `own` is None, else the service that stated those facts."""
    opened = (facts.study_opened(), facts.site_activated(), *study)
    enrollment = record_of(state)
    return FormContext(
        study=record_of(opened),
        enrollment=enrollment,
        own=enrollment if own is None else record_of(own),
        today=TODAY,
        site_id="rome",
    )


def is_accepted(name: str, state: Sequence[Fact], own: Sequence[Fact]) -> bool:
    """Returns whether the rules of the fact's service accept it in the record as it stands."""
    ends = [COURSE_ENDS[name](70, course) for course in ("RT1", "RT2")] if name in COURSE_ENDS else [EXAMPLES[name]]
    rules, earlier = (
        (participant.objections, state)
        if name in PARTICIPANT.facts
        else (toxicity_rules.objections, own)
        if name in TOXICITY.facts
        else (follow_up_rules.objections, own)
    )
    for fact in ends:
        record = record_of([*earlier, fact])
        if not list(rules(record, record.stated_facts[-1])):
            return True
    return False


@pytest.mark.parametrize("own_state", OWN_STATES)
@pytest.mark.parametrize("state", STATES)
def test_likely_next_facts_are_accepted_in_every_state_of_a_participant(state: str, own_state: str) -> None:
    own = OWN_STATES[own_state]
    every_type = [*PARTICIPANT.declared_facts, *TOXICITY.declared_facts, *FOLLOWUP.declared_facts, "record.corrected"]
    for context in (context_of(STATES[state]), context_of(STATES[state], own)):
        own_facts = own if context.own is not context.enrollment else ()
        for type_name in every_type:
            names = likely_facts(context, type_name)
            assert [name for name in names if not is_accepted(name, STATES[state], own_facts)] == []


@pytest.mark.parametrize(
    ("state", "after", "likely"),
    [
        ("screened", "participant.screened", ["participant.consented", "participant.screen_failed"]),
        ("consented", "participant.consented", ["participant.enrolled", "participant.screen_failed"]),
        ("consented, not eligible", "participant.consented", ["participant.screen_failed"]),
        ("enrolled", "participant.enrolled", ["participant.baseline_recorded", "lesion.registered"]),
        ("treated, with a baseline", "participant.enrolled", ["lesion.registered"]),
        ("in treatment", "lesion.registered", ["lesion.registered", "procedure.performed"]),
        ("treated", "radiotherapy.completed", ["toxicity.assessed", "followup.recorded"]),
        ("treated", "radiotherapy.started", ["toxicity.assessed"]),
        ("treated, with a baseline", "participant.baseline_recorded", ["lesion.registered", "toxicity.assessed"]),
        ("treated, with a baseline", "record.corrected", ["followup.recorded", "toxicity.assessed"]),
        ("treated, with a baseline", "disease.progressed", ["systemic_therapy.started", "radiotherapy.started"]),
        ("on systemic therapy", "systemic_therapy.started", ["toxicity.assessed", "systemic_therapy.stopped"]),
        ("screening failure", "participant.screen_failed", []),
        ("withdrawn", "participant.withdrawn", []),
        ("voided", "participant.voided", []),
    ],
)  # fmt: skip
def test_likely_next_facts_follow_from_the_fact_and_from_what_stands(state: str, after: str, likely: list[str]) -> None:
    assert likely_facts(context_of(STATES[state]), after) == likely


def test_nothing_but_adverse_events_is_likely_after_a_death() -> None:
    context = context_of(WITH_BASELINE, OWN_STATES["a death"])
    assert likely_facts(context, "participant.died") == ["toxicity.serious_event_reported"]
    assert likely_facts(context, "followup.recorded") == []


def test_return_is_likely_while_a_participant_is_lost() -> None:
    lost = context_of(WITH_BASELINE, OWN_STATES["a loss"])
    assert likely_facts(lost, "participant.lost") == ["participant.follow_up_resumed"]
    back = context_of(WITH_BASELINE, OWN_STATES["a loss that ended"])
    assert likely_facts(back, "participant.follow_up_resumed") == ["followup.recorded", "toxicity.assessed"]


def test_report_of_an_adverse_event_is_likely_until_its_final_report() -> None:
    for own_state, is_likely in (("an adverse event", True), ("a resolved adverse event", False)):
        names = likely_facts(context_of(WITH_BASELINE, OWN_STATES[own_state]), REPORTED.type_name)
        assert ("toxicity.serious_event_resolved" in names) == is_likely


def test_nothing_is_likely_after_the_end_of_a_site_or_a_study_and_no_enrollment_after_that_of_accrual() -> None:
    for closure in (facts.site_closed("rome", 30), facts.study_closed(30)):
        assert likely_facts(context_of(ENROLLED, None, closure), "participant.enrolled") == []
    assert likely_facts(context_of(CONSENTED, None, facts.accrual_closed(30)), "participant.consented") == [
        "participant.screen_failed"
    ]


def test_closed_study_leads_to_neither_a_site_nor_another_closure() -> None:
    rights = Rights("administrator", frozenset({Grant("administrator", None)}))
    record = record_of((facts.study_opened(), facts.accrual_closed(), facts.study_closed()))
    for type_name in STUDY.declared_facts:
        addresses = [link.href for link in next_study_links("study", record, rights, type_name)]
        assert not [address for address in addresses if "site_activated" in address or address.endswith("closed")]
