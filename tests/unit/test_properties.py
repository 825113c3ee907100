"""What holds of every history of every stream, whatever is stated: facts are made from their own schemas."""

from __future__ import annotations

from datetime import date
from functools import partial
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from services.enrollment import gate as enrollment_gate
from services.enrollment import participant, study, treatment
from services.followup import contact
from services.followup import gate as followup_gate
from services.toxicity import assessment
from services.toxicity import gate as toxicity_gate
from shared.contracts import catalogue
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.gate import doors, lists, texts
from shared.gate import study as studies
from shared.kernel.fact import Corrected, Fact, Stream
from shared.kernel.record import Record, decide, judge, standing
from shared.testing.facts import ON_STUDY, correction, course, granted, opened, site_activated, target
from shared.testing.followup_facts import alive, died, lost
from shared.testing.followup_facts import contact as seen
from shared.testing.generated import (
    NAMES,
    UNDER_TREATMENT,
    Histories,
    participants,
    points_into,
    proposed_in,
    record_of,
    stated,
    worlds,
)
from shared.testing.spec import history, open_gate
from shared.testing.toxicity_facts import assessed, finding, serious, serious_resolved

SEARCH = settings(max_examples=2000, phases=[Phase.generate], database=None)
SHARED = (doors, studies, texts, lists)
EVERY = (
    Histories(
        STUDY, study.objections, (study, studies, texts, lists),
        ((), (opened(),), (opened(), site_activated("A"), granted("A", "monitor"))),
        st.just(partial(study.gate, date.max)),
    ),
    Histories(
        PARTICIPANT, participant.objections, (participant, treatment, enrollment_gate, *SHARED),
        ((), ON_STUDY[:2], ON_STUDY, UNDER_TREATMENT),
        worlds(enrollment_gate.World, PARTICIPANT, st.sampled_from(NAMES)),
    ),
    Histories(
        TOXICITY, assessment.objections, (assessment, toxicity_gate, *SHARED),
        ((), (serious("A", 0),), (serious("A", 0), serious_resolved("A")), (assessed(0, finding()),)),
        worlds(toxicity_gate.World, TOXICITY, participant=participants),
    ),
    Histories(
        FOLLOWUP, contact.objections, (contact, followup_gate, *SHARED),
        ((), (seen(0), alive(2)), (died(2), lost(1)), (died(None), seen("2024-02"))),
        worlds(followup_gate.World, FOLLOWUP, participant=participants),
    ),
)  # fmt: skip
every_stream = pytest.mark.parametrize("of", EVERY, ids=str)
every_stream_that_is_corrected = pytest.mark.parametrize("of", [of for of in EVERY if of.stream.correctable], ids=str)
Data = st.DataObject


@pytest.mark.parametrize(
    ("stream", "kind"),
    [pytest.param(stream, kind, id=f"{stream.service}-{kind.type_name}") for stream, kind in catalogue.facts()],
)
def test_every_fact_that_may_be_stated_is_among_those_that_are_tried(stream: Stream, kind: type[Fact]) -> None:
    find(proposed_in(stream), lambda fact: fact.type_name == kind.type_name, settings=SEARCH)


@pytest.mark.parametrize(
    ("of", "kind"),
    [pytest.param(of, kind, id=f"{of}-{name}") for of in EVERY for name, kind in of.stream.declared.items()],
)
def test_every_fact_is_sometimes_admitted(of: Histories, kind: type[Fact]) -> None:
    def admitted(tried: tuple[tuple[Fact, ...], Fact]) -> bool:
        beginning, fact = tried
        return len(of.told(beginning, [[fact]])) > len(beginning)

    find(st.tuples(of.beginning, stated(kind)), admitted, settings=SEARCH)


@every_stream
@given(data=st.data())
def test_whatever_is_proposed_the_record_stays_without_objection(of: Histories, data: Data) -> None:
    past = of.told(data.draw(of.beginning), data.draw(st.lists(of.batch, max_size=10)))
    assert judge(standing(past), of.rules) == set()


