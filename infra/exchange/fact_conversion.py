"""From a line to the fact that it states, and what is known to be the same. Pure.

An export has no sealed texts. Where a fact cannot do without one (the reason why something is not reported), a fact of
an export is stated with `WITHHELD` in its place, and the import says how often.
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
from shared.web.validation_messages import schema_faults

WITHHELD_TEXT = "not in the export"


def read_line(line: ImportLine) -> Fact:
    """Return the fact in today's schema version; raise Wrong with everything that is wrong with the line."""
    try:
        fact = _parse_fact(line)
    except InvalidLine as invalid:
        raise _join_faults(line, invalid.faults) from None
    if line.faults:
        raise _join_faults(line, ())
    return fact


def _join_faults(line: ImportLine, faults: Sequence[Fault]) -> InvalidLine:
    """Join the faults of the line, and those of its content where the line itself has none."""
    pointers = [fault.pointer for fault in line.faults if fault.pointer]
    other_faults = [fault for fault in faults if not any(_is_within(fault.pointer, place) for place in pointers)]
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
    """Every member that the fact's schema declares: the only names that a message repeats."""
    schema = kind.model_json_schema()
    declared = (schema, *schema.get("$defs", {}).values())
    return frozenset(name for each in declared for name in each.get("properties", ()))


def public_content(fact: Fact) -> dict[str, Any]:
    """As everybody may see it: sealed texts null."""
    return fact.model_dump(mode="json")


def stated_content(fact: Fact) -> dict[str, Any]:
    """As a site sends it: sealed texts in the clear."""
    content: dict[str, Any] = insert_texts(public_content(fact), dict(extract_texts(fact)))
    return content


def _with_placeholders(fact: Fact) -> Fact:
    """An exported fact, with a word in every place where it needs a text that is not in the export."""
    content = insert_texts(stated_content(fact), dict.fromkeys(withheld_pointers(fact), WITHHELD_TEXT))
    return type(fact).model_validate(content)


def withheld_pointers(value: object, pointer: str = "") -> Iterator[str]:
    """JSON pointers of the sealed texts that a fact as exported lacks and cannot be stated without."""
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
    """Type and published content, in one form."""
    return json.dumps([fact.type_name, public_content(fact)], sort_keys=True, separators=(",", ":"))
