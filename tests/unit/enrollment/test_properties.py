"""What holds of every history, whatever is stated: facts are made from their own schemas, over few ids and days."""

from __future__ import annotations

import re
from datetime import date
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.enrollment import gate as gates
from services.enrollment import participant, study, treatment
from services.enrollment.gate import World
from shared.contracts.catalogue import PARTICIPANT, STUDY
from shared.gate import doors
from shared.gate import study as studies
from shared.kernel.fact import Corrected, Fact, Stated, Stream
from shared.kernel.ids import new_participant_id
from shared.kernel.record import Gate, Record, Refused, Rules, decide, judge, standing
from shared.testing.facts import (
    ON_STUDY,
    amended,
    correction,
    course,
    lesion,
    line,
    opened,
    protocol,
    site_activated,
    site_closed,
    study_closed,
    target,
)
from shared.testing.spec import history, open_gate
from shared.web.problem_types import problem_types

DECLARED = set(problem_types([participant, treatment, study, gates, doors, studies]))
SEARCH = settings(max_examples=2000, phases=[Phase.generate], database=None)
NAMES = ("A", "B")
DATES = ("2024-02-01", "2024-02-03", "2024-02-09", "2024-02", "2024-03", "2024", "2023")
WORDS = (*NAMES, *DATES, "IT", "Europe/Rome", "8021/3", "C73", "T4b", "N1b", "M1", "08:00", new_participant_id())


def made_of(schema: dict[str, Any], within: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """JSON of a schema: every member and choice of it, but few names and days, so that facts meet."""
    definitions = within or schema.get("$defs", {})
    match schema:
        case {"$ref": reference}:
            name = str(reference).rpartition("/")[2]
            return SHORT_CUTS[name] if name in SHORT_CUTS else made_of(definitions[name], definitions)
        case {"const": value}:
            return st.just(value)
        case {"enum": values}:
            return st.sampled_from(values)
        case {"anyOf": choices} | {"oneOf": choices}:
            return st.one_of([made_of(choice, definitions) for choice in choices])
        case {"type": "object"}:
            return _members(schema, definitions)
        case {"type": "array", "items": items}:
            return st.lists(made_of(items, definitions), min_size=schema.get("minItems", 0), max_size=2)
        case _:
            return _value(schema)


def _members(schema: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    if patterns := schema.get("patternProperties"):
        (values,) = patterns.values()
        return st.dictionaries(st.sampled_from(NAMES), made_of(values, definitions))
    members = {name: made_of(member, definitions) for name, member in schema["properties"].items()}
    needed = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: member for name, member in members.items() if name in needed},
        optional={name: member for name, member in members.items() if name not in needed},
    )


