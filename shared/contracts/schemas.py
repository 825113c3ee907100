"""The language as JSON Schema 2020-12, kept beside the code: `python -m shared.contracts.schemas check | write`.

Of every fact two schemas are published. The *writer* schema is closed: what we send has these members and no others.
The *reader* schema is open at every level: who reads by it goes on reading when a member is added. Both describe the
content as published, where sealed texts are null. `golden/` holds an example of every version ever published.
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
from shared.kernel.fact import Corrected, Fact, Stream

HERE = Path(__file__).parent
Language = Callable[[], Iterable[tuple[Stream, type[Fact]]]]
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SAMPLES = (
    "example", "K7F2-9QXA-3", "8021/3", "C73", "cT4b", "cN1b", "cM1", "DE", "08:00", "3.0:0114", "course:RT1",
    "2024-03-07", "0" * 64,
)  # fmt: skip
"""Tried in turn against a pattern, so the general one comes first."""
_OF_FORMAT = {"uuid": "018e18a2-5c00-7a01-8b3c-0123456789ab", "date-time": "2024-03-07T09:30:00Z", "date": "2024-03-07"}
_PUBLISHED_ALREADY = (
    "What differs was published already: give the fact a new version (CONTRIBUTING.md). If nobody ever had it, "
    "delete the files and write them again."
)
_WITHOUT_PATTERN = "Europe/Berlin"  # the one kind of text without a pattern is a time zone


def schema_name(service: str, type_name: str, version: int) -> str:
    """`participant.enrolled.v1`; of `record.corrected` each service has its own: `record.corrected.toxicity.v1`."""
    of_service = f".{service}" if type_name == Corrected.type_name else ""
    return f"{type_name}{of_service}.v{version}"


def schema_reference(service: str, type_name: str, version: int) -> str:
    """The writer schema's `$id`: relative, for only who serves the schemas knows where (CloudEvents: absolute)."""
    return f"/schemas/{schema_name(service, type_name, version)}.writer.json"


def writer_schema(service: str, fact: type[Fact]) -> dict[str, Any]:
    return _schema(service, fact, "writer", additional=False)


def reader_schema(service: str, fact: type[Fact]) -> dict[str, Any]:
    schema = _schema(service, fact, "reader", additional=True)
    for definition in schema.get("$defs", {}).values():
        match definition:
            case {"properties": {"type": {"const": _}, "schema_version": {"const": version}} as members}:
                members["schema_version"] = {"type": "integer", "minimum": version}  # and later ones, as far as they go
    return schema


def _schema(service: str, fact: type[Fact], side: str, *, additional: bool) -> dict[str, Any]:
    name = schema_name(service, fact.type_name, fact.schema_version)
    published = _with_additional(fact.model_json_schema(mode="serialization"), additional)
    return {**published, "$schema": DIALECT, "$id": f"/schemas/{name}.{side}.json", "title": fact.type_name}


def _with_additional(schema: Any, additional: bool) -> Any:
    """The schema with every object closed or opened; `discriminator` is OpenAPI's, and strict validators refuse it."""
    if not isinstance(schema, dict):
        return schema
    within = partial(_with_additional, additional=additional)
    made = {key: each_schema(key, value, within) for key, value in schema.items() if key != "discriminator"}
    if made.get("type") == "object" and not isinstance(made.get("additionalProperties"), dict):
        made["additionalProperties"] = additional
    return made


def each_schema(keyword: str, value: Any, changed: Callable[[Any], Any]) -> Any:
    """The value of a keyword, with every schema that is directly in it changed."""
    match keyword:
        case "$defs" | "properties" | "patternProperties":
            return {name: changed(member) for name, member in value.items()}
        case "anyOf" | "oneOf" | "allOf" | "prefixItems":
            return [changed(member) for member in value]
        case "items" | "additionalProperties":
            return changed(value)
        case _:
            return value


def documents(language: Language = catalogue.facts) -> dict[str, str]:
    """Every schema of today's language, as text, by its path."""
    made: dict[str, str] = {}
    for stream, fact in language():
        for schema in (writer_schema(stream.service, fact), reader_schema(stream.service, fact)):
            made[schema["$id"].removeprefix("/")] = json.dumps(schema, sort_keys=True, indent=2) + "\n"
    return made


def golden_path(service: str, type_name: str, version: int) -> str:
    return f"golden/{schema_name(service, type_name, version)}.json"


def golden_text(fact: Fact) -> str:
    """A fact as it is published, laid out to be read."""
    return fact.model_dump_json(indent=2) + "\n"


def _published(language: Language) -> Iterator[str]:
    """The path of everything that was ever published: schemas and example of each version of each fact."""
    for stream, fact in language():
        for version in range(1, fact.schema_version + 1):
            name = schema_name(stream.service, fact.type_name, version)
            yield from (f"schemas/{name}.writer.json", f"schemas/{name}.reader.json", f"golden/{name}.json")


