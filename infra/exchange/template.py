"""Makes a CSV template of a fact: a header, and an example row that can be imported. Pure.

The example is the published one of the fact, with placeholders for required sealed texts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import ValidationError

from infra.exchange.fact_conversion import withheld_pointers
from infra.exchange.row_content import build_content
from infra.exchange.schema import schema_of
from infra.exchange.table import flatten
from shared.contracts import catalogue
from shared.contracts.json_schemas import CONTRACTS_FOLDER, golden_path
from shared.kernel.fact import Correction, Fact, Stream
from shared.kernel.sealed_text import READING_STORED, insert_texts
from shared.protocol.protocol import FollowUpPlan
from shared.protocol.schedule import one_visit_before

_CRITERIA = "criteria"
_GENERAL_FAILURE_REASONS = {"refused", "died", "other"}
"""Reasons for a screening failure beside the criteria of the protocol."""
SEALED_TEXT_EXAMPLE = "a text that only the own site reads"
EXAMPLE_NUMBER = "K7F2-9QXA-3"


class UnknownFactType(Exception):
    """There is no fact of that type."""


def render_template(type_name: str, study: Sequence[tuple[str, dict[str, Any]]] = ()) -> str:
    """Returns two lines of CSV; with the facts of a study, it has the sites, criteria and consent forms of that study.

    Raises UnknownFactType.
    """
    stream, kind = _find_fact(type_name)
    cells, schema = dict(flatten(_example_content(stream, kind))), schema_of(type_name, stream.service)
    filled_cells = {**_header_cells(stream, kind), **_blank_optional_nulls(kind, schema, cells)}
    if study:
        filled_cells = _adapt_to_study(filled_cells, study)
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([list(filled_cells), list(filled_cells.values())])
    return buffer.getvalue()


def suggest_cut_day(facts: Sequence[tuple[str, dict[str, Any]]], today: date) -> date | None:
    """Returns the data cut-off that a study's follow-up plan suggests: one visit interval and its window before today.

    `facts`: those of the study. None before it is opened.
    """
    plans = {data.get("effective_on", ""): data["protocol"]["follow_up"] for _, data in facts if "protocol" in data}
    in_force = [day for day in plans if day <= today.isoformat()]
    if not in_force:
        return None
    return one_visit_before(FollowUpPlan.model_validate(plans[max(in_force)], context=READING_STORED), today)


def _adapt_to_study(cells: Mapping[str, str], facts: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Replaces values of the example by those of the study, and by descriptions where only the user knows the value."""
    sites = [data["site_id"] for name, data in facts if name == "study.site_activated"] or ["the site's id"]
    protocol: dict[str, Any] = next((data["protocol"] for _, data in reversed(facts) if "protocol" in data), {})
    forms = [form["version"] for form in protocol.get("consent_versions", ())]
    criteria = [criterion["id"] for criterion in protocol.get(_CRITERIA, ())]
    replacements = {
        "participant": "the participant's number",
        "duplicate_of": "the number of the record that stays",
        "site_id": sites[0],
        "to_site": sites[-1],
        "form_version": forms[-1] if forms else "the form's version",
        "event_id": "the id of the event to correct",
    }
    adapted: dict[str, str] = {}
    for column, cell in cells.items():
        if column.startswith(f"{_CRITERIA}/"):
            adapted |= {f"{_CRITERIA}/{criterion}": "met" for criterion in criteria}
        elif column.startswith("reason_codes/") and cell not in _GENERAL_FAILURE_REASONS:
            adapted[column] = criteria[0] if criteria else "other"
        elif not column.startswith("waivers/"):
            adapted[column] = replacements.get(column.removeprefix("data/"), cell) if cell else cell
    return adapted


def _header_cells(stream: Stream, kind: type[Fact]) -> dict[str, str]:
    head = {"type": kind.type_name}
    if stream.subject == "participant":
        head |= {"ref": "p1"} if kind.type_name == "participant.screened" else {"participant": EXAMPLE_NUMBER}
    return head | ({"service": stream.service} if kind.type_name == Correction.type_name else {})


def _blank_optional_nulls(kind: type[Fact], schema: Mapping[str, Any], cells: Mapping[str, str]) -> dict[str, str]:
    """Returns the cells with every null emptied that the fact does not require."""
    filled = dict(cells)
    for column in [column for column, cell in cells.items() if cell == "null"]:
        filled[column] = ""
        if not _is_valid(kind, schema, filled):
            filled[column] = "null"
    return filled


def _find_fact(type_name: str) -> tuple[Stream, type[Fact]]:
    for stream, kind in catalogue.all_facts():
        if kind.type_name == type_name:
            return stream, kind
    raise UnknownFactType(type_name)


def _example_content(stream: Stream, kind: type[Fact]) -> dict[str, Any]:
    golden = CONTRACTS_FOLDER / golden_path(stream.service, kind.type_name, kind.schema_version)
    golden_content: dict[str, Any] = json.loads(golden.read_text("utf-8"))
    fact = kind.model_validate(golden_content, context=READING_STORED)
    content: dict[str, Any] = insert_texts(golden_content, dict.fromkeys(withheld_pointers(fact), SEALED_TEXT_EXAMPLE))
    return content


def _is_valid(kind: type[Fact], schema: Mapping[str, Any], cells: Mapping[str, str]) -> bool:
    try:
        kind.model_validate(
            build_content({name: cell for name, cell in cells.items() if cell}, schema), context=READING_STORED
        )
    except ValidationError:
        return False
    return True
