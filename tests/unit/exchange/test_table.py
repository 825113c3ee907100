"""What is written as CSV is read as what it was, for every fact there is."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from infra.exchange.cell import check_text
from infra.exchange.content import built
from infra.exchange.decoding import text_of
from infra.exchange.fact import canonical, read
from infra.exchange.line import Line, NotAFile, Read, Wrong, json_lines
from infra.exchange.schema import schema_of
from infra.exchange.table import flat, rows
from infra.exchange.template import NUMBER, NoSuchFact, template
from shared.contracts import catalogue
from shared.contracts.schemas import HERE, golden_path
from shared.kernel.fact import Fact, Stream
from shared.kernel.text import is_showable

FACTS = [
    pytest.param(stream, kind, id=f"{stream.service}/{kind.type_name}")
    for stream, kind in catalogue.facts()
]  # fmt: skip
every_fact = pytest.mark.parametrize(("stream", "kind"), FACTS)


read_fact = read


def golden(stream: Stream, kind: type[Fact]) -> Any:
    return json.loads((HERE / golden_path(stream.service, kind.type_name, kind.schema_version)).read_text("utf-8"))


def whole(read: Read) -> Line:
    line = read[1]
    assert isinstance(line, Line), line.faults
    return line


def refused(read: Read) -> tuple[str, str]:
    return faults_of(read)[0]


def faults_of(read: Read) -> list[tuple[str, str]]:
    """The code and the pointer of everything that is wrong with a line."""
    line = read[1]
    if isinstance(line, Line):
        with pytest.raises(Wrong) as found:
            read_fact(line)
        line = found.value
    return [(fault.code, fault.pointer) for fault in line.faults]


@every_fact
def test_the_published_example_goes_through_columns_and_back(stream: Stream, kind: type[Fact]) -> None:
    content = golden(stream, kind)
    assert built(dict(flat(content)), schema_of(kind.type_name, stream.service)) == content


@every_fact
def test_whatever_is_of_the_schema_goes_through_columns_and_back(stream: Stream, kind: type[Fact]) -> None:
    schema = kind.model_json_schema()

    @settings(max_examples=20)
    @given(of_schema(schema, schema.get("$defs", {})))
    def goes_and_comes(content: Any) -> None:
        assume(not any(is_damaged(cell) for _, cell in flat(content)))
        assert built(dict(flat(content)), schema_of(kind.type_name, stream.service)) == content

    goes_and_comes()


def is_damaged(cell: str) -> bool:
    """Does the cell look as if a spreadsheet program had put it in place of a text? Such a cell is refused."""
    try:
        check_text(cell, "")
    except Wrong:
        return True
    return False


def of_schema(schema: Any, defs: Any) -> st.SearchStrategy[Any]:
    """Values of a schema's shape; rules across members are not its matter."""
    match schema:
        case {"$ref": ref}:
            return of_schema(defs[ref.rpartition("/")[2]], defs)
        case {"const": value}:
            return st.just(value)
        case {"enum": values}:
            return st.sampled_from(values)
        case {"anyOf": several} | {"oneOf": several}:
            return st.one_of([of_schema(each, defs) for each in several])
        case {"type": "object", "properties": members}:
            needed = {name: of_schema(each, defs) for name, each in members.items()
                      if name in schema.get("required", ())}  # fmt: skip
            rest = {name: of_schema(each, defs) for name, each in members.items() if name not in needed}
            return st.fixed_dictionaries(needed, optional=rest)
        case {"type": "object", "patternProperties": named}:
            ((pattern, each),) = named.items()
            return st.dictionaries(st.from_regex(pattern, fullmatch=True), of_schema(each, defs), max_size=2)
        case {"type": "array", "items": items}:
            least = schema.get("minItems", 0)
            return st.lists(of_schema(items, defs), min_size=least, max_size=max(least, 2))
    return _plain(schema)


def _plain(schema: Any) -> st.SearchStrategy[Any]:
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
def test_a_template_is_a_line_that_can_be_imported(stream: Stream, kind: type[Fact]) -> None:
    (made,) = rows(template(kind.type_name))
    line = whole(made)
    assert line.type == kind.type_name
    fact = read(line)
    if kind.type_name != "record.corrected":  # one template for three services
        assert json.loads(canonical(fact))[1] == golden(stream, kind)


