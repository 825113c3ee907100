"""Rules of the language itself: what a fact may hold, how it is named, and that stating it touches nothing."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Annotated, Any, get_args

import pytest
from pydantic import Field, StringConstraints

from shared.contracts import catalogue, streams
from shared.contracts.schemas import schema_name
from shared.kernel import dates, fact, ids, sealed, text
from shared.kernel.dates import ClinicalDate, Day
from shared.kernel.fact import Fact, Member, Role
from shared.kernel.ids import Code, ParticipantId
from shared.kernel.sealed import Sealed
from shared.kernel.text import Line
from shared.protocol import protocol

FACTS = {
    schema_name(stream.service, cls.type_name, cls.schema_version): (stream, cls) for stream, cls in catalogue.facts()
}
OF_PARTICIPANTS = {name: cls for name, (stream, cls) in FACTS.items() if stream.subject == "participant"}
LISTED_EXCEPTIONS: frozenset[tuple[str, str]] = frozenset()
"""(fact, JSON pointer) of texts in the clear, held to no pattern, in a participant's fact. There are none."""
IRREGULAR = {"lost", "taken", "withdrawn"}
MODULES = (*catalogue.LANGUAGE, catalogue, streams, protocol, dates, fact, ids, sealed, text)
PURE = {
    "__future__", "calendar", "collections", "dataclasses", "datetime", "functools", "json", "pydantic",
    "pydantic_core", "re", "secrets", "time", "typing", "unicodedata", "uuid", "zoneinfo",
}  # fmt: skip
OURS = ("shared.kernel", "shared.contracts", "shared.protocol")
every_fact = pytest.mark.parametrize("cls", [cls for _, cls in FACTS.values()], ids=FACTS.keys())


def texts_in_the_clear(cls: type[Fact]) -> Iterator[str]:
    """JSON pointer of every text, key or unconstrained value in a fact that could hold anything at all."""
    schema = cls.model_json_schema()
    yield from _in_the_clear(schema, "")
    for name, definition in schema.get("$defs", {}).items():
        yield from _in_the_clear(definition, f"/{name}")


def _in_the_clear(schema: dict[str, Any], pointer: str) -> Iterator[str]:
    if _could_be_any_text(schema):
        yield pointer
    if schema.get("type") == "object" and _has_free_keys(schema):
        yield f"{pointer}/*"
    for member, within in _members(schema):
        yield from _in_the_clear(within, f"{pointer}{member}")


def _members(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for keyword in ("properties", "patternProperties"):
        for name, member in schema.get(keyword, {}).items():
            yield f"/{name}" if keyword == "properties" else "/*", member
    for keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for member in schema.get(keyword, ()):
            yield "", member
    for keyword in ("items", "additionalProperties"):
        if isinstance(member := schema.get(keyword), dict):
            yield "/*", member


def _could_be_any_text(schema: dict[str, Any]) -> bool:
    told = {"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"} & schema.keys()
    if schema.get("type") != "string":
        return not told
    named = {"enum", "const"} & schema.keys() or schema.get("format") in ("uuid", "date", "date-time")
    return not (named or schema.get("x-sealed") or _anchored(schema.get("pattern", "")))


def _anchored(pattern: str) -> bool:
    return pattern.startswith("^") and pattern.endswith("$")


def _has_free_keys(schema: dict[str, Any]) -> bool:
    if "properties" in schema:
        return schema.get("additionalProperties") is not False
    return bool(schema.get("additionalProperties", "patternProperties" not in schema)) or not all(
        _anchored(pattern) for pattern in schema.get("patternProperties", {})
    )


@pytest.mark.parametrize("cls", OF_PARTICIPANTS.values(), ids=OF_PARTICIPANTS.keys())
def test_a_fact_about_a_participant_holds_no_text_in_the_clear(cls: type[Fact]) -> None:
    found = {(cls.type_name, pointer) for pointer in texts_in_the_clear(cls)}
    assert found <= LISTED_EXCEPTIONS, "seal it, or hold it to an enumeration or a pattern"


class Inner(Member):
    note: str


class Clear(Fact):
    plain: str
    line: Line
    unanchored: Annotated[str, StringConstraints(pattern="[a-z]+")]
    optional: str | None
    listed: tuple[str, ...]
    by_code: dict[Code, str]
    by_text: dict[str, int]
    anything: Any
    inner: Inner


class Covered(Fact):
    code: Code
    participant: ParticipantId
    on: ClinicalDate
    day: Day | None
    reason: Sealed
    remarks: dict[Code, Sealed]
    counts: Annotated[tuple[int, ...], Field(max_length=3)]


def test_the_lint_finds_every_way_to_state_a_text_in_the_clear() -> None:
    assert sorted(texts_in_the_clear(Clear)) == [
        "/Inner/note", "/anything", "/by_code/*", "/by_text/*", "/line", "/listed/*", "/optional", "/plain",
        "/unanchored",
    ]  # fmt: skip


def test_the_lint_lets_ids_dates_and_sealed_texts_pass() -> None:
    assert list(texts_in_the_clear(Covered)) == []


@every_fact
def test_a_fact_is_named_for_a_thing_and_what_happened_to_it(cls: type[Fact]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", cls.type_name)
    happened = cls.type_name.rpartition(".")[2].rpartition("_")[2]
    assert happened.endswith("ed") or happened in IRREGULAR, f"{happened} is no past participle"


@every_fact
def test_the_clinical_date_of_a_fact_is_a_member_and_a_date(cls: type[Fact]) -> None:
    if cls.date_field is None:
        return
    member = cls.model_json_schema()["properties"][cls.date_field]
    shapes = [shape.get("pattern", "") for shape in (member, *member.get("anyOf", ()))]
    assert any(re.search(pattern, "2024-03-07") for pattern in shapes if _anchored(pattern))
    assert not any(re.search(pattern, "someday") for pattern in shapes if _anchored(pattern))


@every_fact
def test_a_fact_may_be_stated_by_roles_that_exist(cls: type[Fact]) -> None:
    assert cls.by
    assert cls.by <= set(get_args(Role))


@every_fact
def test_every_earlier_version_of_a_fact_can_be_brought_up(cls: type[Fact]) -> None:
    assert set(cls.upcasts) == set(range(1, cls.schema_version))


def test_a_type_is_stated_in_one_stream_only_but_for_corrections() -> None:
    names = [cls.type_name for _, cls in catalogue.facts() if cls.type_name != "record.corrected"]
    assert len(names) == len(set(names))


def test_every_module_of_the_language_declares_a_fact() -> None:
    declared = {cls.__module__ for _, cls in catalogue.facts()}
    assert {module.__name__ for module in catalogue.LANGUAGE} <= declared


def imported(module: ModuleType) -> Iterator[str]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(name)):
                yield name


def called(module: ModuleType) -> Iterator[str]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.__name__))
def test_stating_a_fact_touches_no_file_network_or_service(module: ModuleType) -> None:
    foreign = [name for name in imported(module) if name.partition(".")[0] not in PURE and not name.startswith(OURS)]
    assert foreign == []
    assert not {"open", "print", "input", "exec", "eval", "__import__"} & set(called(module))
