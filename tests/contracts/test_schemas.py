from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field

from shared.contracts import catalogue, schemas
from shared.contracts.schemas import check, documents, example, golden_text, main, write
from shared.kernel.dates import ClinicalDate
from shared.kernel.fact import Fact, Member, Stream
from shared.kernel.ids import Code, LocalId
from shared.kernel.sealed import Sealed

FACTS = [
    pytest.param(stream, fact, id=schemas.schema_name(stream.service, fact.type_name, fact.schema_version))
    for stream, fact in catalogue.facts()
]
LAB = Stream("laboratory", "participant")


class Value(Member):
    marker: Code
    amount: Annotated[float, Field(gt=0)]


@LAB.fact("sample.taken", on="taken_on")
class SampleTaken(Fact):
    sample_id: LocalId
    taken_on: ClinicalDate
    kind: Literal["blood", "tissue"]
    fasting: bool
    values: Annotated[tuple[Value, ...], Field(min_length=1)]
    remark: Sealed
    tubes: Annotated[int, Field(ge=2)] | None
    labels: Annotated[dict[Code, Value], Field(default_factory=dict)]


@LAB.fact("sample.lost", version=2, upcasts={1: lambda data: {**data, "sample_id": data["sample"]}})
class SampleLost(Fact):
    sample_id: LocalId


def laboratory() -> Iterator[tuple[Stream, type[Fact]]]:
    for fact in LAB.facts.values():
        yield LAB, fact


def kept(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.glob("*/*.json")}


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema of an object within a schema."""
    for member in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from objects(member)
    if isinstance(schema, dict) and schema.get("type") == "object":
        yield schema


def with_one_member_more(content: Any) -> Iterator[Any]:
    """The content, each time with an unknown member in another one of its objects."""
    if isinstance(content, dict):
        yield {**content, "a member of the future": 1}
    for place, member in content.items() if isinstance(content, dict) else enumerate(content):
        for changed in with_one_member_more(member) if isinstance(member, dict | list) else ():
            copy = content.copy()
            copy[place] = changed
            yield copy


def published(stream: Stream, fact: type[Fact]) -> Any:
    path = schemas.HERE / schemas.golden_path(stream.service, fact.type_name, fact.schema_version)
    return json.loads(path.read_text("utf-8"))


def test_the_published_schemas_are_those_of_the_language() -> None:
    assert check() == [], "the language has changed: run `make contracts` and look at what it changed"


@pytest.mark.parametrize(("path", "text"), documents().items())
def test_a_schema_is_valid_names_itself_and_is_laid_out_for_review(path: str, text: str) -> None:
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    assert (schema["$id"], schema["$schema"]) == (f"/{path}", Draft202012Validator.META_SCHEMA["$id"])
    assert text == json.dumps(schema, sort_keys=True, indent=2) + "\n"


def test_schemas_read_the_same_every_time_they_are_made() -> None:
    assert documents() == documents()


@pytest.mark.parametrize(("stream", "fact"), FACTS)
def test_the_writer_is_closed_and_the_reader_open_at_every_level(stream: Stream, fact: type[Fact]) -> None:
    closed, opened = schemas.writer_schema(stream.service, fact), schemas.reader_schema(stream.service, fact)
    assert {each["additionalProperties"] for each in objects(closed)} == {False}
    assert {each["additionalProperties"] for each in objects(opened)} == {True}


@pytest.mark.parametrize(("stream", "fact"), FACTS)
def test_a_member_of_the_future_stops_no_reader_and_every_writer(stream: Stream, fact: type[Fact]) -> None:
    writer = Draft202012Validator(schemas.writer_schema(stream.service, fact))
    reader = Draft202012Validator(schemas.reader_schema(stream.service, fact))
    for changed in with_one_member_more(published(stream, fact)):
        assert not writer.is_valid(changed)
        assert reader.is_valid(changed)


@pytest.mark.parametrize(("stream", "fact"), FACTS)
def test_a_required_member_that_is_missing_stops_reader_and_writer(stream: Stream, fact: type[Fact]) -> None:
    writer, reader = schemas.writer_schema(stream.service, fact), schemas.reader_schema(stream.service, fact)
    content = published(stream, fact)
    for name in writer.get("required", ()):
        less = {member: value for member, value in content.items() if member != name}
        assert not Draft202012Validator(writer).is_valid(less)
        assert not Draft202012Validator(reader).is_valid(less)


def test_a_sealed_text_in_the_clear_is_of_no_schema() -> None:
    stated = example(SampleTaken)
    content = json.loads(golden_text(stated))
    for schema in (schemas.writer_schema("laboratory", SampleTaken), schemas.reader_schema("laboratory", SampleTaken)):
        assert Draft202012Validator(schema).is_valid(content)
        assert not Draft202012Validator(schema).is_valid({**content, "remark": "Mrs Doe was late"})


def test_an_example_has_the_required_members_each_with_the_first_value_its_schema_names() -> None:
    assert json.loads(golden_text(example(SampleTaken))) == {
        "sample_id": "example",
        "taken_on": "2024-03-07",
        "kind": "blood",
        "fasting": True,
        "values": [{"marker": "example", "amount": 1}],
        "remark": None,
        "tubes": 2,
        "labels": {},
    }


def test_an_example_that_nothing_tells_is_asked_for() -> None:
    class Odd(Fact):
        code: Annotated[str, Field(pattern="^#{7}$")]

    with pytest.raises(LookupError, match="examples"):
        example(Odd)


def test_an_example_of_a_correction_restates_a_fact_of_its_own_stream() -> None:
    corrected = example(LAB.facts["record.corrected"])
    assert LAB.read("record.corrected", 1, golden_text(corrected)).model_dump() == corrected.model_dump()
    assert json.loads(golden_text(corrected))["replacement"]["type"] == "sample.taken"


def written(folder: Path) -> Path:
    """The laboratory's folder, with what was published when sample.lost, and so a correction of it, had version 1."""
    write(folder, laboratory)
    for name in ("sample.lost", "record.corrected.laboratory"):
        for kind, end in (("schemas", ".writer.json"), ("schemas", ".reader.json"), ("golden", ".json")):
            (folder / kind / f"{name}.v1{end}").write_text('{"sample": "S1"}')
    return folder


