"""Facts generated from their schemas with few names and days, so that they refer to each other; and their histories."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property, partial
from types import ModuleType
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contracts.catalogue import PARTICIPANT, STUDY
from shared.contracts.problem_types import declared_problem_types
from shared.gate.participant_gate import ParticipantGate
from shared.kernel import record
from shared.kernel.fact import Correction, Fact, StatedFact, Stream
from shared.kernel.ids import new_participant_id
from shared.kernel.objection import RuleViolation
from shared.kernel.record import Gate, Record, Rules, decide
from shared.testing.builders.facts import (
    ENROLLMENT_FACTS,
    consent_withdrawn,
    correction,
    lesion_registered,
    participant_voided,
    protocol,
    protocol_amended,
    radiotherapy_started,
    site_activated,
    site_closed,
    study_closed,
    study_opened,
    systemic_therapy_started,
    target,
)
from shared.testing.spec import numbered_facts, open_gate

NAMES = ("A", "B")
DATES = ("2024-02-01", "2024-02-03", "2024-02-09", "2024-02", "2024-03", "2024", "2023")
WORDS = (
    *NAMES,
    *DATES,
    "IT",
    "Europe/Rome",
    "8021/3",
    "C73",
    "T4b",
    "N1b",
    "M1",
    "08:00",
    new_participant_id(),
    "3.0:0150",
    "3.0:0114",
    "5.0:0001",
    "course:A",
    "line:A",
    "line:B",
    "disease",
    "0" * 64,
    "5e" * 32,
)
TIMESTAMPS = ("2024-02-03T09:30:00+01:00", "2024-02-05T23:30:00-05:00", "2024-03-01T00:00:00Z")

# Facts


def values_of_schema(schema: dict[str, Any], outer_definitions: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Returns a strategy for JSON of a schema: every member and every choice, but few names and days."""
    definitions = outer_definitions or schema.get("$defs", {})
    match schema:
        case {"$ref": reference}:
            name = str(reference).rpartition("/")[2]
            return (
                STRATEGY_OVERRIDES[name]
                if name in STRATEGY_OVERRIDES
                else values_of_schema(definitions[name], definitions)
            )
        case {"const": value}:
            return st.just(value)
        case {"enum": values}:
            return st.sampled_from(values)
        case {"anyOf": choices} | {"oneOf": choices}:
            return st.one_of([values_of_schema(choice, definitions) for choice in choices])
        case {"type": "object"}:
            return _object_values(schema, definitions)
        case {"type": "array", "items": items}:
            return st.lists(values_of_schema(items, definitions), min_size=schema.get("minItems", 0), max_size=2)
        case _:
            return _scalar_values(schema)


def _object_values(schema: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    if patterns := schema.get("patternProperties"):
        (values,) = patterns.values()
        return st.dictionaries(st.sampled_from(NAMES), values_of_schema(values, definitions))
    members = {name: values_of_schema(member, definitions) for name, member in schema["properties"].items()}
    required_names = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: member for name, member in members.items() if name in required_names},
        optional={name: member for name, member in members.items() if name not in required_names},
    )


def _scalar_values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "string":
            return st.sampled_from(_matching_words(schema))
        case "integer":
            low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            total = low + schema["maximum"]
            middle = total // 20 * 10 if total > 20 else total // 2
            return st.sampled_from(sorted({low, middle, schema["maximum"]}))
        case "number":
            return st.just(12.5)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    raise TypeError(f"no value of {schema['type']}")


def _matching_words(schema: dict[str, Any]) -> list[str]:
    """Returns words that match the schema. If names match, there are no others, so that facts refer to each other."""
    match schema:
        case {"format": "date-time"}:
            return list(TIMESTAMPS)
        case {"pattern": pattern}:
            fitting = [word for word in WORDS if re.search(pattern, word)]
            return [word for word in fitting if word in NAMES] or fitting
    return list(WORDS)


@st.composite
def _targets(draw: st.DrawFn) -> dict[str, Any]:
    fractions, cgy_per_fraction = draw(st.sampled_from([(1, 800), (5, 700), (20, 250)]))
    lesions = draw(st.lists(st.sampled_from(NAMES), max_size=2))
    return target(draw(st.sampled_from(NAMES)), *lesions, fractions=fractions, cgy_per_fraction=cgy_per_fraction)


PLAN = protocol(
    NAMES, consent_versions=[{"version": "A", "valid_from": "2020-01-01"}, {"version": "B", "valid_from": "2024-02-05"}]
)
PLANS = [
    PLAN,
    protocol(("A",), minimum_age=90, follow_up={"for_months": 3}),
    protocol(("B",), toxicity={"dictionary": "ctcae-5.0"}),
]
STRATEGY_OVERRIDES = {
    "Target": _targets(),
    "Protocol": st.sampled_from([plan.model_dump(mode="json") for plan in PLANS]),
}


@cache
def facts_of_type(kind: type[Fact]) -> st.SearchStrategy[Fact]:
    """Returns the strategy for facts of a class. Validators reject what a schema cannot: a total dose that is no sum.

    It is built once for each class: the schema takes far longer than an example.
    """

    def validate_or_none(content: Any) -> Fact | None:
        try:
            return kind.model_validate(content)
        except ValidationError:
            return None

    facts = values_of_schema(kind.model_json_schema()).map(validate_or_none).filter(lambda fact: fact is not None)
    return facts.map(lambda fact: fact or kind())


def any_fact(stream: Stream) -> st.SearchStrategy[Fact]:
    """Returns a strategy for facts of a stream, without corrections."""
    return st.one_of([facts_of_type(kind) for kind in stream.declared_facts.values()])