@every_stream
@given(data=st.data())
def test_whatever_is_proposed_in_whatever_world_is_admitted_or_refused(of: Histories, data: Data) -> None:
    past = of.told(data.draw(of.beginning), data.draw(st.lists(of.batch, max_size=8)), data.draw(of.gates))
    assert judge(standing(past), of.rules) == set()


@every_stream
@given(data=st.data(), moved=st.sampled_from([3, 4]))
def test_the_order_of_arrival_does_not_change_what_is_objected(of: Histories, data: Data, moved: int) -> None:
    events = history([*data.draw(of.beginning), *data.draw(st.lists(of.fact, min_size=1, max_size=4))])
    fixed, free = events[:-moved], events[-moved:]
    verdicts = [judge(Record((*fixed, *order)), of.rules) for order in permutations(free)]
    verdicts.append(judge(Record(tuple(reversed(events))), of.rules))
    assert all(verdict == verdicts[0] for verdict in verdicts)


@every_stream
@given(data=st.data())
def test_rules_object_to_any_set_of_facts_in_declared_words_and_never_fail(of: Histories, data: Data) -> None:
    said = data.draw(st.lists(of.fact, max_size=12))
    raised = judge(record_of(said), of.rules)
    assert {objection.code for _, objection in raised} <= of.declared
    assert all(points_into(said[event.int - 1], objection.member) for event, objection in raised)


@every_stream
@given(data=st.data())
def test_the_gate_answers_to_any_fact_in_any_record_in_any_world(of: Histories, data: Data) -> None:
    said, fact, gate = data.draw(st.tuples(st.lists(of.fact, max_size=8), of.proposal, of.gates))
    past, (proposed,) = history(said), history([fact], len(said) + 1)
    record = Record((*past, *(() if isinstance(fact, Corrected) else (proposed,))))
    for asked in (*past, proposed):
        raised = list(gate(record, asked))
        assert {objection.code for objection in raised} <= of.declared
        assert all(points_into(asked.fact, objection.member) for objection in raised)


@every_stream_that_is_corrected
@given(data=st.data(), event=st.integers(1, 8))
def test_a_void_is_never_refused_by_the_gate(of: Histories, data: Data, event: int) -> None:
    said, gate = data.draw(st.tuples(st.lists(of.fact, min_size=1, max_size=8), of.gates))
    (proposed,) = history([correction(event, None)], len(said) + 1)
    assert list(gate(record_of(said), proposed)) == []


@every_stream_that_is_corrected
@given(data=st.data())
def test_a_fact_restated_is_judged_as_if_it_had_been_said_so_at_once(of: Histories, data: Data) -> None:
    past = of.told(data.draw(of.beginning), data.draw(st.lists(of.batch, max_size=6)))
    first, then = data.draw(of.restatement)
    number = len(past) + 1
    mended = [*past, *history([first, correction(number, then)], number)]
    meant = [*past, *history([then], number)]
    assert judge(standing(mended), of.rules) == judge(standing(meant), of.rules)


@every_stream_that_is_corrected
@given(data=st.data())
@settings(max_examples=50)
def test_a_record_can_be_voided_fact_by_fact_and_re_instated(of: Histories, data: Data) -> None:
    past = of.told(data.draw(of.beginning), data.draw(st.lists(of.batch, max_size=6)))
    stood = {each.event_id: each.fact for each in standing(past).stated}
    number = len(past) + 1
    emptied = [*past, *history([correction(event, None) for event in stood], number)]
    decide(past, emptied[len(past) :], of.rules, open_gate)
    assert standing(emptied).stated == ()
    again = history([correction(event, fact) for event, fact in stood.items()], number + len(stood))
    record = decide(emptied, again, of.rules, open_gate)
    assert {each.event_id: each.fact for each in record.stated} == stood


def test_a_pointer_is_looked_up_within_the_fact() -> None:
    said = correction(UUID(int=1), course(0, "A", target("A"), target("B")))
    assert points_into(said, "/replacement/data/targets/1/lesion_ids")
    assert not points_into(said, "/replacement/data/targets/2/lesion_ids")
    assert not points_into(said, "/targets")
