"""The facts as JSON Schema 2020-12, in files beside the code: `python -m shared.contracts.json_schemas check | write`.

Each version of a fact has two published schemas. The *writer* schema is closed: published content has these members and
no others. The *reader* schema is open at every level: a program that reads by it still works when a member is added.
Both describe published content, in which sealed texts are null. `golden/` has an example of every published version.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from shared.contracts import catalogue
from shared.kernel.fact import Correction, Fact, Stream

CONTRACTS_FOLDER = Path(__file__).parent
FactSource = Callable[[], Iterable[tuple[Stream, type[Fact]]]]
JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PATTERN_SAMPLES = (
    "example",
    "K7F2-9QXA-3",
    "8021/3",
    "C73",
    "cT4b",
    "cN1b",
    "cM1",
    "DE",
    "08:00",
    "3.0:0114",
    "course:RT1",
    "2024-03-07",
    "0" * 64,
)
"""Texts that are tried in this order against a pattern; the first is the most general."""
_FORMAT_SAMPLES = {
    "uuid": "018e18a2-5c00-7a01-8b3c-0123456789ab",
    "date-time": "2024-03-07T09:30:00Z",
    "date": "2024-03-07",
}
_ALREADY_PUBLISHED_SENTENCE = (
    "What differs was published already: give the fact a new version (CONTRIBUTING.md). If it was never released, "
    "delete the files and write them again."
)
_SAMPLE_WITHOUT_PATTERN = "Europe/Berlin"  # the one kind of text without a pattern is a time zone


def schema_name(service: str, type_name: str, version: int) -> str:
    """Returns a name such as `lesion.registered.v1`. Corrections differ by service: `record.corrected.toxicity.v1`."""
    service_suffix = f".{service}" if type_name == Correction.type_name else ""
    return f"{type_name}{service_suffix}.v{version}"


def schema_reference(service: str, type_name: str, version: int) -> str:
    """Returns the `$id` of the writer schema: a path, because each installation has another host."""
    return f"/schemas/{schema_name(service, type_name, version)}.writer.json"


def writer_schema(service: str, fact: type[Fact]) -> dict[str, Any]:
    return _published_schema(service, fact, "writer", additional=False)


def reader_schema(service: str, fact: type[Fact]) -> dict[str, Any]:
    schema = _published_schema(service, fact, "reader", additional=True)
    for definition in schema.get("$defs", {}).values():
        match definition:
            case {"properties": {"type": {"const": _}, "schema_version": {"const": version}} as members}:
                members["schema_version"] = {"type": "integer", "minimum": version}  # later ones too
    return schema


def _published_schema(service: str, fact: type[Fact], side: str, *, additional: bool) -> dict[str, Any]:
    name = schema_name(service, fact.type_name, fact.schema_version)
    published = _set_additional(fact.model_json_schema(mode="serialization"), additional)
    return {**published, "$schema": JSON_SCHEMA_DIALECT, "$id": f"/schemas/{name}.{side}.json", "title": fact.type_name}


def _set_additional(schema: Any, additional: bool) -> Any:
    """Returns the schema with every object open or closed, and without `discriminator`, which only OpenAPI has."""
    if not isinstance(schema, dict):
        return schema
    set_in_member = partial(_set_additional, additional=additional)
    result = {key: map_subschemas(key, value, set_in_member) for key, value in schema.items() if key != "discriminator"}
    if result.get("type") == "object" and not isinstance(result.get("additionalProperties"), dict):
        result["additionalProperties"] = additional
    return result


def map_subschemas(keyword: str, value: Any, transform: Callable[[Any], Any]) -> Any:
    """Returns the value of a keyword with `transform` applied to every schema directly within it."""
    match keyword:
        case "$defs" | "properties" | "patternProperties":
            return {name: transform(member) for name, member in value.items()}
        case "anyOf" | "oneOf" | "allOf" | "prefixItems":
            return [transform(member) for member in value]
        case "items" | "additionalProperties":
            return transform(value)
        case _:
            return value


def schema_documents(fact_source: FactSource = catalogue.published_facts) -> dict[str, str]:
    """Returns the schemas of the present versions of all facts, as text by path."""
    texts_by_path: dict[str, str] = {}
    for stream, fact in fact_source():
        for schema in (writer_schema(stream.service, fact), reader_schema(stream.service, fact)):
            texts_by_path[schema["$id"].removeprefix("/")] = json.dumps(schema, sort_keys=True, indent=2) + "\n"
    return texts_by_path


def golden_path(service: str, type_name: str, version: int) -> str:
    return f"golden/{schema_name(service, type_name, version)}.json"


def golden_text(fact: Fact) -> str:
    """Returns a fact as published, as indented JSON."""
    return fact.model_dump_json(indent=2) + "\n"


def _expected_paths(fact_source: FactSource) -> Iterator[str]:
    """Yields the paths of all published files: schemas and example of each version of each fact."""
    for stream, fact in fact_source():
        for version in range(1, fact.schema_version + 1):
            name = schema_name(stream.service, fact.type_name, version)
            yield from (f"schemas/{name}.writer.json", f"schemas/{name}.reader.json", f"golden/{name}.json")


def find_differences(folder: Path = CONTRACTS_FOLDER, fact_source: FactSource = catalogue.published_facts) -> list[str]:
    """Returns a line for each file of the folder that differs from what the facts declare."""
    current_documents, expected_paths = schema_documents(fact_source), set(_expected_paths(fact_source))
    existing_paths = {path.relative_to(folder).as_posix() for path in folder.glob("*/*.json")}
    return [
        *(f"{path} is missing" for path in sorted(expected_paths - existing_paths)),
        *(f"{path} belongs to no fact" for path in sorted(existing_paths - expected_paths)),
        *(
            f"{path} differs"
            for path in sorted(existing_paths & current_documents.keys())
            if (folder / path).read_text("utf-8") != current_documents[path]
        ),
    ]


def load_published_schemas(folder: Path = CONTRACTS_FOLDER) -> dict[str, str]:
    """Returns all published schemas, as text by path."""
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.glob("schemas/*.json")}


def write_schemas(folder: Path = CONTRACTS_FOLDER, fact_source: FactSource = catalogue.published_facts) -> None:
    """Writes the schemas of the present versions, and an example for each fact without one.

    Examples are never overwritten. A schema is overwritten only by one with the same meaning.
    """
    for kind in ("schemas", "golden"):
        (folder / kind).mkdir(exist_ok=True)
    existing_schemas = load_published_schemas(folder)
    for path, text in schema_documents(fact_source).items():
        if path not in existing_schemas or equal_ignoring_annotations(
            json.loads(existing_schemas[path]), json.loads(text)
        ):
            (folder / path).write_text(text, "utf-8")
    for stream, fact in fact_source():
        golden = folder / golden_path(stream.service, fact.type_name, fact.schema_version)
        if not golden.exists():
            golden.write_text(golden_text(example_fact(fact)), "utf-8")


def equal_ignoring_annotations(before: Any, after: Any) -> bool:
    """Returns whether two schemas differ in annotations only, or, for a correction, in additional types of facts."""
    before, after = _without_annotations(before), _without_annotations(after)
    match before, after:
        case (
            {"properties": {"replacement": {"anyOf": [{"oneOf": known_kinds}, _]}}},
            {"properties": {"replacement": {"anyOf": [{"oneOf": list(kinds)} as replacement, _]}}},
        ):
            replacement["oneOf"] = [kind for kind in kinds if kind in known_kinds]
            after["$defs"] = {
                name: definition for name, definition in after["$defs"].items() if name in before["$defs"]
            }
    return bool(before == after)


def _without_annotations(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    return {
        keyword: map_subschemas(keyword, value, _without_annotations)
        for keyword, value in schema.items()
        if keyword not in ("title", "description", "examples", "default")
    }


def example_fact(fact: type[Fact]) -> Fact:
    """Builds an example of a fact: its required members, each with the first value that the schema allows.

    Raises LookupError if no value can be found for a member without `examples`, and ValueError if the members
    contradict each other. Then write the example by hand.
    """
    schema = fact.model_json_schema()
    return fact.model_validate(_example_value(schema, schema.get("$defs", {})))


def _example_value(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Any:
    match schema:
        case {"examples": [first, *_]} | {"const": first} | {"enum": [first, *_]}:
            return first
        case {"$ref": str(reference)}:
            return _example_value(defs[reference.rpartition("/")[2]], defs)
        case {"anyOf": [first, *_]} | {"oneOf": [first, *_]}:
            return _example_value(first, defs)
        case {"type": "object"}:
            members = schema.get("properties", {})
            return {name: _example_value(members[name], defs) for name in schema.get("required", ())}
        case {"type": "array"}:
            return [_example_value(schema["items"], defs)] * schema.get("minItems", 0)
        case _:
            return sample_value(schema)


def sample_value(schema: Mapping[str, Any]) -> Any:
    """Returns a value of a schema that refers to no other schemas."""
    match schema:
        case {"examples": [first, *_]}:
            return first
        case {"type": "string", "pattern": str(pattern)}:
            return _find_matching_sample(pattern)
        case {"type": "string"}:
            return _FORMAT_SAMPLES.get(schema.get("format", ""), _SAMPLE_WITHOUT_PATTERN)
        case {"type": "integer" | "number"}:
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case {"type": "boolean"}:
            return True
        case _:
            return None


def _find_matching_sample(pattern: str) -> str:
    for sample in _PATTERN_SAMPLES:
        if re.search(pattern, sample):
            return sample
    raise LookupError(f"no sample matches {pattern}: give the member `examples`")


def main(
    arguments: Sequence[str], folder: Path = CONTRACTS_FOLDER, fact_source: FactSource = catalogue.published_facts
) -> int:
    """Returns the exit status: 0 if the folder matches the code, 1 if it differs, 2 for wrong arguments."""
    if list(arguments) not in (["check"], ["write"]):
        sys.stderr.write("usage: python -m shared.contracts.json_schemas check | write\n")
        return 2
    if list(arguments) == ["write"]:
        write_schemas(folder, fact_source)
    differences = find_differences(folder, fact_source)
    sys.stdout.writelines(f"{difference}\n" for difference in differences)
    if list(arguments) == ["write"] and any(difference.endswith(" differs") for difference in differences):
        sys.stdout.write(f"{_ALREADY_PUBLISHED_SENTENCE}\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
