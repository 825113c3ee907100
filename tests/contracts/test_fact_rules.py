"""Rules for fact classes: their members, their names, and that their modules import nothing with side effects."""

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
from shared.contracts.json_schemas import schema_name
from shared.kernel import fact, ids, partial_date, sealed_text, text
from shared.kernel.fact import Fact, FactPart, Role
from shared.kernel.ids import Code, ParticipantId
from shared.kernel.partial_date import ClinicalDate, Day
from shared.kernel.sealed_text import SealedString
from shared.kernel.text import ShortText
from shared.protocol import protocol

FACTS = {
    schema_name(stream.service, cls.type_name, cls.schema_version): (stream, cls)
    for stream, cls in catalogue.all_facts()
}
PARTICIPANT_FACTS = {name: cls for name, (stream, cls) in FACTS.items() if stream.subject == "participant"}
LISTED_EXCEPTIONS: frozenset[tuple[str, str]] = frozenset()
"""(Fact type, JSON pointer) of unsealed texts without a pattern in facts of a participant. There are none."""
IRREGULAR = {"lost", "taken", "withdrawn"}
MODULES = (*catalogue.FACT_MODULES, catalogue, streams, protocol, partial_date, fact, ids, sealed_text, text)
ALLOWED_IMPORTS = {
    "__future__",
    "calendar",
    "collections",
    "dataclasses",
    "datetime",
    "functools",
    "json",
    "pydantic",
    "pydantic_core",
    "re",
    "secrets",
    "time",
    "typing",
    "unicodedata",
    "uuid",
    "zoneinfo",
}
OWN_PACKAGES = ("shared.kernel", "shared.contracts", "shared.protocol")
every_fact = pytest.mark.parametrize("cls", [cls for _, cls in FACTS.values()], ids=FACTS.keys())


def texts_in_the_clear(cls: type[Fact]) -> Iterator[str]:
    """Yields the JSON pointer of every text, key or value in a fact that nothing restricts."""
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
    type_keywords = {"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"} & schema.keys()
    if schema.get("type") != "string":
        return not type_keywords
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


@pytest.mark.parametrize("cls", PARTICIPANT_FACTS.values(), ids=PARTICIPANT_FACTS.keys())
def test_participant_facts_have_no_unsealed_free_text(cls: type[Fact]) -> None:
    clear_texts = {(cls.type_name, pointer) for pointer in texts_in_the_clear(cls)}
    assert clear_texts <= LISTED_EXCEPTIONS, "seal it, or hold it to an enumeration or a pattern"


class Inner(FactPart):
    note: str


class FactWithClearTexts(Fact):
    plain: str
    line: ShortText
    unanchored: Annotated[str, StringConstraints(pattern="[a-z]+")]
    optional: str | None
    listed: tuple[str, ...]
    by_code: dict[Code, str]
    by_text: dict[str, int]
    anything: Any
    inner: Inner


class FactWithoutClearTexts(Fact):
    code: Code
    participant: ParticipantId
    on: ClinicalDate
    day: Day | None
    reason: SealedString
    remarks: dict[Code, SealedString]
    counts: Annotated[tuple[int, ...], Field(max_length=3)]


def test_lint_finds_every_kind_of_unsealed_free_text() -> None:
    assert sorted(texts_in_the_clear(FactWithClearTexts)) == [
        "/Inner/note",
        "/anything",
        "/by_code/*",
        "/by_text/*",
        "/line",
        "/listed/*",
        "/optional",
        "/plain",
        "/unanchored",
    ]


def test_lint_accepts_ids_dates_and_sealed_texts() -> None:
    assert list(texts_in_the_clear(FactWithoutClearTexts)) == []


@every_fact
def test_type_names_are_a_subject_and_a_past_participle(cls: type[Fact]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", cls.type_name)
    happened = cls.type_name.rpartition(".")[2].rpartition("_")[2]
    assert happened.endswith("ed") or happened in IRREGULAR, f"{happened} is no past participle"


@every_fact
def test_date_member_of_a_fact_is_a_clinical_date(cls: type[Fact]) -> None:
    if cls.date_field is None:
        return
    member = cls.model_json_schema()["properties"][cls.date_field]
    shapes = [shape.get("pattern", "") for shape in (member, *member.get("anyOf", ()))]
    assert any(re.search(pattern, "2024-03-07") for pattern in shapes if _anchored(pattern))
    assert not any(re.search(pattern, "someday") for pattern in shapes if _anchored(pattern))


@every_fact
def test_facts_name_existing_roles(cls: type[Fact]) -> None:
    assert cls.stated_by_roles
    assert cls.stated_by_roles <= set(get_args(Role))


@every_fact
def test_every_earlier_version_has_an_upcast(cls: type[Fact]) -> None:
    assert set(cls.upcasts) == set(range(1, cls.schema_version))


def test_type_names_are_unique_across_streams_except_corrections() -> None:
    names = [cls.type_name for _, cls in catalogue.published_facts() if cls.type_name != "record.corrected"]
    assert len(names) == len(set(names))


def test_every_fact_module_declares_a_fact() -> None:
    declared = {cls.__module__ for _, cls in catalogue.published_facts()}
    assert {module.__name__ for module in catalogue.FACT_MODULES} <= declared


def imported_modules(module: ModuleType) -> Iterator[str]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(name)):
                yield name


def called_functions(module: ModuleType) -> Iterator[str]:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.__name__))
def test_fact_modules_are_pure(module: ModuleType) -> None:
    foreign = [
        name
        for name in imported_modules(module)
        if name.partition(".")[0] not in ALLOWED_IMPORTS and not name.startswith(OWN_PACKAGES)
    ]
    assert foreign == []
    assert not {"open", "print", "input", "exec", "eval", "__import__"} & set(called_functions(module))
