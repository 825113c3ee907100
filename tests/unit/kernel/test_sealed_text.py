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

from shared.kernel.fact import Fact, FactPart, Stream
from shared.kernel.ids import Code
from shared.kernel.sealed_text import (
    MAX_TEXT_CHARACTERS,
    READING_STORED,
    SealedString,
    SealedText,
    extract_texts,
    insert_texts,
)

SECRET = "Jane Doe, 12 Elm Street"
CLINIC = Stream("clinic", "participant")


class Remark(FactPart):
    code: Code
    comment: SealedString


@CLINIC.fact("visit.described")
class VisitDescribed(Fact):
    note: SealedString
    aside: SealedString | None = None
    remarks: tuple[Remark, ...] = ()
    waivers: Annotated[dict[Code, SealedString], Field(default_factory=dict)]
    mood: Literal["good", "bad"] | Remark = "good"


@CLINIC.fact("visit.contradicted")
class VisitContradicted(Fact):
    note: SealedString
    score: int

    @model_validator(mode="after")
    def _never(self) -> VisitContradicted:
        raise ValueError("the score does not fit")


FULL = {
    "note": SECRET,
    "aside": SECRET,
    "remarks": [{"code": "a", "comment": SECRET}, {"code": "b", "comment": SECRET}],
    "waivers": {"age": SECRET},
    "mood": {"code": "c", "comment": SECRET},
}
POINTERS = {"/note", "/aside", "/remarks/0/comment", "/remarks/1/comment", "/waivers/age", "/mood/comment"}
described = VisitDescribed.model_validate(FULL)
corrected = CLINIC.correction(event_id=UUID(int=1), reason_code="other", reason=SECRET, replacement=described)

non_blank_texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(str.strip)
facts = st.builds(
    lambda note, aside, remarks, waivers: VisitDescribed.model_validate(
        {
            "note": note,
            "aside": aside,
            "remarks": [{"code": "a", "comment": text} for text in remarks],
            "waivers": waivers,
        }
    ),
    non_blank_texts,
    st.none() | non_blank_texts,
    st.lists(non_blank_texts, max_size=3),
    st.dictionaries(st.sampled_from(["age", "stage"]), non_blank_texts),
)


@pytest.mark.parametrize("fact", [described, corrected], ids=["fact", "correction"])
def test_sealed_text_is_not_in_dumps_or_representations(fact: Fact) -> None:
    representations = [
        fact.model_dump_json(),
        json.dumps(fact.model_dump(mode="json")),
        str(fact.model_dump()),
        repr(fact),
        str(fact),
        f"{fact}",
        f"{fact!r}",
        str(list(fact)),
        str(fact.model_dump(exclude_defaults=True)),
        repr(copy.deepcopy(fact)),
        CLINIC.facts["visit.described"].__pydantic_serializer__.to_json(described).decode(),
    ]
    assert [text for text in representations if "Jane" in text or "Elm" in text] == []


def test_logging_a_fact_does_not_reveal_sealed_texts(caplog: pytest.LogCaptureFixture) -> None:
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
        {**FULL, "remarks": [{"code": "a", "comment": SECRET, "more": 1}]},
        {**FULL, "remarks": SECRET},
        {**FULL, "note": SECRET * MAX_TEXT_CHARACTERS},
    ],
)
def test_validation_error_does_not_quote_sealed_texts(wrong: dict[str, Any]) -> None:
    for stated in (wrong, json.dumps(wrong)):
        with pytest.raises(ValidationError) as refused:
            VisitDescribed.model_validate_json(stated) if isinstance(stated, str) else VisitDescribed.model_validate(
                stated
            )
        faults = refused.value.errors(include_input=False)
        assert "Jane" not in f"{refused.value} {refused.value!r} {faults}"


def test_model_validator_error_does_not_quote_sealed_texts() -> None:
    with pytest.raises(ValidationError) as refused:
        VisitContradicted.model_validate({"note": SECRET, "score": 3})
    traceback_text = "".join(traceback.format_exception(refused.value))
    assert "the score does not fit" in traceback_text
    assert "Jane" not in traceback_text


def test_sealed_texts_are_found_with_their_pointers() -> None:
    assert dict(extract_texts(described)) == dict.fromkeys(POINTERS, SECRET)
    assert dict(extract_texts(corrected)) == {"/reason": SECRET} | {
        f"/replacement/data{pointer}": SECRET for pointer in POINTERS
    }


@given(facts)
def test_extracted_texts_can_be_inserted_again(fact: VisitDescribed) -> None:
    dumped = fact.model_dump(mode="json")
    before = copy.deepcopy(dumped)
    again = VisitDescribed.model_validate(insert_texts(dumped, dict(extract_texts(fact))))
    assert again == fact
    assert dumped == before


@given(facts)
def test_stored_fact_is_read_and_written_without_its_texts(fact: VisitDescribed) -> None:
    stored = CLINIC.read("visit.described", 1, fact.model_dump_json())
    assert stored.model_dump_json() == fact.model_dump_json()
    assert dict(extract_texts(stored)) == {}


def test_inserting_no_or_unknown_texts_changes_nothing() -> None:
    dumped = described.model_dump(mode="json")
    assert insert_texts(dumped, {}) is dumped
    assert insert_texts(dumped, {"/elsewhere": SECRET}) == dumped


def test_only_stored_facts_may_lack_their_texts() -> None:
    with pytest.raises(ValidationError):
        VisitDescribed.model_validate({"note": None})
    assert VisitDescribed.model_validate({"note": None}, context=READING_STORED).note == SealedText(None)


@pytest.mark.parametrize("value", ["", "  \t\n", "x" * (MAX_TEXT_CHARACTERS + 1), 5, True, ["a"], {"a": 1}, b"text"])
def test_sealed_text_must_be_non_blank_and_not_too_long(value: object) -> None:
    with pytest.raises(ValidationError, match=r"Give (a text|at most)"):
        VisitDescribed.model_validate({"note": value})


def test_sealed_texts_are_kept_unchanged() -> None:
    for text in ("x" * MAX_TEXT_CHARACTERS, " é\u2028ß\n "):
        assert dict(extract_texts(VisitDescribed.model_validate({"note": text}))) == {"/note": text}


def test_sealed_text_is_a_string_in_requests_and_null_when_published() -> None:
    stated = VisitDescribed.model_json_schema()["properties"]["note"]
    published = VisitDescribed.model_json_schema(mode="serialization")["properties"]["note"]
    assert (stated["type"], stated["x-sealed"], published["type"]) == ("string", True, "null")
