"""Forms are read by the class of the fact: the same JSON body as the API's, or a text that the class refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contracts.catalogue import STREAMS, fact_class
from shared.kernel.errors import MalformedBody
from shared.kernel.fact import Correction, Fact
from shared.kernel.record import Record
from shared.kernel.sealed_text import extract_texts, insert_texts
from shared.testing.builders.generated import facts_of_type
from shared.ui.forms.context import FormContext
from shared.ui.forms.controls import Controls
from shared.ui.forms.entries import EMPTY, PostedForm, parse_form
from shared.ui.forms.faults import field_name, validation_faults
from shared.ui.forms.fields import Group, Leaf, Mapped, Member, Node, OneOf, Rows, fact_fields
from shared.ui.forms.reading import FormReading, read_form
from shared.ui.forms.writing import write_fields

FACTS = [fact for stream in STREAMS for fact in stream.declared_facts.values()]


def read(type_name: str, pairs: list[tuple[str, str]], service: str = "enrollment", **form: Any) -> FormReading:
    fields = fact_fields(fact_class(service, type_name))
    return read_form(fields, PostedForm(pairs=tuple(pairs), **form))


def objections(type_name: str, pairs: list[tuple[str, str]], service: str = "enrollment") -> dict[str, str]:
    """Returns the sentences by the names of the fields that they are shown at."""
    fact = fact_class(service, type_name)
    reading = read(type_name, pairs, service)
    return {
        field_name(fault.pointer, fact_fields(fact), reading): fault.message
        for fault in validation_faults(fact, reading)
    }


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.type_name)
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])  # few words are time zones
@given(data=st.data())
def test_fact_that_is_written_into_its_form_is_read_back_unchanged(kind: type[Fact], data: st.DataObject) -> None:
    """Lists that are empty are left out, and every class has the empty list or none as the default of such a list."""
    fact = data.draw(facts_of_type(kind))
    body = insert_texts(fact.model_dump(mode="json"), dict(extract_texts(fact)))
    box_lists = frozenset(_lists(body))
    pairs = tuple(write_fields(fact_fields(kind), body))
    reading = read_form(fact_fields(kind), PostedForm(pairs=pairs, box_lists=box_lists))
    assert reading.faults == []
    assert kind.model_validate(reading.body) == fact


def _lists(value: Any, name: str = "") -> list[str]:
    """Returns the names of the lists within."""
    if isinstance(value, dict):
        return [inner for step, item in value.items() for inner in _lists(item, f"{name}.{step}" if name else step)]
    if isinstance(value, list):
        return [name, *(inner for index, item in enumerate(value) for inner in _lists(item, f"{name}.{index}"))]
    return []


def test_boolean_that_was_not_answered_is_objected_to_though_the_class_has_a_default() -> None:
    """F1: an unanswered question about the use of data must not become consent."""
    consent = [("signed_on", "2024-02-01"), ("form_version", "2.1"), ("options.registry", "false")]
    faults = objections("participant.consented", [*consent, ("options.data_use", "")])
    assert faults == {"options.data_use": "Choose yes or no.", "options.recontact": "Choose yes or no."}
    assert "presumed" in objections("participant.died", [("died_on", "null"), ("cause", "other")], "followup")


def test_boxes_that_were_shown_and_not_ticked_state_the_empty_list() -> None:
    """F1: otherwise the default of the class would come back."""
    pairs = [("protocol.stereotactic.deliveries", "")]
    box_lists = frozenset({"protocol.stereotactic.deliveries"})
    assert read("study.opened", pairs, box_lists=box_lists).body["protocol"]["stereotactic"] == {"deliveries": []}
    assert read("study.opened", pairs).body["protocol"]["stereotactic"] == {}


def test_boxes_of_a_list_that_may_be_left_out_state_nothing_if_none_is_ticked() -> None:
    """A follow-up report without new criteria leaves them as they were."""
    box_lists = frozenset({"seriousness"})
    assert read("toxicity.serious_event_updated", [], "toxicity", box_lists=box_lists).body == {}
    assert read("toxicity.serious_event_reported", [], "toxicity", box_lists=box_lists).body == {"seriousness": []}


@pytest.mark.parametrize(
    ("typed", "centigray"),
    [
        ("200", 200),
        ("2 Gy", 200),
        ("2,5 Gy", 250),
        ("2.5Gy", 250),
        ("200 cGy", 200),
        (" 200 ", 200),
        ("0,333 Gy", None),
    ],
)
def test_dose_may_be_typed_with_its_unit(typed: str, centigray: int | None) -> None:
    """F2."""
    target = read("radiotherapy.started", [("targets.0.dose_per_fraction_cgy", typed)]).body["targets"][0]
    assert target["dose_per_fraction_cgy"] == (typed if centigray is None else centigray)


@pytest.mark.parametrize(
    ("typed", "value"),
    [("12", 12.0), ("12.5", 12.5), ("12,5", 12.5), ("12 mm", 12.0), ("1,200.5", "1,200.5"), ("1e3", "1e3"), ("x", "x")],
)
def test_number_may_have_a_point_or_a_comma_and_no_thousands(typed: str, value: object) -> None:
    """F4, F5: text that is no number stays, so that it is shown again."""
    assert read("lesion.registered", [("size_mm", typed)]).body == {"size_mm": value}


@pytest.mark.parametrize(
    ("typed", "value"), [("14.5", 14.5), ("14,5", 14.5), ("14", 14), ("3-5", "3-5"), (" 35 / 47 ", "35 / 47")]
)
def test_number_that_may_be_in_words_is_read_as_a_number_where_it_is_one(typed: str, value: object) -> None:
    assert read("literature.study_recorded", [("median_os", typed)]).body == {"median_os": value}


@pytest.mark.parametrize("typed", ["2,5", "30.0", "3O", "٣", "1" * 40])
def test_text_that_is_no_whole_number_is_objected_to_at_its_field(typed: str) -> None:
    name = "targets.0.fractions"
    assert name in objections("radiotherapy.started", [(name, typed)])


@pytest.mark.parametrize("typed", ["06/2024", "7.3.2024", "2024-3", "2024-02-30"])
def test_date_in_another_form_is_objected_to_at_its_field(typed: str) -> None:
    faults = objections("participant.enrolled", [("enrolled_on", typed)])
    assert set(faults) == {"enrolled_on"}
    assert "null" not in faults["enrolled_on"]  # a word of the API: a form has a box for it, where it may be null


def test_only_the_filled_shape_of_a_value_is_objected_to() -> None:
    """F6: a scale without a value is one objection, not three."""
    contact = [("seen_on", "2024-03-01"), ("mode", "phone")]
    assert objections("followup.recorded", [*contact, ("performance.scale", "KPS")], "followup") == {
        "performance.value": "This is missing, and it is required."
    }
    karnofsky = [("performance.scale", "KPS"), ("performance.value", "85")]
    assert objections("followup.recorded", [*contact, *karnofsky], "followup") == {
        "performance": "Give the Karnofsky performance status in tens, from 0 to 100."
    }


def test_two_filled_shapes_of_a_value_are_objected_to_at_the_fieldset() -> None:
    """F6."""
    both = [("performance.scale", "ECOG"), ("performance.value", "1"), ("performance.not_reported", "asleep")]
    assert objections("followup.recorded", [("seen_on", "2024"), ("mode", "phone"), *both], "followup") == {
        "performance": "Fill in one of these only, and leave the others empty."
    }


def test_everything_after_the_name_of_a_map_is_the_key() -> None:
    """F7: ids of criteria may have dots."""
    reading = read("participant.screened", [("criteria.a.b", "met"), ("criteria.c", ""), ("criteria.d", "not_met")])
    assert reading.body["criteria"] == {"a.b": "met", "d": "not_met"}


def test_rows_close_up_and_faults_are_shown_at_the_row_that_was_typed() -> None:
    pairs = [("agents.3.name", ""), ("agents.5.name", "Carboplatin"), ("agents.5.dose", "x"), ("agents.9.name", "B")]
    assert [agent["name"] for agent in read("systemic_therapy.started", pairs).body["agents"]] == ["Carboplatin", "B"]
    assert objections("systemic_therapy.started", pairs)["agents.5.dose"] == "Give a number."


def test_row_with_nothing_but_what_the_form_filled_in_is_not_stated() -> None:
    pairs = [("findings.0.term", "3.0:0150"), ("findings.1.term", "3.0:0114"), ("findings.1.grade", "2")]
    offered = frozenset({"findings.0.term", "findings.1.term"})
    reading = read("toxicity.assessed", pairs, "toxicity", offered=offered)
    assert reading.body["findings"] == [{"term": "3.0:0114", "grade": 2}]
    assert reading.row_numbers["findings"] == [1]


def test_null_is_stated_where_a_member_must_be_stated_and_may_be_null() -> None:
    assert read("participant.died", [("died_on", "null")], "followup").body == {"died_on": None}
    finding = [("findings.0.term", "3.0:0150"), ("findings.0.grade", "null")]
    assert read("toxicity.assessed", finding, "toxicity").body["findings"][0]["grade"] is None
    note = [("note", "null")]
    assert read("followup.recorded", note, "followup").body == {"note": "null"}


def test_line_breaks_of_a_browser_are_one_character_and_blanks_within_texts_stay() -> None:
    """F12: otherwise every correction of a narrative would change it."""
    typed = [("narrative", "  First.\r\n\r\nSecond. "), ("serious_event_id", " SAE1 ")]
    body = read("toxicity.serious_event_reported", typed, "toxicity").body
    assert (body["narrative"], body["serious_event_id"]) == ("  First.\n\nSecond. ", "SAE1")


def _texts_within(node: Node, name: str) -> Iterator[tuple[str, Member]]:
    """Yields the name and the member of every text that is typed in, with one row of each list."""
    match node:
        case Group(members=members):
            for member in members:
                yield from _texts_of(member, f"{name}.{member.name}" if name else member.name)
        case Rows(item=item):
            yield from _texts_of(item, f"{name}.0")
        case Mapped(item=item):
            yield from _texts_of(item, f"{name}.key")
        case OneOf(options=options):
            for option in options:
                yield from _texts_of(option, name)


def _texts_of(member: Member, name: str) -> Iterator[tuple[str, Member]]:
    if member.node in (Leaf("text"), Leaf("sealed")):
        yield name, member
    else:
        yield from _texts_within(member.node, name)


def _value_at(body: Any, name: str) -> Any:
    for step in name.split("."):
        body = body[int(step)] if step.isdecimal() else body[step]
    return body


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.type_name)
def test_every_text_of_a_text_area_has_plain_line_breaks_and_every_other_no_blanks_around_it(kind: type[Fact]) -> None:
    """F12: what the browser adds is no change of a text; the blanks within it, and around it in a text area, are."""
    context = FormContext(study=Record(), today=date(2024, 1, 1))
    for name, member in _texts_within(fact_fields(kind), ""):
        form = PostedForm(pairs=((name, " First.\r\n\rSecond. "),))
        typed = _value_at(read_form(fact_fields(kind), form).body, name)
        is_text_area = Controls(context, form).control(member, EMPTY, name).kind == "textarea"
        assert typed == (" First.\n\nSecond. " if is_text_area else "First.\n\nSecond."), name


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x7f", "\ue000"])
def test_control_characters_are_objected_to_at_their_field(character: str) -> None:
    """F12."""
    faults = objections("participant.withdrawn", [("reason", f"a{character}b")])
    assert faults["reason"] == "The text has control characters. Leave them out."


def test_field_that_the_fact_does_not_have_is_objected_to_and_not_repeated() -> None:
    faults = objections("participant.enrolled", [("enrolled_on", "2024-02-01"), ("Mr-Smith", "x")])
    assert list(faults) == [""]
    assert "Smith" not in json.dumps(faults)


def test_form_of_1200_fields_is_read() -> None:
    """F13: Starlette refuses the 1,001st field."""
    body = "&".join(f"findings.{index}.term=3.0%3A0150&findings.{index}.grade=1" for index in range(600))
    form = parse_form(body.encode())
    assert len(form.pairs) == 1200
    assert len(read("toxicity.assessed", list(form.pairs), "toxicity").body["findings"]) == 600


@pytest.mark.parametrize("body", [b"a=%ff", b"a=\xff", "&".join("a=" for _ in range(20_001)).encode()])
def test_unreadable_form_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_form(body)


@given(st.lists(st.tuples(st.text("ab.0:", max_size=30), st.text(max_size=5)), max_size=20))
def test_any_names_and_values_can_be_read(pairs: list[tuple[str, str]]) -> None:
    for fact in FACTS:
        if fact is not Correction:
            read_form(fact_fields(fact), PostedForm(pairs=tuple(pairs)))
