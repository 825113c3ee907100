"""Published studies as facts: what one may state, and which of several with the same id holds."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.literature import PublishedStudyRecorded, literature
from shared.kernel.record import current_record
from shared.testing.builders.facts import literature_recorded
from shared.testing.spec import numbered_facts


def message(**members: Any) -> tuple[str, str]:
    """Returns the member and the end of the message of the only fault."""
    with pytest.raises(ValidationError) as error:
        literature_recorded("A", **members)
    (fault,) = error.value.errors()
    return str(fault["loc"][0]), str(fault["msg"])


def test_later_entry_of_a_reference_replaces_the_earlier_in_its_place() -> None:
    stated = [literature_recorded("A", n=1), literature_recorded("B", n=2), literature_recorded("A", n=3)]
    studies = literature(current_record(numbered_facts(stated)))
    assert [(study.ref_id, study.n) for study in studies] == [("A", 3), ("B", 2)]


def test_replacement_takes_over_nothing_from_the_entry_before() -> None:
    stated = [literature_recorded("A", n=1, note="Typing error."), literature_recorded("A", n=2)]
    (study,) = literature(current_record(numbered_facts(stated)))
    assert (study.n, study.note) == (2, None)


@pytest.mark.parametrize(
    ("member", "value"), [("year", "2011; 2012"), ("median_os", "3-5"), ("os_1y_pct", "35 / 47 / 59 by era")]
)
def test_number_may_be_stated_in_words_where_there_is_no_single_one(member: str, value: str) -> None:
    assert getattr(literature_recorded("A", **{member: value}), member) == value


@pytest.mark.parametrize("member", ["year", "median_os", "os_1y_pct"])
@pytest.mark.parametrize("value", ["14.5", " 14", "14,5", "+3"])
def test_number_in_quotation_marks_is_refused(member: str, value: str) -> None:
    assert message(**{member: value}) == (member, "Value error, Give a number as a number, without quotation marks.")


@pytest.mark.parametrize(
    "members",
    [
        {"year": 22},
        {"year": 2022.5},
        {"n": -1},
        {"n": 1.5},
        {"median_os": -1},
        {"median_os": True},
        {"median_os": float("nan")},
        {"os_1y_pct": 101},
        {"note": " "},
        {"authors": "Lee"},
    ],
)
def test_impossible_value_is_refused_once(members: dict[str, Any]) -> None:
    assert message(**members)[0] == next(iter(members))


def test_part_of_the_patients_is_not_larger_than_all() -> None:
    assert message(n=3, n_atc=4)[0] == "n_atc"
    assert literature_recorded("A", n=4, n_atc=4).n_atc == 4
    assert literature_recorded("A", n_atc=4).n is None


@pytest.mark.parametrize("text", ["See K7F2-9QXA-3.", "k7f2-9qxa-3"])
@pytest.mark.parametrize("member", ["note", "toxicity", "population", "median_os"])
def test_text_with_the_number_of_a_participant_is_refused(member: str, text: str) -> None:
    assert "names no participant" in message(**{member: text})[1]


def test_identifiers_that_look_like_numbers_of_participants_are_accepted() -> None:
    for text in ("10.1000/K7F2-9QXA-31", "ISSN 0028-4793-1", "K7F2-9QXA-4"):
        assert literature_recorded("A", doi_or_pmid=text).doi_or_pmid == text


def test_null_is_the_same_as_a_member_that_is_left_out() -> None:
    stated = {"ref_id": "A", "first_author": "Lee", "year": 2022}
    assert PublishedStudyRecorded.model_validate({**stated, "n": None}) == PublishedStudyRecorded.model_validate(stated)
