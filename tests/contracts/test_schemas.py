from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field

from shared.contracts import catalogue, json_schemas
from shared.contracts.json_schemas import (
    example_fact,
    find_differences,
    golden_text,
    main,
    schema_documents,
    write_schemas,
)
from shared.kernel.fact import Fact, FactPart, Stream
from shared.kernel.ids import Code, LocalId
from shared.kernel.partial_date import ClinicalDate
from shared.kernel.sealed_text import SealedString

FACTS = [
    pytest.param(stream, fact, id=json_schemas.schema_name(stream.service, fact.type_name, fact.schema_version))
    for stream, fact in catalogue.published_facts()
]
LAB = Stream("laboratory", "participant")


class MeasuredValue(FactPart):
    marker: Code
    amount: Annotated[float, Field(gt=0)]


@LAB.fact("sample.taken", on="taken_on")
class SampleTaken(Fact):
    sample_id: LocalId
    taken_on: ClinicalDate
    kind: Literal["blood", "tissue"]
    fasting: bool
    values: Annotated[tuple[MeasuredValue, ...], Field(min_length=1)]
    remark: SealedString
    tubes: Annotated[int, Field(ge=2)] | None
    labels: Annotated[dict[Code, MeasuredValue], Field(default_factory=dict)]


@LAB.fact("sample.lost", version=2, upcasts={1: lambda data: {**data, "sample_id": data["sample"]}})
class SampleLost(Fact):
    sample_id: LocalId


def laboratory() -> Iterator[tuple[Stream, type[Fact]]]:
    for fact in LAB.facts.values():
        yield LAB, fact