def test_what_is_written_for_a_new_fact_is_complete(tmp_path: Path) -> None:
    assert check(written(tmp_path), laboratory) == []
    assert {"schemas/sample.taken.v1.writer.json", "golden/record.corrected.laboratory.v2.json"} <= kept(
        tmp_path
    ).keys()


def test_writing_again_changes_nothing_and_never_overwrites_an_example(tmp_path: Path) -> None:
    golden = written(tmp_path) / "golden/sample.lost.v2.json"
    golden.write_text('{"sample_id": "S-2024-17"}')
    before = kept(tmp_path)
    write(tmp_path, laboratory)
    assert kept(tmp_path) == before


def annotated(schema: Any) -> None:
    schema["description"] = "A sample was taken, and somebody explained it better."


def emptied(schema: Any) -> None:
    schema["properties"]["kind"]["enum"].remove("blood")


def made_optional(schema: Any) -> None:
    schema["required"].remove("kind")


def with_another_kind(schema: Any) -> None:
    kinds = schema["properties"]["replacement"]["anyOf"][0]["oneOf"]
    kinds.append({"$ref": "#/$defs/RestatedSampleThawed"})
    schema["$defs"]["RestatedSampleThawed"] = {"type": "object"}


def with_one_kind_less(schema: Any) -> None:
    schema["properties"]["replacement"]["anyOf"][0]["oneOf"].pop()


def with_a_kind_changed(schema: Any) -> None:
    schema["$defs"]["SampleTaken"]["required"].remove("kind")


TAKEN, CORRECTED = "schemas/sample.taken.v1.writer.json", "schemas/record.corrected.laboratory.v2.reader.json"


def changed(path: Path, change: Callable[[Any], None]) -> str:
    """The text of a schema that is published and differs from today's."""
    schema = json.loads(path.read_text("utf-8"))
    change(schema)
    path.write_text(json.dumps(schema), "utf-8")
    return path.read_text("utf-8")


@pytest.mark.parametrize("change", [emptied, made_optional])
def test_a_published_schema_is_never_overwritten_by_one_that_means_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Any], None]
) -> None:
    text = changed(written(tmp_path) / TAKEN, change)
    assert main(["write"], tmp_path, laboratory) == 1
    assert (tmp_path / TAKEN).read_text("utf-8") == text
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{TAKEN} differs"
    assert "new version" in said[1]


def test_a_published_schema_may_be_explained_better(tmp_path: Path) -> None:
    changed(written(tmp_path) / TAKEN, annotated)
    assert main(["write"], tmp_path, laboratory) == 0


def test_a_published_correction_takes_in_a_new_kind_of_fact_and_no_other_change(tmp_path: Path) -> None:
    changed(written(tmp_path) / CORRECTED, with_one_kind_less)
    assert main(["write"], tmp_path, laboratory) == 0
    for change in (with_another_kind, with_a_kind_changed):
        changed(written(tmp_path) / CORRECTED, change)
        assert main(["write"], tmp_path, laboratory) == 1
        (tmp_path / CORRECTED).unlink()


def test_each_difference_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "schemas/sample.taken.v1.reader.json").write_text("{}")
    (tmp_path / "schemas/sample.lost.v1.writer.json").unlink()
    (tmp_path / "golden/sample.taken.v1.json").unlink()
    (tmp_path / "golden/sample.thawed.v1.json").write_text("{}")
    assert check(tmp_path, laboratory) == [
        "golden/sample.taken.v1.json is missing",
        "schemas/sample.lost.v1.writer.json is missing",
        "golden/sample.thawed.v1.json belongs to no fact",
        "schemas/sample.taken.v1.reader.json differs",
    ]


def test_the_command_mends_what_it_can_and_says_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"], tmp_path, laboratory) == 1
    assert main(["write"], tmp_path, laboratory) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-6:] == [
        f"{kind}/{name}.v1{end} is missing"
        for kind, ends in (("golden", (".json",)), ("schemas", (".reader.json", ".writer.json")))
        for name in ("record.corrected.laboratory", "sample.lost")
        for end in ends
    ]
    assert main(["check"], written(tmp_path), laboratory) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments", [[], ["burn"], ["check", "write"]])
def test_the_command_says_how_it_is_used(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "check | write" in capsys.readouterr().err


def test_a_correction_that_voids_is_of_the_writer_schema() -> None:
    corrected = LAB.correction(event_id=UUID(int=1), reason_code="other", replacement=None)
    writer = Draft202012Validator(schemas.writer_schema("laboratory", type(corrected)))
    assert writer.is_valid(json.loads(golden_text(corrected)))