def test_there_is_no_template_of_what_is_no_fact() -> None:
    with pytest.raises(NoSuchFact):
        template("participant.admired")


HEADER = "type,participant,line_id,on,agents/0/name,agents/0/dose,setting,planned_cycles"
ROW = f"systemic_therapy.started,{NUMBER},S1,2024-03-07,doxorubicin,20.5,palliative,6"
SAID = {
    "line_id": "S1", "on": "2024-03-07", "agents": [{"name": "doxorubicin", "dose": 20.5}], "setting": "palliative",
    "planned_cycles": 6,
}  # fmt: skip


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_table_is_read_however_a_spreadsheet_saves_it(separator: str, end: str, mark: bytes) -> None:
    content = mark + end.join([HEADER, ROW, ""]).replace(",", separator).encode()
    (only,) = rows(text_of(content))
    assert whole(only).data == SAID


@pytest.mark.parametrize("header", [HEADER.replace("/", "."), HEADER.replace("agents/", "/agents/"),
                                    HEADER.replace("line_id", "data/line_id")])  # fmt: skip
def test_paths_are_written_with_slashes_or_dots(header: str) -> None:
    (only,) = rows(f"{header}\n{ROW}\n")
    assert whole(only).data == SAID


def test_an_empty_cell_is_an_absent_member_and_the_word_null_is_null() -> None:
    first, second = rows(
        "type,ref,died_on,cause,presumed,detail\n"
        "participant.died,p1,null,tumour,,\n"
        "participant.died,p1,2024-03,unknown,TRUE,at home\n"
    )
    assert whole(first).data == {"died_on": None, "cause": "tumour"}
    assert whole(second).data == {"died_on": "2024-03", "cause": "unknown", "presumed": True, "detail": "at home"}


def test_a_decimal_comma_is_refused_rather_than_guessed_at() -> None:
    (only,) = rows(f"{HEADER}\n{ROW}\n".replace(",", ";").replace("20.5", "20,5"))
    assert refused(only) == ("decimal-comma", "/agents/0/dose")


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    text = 'type,ref,performed_on,kind,body_site,detail\nprocedure.performed,p1,2024-03-07,biopsy,neck,"two\nlines"\n\n'
    found = list(rows(text + "procedure.performed,p1,2024-03-08,biopsy,neck,\n"))
    assert [number for number, _ in found] == [2, 5]
    assert whole(found[0]).data["detail"] == "two\nlines"


def test_the_fact_of_a_whole_file_can_be_said_once() -> None:
    (only,) = rows("ref,enrolled_on\np1,2024-03-07\n", "participant.enrolled")
    assert whole(only).type == "participant.enrolled"
    with pytest.raises(NotAFile, match="--type"):
        list(rows("ref,enrolled_on\np1,2024-03-07\n"))


@pytest.mark.parametrize(
    ("table", "found"),
    [
        (f"{HEADER}\n{ROW},more\n", ("schema-columns", "")),
        ("type,ref,agents,agents/0/name\nsystemic_therapy.started,p1,x,y\n", ("schema-columns", "/agents/0/name")),
        ("type,ref\nparticipant.admired,p1\n", ("no-such-fact", "/type")),
        ("type,participant\nparticipant.enrolled,K7F2-9QXA-4\n", ("bad-participant-number", "/participant")),
        ("type,participant,ref\nparticipant.enrolled,K7F2-9QXA-3,p1\n", ("participant-or-ref", "")),
        ("type,enrolled_on\nparticipant.enrolled,2024-03-07\n", ("participant-needed", "/participant")),
        ("type,ref,data/event_id\nrecord.corrected,p1,018e18a2-5c00-7a01-8b3c-0123456789ab\n",
         ("service-needed", "/service")),
    ],
)  # fmt: skip
def test_a_row_that_says_nothing_is_refused_with_the_reason(table: str, found: tuple[str, str]) -> None:
    (only,) = rows(table)
    assert refused(only) == found


@pytest.mark.parametrize("text", ["", "type,type\n", "type,,x\n", 'type,ref\n"open'])
def test_what_is_no_table_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(NotAFile):
        list(rows(text))


