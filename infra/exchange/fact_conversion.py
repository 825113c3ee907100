"""Converts a line to its fact, and a fact to the forms in which it is compared and sent. Pure.

An export has no sealed texts. If a fact requires one (the reason why something is not graded, for example), an exported
fact is recorded with WITHHELD_TEXT in its place, and the import reports how often.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from infra.exchange.import_line import ImportLine, InvalidLine, invalid_line
from shared.contracts.toxicity import Finding
from shared.kernel.errors import Fault
from shared.kernel.fact import Fact, upcast
from shared.kernel.sealed_text import READING_STORED, SealedText, extract_texts, insert_texts
from shared.validation.validation_messages import schema_faults

WITHHELD_TEXT = "not in the export"


def read_line(line: ImportLine) -> Fact:
    """Returns the fact in the present schema version; raises InvalidLine with every fault of the line."""
    try:
        fact = _parse_fact(line)
    except InvalidLine as invalid:
        raise _join_faults(line, invalid.faults) from None
    if line.faults:
        raise _join_faults(line, ())
    return fact


def _join_faults(line: ImportLine, faults: Sequence[Fault]) -> InvalidLine:
    """Returns the faults of the line, with those of its content at other pointers."""
    pointers = [fault.pointer for fault in line.faults if fault.pointer]
    other_faults = [fault for fault in faults if not any(_is_within(fault.pointer, pointer) for pointer in pointers)]
    return InvalidLine(*line.faults, *other_faults)


def _is_within(pointer: str, other: str) -> bool:
    return f"{pointer}/".startswith(f"{other}/") or f"{other}/".startswith(f"{pointer}/")


def _parse_fact(line: ImportLine) -> Fact:
    kind = line.stream.facts[line.type]
    try:
        data = upcast(kind, line.schema_version or kind.schema_version, dict(line.data))
        fact = kind.model_validate(data, context=READING_STORED if line.is_exported else None)
        return _with_placeholders(fact) if line.is_exported else fact
    except ValidationError as invalid:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in invalid.errors(include_input=False)]
        raise InvalidLine(*schema_faults(errors, dict(line.data), _member_names(kind))) from None
    except (ValueError, KeyError):
        raise invalid_line("no-such-version", "The fact has no such schema version.", "/schema_version") from None


@cache
def _member_names(kind: type[Fact]) -> frozenset[str]:
    """Returns every member that the schema of the fact declares, the only names that a message may repeat."""
    schema = kind.model_json_schema()
    declared = (schema, *schema.get("$defs", {}).values())
    return frozenset(name for definition in declared for name in definition.get("properties", ()))


def public_content(fact: Fact) -> dict[str, Any]:
    """Returns the published content: sealed texts are null."""
    return fact.model_dump(mode="json")


def stated_content(fact: Fact) -> dict[str, Any]:
    """Returns the content as a site sends it: sealed texts in the clear."""
    content: dict[str, Any] = insert_texts(public_content(fact), dict(extract_texts(fact)))
    return content


def _with_placeholders(fact: Fact) -> Fact:
    """Returns an exported fact with WITHHELD_TEXT for every required text that the export lacks."""
    content = insert_texts(stated_content(fact), dict.fromkeys(withheld_pointers(fact), WITHHELD_TEXT))
    return type(fact).model_validate(content)


def withheld_pointers(value: object, pointer: str = "") -> Iterator[str]:
    """Yields the JSON pointers of the sealed texts that an exported fact lacks and requires."""
    match value:
        case Finding(grade=None, not_graded=None | SealedText(text=None)):
            yield f"{pointer}/not_graded"
        case BaseModel():
            for name, field in type(value).model_fields.items():
                member = getattr(value, name)
                if not isinstance(member, SealedText):
                    yield from withheld_pointers(member, f"{pointer}/{name}")
                elif member.text is None and field.is_required():
                    yield f"{pointer}/{name}"
        case SealedText(text=None):
            yield pointer
        case Mapping():
            for name, member in value.items():
                yield from withheld_pointers(member, f"{pointer}/{name}")
        case tuple():
            for index, member in enumerate(value):
                yield from withheld_pointers(member, f"{pointer}/{index}")


def canonical_content(fact: Fact) -> str:
    """Returns type and published content as canonical JSON."""
    return json.dumps([fact.type_name, public_content(fact)], sort_keys=True, separators=(",", ":"))