def proposals_for(stream: Stream) -> st.SearchStrategy[Fact]:
    """Returns a strategy for facts of a stream and, if it can be corrected, corrections of its first events."""
    facts = any_fact(stream)
    return facts | st.builds(correction, st.integers(1, 9), st.none() | facts) if stream.correctable else facts


# Gates


def build_record(facts: Iterable[Fact]) -> Record:
    return Record(tuple(numbered_facts(facts)))


STUDY_HISTORIES: tuple[tuple[Fact, ...], ...] = (
    (),
    (study_opened(PLAN), site_activated("A"), site_activated("B")),
    (study_opened(PLAN), site_activated("A"), site_closed("A", 5), protocol_amended(4, PLANS[1]), study_closed(6)),
)
TREATMENT_FACTS = (
    *ENROLLMENT_FACTS,
    lesion_registered("A"),
    radiotherapy_started(0, "A", target("A", "A")),
    systemic_therapy_started(0, "A"),
)
PARTICIPANT_HISTORIES = (
    (),
    ENROLLMENT_FACTS,
    TREATMENT_FACTS,
    (*TREATMENT_FACTS, consent_withdrawn(5)),
    (*TREATMENT_FACTS, participant_voided()),
)
study_records = st.sampled_from([*map(build_record, STUDY_HISTORIES)]) | st.lists(any_fact(STUDY), max_size=6).map(
    build_record
)
participant_records = st.sampled_from([*map(build_record, PARTICIPANT_HISTORIES)]) | st.lists(
    any_fact(PARTICIPANT), max_size=6
).map(build_record)


def gates_of_type(
    gate_type: Callable[..., ParticipantGate],
    stream: Stream,
    *extra_arguments: st.SearchStrategy[Any],
    **extra_keywords: st.SearchStrategy[Any],
) -> st.SearchStrategy[Gate]:
    """Returns a strategy for gates of a service, over studies, participants, days and the facts before a correction."""
    days = st.sampled_from([date(2024, 2, 5), date(2025, 1, 1)])
    earlier_records = st.lists(any_fact(stream), max_size=4).map(lambda facts: partial(build_record, facts))
    gate_objects = st.builds(
        gate_type,
        study_records,
        days,
        st.sampled_from(NAMES),
        *extra_arguments,
        record_before=earlier_records,
        **extra_keywords,
    )
    return gate_objects.map(lambda gate_object: gate_object.objections)


# Histories


@dataclass(frozen=True, eq=False)
class HistoryStrategies:
    """Strategies for the histories that the rules of a stream admit, from each beginning and with any gate.

    `modules` declare the problem types that the rules and the gates may raise beside those of `kernel/record.py`.
    """

    stream: Stream
    rules: Rules
    modules: tuple[ModuleType, ...]
    beginnings: tuple[tuple[Fact, ...], ...]
    gates: st.SearchStrategy[Gate]

    def __str__(self) -> str:
        return f"{self.stream.service}-{self.stream.subject}"

    @cached_property
    def beginning(self) -> st.SearchStrategy[tuple[Fact, ...]]:
        return st.sampled_from(self.beginnings)

    @cached_property
    def fact(self) -> st.SearchStrategy[Fact]:
        return any_fact(self.stream)

    @cached_property
    def proposal(self) -> st.SearchStrategy[Fact]:
        return proposals_for(self.stream)

    @cached_property
    def batch(self) -> st.SearchStrategy[list[Fact]]:
        return st.lists(self.proposal, min_size=1, max_size=3)

    @cached_property
    def restatement(self) -> st.SearchStrategy[tuple[Fact, Fact]]:
        """A strategy for two facts of one type."""
        return self.fact.flatmap(lambda fact: st.builds(lambda other: (fact, other), facts_of_type(type(fact))))

    @cached_property
    def declared_problem_codes(self) -> frozenset[str]:
        return frozenset(problem.code for problem in declared_problem_types(record, *self.modules))

    def run_proposals(
        self, beginning: tuple[Fact, ...], proposals: Iterable[list[Fact]], gate: Gate = open_gate
    ) -> list[StatedFact[Fact]]:
        """Returns the history after one proposal after another, of which some are refused.

        Raises LookupError for a refusal with an undeclared problem type.
        """
        stated_facts = list(numbered_facts(beginning))
        for proposed in proposals:
            events = numbered_facts([_aim_correction(fact, stated_facts) for fact in proposed], len(stated_facts) + 1)
            try:
                decide(stated_facts, events, self.rules, gate)
                stated_facts += events
            except RuleViolation as violation:
                undeclared = {
                    objection.code for _, objection in violation.raised_objections
                } - self.declared_problem_codes
                if undeclared:
                    raise LookupError(f"no problem type: {undeclared}") from None
        return stated_facts


def _aim_correction(fact: Fact, stated_facts: list[StatedFact[Fact]]) -> Fact:
    """Returns the fact; a correction of an even number with an event of the type that it restates, if there is one."""
    replacement = fact.replacement_fact if isinstance(fact, Correction) and fact.event_id.int % 2 == 0 else None
    candidates = [
        event.event_id for event in stated_facts if replacement and event.fact.type_name == replacement.type_name
    ]
    return correction(candidates[len(stated_facts) % len(candidates)], replacement) if candidates else fact


def points_into(fact: Fact, pointer: str) -> bool:
    """Returns whether the pointer names a member within the fact, given or left out."""
    value: Any = fact
    for step in pointer.split("/")[1:]:
        if isinstance(value, tuple) and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, Mapping):
            value = value.get(step)
        elif hasattr(value, step) and step in type(value).model_fields:
            value = getattr(value, step)
        else:
            return False
    return True
