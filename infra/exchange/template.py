"""What a row of CSV about a fact looks like: a header, and an example that can be imported. Pure.

The example is the fact's published one, with words in place of sealed texts that it cannot do without.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from infra.exchange.fact import withheld
from infra.exchange.table import built, flat, schema_of
from shared.contracts import catalogue
from shared.contracts.schemas import HERE, golden_path
from shared.kernel.fact import Corrected, Fact, Stream
from shared.kernel.sealed import STORED, revealed

TEXT = "a text that only the own site reads"
NUMBER = "K7F2-9QXA-3"


class NoSuchFact(Exception):
    """There is no fact of that type."""


def template(type_name: str) -> str:
    """Two lines of CSV. Raises NoSuchFact."""
    stream, kind = _kind(type_name)
    cells, schema = dict(flat(_example(stream, kind))), schema_of(type_name, stream.service)
    head = {"type": type_name}
    if stream.subject == "participant":
        head |= {"ref": "p1"} if type_name == "participant.screened" else {"participant": NUMBER}
    if kind.type_name == Corrected.type_name:
        head["service"] = stream.service
    for column in [column for column, cell in cells.items() if cell == "null"]:
        cells[column] = "" if _may_miss(kind, schema, cells, column) else "null"
    filled = {**head, **cells}
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([list(filled), list(filled.values())])
    return out.getvalue()


def _kind(type_name: str) -> tuple[Stream, type[Fact]]:
    for stream, kind in catalogue.facts():
        if kind.type_name == type_name:
            return stream, kind
    raise NoSuchFact(type_name)


def _example(stream: Stream, kind: type[Fact]) -> dict[str, Any]:
    golden = HERE / golden_path(stream.service, kind.type_name, kind.schema_version)
    said: dict[str, Any] = json.loads(golden.read_text("utf-8"))
    fact = kind.model_validate(said, context=STORED)
    whole: dict[str, Any] = revealed(said, dict.fromkeys(withheld(fact), TEXT))
    return whole


def _may_miss(kind: type[Fact], schema: Mapping[str, Any], cells: Mapping[str, str], column: str) -> bool:
    """Does the fact say the same without that null?"""
    try:
        kind.model_validate(built({name: cell for name, cell in cells.items() if name != column}, schema))
    except ValidationError:
        return False
    return True
