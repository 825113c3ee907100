"""Properties of all histories of all streams, with facts generated from their schemas."""

from __future__ import annotations

from datetime import date
from functools import partial
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from services.enrollment import gate as enrollment_gate
from services.enrollment.rules import participant, study, treatment
from services.followup import gate as followup_gate
from services.followup import rules as followup_rules
from services.toxicity import gate as toxicity_gate
from services.toxicity import rules as toxicity_rules
from shared.contracts import catalogue
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.gate import list_checks, participant_gate, planned_visits, text_checks
from shared.gate import study_timeline as studies
from shared.kernel.fact import Correction, Fact, Stream
from shared.kernel.record import Record, all_objections, current_record, decide
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    correction,
    member_granted,
    radiotherapy_started,
    site_activated,
    study_opened,
    target,
)
from shared.testing.builders.follow_up_facts import follow_up_recorded as seen
from shared.testing.builders.follow_up_facts import lost_to_follow_up, participant_died, vital_status_confirmed
from shared.testing.builders.generated import (
    NAMES,
    TREATMENT_FACTS,
    HistoryStrategies,
    build_record,
    facts_of_type,
    gates_of_type,
    participant_records,
    points_into,
    proposals_for,
)
from shared.testing.builders.toxicity_facts import (
    finding,
    serious_event_reported,
    serious_event_resolved,
    toxicity_assessed,
)
from shared.testing.spec import numbered_facts, open_gate

SEARCH = settings(max_examples=2000, phases=[Phase.generate], database=None)
SHARED_RULE_MODULES = (participant_gate, planned_visits, studies, text_checks, list_checks)
ALL_HISTORIES = (
    HistoryStrategies(
        STUDY,
        study.objections,
        (study, studies, text_checks, list_checks),
        ((), (study_opened(),), (study_opened(), site_activated("A"), member_granted("A", "monitor"))),
        st.just(partial(study.gate_objections, date.max)),
    ),
    HistoryStrategies(
        PARTICIPANT,
        participant.objections,
        (participant, treatment, enrollment_gate, *SHARED_RULE_MODULES),
        ((), ENROLLMENT_FACTS[:2], ENROLLMENT_FACTS, TREATMENT_FACTS),
        gates_of_type(enrollment_gate.EnrollmentGate, PARTICIPANT, st.sampled_from(NAMES)),
    ),
    HistoryStrategies(
        TOXICITY,
        toxicity_rules.objections,
        (toxicity_rules, toxicity_gate, *SHARED_RULE_MODULES),
        (
            (),
            (serious_event_reported("A", 0),),
            (serious_event_reported("A", 0), serious_event_resolved("A")),
            (toxicity_assessed(0, finding()),),
        ),
        gates_of_type(toxicity_gate.ToxicityGate, TOXICITY, enrollment_record=participant_records),
    ),
    HistoryStrategies(
        FOLLOWUP,
        followup_rules.objections,
        (followup_rules, followup_gate, *SHARED_RULE_MODULES),
        (
            (),
            (seen(0), vital_status_confirmed(2)),
            (participant_died(2), lost_to_follow_up(1)),
            (participant_died(None), seen("2024-02")),
        ),
        gates_of_type(followup_gate.FollowUpGate, FOLLOWUP, enrollment_record=participant_records),
    ),
)
every_stream = pytest.mark.parametrize("histories", ALL_HISTORIES, ids=str)
every_correctable_stream = pytest.mark.parametrize(
    "histories", [histories for histories in ALL_HISTORIES if histories.stream.correctable], ids=str
)
Data = st.DataObject


@pytest.mark.parametrize(
    ("stream", "kind"),
    [pytest.param(stream, kind, id=f"{stream.service}-{kind.type_name}") for stream, kind in catalogue.all_facts()],
)
def test_every_fact_type_is_generated(stream: Stream, kind: type[Fact]) -> None:
    find(proposals_for(stream), lambda fact: fact.type_name == kind.type_name, settings=SEARCH)


@pytest.mark.parametrize(
    ("histories", "kind"),
    [
        pytest.param(of, kind, id=f"{of}-{name}")
        for of in ALL_HISTORIES
        for name, kind in of.stream.declared_facts.items()
    ],
)
def test_every_fact_is_sometimes_admitted(histories: HistoryStrategies, kind: type[Fact]) -> None:
    def is_admitted(beginning_and_fact: tuple[tuple[Fact, ...], Fact]) -> bool:
        beginning, fact = beginning_and_fact
        return len(histories.run_proposals(beginning, [[fact]])) > len(beginning)

    find(st.tuples(histories.beginning, facts_of_type(kind)), is_admitted, settings=SEARCH)


@every_stream
@given(data=st.data())
def test_admitted_history_has_no_objections(histories: HistoryStrategies, data: Data) -> None:
    recorded = histories.run_proposals(
        data.draw(histories.beginning), data.draw(st.lists(histories.batch, max_size=10))
    )
    assert all_objections(current_record(recorded), histories.rules) == set()


