"""Facts written as CSV are read back unchanged, for every fact type."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from infra.exchange.cell import check_text
from infra.exchange.decoding import decode_text
from infra.exchange.fact_conversion import canonical_content, read_line
from infra.exchange.import_line import ImportLine, InvalidLine, NumberedLine, UnreadableFile, read_json_lines
from infra.exchange.row_content import build_content
from infra.exchange.schema import schema_of
from infra.exchange.table import flatten, read_rows
from infra.exchange.template import EXAMPLE_NUMBER, UnknownFactType, render_template
from shared.contracts import catalogue
from shared.contracts.json_schemas import CONTRACTS_FOLDER, golden_path
from shared.kernel.fact import Fact, Stream
from shared.kernel.text import is_showable

FACTS = [pytest.param(stream, kind, id=f"{stream.service}/{kind.type_name}") for stream, kind in catalogue.all_facts()]
every_fact = pytest.mark.parametrize(("stream", "kind"), FACTS)


read_fact = read_line


def golden(stream: Stream, kind: type[Fact]) -> Any:
    return json.loads(
        (CONTRACTS_FOLDER / golden_path(stream.service, kind.type_name, kind.schema_version)).read_text("utf-8")
    )


def valid_line(read: NumberedLine) -> ImportLine:
    line = read[1]
    assert isinstance(line, ImportLine), line.faults
    return line


def first_fault(read: NumberedLine) -> tuple[str, str]:
    return faults_of(read)[0]


def faults_of(read: NumberedLine) -> list[tuple[str, str]]:
    """Returns code and pointer of every fault of a line."""
    line = read[1]
    if isinstance(line, ImportLine):
        with pytest.raises(InvalidLine) as error:
            read_fact(line)
        line = error.value
    return [(fault.code, fault.pointer) for fault in line.faults]


@every_fact
def test_published_examples_round_trip_through_columns(stream: Stream, kind: type[Fact]) -> None:
    content = golden(stream, kind)
    assert build_content(dict(flatten(content)), schema_of(kind.type_name, stream.service)) == content


@every_fact
def test_any_schema_instance_round_trips_through_columns(stream: Stream, kind: type[Fact]) -> None:
    schema = kind.model_json_schema()
    words_or_number = [name for name, member in schema["properties"].items() if "string" in number_alternatives(member)]

    @settings(max_examples=20)
    @given(values_of_schema(schema, schema.get("$defs", {})))
    def round_trips(content: Any) -> None:
        assume(not any(is_damaged(cell) for _, cell in flatten(content)))
        assume(not any(isinstance(content.get(name), str) and is_number(content[name]) for name in words_or_number))
        assert build_content(dict(flatten(content)), schema_of(kind.type_name, stream.service)) == content

    round_trips()


def number_alternatives(schema: dict[str, Any]) -> set[str]:
    """Returns the types of a member that may be a number; none of another member."""
    types = {option.get("type", "") for option in schema.get("oneOf", [])}
    types |= {choice.get("type", "") for option in schema.get("anyOf", []) for choice in option.get("oneOf", [])}
    return types if types & {"number", "integer"} else set()


def is_number(text: str) -> bool:
    """Returns whether a text is a number, which its fact refuses where it may be stated as a number."""
    return re.fullmatch(r"[+-]?[0-9]+([.,][0-9]+)?", text.strip()) is not None


def is_damaged(cell: str) -> bool:
    """Returns whether a spreadsheet program may have changed the cell. Such a cell is refused."""
    try:
        check_text(cell, "")
    except InvalidLine:
        return True
    return False


def values_of_schema(schema: Any, defs: Any) -> st.SearchStrategy[Any]:
    """Returns a strategy for values that satisfy a schema; they may violate rules across members."""
    match schema:
        case {"$ref": ref}:
            return values_of_schema(defs[ref.rpartition("/")[2]], defs)
        case {"const": value}:
            return st.just(value)
        case {"enum": values}:
            return st.sampled_from(values)
        case {"anyOf": several} | {"oneOf": several}:
            return st.one_of([values_of_schema(member_schema, defs) for member_schema in several])
        case {"type": "object", "properties": members}:
            needed = {
                name: values_of_schema(member, defs)
                for name, member in members.items()
                if name in schema.get("required", ())
            }
            optional = {name: values_of_schema(member, defs) for name, member in members.items() if name not in needed}
            return st.fixed_dictionaries(needed, optional=optional)
        case {"type": "object", "patternProperties": named}:
            ((pattern, member),) = named.items()
            return st.dictionaries(st.from_regex(pattern, fullmatch=True), values_of_schema(member, defs), max_size=2)
        case {"type": "array", "items": items}:
            least = schema.get("minItems", 0)
            return st.lists(values_of_schema(items, defs), min_size=least, max_size=max(least, 2))
    return scalar_values(schema)


def scalar_values(schema: Any) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(-1000, 1000)
        case "number":
            return st.integers(1, 1000) | st.floats(0.001, 1000).map(lambda value: round(value, 6))
    if "pattern" in schema and "x-sealed" not in schema:
        return st.from_regex(schema["pattern"], fullmatch=True).filter(
            lambda text: text == text.strip() and is_showable(text)
        )
    return st.text("abcdef äß,;\"'\n0123456789", min_size=1).map(str.strip).filter(bool)


@every_fact
def test_template_is_an_importable_line(stream: Stream, kind: type[Fact]) -> None:
    (template_row,) = read_rows(render_template(kind.type_name))
    line = valid_line(template_row)
    assert line.type == kind.type_name
    fact = read_line(line)
    if kind.type_name != "record.corrected":  # one template for three services
        assert json.loads(canonical_content(fact))[1] == golden(stream, kind)


def test_unknown_fact_type_has_no_template() -> None:
    with pytest.raises(UnknownFactType):
        render_template("participant.admired")


HEADER = "type,participant,line_id,on,agents/0/name,agents/0/dose,setting,planned_cycles"
ROW = f"systemic_therapy.started,{EXAMPLE_NUMBER},S1,2024-03-07,doxorubicin,20.5,palliative,6"
EXPECTED_DATA = {
    "line_id": "S1",
    "on": "2024-03-07",
    "agents": [{"name": "doxorubicin", "dose": 20.5}],
    "setting": "palliative",
    "planned_cycles": 6,
}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_table_is_read_with_any_separator_line_end_and_byte_order_mark(separator: str, end: str, mark: bytes) -> None:
    content = mark + end.join([HEADER, ROW, ""]).replace(",", separator).encode()
    (only,) = read_rows(decode_text(content))
    assert valid_line(only).data == EXPECTED_DATA


@pytest.mark.parametrize(
    "header",
    [HEADER.replace("/", "."), HEADER.replace("agents/", "/agents/"), HEADER.replace("line_id", "data/line_id")],
)
def test_paths_are_written_with_slashes_or_dots(header: str) -> None:
    (only,) = read_rows(f"{header}\n{ROW}\n")
    assert valid_line(only).data == EXPECTED_DATA


def test_empty_cell_is_an_absent_member_and_null_is_null() -> None:
    first, second = read_rows(
        "type,ref,died_on,cause,presumed,detail\n"
        "participant.died,p1,null,tumour,,\n"
        "participant.died,p1,2024-03,unknown,TRUE,at home\n"
    )
    assert valid_line(first).data == {"died_on": None, "cause": "tumour"}
    assert valid_line(second).data == {"died_on": "2024-03", "cause": "unknown", "presumed": True, "detail": "at home"}


def test_decimal_comma_is_refused() -> None:
    (only,) = read_rows(f"{HEADER}\n{ROW}\n".replace(",", ";").replace("20.5", "20,5"))
    assert first_fault(only) == ("decimal-comma", "/agents/0/dose")


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    text = 'type,ref,performed_on,kind,body_site,detail\nprocedure.performed,p1,2024-03-07,biopsy,neck,"two\nlines"\n\n'
    lines = list(read_rows(text + "procedure.performed,p1,2024-03-08,biopsy,neck,\n"))
    assert [number for number, _ in lines] == [2, 5]
    assert valid_line(lines[0]).data["detail"] == "two\nlines"


def test_fact_type_can_be_given_once_for_the_file() -> None:
    (only,) = read_rows("ref,enrolled_on\np1,2024-03-07\n", "participant.enrolled")
    assert valid_line(only).type == "participant.enrolled"
    with pytest.raises(UnreadableFile, match="--type"):
        list(read_rows("ref,enrolled_on\np1,2024-03-07\n"))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (f"{HEADER}\n{ROW},more\n", ("schema-columns", "")),
        ("type,ref,agents,agents/0/name\nsystemic_therapy.started,p1,x,y\n", ("schema-columns", "/agents/0/name")),
        ("type,ref\nparticipant.admired,p1\n", ("no-such-fact", "/type")),
        ("type,participant\nparticipant.enrolled,K7F2-9QXA-4\n", ("bad-participant-number", "/participant")),
        ("type,participant,ref\nparticipant.enrolled,K7F2-9QXA-3,p1\n", ("participant-or-ref", "")),
        ("type,enrolled_on\nparticipant.enrolled,2024-03-07\n", ("participant-needed", "/participant")),
        (
            "type,ref,data/event_id\nrecord.corrected,p1,018e18a2-5c00-7a01-8b3c-0123456789ab\n",
            ("service-needed", "/service"),
        ),
    ],
)
def test_invalid_row_is_refused_with_the_reason(table: str, expected: tuple[str, str]) -> None:
    (only,) = read_rows(table)
    assert first_fault(only) == expected


@pytest.mark.parametrize("text", ["", "type,type\n", "type,,x\n", 'type,ref\n"open'])
def test_malformed_table_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(UnreadableFile):
        list(read_rows(text))


def test_invalid_utf_8_is_refused_with_its_line() -> None:
    with pytest.raises(UnreadableFile, match="Line 2 is not UTF-8"):
        decode_text("type\nMärz".encode("latin-1"))


@pytest.mark.parametrize(
    "participant_members",
    [
        {"participant": EXAMPLE_NUMBER},
        {"participant": EXAMPLE_NUMBER.lower().replace("-", "")},
        {"participant_id": EXAMPLE_NUMBER},
    ],
)
def test_a_participant_is_named_by_number(participant_members: dict[str, Any]) -> None:
    (only,) = read_json_lines(json.dumps({"type": "participant.enrolled", "data": {}, **participant_members}))
    assert (valid_line(only).participant_key, valid_line(only).is_ref) == (EXAMPLE_NUMBER, False)


@pytest.mark.parametrize("participant_members", [{"ref": "p1"}, {"participant": {"ref": "p1"}}])
def test_participant_is_named_by_a_ref_of_the_file(participant_members: dict[str, Any]) -> None:
    (only,) = read_json_lines(json.dumps({"type": "participant.enrolled", "data": {}, **participant_members}))
    assert (valid_line(only).participant_key, valid_line(only).is_ref) == ("p1", True)


SECRET = "Zaphod-7731"


@pytest.mark.parametrize(
    "line",
    [
        f'{{"type": "{SECRET}", "ref": "p1", "data": {{}}}}',
        f'{{"type": "participant.enrolled", "ref": "p1", "data": {{}}, "{SECRET}": 1}}',
        f'{{"type": "participant.enrolled", "ref": "p1", "data": {{"enrolled_on": "{SECRET}"}}}}',
        f'{{"type": "participant.enrolled", "ref": "p1", "data": {{"{SECRET}": "2024"}}}}',
        f'{{"type": "participant.enrolled", "participant": "{SECRET}", "data": {{}}}}',
        f'{{"type": "participant.enrolled", "ref": "p1", "event_id": "{SECRET}", "data": {{}}}}',
        f'{{"type": "participant.withdrawn", "ref": "p1", "data": {{"scope": "{SECRET}"}}}}',
        f'{{"type": "participant.screened", "ref": "p1", "data": {{"criteria": {{"{SECRET}": "no"}}}}}}',
        (
            f'{{"type": "record.corrected", "ref": "p1", "service": "enrollment", "data": {{"replacement":'
            f' {{"type": "{SECRET}"}}}}}}'
        ),
        f'{{"type": "{SECRET}',
    ],
)
def test_refusal_does_not_repeat_the_line(line: str) -> None:
    (only,) = read_json_lines(line)
    line_or_error = only[1]
    if isinstance(line_or_error, ImportLine):
        with pytest.raises(InvalidLine) as wrong:
            read_line(line_or_error)
        line_or_error = wrong.value
    assert line_or_error.faults
    assert SECRET not in repr(line_or_error.faults)


def test_columns_may_come_in_any_order_and_be_quoted() -> None:
    buffer = io.StringIO()
    table = [HEADER.split(","), ROW.split(",")]
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(row[::-1] for row in table)
    (only,) = read_rows(buffer.getvalue())
    assert valid_line(only).data == EXPECTED_DATA


STUDY_FACTS: list[tuple[str, dict[str, Any]]] = [
    ("study.opened", {"protocol": {"criteria": [{"id": "age"}, {"id": "old"}], "consent_versions": []}}),
    ("study.site_activated", {"site_id": "rome"}),
    (
        "study.protocol_amended",
        {
            "protocol": {
                "criteria": [{"id": "age"}, {"id": "new"}],
                "consent_versions": [{"version": "1"}, {"version": "2"}],
            }
        },
    ),
]


def test_study_template_uses_its_sites_criteria_and_consent_forms() -> None:
    ((_, screening),) = read_rows(render_template("participant.screened", STUDY_FACTS))
    assert isinstance(screening, ImportLine)
    assert screening.data["site_id"] == "rome"
    assert screening.data["criteria"] == {"age": "met", "new": "met"}
    assert "waivers" not in screening.data
    assert ",2," in render_template("participant.consented", STUDY_FACTS)


def test_study_template_uses_nothing_of_the_reference_study() -> None:
    assert ",age,refused\n" in render_template("participant.screen_failed", STUDY_FACTS)
    assert "rome" in render_template("participant.transferred", STUDY_FACTS)
    assert EXAMPLE_NUMBER not in render_template("participant.voided", STUDY_FACTS)


@every_fact
def test_study_template_asks_for_the_participant_number(stream: Stream, kind: type[Fact]) -> None:
    header, example = csv.reader(io.StringIO(render_template(kind.type_name, STUDY_FACTS)))
    filled = dict(zip(header, example, strict=True))
    if stream.subject == "participant" and kind.type_name != "participant.screened":
        assert filled["participant"] == "the participant's number"


@every_fact
def test_template_writes_null_only_where_an_empty_cell_is_refused(stream: Stream, kind: type[Fact]) -> None:
    """An empty cell means an absent member, so that null is written only where that is refused."""
    header, example = csv.reader(io.StringIO(render_template(kind.type_name)))
    for column, cell in zip(header, example, strict=True):
        if cell == "null":
            without = [(name, value) for name, value in zip(header, example, strict=True) if name != column]
            ((_, line),) = read_rows("\n".join(",".join(part) for part in zip(*without, strict=True)))
            assert isinstance(line, ImportLine)
            with pytest.raises(InvalidLine):
                read_fact(line)
