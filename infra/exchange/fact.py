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

from infra.exchange.line import Line, Wrong, wrong
from shared.contracts.toxicity import Finding
from shared.kernel.fact import Fact, upcast
from shared.kernel.refusal import Fault
from shared.kernel.sealed import STORED, SealedText, revealed, texts
from shared.web.problems import schema_faults

WITHHELD = "not in the export"


def read(line: Line) -> Fact:
    """Return the fact in today's schema version; raise Wrong with everything that is wrong with the line."""
    try:
        fact = _read(line)
    except Wrong as wrong:
        raise _whole_of(line, wrong.faults) from None
    if line.faults:
        raise _whole_of(line, ())
    return fact


def _whole_of(line: Line, found: Sequence[Fault]) -> Wrong:
    """Join the faults of the line, and those of its content where the line itself has none."""
    places = [fault.pointer for fault in line.faults if fault.pointer]
    rest = [fault for fault in found if not any(_is_within(fault.pointer, place) for place in places)]
    return Wrong(*line.faults, *rest)


def _is_within(pointer: str, other: str) -> bool:
    return f"{pointer}/".startswith(f"{other}/") or f"{other}/".startswith(f"{pointer}/")


def _read(line: Line) -> Fact:
    kind = line.stream.facts[line.type]
    try:
        data = upcast(kind, line.schema_version or kind.schema_version, dict(line.data))
        fact = kind.model_validate(data, context=STORED if line.is_exported else None)
        return _whole(fact) if line.is_exported else fact
    except ValidationError as invalid:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in invalid.errors(include_input=False)]
        raise Wrong(*schema_faults(errors, dict(line.data), _members(kind))) from None
    except (ValueError, KeyError):
        raise wrong("no-such-version", "The fact has no such schema version.", "/schema_version") from None


@cache
def _members(kind: type[Fact]) -> frozenset[str]:
    """Every member that the fact's schema declares: the only names that a message repeats."""
    schema = kind.model_json_schema()
    declared = (schema, *schema.get("$defs", {}).values())
    return frozenset(name for each in declared for name in each.get("properties", ()))


def published(fact: Fact) -> dict[str, Any]:
    """As everybody may see it: sealed texts null."""
    return fact.model_dump(mode="json")


def stated(fact: Fact) -> dict[str, Any]:
    """As a site sends it: sealed texts in the clear."""
    said: dict[str, Any] = revealed(published(fact), dict(texts(fact)))
    return said


def _whole(fact: Fact) -> Fact:
    """An exported fact, with a word in every place where it needs a text that is not in the export."""
    said = revealed(stated(fact), dict.fromkeys(withheld(fact), WITHHELD))
    return type(fact).model_validate(said)


def withheld(value: object, pointer: str = "") -> Iterator[str]:
    """JSON pointers of the sealed texts that a fact as exported lacks and cannot be stated without."""
    match value:
        case Finding(grade=None, not_graded=None | SealedText(text=None)):
            yield f"{pointer}/not_graded"
        case BaseModel():
            for name, field in type(value).model_fields.items():
                member = getattr(value, name)
                if not isinstance(member, SealedText):
                    yield from withheld(member, f"{pointer}/{name}")
                elif member.text is None and field.is_required():
                    yield f"{pointer}/{name}"
        case SealedText(text=None):
            yield pointer
        case Mapping():
            for name, member in value.items():
                yield from withheld(member, f"{pointer}/{name}")
        case tuple():
            for place, member in enumerate(value):
                yield from withheld(member, f"{pointer}/{place}")


def canonical(fact: Fact) -> str:
    """Type and published content, in one form."""
    return json.dumps([fact.type_name, published(fact)], sort_keys=True, separators=(",", ":"))
