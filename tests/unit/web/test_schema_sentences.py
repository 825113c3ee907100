"""Every fault that pydantic finds is told in a sentence of ours, which says what would be right and repeats nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core.core_schema import ErrorType

from services.analytics.api import Parameters
from services.analytics.api_participants import ParticipantPageParameters
from services.analytics.api_queries import Paged
from services.enrollment.app import NewStudy
from services.toxicity.dictionaries_api import Sought
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.kernel.fact import one_of
from shared.kernel.patterns import explain_pattern, sentence_of
from shared.web.problems import schema_faults
from shared.web.routes import Headers
from shared.web.schema_sentences import FALLBACK, sentence
from shared.web.search import Search

STREAMS = (STUDY, PARTICIPANT, TOXICITY, FOLLOWUP)
PARAMETERS = (Headers, Parameters, Paged, ParticipantPageParameters, Sought)
ROOTS: list[type[BaseModel]] = [*(fact for stream in STREAMS for fact in stream.facts.values()), NewStudy, Search]
MARK = "MARK-8a5f"
WRONG: tuple[Any, ...] = (
    None, True, -1, 1.5, 10**7, 10**30, float("inf"), "", " ", MARK, f"{MARK} é", f"{MARK}\x07", MARK * 1000,
    "2024-02-31", "1066", [], {}, [MARK], {MARK: MARK}, [{}], {"type": MARK}, b"\xff",
)  # fmt: skip
PYDANTIC = re.compile(r"should|Input|Field required|Value error|\[A-Z|\{[0-9]|\$|Extra inputs|Unable|valid string")
SENTENCES = re.compile(r"[A-Z`a-z].*\.", re.DOTALL)


def models(annotation: Any, seen: set[Any]) -> Iterator[type[BaseModel]]:
    """The model, and every one that its members lead to."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation, seen)
    for argument in get_args(annotation):
        yield from models(argument, seen)


def all_models() -> list[type[BaseModel]]:
    seen: set[Any] = set()
    return [model for root in (*ROOTS, *PARAMETERS) for model in models(root, seen)]


def patterns(schema: object) -> Iterator[str]:
    """Every pattern by which pydantic refuses a text."""
    if isinstance(schema, dict):
        if schema.get("type") == "str" and "pattern" in schema:
            yield schema["pattern"]
        for each in schema.values():
            yield from patterns(each)
    elif isinstance(schema, list | tuple):
        for each in schema:
            yield from patterns(each)


def messages(adapter: TypeAdapter[Any], value: Any) -> list[str]:
    try:
        adapter.validate_python(value)
    except ValidationError as wrong:
        errors = [{**each, "loc": ("body", *each["loc"])} for each in wrong.errors(include_input=False)]
        return [fault.message for fault in schema_faults(errors, value, ())]
    return []


def test_every_pattern_is_declared_with_a_sentence() -> None:
    declared = {pattern for model in all_models() for pattern in patterns(model.__pydantic_core_schema__)}
    assert len(declared) > 15, "patterns are found at all"
    assert [pattern for pattern in declared if not sentence_of(pattern)] == []


def test_a_pattern_has_one_sentence() -> None:
    pattern = explain_pattern("^only-in-this-test$", "Give this.")
    assert explain_pattern(pattern, "Give this.") == pattern
    with pytest.raises(TypeError):
        explain_pattern(pattern, "Give that.")


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_no_kind_of_error_is_told_in_the_words_of_pydantic(kind: str) -> None:
    """`value_error` is our own sentence by itself."""
    if kind == "value_error":
        return
    for context in ({}, {"pattern": "^x$"}, {"min_length": 1, "max_length": 1, "gt": 1, "ge": 1, "lt": 1, "le": 1}):
        said = sentence({"type": kind, "msg": "Input should be other", "ctx": {**context, "tag": MARK, "error": MARK}})
        assert SENTENCES.fullmatch(said), said
        assert "Input" not in said
        assert MARK not in said
        assert "{" not in said


@pytest.mark.parametrize("model", all_models(), ids=lambda model: model.__name__)
def test_whatever_is_wrong_with_a_member_is_told_in_a_sentence_of_ours(model: type[BaseModel]) -> None:
    adapter = TypeAdapter(model)
    values = [value for value in WRONG if isinstance(value, str)] if model in PARAMETERS else WRONG
    for name, value in product(model.model_fields, values):
        for message in messages(adapter, {name: value}):
            assert SENTENCES.fullmatch(message), f"{model.__name__}.{name}: {message}"
            assert not PYDANTIC.search(message), f"{model.__name__}.{name}: {message}"
            assert MARK not in message
            assert message != FALLBACK, f"{model.__name__}.{name}: this kind of error has no sentence"


def test_an_entry_of_an_unknown_type_is_told_the_types() -> None:
    adapter = TypeAdapter[Any](one_of(PARTICIPANT.facts.values()))
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
def test_a_sentence_says_what_would_be_right(fact: str, member: str, value: Any, words: tuple[str, ...]) -> None:
    kind = {**PARTICIPANT.facts, **FOLLOWUP.facts}[fact]
    said = " ".join(messages(TypeAdapter(kind), {member: value}))
    assert all(word in said for word in words), said