def files_in(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.glob("*/*.json")}


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yields every schema of an object within a schema."""
    for member in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from objects(member)
    if isinstance(schema, dict) and schema.get("type") == "object":
        yield schema


def with_unknown_member(content: Any) -> Iterator[Any]:
    """Yields the content with an unknown member, in each of its objects in turn."""
    if isinstance(content, dict):
        yield {**content, "a member of the future": 1}
    for key, member in content.items() if isinstance(content, dict) else enumerate(content):
        for changed in with_unknown_member(member) if isinstance(member, dict | list) else ():
            copy = content.copy()
            copy[key] = changed
            yield copy


def golden_content(stream: Stream, fact: type[Fact]) -> Any:
    path = json_schemas.CONTRACTS_FOLDER / json_schemas.golden_path(stream.service, fact.type_name, fact.schema_version)
    return json.loads(path.read_text("utf-8"))


def test_published_schemas_match_the_fact_classes() -> None:
    assert find_differences() == [], "the language has changed: run `make contracts` and look at what it changed"


@pytest.mark.parametrize(("path", "text"), schema_documents().items())
def test_schemas_are_valid_identified_and_formatted_for_review(path: str, text: str) -> None:
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    assert (schema["$id"], schema["$schema"]) == (f"/{path}", Draft202012Validator.META_SCHEMA["$id"])
    assert text == json.dumps(schema, sort_keys=True, indent=2) + "\n"


def test_schema_generation_is_deterministic() -> None:
    assert schema_documents() == schema_documents()


@pytest.mark.parametrize(("stream", "fact"), FACTS)
def test_writer_schema_is_closed_and_reader_schema_open_at_every_level(stream: Stream, fact: type[Fact]) -> None:
    closed, opened = json_schemas.writer_schema(stream.service, fact), json_schemas.reader_schema(stream.service, fact)
    assert {object_schema["additionalProperties"] for object_schema in objects(closed)} == {False}
    assert {object_schema["additionalProperties"] for object_schema in objects(opened)} == {True}


@pytest.mark.parametrize(("stream", "fact"), FACTS)
def test_unknown_members_are_valid_for_readers_and_invalid_for_writers(stream: Stream, fact: type[Fact]) -> None:
    writer = Draft202012Validator(json_schemas.writer_schema(stream.service, fact))
    reader = Draft202012Validator(json_schemas.reader_schema(stream.service, fact))
    for changed in with_unknown_member(golden_content(stream, fact)):
        assert not writer.is_valid(changed)
        assert reader.is_valid(changed)


@pytest.mark.parametrize(("stream", "fact"), FACTS)
def test_missing_required_member_is_invalid_for_reader_and_writer(stream: Stream, fact: type[Fact]) -> None:
    writer, reader = json_schemas.writer_schema(stream.service, fact), json_schemas.reader_schema(stream.service, fact)
    content = golden_content(stream, fact)
    for name in writer.get("required", ()):
        less = {member: value for member, value in content.items() if member != name}
        assert not Draft202012Validator(writer).is_valid(less)
        assert not Draft202012Validator(reader).is_valid(less)


def test_unsealed_text_is_invalid_in_every_schema() -> None:
    stated = example_fact(SampleTaken)
    content = json.loads(golden_text(stated))
    for schema in (
        json_schemas.writer_schema("laboratory", SampleTaken),
        json_schemas.reader_schema("laboratory", SampleTaken),
    ):
        assert Draft202012Validator(schema).is_valid(content)
        assert not Draft202012Validator(schema).is_valid({**content, "remark": "Mrs Doe was late"})


def test_example_has_required_members_with_their_first_schema_value() -> None:
    assert json.loads(golden_text(example_fact(SampleTaken))) == {
        "sample_id": "example",
        "taken_on": "2024-03-07",
        "kind": "blood",
        "fasting": True,
        "values": [{"marker": "example", "amount": 1}],
        "remark": None,
        "tubes": 2,
        "labels": {},
    }


def test_pattern_without_an_example_is_an_error() -> None:
    class PatternWithoutExample(Fact):
        code: Annotated[str, Field(pattern="^#{7}$")]

    with pytest.raises(LookupError, match="examples"):
        example_fact(PatternWithoutExample)


def test_example_correction_restates_a_fact_of_its_stream() -> None:
    corrected = example_fact(LAB.facts["record.corrected"])
    assert LAB.read("record.corrected", 1, golden_text(corrected)).model_dump() == corrected.model_dump()
    assert json.loads(golden_text(corrected))["replacement"]["type"] == "sample.taken"


def write_laboratory(folder: Path) -> Path:
    """Writes the schemas of the laboratory, and those of version 1 of sample.lost and of its correction."""
    write_schemas(folder, laboratory)
    for name in ("sample.lost", "record.corrected.laboratory"):
        for kind, end in (("schemas", ".writer.json"), ("schemas", ".reader.json"), ("golden", ".json")):
            (folder / kind / f"{name}.v1{end}").write_text('{"sample": "S1"}')
    return folder


def test_write_creates_schemas_and_examples_of_a_new_fact(tmp_path: Path) -> None:
    assert find_differences(write_laboratory(tmp_path), laboratory) == []
    assert {"schemas/sample.taken.v1.writer.json", "golden/record.corrected.laboratory.v2.json"} <= files_in(
        tmp_path
    ).keys()


def test_rewriting_changes_nothing_and_keeps_edited_examples(tmp_path: Path) -> None:
    golden = write_laboratory(tmp_path) / "golden/sample.lost.v2.json"
    golden.write_text('{"sample_id": "S-2024-17"}')
    before = files_in(tmp_path)
    write_schemas(tmp_path, laboratory)
    assert files_in(tmp_path) == before


def change_description(schema: Any) -> None:
    schema["description"] = "A sample was taken, and somebody explained it better."


def remove_enum_value(schema: Any) -> None:
    schema["properties"]["kind"]["enum"].remove("blood")


def make_kind_optional(schema: Any) -> None:
    schema["required"].remove("kind")


def add_replacement_type(schema: Any) -> None:
    kinds = schema["properties"]["replacement"]["anyOf"][0]["oneOf"]
    kinds.append({"$ref": "#/$defs/RestatedSampleThawed"})
    schema["$defs"]["RestatedSampleThawed"] = {"type": "object"}


def remove_replacement_type(schema: Any) -> None:
    schema["properties"]["replacement"]["anyOf"][0]["oneOf"].pop()


def change_replacement_type(schema: Any) -> None:
    schema["$defs"]["SampleTaken"]["required"].remove("kind")


TAKEN, CORRECTED = "schemas/sample.taken.v1.writer.json", "schemas/record.corrected.laboratory.v2.reader.json"


def change_schema(path: Path, change: Callable[[Any], None]) -> str:
    """Changes a published schema; returns its new text."""
    schema = json.loads(path.read_text("utf-8"))
    change(schema)
    path.write_text(json.dumps(schema), "utf-8")
    return path.read_text("utf-8")


@pytest.mark.parametrize("change", [remove_enum_value, make_kind_optional])
def test_published_schema_is_not_overwritten_by_a_different_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Any], None]
) -> None:
    text = change_schema(write_laboratory(tmp_path) / TAKEN, change)
    assert main(["write"], tmp_path, laboratory) == 1
    assert (tmp_path / TAKEN).read_text("utf-8") == text
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{TAKEN} differs"
    assert "new version" in printed[1]


def test_description_of_a_published_schema_may_change(tmp_path: Path) -> None:
    change_schema(write_laboratory(tmp_path) / TAKEN, change_description)
    assert main(["write"], tmp_path, laboratory) == 0


def test_published_correction_schema_may_only_gain_a_fact_type(tmp_path: Path) -> None:
    change_schema(write_laboratory(tmp_path) / CORRECTED, remove_replacement_type)
    assert main(["write"], tmp_path, laboratory) == 0
    for change in (add_replacement_type, change_replacement_type):
        change_schema(write_laboratory(tmp_path) / CORRECTED, change)
        assert main(["write"], tmp_path, laboratory) == 1
        (tmp_path / CORRECTED).unlink()


def test_check_lists_every_difference(tmp_path: Path) -> None:
    write_laboratory(tmp_path)
    (tmp_path / "schemas/sample.taken.v1.reader.json").write_text("{}")
    (tmp_path / "schemas/sample.lost.v1.writer.json").unlink()
    (tmp_path / "golden/sample.taken.v1.json").unlink()
    (tmp_path / "golden/sample.thawed.v1.json").write_text("{}")
    assert find_differences(tmp_path, laboratory) == [
        "golden/sample.taken.v1.json is missing",
        "schemas/sample.lost.v1.writer.json is missing",
        "golden/sample.thawed.v1.json belongs to no fact",
        "schemas/sample.taken.v1.reader.json differs",
    ]


def test_command_writes_what_it_can_and_reports_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"], tmp_path, laboratory) == 1
    assert main(["write"], tmp_path, laboratory) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[-6:] == [
        f"{kind}/{name}.v1{end} is missing"
        for kind, ends in (("golden", (".json",)), ("schemas", (".reader.json", ".writer.json")))
        for name in ("record.corrected.laboratory", "sample.lost")
        for end in ends
    ]
    assert main(["check"], write_laboratory(tmp_path), laboratory) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments", [[], ["burn"], ["check", "write"]])
def test_command_prints_its_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "check | write" in capsys.readouterr().err


def test_voiding_correction_validates_against_the_writer_schema() -> None:
    corrected = LAB.correction(event_id=UUID(int=1), reason_code="other", replacement=None)
    writer = Draft202012Validator(json_schemas.writer_schema("laboratory", type(corrected)))
    assert writer.is_valid(json.loads(golden_text(corrected)))
