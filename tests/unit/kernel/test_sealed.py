from __future__ import annotations

import copy
import json
import logging
import traceback
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from shared.kernel.fact import Fact, Member, Stream
from shared.kernel.ids import Code
from shared.kernel.sealed import LONGEST, STORED, Sealed, SealedText, revealed, texts

SECRET = "Jane Doe, 12 Elm Street"
CLINIC = Stream("clinic", "participant")


class Remark(Member):
    code: Code
    said: Sealed


@CLINIC.fact("visit.described")
class Described(Fact):
    note: Sealed
    aside: Sealed | None = None
    remarks: tuple[Remark, ...] = ()
    waivers: Annotated[dict[Code, Sealed], Field(default_factory=dict)]
    mood: Literal["good", "bad"] | Remark = "good"


@CLINIC.fact("visit.contradicted")
class Contradicted(Fact):
    note: Sealed
    score: int

    @model_validator(mode="after")
    def _never(self) -> Contradicted:
        raise ValueError("the score does not fit")


FULL = {
    "note": SECRET,
    "aside": SECRET,
    "remarks": [{"code": "a", "said": SECRET}, {"code": "b", "said": SECRET}],
    "waivers": {"age": SECRET},
    "mood": {"code": "c", "said": SECRET},
}
POINTERS = {"/note", "/aside", "/remarks/0/said", "/remarks/1/said", "/waivers/age", "/mood/said"}
described = Described.model_validate(FULL)
corrected = CLINIC.correction(event_id=UUID(int=1), reason_code="other", reason=SECRET, replacement=described)

said = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(str.strip)
facts = st.builds(
    lambda note, aside, remarks, waivers: Described.model_validate(
        {"note": note, "aside": aside, "remarks": [{"code": "a", "said": text} for text in remarks], "waivers": waivers}
    ),
    said, st.none() | said, st.lists(said, max_size=3), st.dictionaries(st.sampled_from(["age", "stage"]), said),
)  # fmt: skip


@pytest.mark.parametrize("fact", [described, corrected], ids=["fact", "correction"])
def test_a_sealed_text_is_in_no_dump_and_in_nothing_that_is_printed(fact: Fact) -> None:
    shown = [
        fact.model_dump_json(), json.dumps(fact.model_dump(mode="json")), str(fact.model_dump()), repr(fact), str(fact),
        f"{fact}", f"{fact!r}", str(list(fact)), str(fact.model_dump(exclude_defaults=True)),
        repr(copy.deepcopy(fact)), CLINIC.facts["visit.described"].__pydantic_serializer__.to_json(described).decode(),
    ]  # fmt: skip
    assert [text for text in shown if "Jane" in text or "Elm" in text] == []


def test_a_log_of_a_fact_does_not_tell_what_is_sealed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger(__name__).info("recorded %s %r", described, described.note)
    assert "Jane" not in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {**FULL, "mood": SECRET},
        {**FULL, "extra": SECRET},
        {**FULL, "note": {"text": SECRET}},
        {**FULL, "note": [SECRET]},
        {**FULL, "remarks": [{"code": "a", "said": SECRET, "more": 1}]},
        {**FULL, "remarks": SECRET},
        {**FULL, "note": SECRET * LONGEST},
    ],
)
def test_a_refusal_does_not_quote_what_was_to_be_sealed(wrong: dict[str, Any]) -> None:
    for stated in (wrong, json.dumps(wrong)):
        with pytest.raises(ValidationError) as refused:
            Described.model_validate_json(stated) if isinstance(stated, str) else Described.model_validate(stated)
        faults = refused.value.errors(include_input=False)
        assert "Jane" not in f"{refused.value} {refused.value!r} {faults}"


def test_a_rule_between_members_that_refuses_does_not_quote_them() -> None:
    with pytest.raises(ValidationError) as refused:
        Contradicted.model_validate({"note": SECRET, "score": 3})
    shown = "".join(traceback.format_exception(refused.value))
    assert "the score does not fit" in shown
    assert "Jane" not in shown


def test_every_sealed_text_is_found_where_it_is() -> None:
    assert dict(texts(described)) == dict.fromkeys(POINTERS, SECRET)
    assert dict(texts(corrected)) == {"/reason": SECRET} | {
        f"/replacement/data{pointer}": SECRET for pointer in POINTERS
    }


@given(facts)
def test_what_is_taken_out_can_be_put_back_where_it_was(fact: Described) -> None:
    dumped = fact.model_dump(mode="json")
    before = copy.deepcopy(dumped)
    again = Described.model_validate(revealed(dumped, dict(texts(fact))))
    assert again == fact
    assert dumped == before


@given(facts)
def test_a_stored_fact_is_read_without_its_texts_and_stored_the_same(fact: Described) -> None:
    stored = CLINIC.read("visit.described", 1, fact.model_dump_json())
    assert stored.model_dump_json() == fact.model_dump_json()
    assert dict(texts(stored)) == {}


def test_nobody_opens_anything_by_revealing_nothing() -> None:
    dumped = described.model_dump(mode="json")
    assert revealed(dumped, {}) is dumped
    assert revealed(dumped, {"/elsewhere": SECRET}) == dumped


def test_only_a_stored_fact_may_be_without_its_text() -> None:
    with pytest.raises(ValidationError):
        Described.model_validate({"note": None})
    assert Described.model_validate({"note": None}, context=STORED).note == SealedText(None)


@pytest.mark.parametrize("value", ["", "  \t\n", "x" * (LONGEST + 1), 5, True, ["a"], {"a": 1}, b"text"])
def test_a_text_has_something_to_say_and_an_end(value: object) -> None:
    with pytest.raises(ValidationError, match=r"Give (a text|at most)"):
        Described.model_validate({"note": value})


def test_the_longest_text_and_the_plainest_are_kept_to_the_letter() -> None:
    for text in ("x" * LONGEST, " é\u2028ß\n "):
        assert dict(texts(Described.model_validate({"note": text}))) == {"/note": text}


def test_what_is_stated_is_a_text_and_what_is_published_is_null() -> None:
    stated = Described.model_json_schema()["properties"]["note"]
    published = Described.model_json_schema(mode="serialization")["properties"]["note"]
    assert (stated["type"], stated["x-sealed"], published["type"]) == ("string", True, "null")