@every_stream
@given(data=st.data())
def test_history_admitted_by_any_gate_has_no_objections(histories: HistoryStrategies, data: Data) -> None:
    recorded = histories.run_proposals(
        data.draw(histories.beginning), data.draw(st.lists(histories.batch, max_size=8)), data.draw(histories.gates)
    )
    assert all_objections(current_record(recorded), histories.rules) == set()


@every_stream
@given(data=st.data(), permuted_count=st.sampled_from([3, 4]))
def test_objections_do_not_depend_on_arrival_order(
    histories: HistoryStrategies, data: Data, permuted_count: int
) -> None:
    events = numbered_facts(
        [*data.draw(histories.beginning), *data.draw(st.lists(histories.fact, min_size=1, max_size=4))]
    )
    fixed, free = events[:-permuted_count], events[-permuted_count:]
    verdicts = [all_objections(Record((*fixed, *order)), histories.rules) for order in permutations(free)]
    verdicts.append(all_objections(Record(tuple(reversed(events))), histories.rules))
    assert all(verdict == verdicts[0] for verdict in verdicts)


@every_stream
@given(data=st.data())
def test_rules_raise_only_declared_objections_for_any_facts(histories: HistoryStrategies, data: Data) -> None:
    facts_drawn = data.draw(st.lists(histories.fact, max_size=12))
    raised = all_objections(build_record(facts_drawn), histories.rules)
    assert {objection.code for _, objection in raised} <= histories.declared_problem_codes
    assert all(points_into(facts_drawn[event.int - 1], objection.pointer) for event, objection in raised)


@every_stream
@given(data=st.data())
def test_gate_raises_only_declared_objections_for_any_fact(histories: HistoryStrategies, data: Data) -> None:
    facts_drawn, fact, gate = data.draw(
        st.tuples(st.lists(histories.fact, max_size=8), histories.proposal, histories.gates)
    )
    recorded, (proposed,) = numbered_facts(facts_drawn), numbered_facts([fact], len(facts_drawn) + 1)
    record = Record((*recorded, *(() if isinstance(fact, Correction) else (proposed,))))
    for stated_fact in (*recorded, proposed):
        raised = list(gate(record, stated_fact))
        assert {objection.code for objection in raised} <= histories.declared_problem_codes
        assert all(points_into(stated_fact.fact, objection.pointer) for objection in raised)


@every_correctable_stream
@given(data=st.data(), event=st.integers(1, 8))
def test_a_void_is_never_refused_by_the_gate(histories: HistoryStrategies, data: Data, event: int) -> None:
    facts_drawn, gate = data.draw(st.tuples(st.lists(histories.fact, min_size=1, max_size=8), histories.gates))
    (proposed,) = numbered_facts([correction(event, None)], len(facts_drawn) + 1)
    assert list(gate(build_record(facts_drawn), proposed)) == []


@every_correctable_stream
@given(data=st.data())
def test_corrected_fact_is_evaluated_like_the_fact_recorded_directly(histories: HistoryStrategies, data: Data) -> None:
    recorded = histories.run_proposals(data.draw(histories.beginning), data.draw(st.lists(histories.batch, max_size=6)))
    first, then = data.draw(histories.restatement)
    number = len(recorded) + 1
    corrected_history = [*recorded, *numbered_facts([first, correction(number, then)], number)]
    direct_history = [*recorded, *numbered_facts([then], number)]
    assert all_objections(current_record(corrected_history), histories.rules) == all_objections(
        current_record(direct_history), histories.rules
    )


@every_correctable_stream
@given(data=st.data())
@settings(max_examples=50)
def test_record_can_be_voided_completely_and_reinstated(histories: HistoryStrategies, data: Data) -> None:
    recorded = histories.run_proposals(data.draw(histories.beginning), data.draw(st.lists(histories.batch, max_size=6)))
    facts_by_id = {stated.event_id: stated.fact for stated in current_record(recorded).stated_facts}
    number = len(recorded) + 1
    emptied = [*recorded, *numbered_facts([correction(event, None) for event in facts_by_id], number)]
    decide(recorded, emptied[len(recorded) :], histories.rules, open_gate)
    assert current_record(emptied).stated_facts == ()
    again = numbered_facts([correction(event, fact) for event, fact in facts_by_id.items()], number + len(facts_by_id))
    record = decide(emptied, again, histories.rules, open_gate)
    assert {stated.event_id: stated.fact for stated in record.stated_facts} == facts_by_id


def test_points_into_resolves_pointers_within_the_fact() -> None:
    corrected = correction(UUID(int=1), radiotherapy_started(0, "A", target("A"), target("B")))
    assert points_into(corrected, "/replacement/data/targets/1/lesion_ids")
    assert not points_into(corrected, "/replacement/data/targets/2/lesion_ids")
    assert not points_into(corrected, "/targets")