def check(folder: Path = HERE, language: Language = catalogue.facts) -> list[str]:
    """How the folder differs from the language, a line for each file; nothing where it does not."""
    today, published = documents(language), set(_published(language))
    kept = {path.relative_to(folder).as_posix() for path in folder.glob("*/*.json")}
    return [
        *(f"{path} is missing" for path in sorted(published - kept)),
        *(f"{path} belongs to no fact" for path in sorted(kept - published)),
        *(
            f"{path} differs"
            for path in sorted(kept & today.keys())
            if (folder / path).read_text("utf-8") != today[path]
        ),
    ]


def published(folder: Path = HERE) -> dict[str, str]:
    """The schemas of every version ever published, as text, by their paths."""
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.glob("schemas/*.json")}


def write(folder: Path = HERE, language: Language = catalogue.facts) -> None:
    """Today's schemas, and an example to start from for a fact without one.

    No example is ever overwritten, and no schema by one that means something else.
    """
    for kind in ("schemas", "golden"):
        (folder / kind).mkdir(exist_ok=True)
    kept = published(folder)
    for path, text in documents(language).items():
        if path not in kept or means_the_same(json.loads(kept[path]), json.loads(text)):
            (folder / path).write_text(text, "utf-8")
    for stream, fact in language():
        golden = folder / golden_path(stream.service, fact.type_name, fact.schema_version)
        if not golden.exists():
            golden.write_text(golden_text(example(fact)), "utf-8")


def means_the_same(before: Any, after: Any) -> bool:
    """Is it the same schema but for what is written for people, and, of a correction, kinds of fact that are new?"""
    before, after = _without_annotations(before), _without_annotations(after)
    match before, after:
        case (
            {"properties": {"replacement": {"anyOf": [{"oneOf": known}, _]}}},
            {"properties": {"replacement": {"anyOf": [{"oneOf": list(kinds)} as replacement, _]}}},
        ):
            replacement["oneOf"] = [kind for kind in kinds if kind in known]
            after["$defs"] = {name: each for name, each in after["$defs"].items() if name in before["$defs"]}
    return bool(before == after)


def _without_annotations(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    return {
        keyword: each_schema(keyword, value, _without_annotations)
        for keyword, value in schema.items()
        if keyword not in ("title", "description", "examples", "default")
    }


def example(fact: type[Fact]) -> Fact:
    """A plain instance, always the same: the required members, each with the first value that its schema names.

    Raises LookupError for a member that only its `examples` could tell, ValueError where members must agree with each
    other and these do not: then the example is written by hand.
    """
    schema = fact.model_json_schema()
    return fact.model_validate(_example(schema, schema.get("$defs", {})))


def _example(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Any:
    match schema:
        case {"examples": [first, *_]} | {"const": first} | {"enum": [first, *_]}:
            return first
        case {"$ref": str(reference)}:
            return _example(defs[reference.rpartition("/")[2]], defs)
        case {"anyOf": [first, *_]} | {"oneOf": [first, *_]}:
            return _example(first, defs)
        case {"type": "object"}:
            members = schema.get("properties", {})
            return {name: _example(members[name], defs) for name in schema.get("required", ())}
        case {"type": "array"}:
            return [_example(schema["items"], defs)] * schema.get("minItems", 0)
        case _:
            return plain(schema)


def plain(schema: Mapping[str, Any]) -> Any:
    """A value of a schema that names no others."""
    match schema:
        case {"examples": [first, *_]}:
            return first
        case {"type": "string", "pattern": str(pattern)}:
            return _matching(pattern)
        case {"type": "string"}:
            return _OF_FORMAT.get(schema.get("format", ""), _WITHOUT_PATTERN)
        case {"type": "integer" | "number"}:
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        case {"type": "boolean"}:
            return True
        case _:
            return None


def _matching(pattern: str) -> str:
    for sample in _SAMPLES:
        if re.search(pattern, sample):
            return sample
    raise LookupError(f"nothing at hand matches {pattern}: give the member `examples`")


def main(arguments: Sequence[str], folder: Path = HERE, language: Language = catalogue.facts) -> int:
    """Exit status: 0 if the folder says what the code says, 1 if not, 2 for anything but `check` and `write`."""
    if list(arguments) not in (["check"], ["write"]):
        sys.stderr.write("usage: python -m shared.contracts.schemas check | write\n")
        return 2
    if list(arguments) == ["write"]:
        write(folder, language)
    differences = check(folder, language)
    sys.stdout.writelines(f"{difference}\n" for difference in differences)
    if list(arguments) == ["write"] and any(difference.endswith(" differs") for difference in differences):
        sys.stdout.write(f"{_PUBLISHED_ALREADY}\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
