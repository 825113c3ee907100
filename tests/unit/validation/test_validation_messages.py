"""Every error of pydantic has a sentence of ours, which states what is expected and quotes no input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core.core_schema import ErrorType

from services.analytics.figures.parameters import CohortParameters, FigureFileParameters
from services.analytics.participants.api import ParticipantPageParameters
from services.analytics.queries.api import QueryPageParameters
from services.enrollment.opening import NewStudy
from services.toxicity.ctcae_api import TermSearch
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.kernel.fact import fact_union
from shared.kernel.patterns import explain_pattern, find_sentence
from shared.validation.validation_messages import FALLBACK, schema_faults, validation_message
from shared.web.fact_recording import RequestHeaders
from shared.web.reference_search import Search

STREAMS = (STUDY, PARTICIPANT, TOXICITY, FOLLOWUP)
PARAMETERS = (
    RequestHeaders,
    FigureFileParameters,
    CohortParameters,
    QueryPageParameters,
    ParticipantPageParameters,
    TermSearch,
)
ROOTS: list[type[BaseModel]] = [*(fact for stream in STREAMS for fact in stream.facts.values()), NewStudy, Search]
MARK = "MARK-8a5f"
INVALID_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    10**7,
    10**30,
    float("inf"),
    "",
    " ",
    MARK,
    f"{MARK} é",
    f"{MARK}\x07",
    MARK * 1000,
    "2024-02-31",
    "1066",
    [],
    {},
    [MARK],
    {MARK: MARK},
    [{}],
    {"type": MARK},
    b"\xff",
)
PYDANTIC_WORDING = re.compile(
    r"should|Input|Field required|Value error|\[A-Z|\{[0-9]|\$|Extra inputs|Unable|valid string"
)
SENTENCE = re.compile(r"[A-Z`a-z].*\.", re.DOTALL)


def models_in(annotation: Any, visited: set[Any]) -> Iterator[type[BaseModel]]:
    """Yields the models of a type and of all their members."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in visited:
        visited.add(annotation)
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation, visited)
    for argument in get_args(annotation):
        yield from models_in(argument, visited)


def all_models() -> list[type[BaseModel]]:
    visited: set[Any] = set()
    return [model for root in (*ROOTS, *PARAMETERS) for model in models_in(root, visited)]


def patterns(schema: object) -> Iterator[str]:
    """Yields the pattern of every text in a core schema of pydantic."""
    if isinstance(schema, dict):
        if schema.get("type") == "str" and "pattern" in schema:
            yield schema["pattern"]
        for child in schema.values():
            yield from patterns(child)
    elif isinstance(schema, list | tuple):
        for child in schema:
            yield from patterns(child)


def messages(adapter: TypeAdapter[Any], value: Any) -> list[str]:
    try:
        adapter.validate_python(value)
    except ValidationError as wrong:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in wrong.errors(include_input=False)]
        return [fault.message for fault in schema_faults(errors, value, ())]
    return []


@pytest.mark.parametrize(
    ("loc", "message"),
    [
        (("query", "cut"), "cut: Give a whole number."),
        (("header", "If-Match"), "header If-Match: Give a whole number."),
        (("path", "event_id"), "path event_id: Give a whole number."),
    ],
)
def test_fault_outside_the_body_begins_with_the_name_of_its_place(loc: tuple[str, str], message: str) -> None:
    (fault,) = schema_faults([{"type": "int_parsing", "loc": loc, "msg": ""}], None, ())
    assert (fault.message, fault.pointer) == (message, "")


def test_every_pattern_has_an_explanation() -> None:
    for model in all_models():
        model.model_rebuild()  # the validator of a fact is built on first use
    declared = {pattern for model in all_models() for pattern in patterns(model.__pydantic_core_schema__)}
    assert len(declared) > 15, "patterns are found at all"
    assert [pattern for pattern in declared if not find_sentence(pattern)] == []


def test_pattern_has_only_one_explanation() -> None:
    pattern = explain_pattern("^only-in-this-test$", "Give this.")
    assert explain_pattern(pattern, "Give this.") == pattern
    with pytest.raises(TypeError):
        explain_pattern(pattern, "Give that.")


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_every_pydantic_error_type_has_its_own_sentence(kind: str) -> None:
    """`value_error` has no sentence of its own, since its message is ours."""
    if kind == "value_error":
        return
    for context in ({}, {"pattern": "^x$"}, {"min_length": 1, "max_length": 1, "gt": 1, "ge": 1, "lt": 1, "le": 1}):
        message = validation_message(
            {"type": kind, "msg": "Input should be other", "ctx": {**context, "tag": MARK, "error": MARK}}
        )
        assert SENTENCE.fullmatch(message), message
        assert "Input" not in message
        assert MARK not in message
        assert "{" not in message


@pytest.mark.parametrize("model", all_models(), ids=lambda model: model.__name__)
def test_every_member_error_is_explained_in_own_words(model: type[BaseModel]) -> None:
    adapter = TypeAdapter(model)
    values = [value for value in INVALID_VALUES if isinstance(value, str)] if model in PARAMETERS else INVALID_VALUES
    for name, value in product(model.model_fields, values):
        for message in messages(adapter, {name: value}):
            assert SENTENCE.fullmatch(message), f"{model.__name__}.{name}: {message}"
            assert not PYDANTIC_WORDING.search(message), f"{model.__name__}.{name}: {message}"
            assert MARK not in message
            assert message != FALLBACK, f"{model.__name__}.{name}: this kind of error has no sentence"


def test_error_for_an_unknown_type_lists_the_types() -> None:
    adapter = TypeAdapter[Any](fact_union(PARTICIPANT.facts.values()))
    (message,) = messages(adapter, {"type": MARK, "data": {}})
    assert "lesion.registered" in message
    assert MARK not in message
    (missing,) = messages(adapter, {"data": {}})
    assert "`type` is missing" in missing
    (version,) = messages(adapter, {"type": "lesion.registered", "schema_version": 4711, "data": {}})
    assert "4711" not in version


@pytest.mark.parametrize(
    ("fact", "member", "value", "words"),
    [
        ("lesion.registered", "lesion_id", "L 1", ("1 to 32 characters", "Begin with a letter")),
        ("participant.baseline_recorded", "histology", "8070", ("ICD-O-3", "8070/3")),
        ("radiotherapy.prescription_changed", "reason_code", "progressive disease", ("without blanks",)),
        ("lesion.registered", "size_mm", 0, ("greater than 0",)),
        ("lesion.registered", "size_mm", 2000, ("at most 1000",)),
        ("participant.screened", "sex", "m", ("'female'", "'unknown'")),
        ("participant.died", "died_on", "-8", ("YYYY-MM", "null")),
    ],
)
def test_error_message_says_what_is_valid(fact: str, member: str, value: Any, words: tuple[str, ...]) -> None:
    kind = {**PARTICIPANT.facts, **FOLLOWUP.facts}[fact]
    message_text = " ".join(messages(TypeAdapter(kind), {member: value}))
    assert all(word in message_text for word in words), message_text
