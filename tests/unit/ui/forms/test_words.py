"""Recorded facts in words: those of the questions that the study asked."""

from __future__ import annotations

from datetime import date

import pytest

from shared.contracts.enrollment import ParticipantScreened, ScreeningFailed
from shared.contracts.study import StudyOpened
from shared.kernel.record import Record
from shared.protocol.protocol import Criterion
from shared.testing.builders import facts as enrollment_facts
from shared.testing.spec import numbered_facts
from shared.ui.forms.context import FormContext
from shared.ui.forms.fields import fact_fields
from shared.ui.forms.offers import worded_offers
from shared.ui.forms.words import FactLine, WordsOfOffers, describe_changes, describe_fact

ADULT = Criterion(id="adult", text="18 years or older", kind="inclusion")
PRIOR = Criterion(id="prior", text="Earlier radiotherapy", kind="exclusion")


@pytest.fixture
def offers() -> WordsOfOffers:
    plan = enrollment_facts.protocol().model_copy(update={"criteria": (ADULT, PRIOR)})
    study = Record(tuple(numbered_facts([enrollment_facts.study_opened(plan)])))
    return worded_offers(FormContext(study=study, today=date(2024, 6, 1)))


@pytest.mark.parametrize(
    ("answer", "of_inclusion", "of_exclusion"),
    [
        ("met", "Fulfilled", "Absent"),
        ("not_met", "Not fulfilled", "Present"),
        ("not_assessed", "Not assessed", "Not assessed"),
        ("waived", "Waived", "Present, waived"),
    ],
)
def test_recorded_answer_reads_as_it_was_chosen_in_the_form(
    offers: WordsOfOffers, answer: str, of_inclusion: str, of_exclusion: str
) -> None:
    """F8: "met" beside an exclusion criterion says the opposite of "absent" to half of all readers."""
    body = {"criteria": {"adult": answer, "prior": answer}}
    (line,) = describe_fact(fact_fields(ParticipantScreened), body, "UTC", offers)
    assert line.children == [
        FactLine("Inclusion: 18 years or older", of_inclusion),
        FactLine("Exclusion: Earlier radiotherapy", of_exclusion),
    ]


def test_correction_of_an_answer_reads_as_it_is_chosen_in_the_form(offers: WordsOfOffers) -> None:
    before, after = ({"criteria": {"prior": answer}} for answer in ("met", "not_met"))
    (change,) = describe_changes(fact_fields(ParticipantScreened), before, after, "UTC", offers)
    assert (change.before, change.after) == ("Absent", "Present")
    assert change.label.endswith("Exclusion: Earlier radiotherapy")


def test_criterion_that_the_protocol_does_not_ask_keeps_its_id(offers: WordsOfOffers) -> None:
    body = {"criteria": {"former": "met"}}
    (line,) = describe_fact(fact_fields(ParticipantScreened), body, "UTC", offers)
    assert line.children == [FactLine("former", "Met")]


def test_reasons_of_a_screening_failure_and_steps_of_reminders_read_as_in_their_forms(offers: WordsOfOffers) -> None:
    reasons = {"reason_codes": ["prior", "refused"]}
    (line,) = describe_fact(fact_fields(ScreeningFailed), reasons, "UTC", offers)
    assert line.text == "Exclusion: Earlier radiotherapy, Refused to take part"
    steps = {"protocol": {"reminders": {"steps": ["open", "overdue"]}}}
    (protocol,) = describe_fact(fact_fields(StudyOpened), steps, "UTC", offers)
    assert protocol.children[0].children[0].text == "When the window opens, When the visit is overdue"
