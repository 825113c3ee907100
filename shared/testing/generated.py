"""Facts made of their own schemas, over few names and days, so that they meet; and the histories that come of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from types import ModuleType
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contracts.catalogue import PARTICIPANT, STUDY
from shared.gate.doors import Surroundings
from shared.kernel.fact import Corrected, Fact, Stated, Stream
from shared.kernel.ids import new_participant_id
from shared.kernel.record import Gate, Record, Refused, Rules, decide
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
    voided,
    withdrawn,
)
from shared.testing.spec import history, open_gate
from shared.web.problem_types import problem_types

NAMES = ("A", "B")
DATES = ("2024-02-01", "2024-02-03", "2024-02-09", "2024-02", "2024-03", "2024", "2023")
WORDS = (
    *NAMES, *DATES, "IT", "Europe/Rome", "8021/3", "C73", "T4b", "N1b", "M1", "08:00", new_participant_id(),
    "3.0:0150", "3.0:0114", "5.0:0001", "course:A", "line:A", "line:B", "disease", "0" * 64, "5e" * 32,
)  # fmt: skip
MOMENTS = ("2024-02-03T09:30:00+01:00", "2024-02-05T23:30:00-05:00", "2024-03-01T00:00:00Z")

# Facts


def made_of(schema: dict[str, Any], within: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """JSON of a schema: every member and choice of it, but few names and days."""
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
            return st.sampled_from(_texts(schema))
        case "integer":
            low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            both = low + schema["maximum"]
            middle = both // 20 * 10 if both > 20 else both // 2
            return st.sampled_from(sorted({low, middle, schema["maximum"]}))
        case "number":
            return st.just(12.5)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    raise TypeError(f"no value of {schema['type']}")


def _texts(schema: dict[str, Any]) -> list[str]:
    """Where a pattern admits names, nothing else: those that are given to things are to be met again."""
    match schema:
        case {"format": "date-time"}:
            return list(MOMENTS)
        case {"pattern": pattern}:
            fitting = [word for word in WORDS if re.search(pattern, word)]
            return [word for word in fitting if word in NAMES] or fitting
    return list(WORDS)


@st.composite
def _targets(draw: st.DrawFn) -> dict[str, Any]:
    fractions, each = draw(st.sampled_from([(1, 800), (5, 700), (20, 250)]))
    lesions = draw(st.lists(st.sampled_from(NAMES), max_size=2))
    return target(draw(st.sampled_from(NAMES)), *lesions, fractions=fractions, each=each)


PLAN = protocol(
    NAMES, consent_versions=[{"version": "A", "valid_from": "2020-01-01"}, {"version": "B", "valid_from": "2024-02-05"}]
)
PLANS = [
    PLAN,
    protocol(("A",), minimum_age=90, follow_up={"for_months": 3}),
    protocol(("B",), toxicity={"dictionary": "ctcae-5.0"}),
]
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
    """Whatever may be stated in a stream but corrections."""
    return st.one_of([stated(kind) for kind in stream.declared.values()])


def proposed_in(stream: Stream) -> st.SearchStrategy[Fact]:
    """Whatever may be stated in a stream: where it can be corrected, corrections of its first events too."""
    facts = any_of(stream)
    return facts | st.builds(correction, st.integers(1, 9), st.none() | facts) if stream.correctable else facts


# Worlds


def record_of(said: Iterable[Fact]) -> Record:
    return Record(tuple(history(said)))


STUDIES: tuple[tuple[Fact, ...], ...] = (
    (),
    (opened(PLAN), site_activated("A"), site_activated("B")),
    (opened(PLAN), site_activated("A"), site_closed("A", 5), amended(4, PLANS[1]), study_closed(6)),
)
UNDER_TREATMENT = (*ON_STUDY, lesion("A"), course(0, "A", target("A", "A")), line(0, "A"))
PARTICIPANTS = ((), ON_STUDY, UNDER_TREATMENT, (*UNDER_TREATMENT, withdrawn(5)), (*UNDER_TREATMENT, voided()))
studies = st.sampled_from([*map(record_of, STUDIES)]) | st.lists(any_of(STUDY), max_size=6).map(record_of)
participants = st.sampled_from([*map(record_of, PARTICIPANTS)]) | st.lists(any_of(PARTICIPANT), max_size=6).map(
    record_of
)  # fmt: skip


def worlds(
    world: Callable[..., Surroundings], stream: Stream, *more: st.SearchStrategy[Any], **known: st.SearchStrategy[Any]
) -> st.SearchStrategy[Gate]:
    """Gates of that kind of world, in whatever study, on whatever day; whatever a correction may have restated."""
    days = st.sampled_from([date(2024, 2, 5), date(2025, 1, 1)])
    earlier = st.lists(any_of(stream), max_size=4).map(lambda said: partial(record_of, said))
    made = st.builds(world, studies, days, st.sampled_from(NAMES), *more, earlier=earlier, **known)
    return made.map(lambda each: each.gate)


# Histories


@dataclass(frozen=True, eq=False)
class Histories:
    """What can come of a stream by its rules: from any of its beginnings, in any of its worlds.

    `modules` are those that object, of which the problem types are read off.
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
        return any_of(self.stream)

    @cached_property
    def proposal(self) -> st.SearchStrategy[Fact]:
        return proposed_in(self.stream)

    @cached_property
    def batch(self) -> st.SearchStrategy[list[Fact]]:
        return st.lists(self.proposal, min_size=1, max_size=3)

    @cached_property
    def restatement(self) -> st.SearchStrategy[tuple[Fact, Fact]]:
        """Two facts of one type."""
        return self.fact.flatmap(lambda fact: st.builds(lambda other: (fact, other), stated(type(fact))))

    @cached_property
    def declared(self) -> frozenset[str]:
        return frozenset(problem_types(self.modules))

    def told(
        self, beginning: tuple[Fact, ...], proposals: Iterable[list[Fact]], gate: Gate = open_gate
    ) -> list[Stated[Fact]]:
        """The history that comes of one proposal after another, of which some are refused.

        Raises LookupError for a refusal that is no problem type.
        """
        past = list(history(beginning))
        for proposed in proposals:
            events = history([_aimed(fact, past) for fact in proposed], len(past) + 1)
            try:
                decide(past, events, self.rules, gate)
                past += events
            except Refused as refused:
                undeclared = {objection.code for _, objection in refused.raised} - self.declared
                if undeclared:
                    raise LookupError(f"no problem type: {undeclared}") from None
        return past


def _aimed(fact: Fact, past: list[Stated[Fact]]) -> Fact:
    """A correction of an even number means, where there is one, an event of the type that it restates."""
    said = fact.restated if isinstance(fact, Corrected) and fact.event_id.int % 2 == 0 else None
    same = [event.event_id for event in past if said and event.fact.type_name == said.type_name]
    return correction(same[len(past) % len(same)], said) if same else fact


def points_into(fact: Fact, pointer: str) -> bool:
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
