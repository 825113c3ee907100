"""Forms ask for every member of every fact, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from shared.contracts.catalogue import PARTICIPANT, STREAMS
from shared.contracts.toxicity import ToxicityAssessed
from shared.kernel.fact import Correction, Fact, Stream
from shared.kernel.patterns import find_sentence
from shared.kernel.record import Record
from shared.testing.builders import facts as enrollment_facts
from shared.testing.spec import numbered_facts
from shared.ui.forms.context import FormContext
from shared.ui.forms.controls import Controls
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.field_view import FieldView
from shared.ui.forms.fields import Choice, Group, Leaf, Mapped, Member, OneOf, Rows, correction_fields, fact_fields
from shared.ui.forms.views import FormView
from shared.ui.forms.writing import write_fields
from tests.api.support.study import EXAMPLE_BODIES

FACTS = [fact for stream in STREAMS for fact in stream.declared_facts.values()]
CHECKLIST = {"dictionary": "ctcae-3.0", "checklist": ["3.0:0150"]}
SPEAKING_CODES = {"IMRT", "VMAT"}
"""Codes that are the words of the field."""


def record_of(*facts: Fact) -> Record:
    return Record(tuple(numbered_facts(facts)))


CONTEXT = FormContext(
    study=record_of(enrollment_facts.study_opened(enrollment_facts.protocol(symptoms=["pain"]))),
    enrollment=record_of(
        enrollment_facts.lesion_registered("L1"),
        enrollment_facts.radiotherapy_started(1, "RT1", enrollment_facts.target("T1", "L1")),
        enrollment_facts.systemic_therapy_started(),
    ),
    today=date(2024, 6, 1),
)


def views_of(group: Group, form: PostedForm) -> list[FieldView]:
    return list(_all(FormView(Controls(CONTEXT, form)).build(group)))


def _all(views: list[FieldView]) -> Iterator[FieldView]:
    for view in views:
        yield view
        yield from _all(list(view.children))


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.type_name)
def test_every_element_of_a_form_has_an_id_of_its_own(fact: type[Fact]) -> None:
    """A label names the first element with its id, and a fault leads there: that must be the control."""
    rows = PostedForm(pairs=(("protocol.symptoms.0", "pain"), ("molecular_findings.0.result", "vus")))
    views = [view for view in views_of(fact_fields(fact), rows) if view.label and view.kind != "hidden"]
    ids = [view.id for view in views]
    assert [name for name in ids if ids.count(name) > 1] == []


def members_of(node: object) -> Iterator[Member]:
    """Yields every member within, with those of the shapes that a value may have."""
    match node:
        case Group(members=members):
            for member in members:
                yield member
                yield from members_of(member.node)
        case Rows(item=item) | Mapped(item=item):
            yield item
            yield from members_of(item.node)
        case OneOf(options=options):
            for option in options:
                yield option
                yield from members_of(option.node)


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.type_name)
def test_form_has_a_control_for_everything_that_the_fact_says(kind: type[Fact]) -> None:
    body = EXAMPLE_BODIES.get(kind.type_name, {})
    group = fact_fields(kind)
    pairs = tuple(write_fields(group, body))
    views = {view.name: view for view in views_of(group, PostedForm(pairs=pairs))}
    for name, value in pairs:
        view = views.get(name) or views.get(name.rpartition(".")[0])  # boxes have the name of their list
        is_shown = view is not None and (view.value == value or value in {option.value for option in view.options})
        assert is_shown or name == "protocol.follow_up.anchor", (name, value)


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.type_name)
def test_empty_form_chooses_no_boolean_and_fills_in_no_date(kind: type[Fact]) -> None:
    """F1, F16: nothing is chosen beforehand but a default of the class that is no boolean and no date."""
    for view in views_of(fact_fields(kind), PostedForm(is_first=True)):
        is_boolean = {option.value for option in view.options} == {"true", "false"}
        assert not (is_boolean and any(option.is_answer for option in view.options)), view.name
        assert not re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", view.value), view.name


@pytest.mark.parametrize("stream", [stream for stream in STREAMS if stream.correctable], ids=lambda s: s.service)
def test_every_fact_of_a_participant_has_a_correction_form(stream: Stream) -> None:
    for kind in stream.declared_facts.values():
        names = {
            view.name for view in views_of(correction_fields(stream.facts[Correction.type_name], kind), PostedForm())
        }
        assert {"reason_code", "reason", "replacement"} <= names


def test_every_choice_has_a_word_of_its_own() -> None:
    """A choice whose word is its code needs a word in its class, or is listed here."""
    unspoken = {
        str(value)
        for kind in FACTS
        for member in members_of(fact_fields(kind))
        if isinstance(member.node, Choice)
        for value in member.node.values
        if isinstance(value, str) and member.presentation.word(value) == value and not value.istitle()
    }
    assert unspoken - SPEAKING_CODES == set()


def test_every_pattern_has_a_sentence() -> None:
    """F15: nobody can read a regular expression."""
    patterns = {
        pattern
        for kind in FACTS
        for member in members_of(fact_fields(kind))
        if isinstance(member.node, Leaf)
        for pattern in re.findall(r"pattern='([^']+)'", str(member.annotation))
    }
    assert patterns
    assert {
        pattern for pattern in patterns if find_sentence(pattern.encode().decode("unicode_escape")) is None
    } == set()


def test_member_with_a_long_list_is_a_select_with_an_empty_option_first() -> None:
    """F16."""
    views = {view.name: view for view in views_of(fact_fields(PARTICIPANT.facts["lesion.registered"]), PostedForm())}
    assert (views["body_site"].kind, views["body_site"].options[0].value) == ("select", "")
    assert views["kind"].kind == "radio"


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.type_name)
def test_every_control_and_fieldset_has_an_id_of_its_own(kind: type[Fact]) -> None:
    """A label of an id that stands twice belongs to the first element: the field has no name for a screen reader."""
    pairs = tuple(write_fields(fact_fields(kind), EXAMPLE_BODIES.get(kind.type_name, {})))
    ids = [view.id for view in views_of(fact_fields(kind), PostedForm(pairs=pairs))]
    assert sorted(ids) == sorted(set(ids))


def test_dose_is_shown_in_gray_beside_the_field() -> None:
    """F2: 2 typed for centigray is seen to be 0.02 Gy."""
    pairs = (("targets.0.dose_per_fraction_cgy", "2"), ("targets.0.total_dose_cgy", "6000"))
    views = {
        view.name: view
        for view in views_of(fact_fields(STREAMS[1].facts["radiotherapy.started"]), PostedForm(pairs=pairs))
    }
    assert views["targets.0.dose_per_fraction_cgy"].note == "2 cGy = 0.02 Gy"
    assert views["targets.0.total_dose_cgy"].note == "6000 cGy = 60 Gy"


def test_numbers_and_dates_are_text_fields() -> None:
    """F4: a browser sends an empty value for "2,5" in a number field."""
    for kind in FACTS:
        for view in views_of(fact_fields(kind), PostedForm()):
            assert view.kind not in ("number", "date")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("inclusion", ["Fulfilled", "Not fulfilled", "Not assessed", "Waived"]),
        ("exclusion", ["Absent", "Present", "Not assessed", "Present, waived"]),
    ],
)
def test_criterion_is_answered_in_words_that_fit_its_kind(kind: str, words: list[str]) -> None:
    """F8: an exclusion criterion is met if it is absent; half of all people would answer "met" the other way round."""
    plan = enrollment_facts.protocol(("prior-rt",))
    criterion = plan.criteria[0].model_copy(update={"kind": kind})
    study = record_of(enrollment_facts.study_opened(plan.model_copy(update={"criteria": (criterion,)})))
    context = FormContext(study=study, today=date(2024, 6, 1))
    form = FormView(Controls(context, PostedForm())).build(fact_fields(PARTICIPANT.facts["participant.screened"]))
    answer = next(view for view in _all(form) if view.name == "criteria.prior-rt")
    assert [option.label for option in answer.options] == words
    assert [option.value for option in answer.options] == ["met", "not_met", "not_assessed", "waived"]


def offered_row(**values: str) -> FieldView:
    """Returns the row of a finding of the checklist, with these values."""
    pairs = [("findings.0.term", "3.0:0150"), *((f"findings.0.{name}", value) for name, value in values.items())]
    form = PostedForm(pairs=tuple(pairs), offered=frozenset({"findings.0.term"}))
    study = record_of(enrollment_facts.study_opened(enrollment_facts.protocol(toxicity=CHECKLIST)))
    controls = Controls(replace(CONTEXT, study=study), form)
    return next(
        view for view in _all(FormView(controls).build(fact_fields(ToxicityAssessed))) if view.name == "findings.0"
    )


def test_row_that_was_offered_asks_for_what_is_optional_behind_one_more() -> None:
    *visible_children, more = [child for child in offered_row().children if child.kind != "hidden"]
    assert [child.name for child in visible_children] == ["findings.0.grade", "findings.0.not_graded"]
    assert more.kind == "more"
    assert {child.name for child in more.children} == {"findings.0.attribution", "findings.0.onset_on"}


def test_reason_that_another_answer_makes_necessary_is_shown_before_that_answer_is_given() -> None:
    for values in ({}, {"grade": "2"}, {"grade": "null"}):
        assert "findings.0.not_graded" in {child.name for child in offered_row(**values).children}


def test_row_that_was_added_shows_all_but_empty_lists_behind_the_same_more() -> None:
    form = PostedForm(pairs=(("findings.0.term", "3.0:0150"),))
    views = _all(FormView(Controls(CONTEXT, form)).build(fact_fields(ToxicityAssessed)))
    row = next(view for view in views if view.name == "findings.0")
    assert [child.name for child in row.children] == [
        *(f"findings.0.{name}" for name in ("term", "grade", "not_graded", "onset_on", "more"))
    ]
    assert [child.name for child in row.children[-1].children] == ["findings.0.attribution"]


def test_row_shows_what_is_stated_in_it() -> None:
    children = {child.name: child for child in offered_row(grade="2", onset_on="2024-05-01").children}
    assert children["findings.0.onset_on"].value == "2024-05-01"
    assert "findings.0.onset_on" not in {child.name for child in children["findings.0.more"].children}