def test_what_is_not_utf8_is_refused_with_the_line() -> None:
    with pytest.raises(NotAFile, match="Line 2 is not UTF-8"):
        text_of("type\nMärz".encode("latin-1"))


@pytest.mark.parametrize(
    "who", [{"participant": NUMBER}, {"participant": NUMBER.lower().replace("-", "")}, {"participant_id": NUMBER}]
)
def test_a_participant_is_named_by_number(who: dict[str, Any]) -> None:
    (only,) = json_lines(json.dumps({"type": "participant.enrolled", "data": {}, **who}))
    assert (whole(only).person, whole(only).is_ref) == (NUMBER, False)


@pytest.mark.parametrize("who", [{"ref": "p1"}, {"participant": {"ref": "p1"}}])
def test_a_participant_is_named_by_what_the_file_calls_it(who: dict[str, Any]) -> None:
    (only,) = json_lines(json.dumps({"type": "participant.enrolled", "data": {}, **who}))
    assert (whole(only).person, whole(only).is_ref) == ("p1", True)


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
        (f'{{"type": "record.corrected", "ref": "p1", "service": "enrollment", "data": {{"replacement":'
        f' {{"type": "{SECRET}"}}}}}}'),
        f'{{"type": "{SECRET}',
    ],
)  # fmt: skip
def test_no_refusal_repeats_what_is_written_in_the_line(line: str) -> None:
    (only,) = json_lines(line)
    found = only[1]
    if isinstance(found, Line):
        with pytest.raises(Wrong) as wrong:
            read(found)
        found = wrong.value
    assert found.faults
    assert SECRET not in repr(found.faults)


def test_columns_may_come_in_any_order_and_be_quoted() -> None:
    out = io.StringIO()
    table = [HEADER.split(","), ROW.split(",")]
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(row[::-1] for row in table)
    (only,) = rows(out.getvalue())
    assert whole(only).data == SAID


OF_STUDY: list[tuple[str, dict[str, Any]]] = [
    ("study.opened", {"protocol": {"criteria": [{"id": "age"}, {"id": "old"}], "consent_versions": []}}),
    ("study.site_activated", {"site_id": "rome"}),
    ("study.protocol_amended", {"protocol": {"criteria": [{"id": "age"}, {"id": "new"}],
                                             "consent_versions": [{"version": "1"}, {"version": "2"}]}}),
]  # fmt: skip


def test_a_template_of_a_study_has_its_sites_criteria_and_forms() -> None:
    ((_, screening),) = rows(template("participant.screened", OF_STUDY))
    assert isinstance(screening, Line)
    assert screening.data["site_id"] == "rome"
    assert screening.data["criteria"] == {"age": "met", "new": "met"}
    assert "waivers" not in screening.data
    assert ",2," in template("participant.consented", OF_STUDY)


def test_a_template_of_a_study_has_nothing_of_the_reference_study() -> None:
    assert ",age,refused\n" in template("participant.screen_failed", OF_STUDY)
    assert "rome" in template("participant.transferred", OF_STUDY)
    assert NUMBER not in template("participant.voided", OF_STUDY)


@every_fact
def test_a_template_of_a_study_says_whose_number_is_needed(stream: Stream, kind: type[Fact]) -> None:
    header, example = csv.reader(io.StringIO(template(kind.type_name, OF_STUDY)))
    filled = dict(zip(header, example, strict=True))
    if stream.subject == "participant" and kind.type_name != "participant.screened":
        assert filled["participant"] == "the participant's number"


@every_fact
def test_a_template_says_in_one_way_that_there_is_nothing(stream: Stream, kind: type[Fact]) -> None:
    """A null is written only where an empty cell would be refused."""
    header, example = csv.reader(io.StringIO(template(kind.type_name)))
    for column, cell in zip(header, example, strict=True):
        if cell == "null":
            without = [(name, value) for name, value in zip(header, example, strict=True) if name != column]
            ((_, line),) = rows("\n".join(",".join(part) for part in zip(*without, strict=True)))
            assert isinstance(line, Line)
            with pytest.raises(Wrong):
                read_fact(line)