def _value(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "string":
            return st.sampled_from([word for word in WORDS if re.search(schema.get("pattern", ""), word)])
        case "integer":
            low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            return st.sampled_from(sorted({low, (low + schema["maximum"]) // 20 * 10, schema["maximum"]}))
        case "number":
            return st.just(12.5)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    raise TypeError(f"no value of {schema['type']}")


@st.composite
def _targets(draw: st.DrawFn) -> dict[str, Any]:
    fractions, each = draw(st.sampled_from([(1, 800), (5, 700), (20, 250)]))
    lesions = draw(st.lists(st.sampled_from(NAMES), max_size=2))
    return target(draw(st.sampled_from(NAMES)), *lesions, fractions=fractions, each=each)


PLAN = protocol(
    NAMES, consent_versions=[{"version": "A", "valid_from": "2020-01-01"}, {"version": "B", "valid_from": "2024-02-05"}]
)
PLANS = [PLAN, protocol(("A",), minimum_age=90), protocol(("B",))]
SHORT_CUTS = {"Target": _targets(), "Protocol": st.sampled_from([plan.model_dump(mode="json") for plan in PLANS])}


def stated(kind: type[Fact]) -> st.SearchStrategy[Fact]:
    """Facts of a class; what its schema cannot say (doses add up, scales have steps) its validators sort out."""

    def said(content: Any) -> Fact | None:
        try:
            return kind.model_validate(content)
        except ValidationError:
            return None

    made = made_of(kind.model_json_schema()).map(said).filter(lambda fact: fact is not None)
    return made.map(lambda fact: fact or kind())


def any_of(stream: Stream) -> st.SearchStrategy[Fact]:
    return st.one_of([stated(kind) for kind in stream.declared.values()])


facts, study_facts = any_of(PARTICIPANT), any_of(STUDY)
corrections = st.builds(correction, st.integers(1, 9), st.none() | facts)
restatements = facts.flatmap(lambda fact: st.builds(lambda other: (fact, other), stated(type(fact))))
UNDER_TREATMENT = (*ON_STUDY, lesion("A"), course(0, "A", target("A", "A")), line(0, "A"))
beginnings = st.sampled_from([(), ON_STUDY[:2], ON_STUDY, UNDER_TREATMENT])
batches = st.lists(facts | corrections, min_size=1, max_size=3)

STUDIES: tuple[tuple[Fact, ...], ...] = (
    (),
    (opened(PLAN), site_activated("A"), site_activated("B")),
    (opened(PLAN), site_activated("A"), site_closed("A", 5), amended(4, PLANS[1]), study_closed(6)),
)
worlds = st.builds(
    World,
    st.sampled_from([Record(tuple(history(said))) for said in STUDIES]) | st.lists(study_facts, max_size=6).map(
        lambda said: Record(tuple(history(said)))
    ),
    st.sampled_from([date(2024, 2, 5), date(2025, 1, 1)]),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
)  # fmt: skip


def _aimed(fact: Fact, past: list[Stated[Fact]]) -> Fact:
    """A correction of an even number means, where there is one, an event of the type that it restates."""
    said = fact.restated if isinstance(fact, Corrected) and fact.event_id.int % 2 == 0 else None
    same = [event.event_id for event in past if said and event.fact.type_name == said.type_name]
    return correction(same[len(past) % len(same)], said) if same else fact


def told(beginning: tuple[Fact, ...], proposals: list[list[Fact]], rules: Rules, gate: Gate) -> list[Stated[Fact]]:
    """The history that comes of one proposal after another, of which some are refused."""
    past = list(history(beginning))
    for proposed in proposals:
        events = history([_aimed(fact, past) for fact in proposed], len(past) + 1)
        try:
            decide(past, events, rules, gate)
            past += events
        except Refused as refused:
            undeclared = {objection.code for _, objection in refused.raised} - DECLARED
            if undeclared:
                raise LookupError(f"no problem type: {undeclared}") from None
    return past


@pytest.mark.parametrize("kind", [*PARTICIPANT.facts.values(), *STUDY.facts.values()], ids=lambda kind: kind.type_name)
def test_every_fact_that_may_be_stated_is_among_those_that_are_tried(kind: type[Fact]) -> None:
    find(facts | corrections | study_facts, lambda fact: fact.type_name == kind.type_name, settings=SEARCH)


@pytest.mark.parametrize("kind", PARTICIPANT.declared.values(), ids=lambda kind: kind.type_name)
def test_every_fact_of_a_participant_is_sometimes_admitted(kind: type[Fact]) -> None:
    def admitted(tried: tuple[tuple[Fact, ...], Fact]) -> bool:
        beginning, fact = tried
        return len(told(beginning, [[fact]], participant.objections, open_gate)) > len(beginning)

    find(st.tuples(beginnings, stated(kind)), admitted, settings=SEARCH)


@given(beginnings, st.lists(batches, max_size=10))
def test_whatever_is_proposed_the_record_stays_without_objection(
    beginning: tuple[Fact, ...], proposals: list[list[Fact]]
) -> None:
    past = told(beginning, proposals, participant.objections, open_gate)
    assert judge(standing(past), participant.objections) == set()


@given(st.lists(st.lists(study_facts, min_size=1, max_size=2), max_size=8))
def test_whatever_is_proposed_of_a_study_its_record_stays_without_objection(proposals: list[list[Fact]]) -> None:
    past = told((opened(),), proposals, study.objections, study.gate)
    assert judge(standing(past), study.objections) == set()


@given(beginnings, st.lists(batches, max_size=8), worlds)
def test_whatever_is_proposed_in_whatever_world_is_admitted_or_refused(
    beginning: tuple[Fact, ...], proposals: list[list[Fact]], world: World
) -> None:
    past = told(beginning, proposals, participant.objections, world.gate)
    assert judge(standing(past), participant.objections) == set()


@given(beginnings, st.lists(facts, min_size=1, max_size=4), st.sampled_from([3, 4]))
def test_the_order_of_arrival_does_not_change_what_is_objected(
    beginning: tuple[Fact, ...], said: list[Fact], moved: int
) -> None:
    events = history([*beginning, *said])
    fixed, free = events[:-moved], events[-moved:]
    verdicts = [judge(Record((*fixed, *order)), participant.objections) for order in permutations(free)]
    verdicts.append(judge(Record(tuple(reversed(events))), participant.objections))
    assert all(verdict == verdicts[0] for verdict in verdicts)


@given(st.lists(study_facts, max_size=4))
def test_the_order_of_arrival_does_not_change_what_is_objected_of_a_study(said: list[Fact]) -> None:
    verdicts = [judge(Record(order), study.objections) for order in permutations(history(said))]
    assert all(verdict == verdicts[0] for verdict in verdicts)


@given(st.lists(facts, max_size=12))
def test_rules_object_to_any_set_of_facts_in_declared_words_and_never_fail(said: list[Fact]) -> None:
    raised = judge(Record(tuple(history(said))), participant.objections)
    assert {objection.code for _, objection in raised} <= DECLARED
    assert all(_points_into(said[event.int - 1], objection.member) for event, objection in raised)


@given(st.lists(study_facts, max_size=12))
def test_rules_of_a_study_object_in_declared_words_and_never_fail(said: list[Fact]) -> None:
    record = Record(tuple(history(said)))
    raised = judge(record, study.objections)
    raised |= {(each.event_id, objection) for each in record.stated for objection in study.gate(record, each)}
    assert {objection.code for _, objection in raised} <= DECLARED
    assert all(_points_into(said[event.int - 1], objection.member) for event, objection in raised)


@given(st.lists(facts, max_size=8), facts | corrections, worlds)
def test_the_gate_answers_to_any_fact_in_any_record_in_any_world(said: list[Fact], fact: Fact, world: World) -> None:
    (proposed,) = history([fact], len(said) + 1)
    record = Record((*history(said), *(() if isinstance(fact, Corrected) else (proposed,))))
    raised = list(world.gate(record, proposed))
    assert {objection.code for objection in raised} <= DECLARED
    assert all(_points_into(fact, objection.member) for objection in raised)


@given(st.lists(facts, min_size=1, max_size=8), st.integers(1, 8), worlds)
def test_a_void_is_never_refused_by_the_gate(said: list[Fact], event: int, world: World) -> None:
    (proposed,) = history([correction(event, None)], len(said) + 1)
    assert list(world.gate(Record(tuple(history(said))), proposed)) == []


@given(beginnings, st.lists(batches, max_size=6), restatements)
def test_a_fact_restated_is_judged_as_if_it_had_been_said_so_at_once(
    beginning: tuple[Fact, ...], proposals: list[list[Fact]], restated: tuple[Fact, Fact]
) -> None:
    past, (first, then) = told(beginning, proposals, participant.objections, open_gate), restated
    number = len(past) + 1
    mended = [*past, *history([first, correction(number, then)], number)]
    meant = [*past, *history([then], number)]
    assert judge(standing(mended), participant.objections) == judge(standing(meant), participant.objections)


@given(beginnings, st.lists(batches, max_size=6))
@settings(max_examples=50)
def test_a_record_can_be_voided_fact_by_fact_and_re_instated(
    beginning: tuple[Fact, ...], proposals: list[list[Fact]]
) -> None:
    past = told(beginning, proposals, participant.objections, open_gate)
    stood = {each.event_id: each.fact for each in standing(past).stated}
    number = len(past) + 1
    emptied = [*past, *history([correction(event, None) for event in stood], number)]
    decide(past, emptied[len(past) :], participant.objections, open_gate)
    assert standing(emptied).stated == ()
    again = history([correction(event, fact) for event, fact in stood.items()], number + len(stood))
    record = decide(emptied, again, participant.objections, open_gate)
    assert {each.event_id: each.fact for each in record.stated} == stood


def _points_into(fact: Fact, pointer: str) -> bool:
    """Does the pointer name something within the fact, whether it was said or left out?"""
    here: Any = fact
    for step in pointer.split("/")[1:]:
        if isinstance(here, tuple) and int(step) < len(here):
            here = here[int(step)]
        elif hasattr(here, step) and step in type(here).model_fields:
            here = getattr(here, step)
        else:
            return False
    return True


def test_a_pointer_is_looked_up_within_the_fact() -> None:
    said = correction(UUID(int=1), course(0, "A", target("A"), target("B")))
    assert _points_into(said, "/replacement/data/targets/1/lesion_ids")
    assert not _points_into(said, "/replacement/data/targets/2/lesion_ids")
    assert not _points_into(said, "/targets")
