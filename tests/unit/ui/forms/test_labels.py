"""Labels of fields on a page that has no form."""

from __future__ import annotations

import re

import pytest

from shared.contracts.catalogue import STREAMS
from shared.contracts.enrollment import ParticipantScreened
from shared.contracts.treatment import RadiotherapyStarted
from shared.kernel.fact import Fact
from shared.ui.forms.fields import Choice, Member, fact_fields, members_within
from shared.ui.forms.labels import label_of
from shared.ui.forms.targets import fact_explanation, fact_heading

FACTS = [fact for stream in STREAMS for fact in stream.declared_facts.values()]
BARE_LABELS = {"On", "By", "Until", "For", "Every", "Id", "Mode", "Reason code", "To site", "Steps", "Digest at"}
"""Labels that say nothing without the name of the member in the interface."""
MACHINE_WORDS = re.compile(
    r"sealed|\bnull\b|\bUTC\b|ISO \d|IANA|members that|\.json|alpha-2|code of the study|token|unique within|codelist"
    r"|_|<",
    re.IGNORECASE,
)


def is_repeated(help_text: str, member: Member) -> bool:
    """Returns whether the help says of a choice what its own words say: "Death: death."."""
    words = [member.presentation.word(value) for value in member.node.values] if isinstance(member.node, Choice) else []
    return any(f"{word}: {word}.".lower() in help_text.lower() for word in words)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.type_name)
def test_forms_ask_in_the_words_of_the_site(fact: type[Fact]) -> None:
    members = list(members_within(fact_fields(fact)))
    texts = {member.name: f"{member.presentation.label}. {member.presentation.help}" for member in members}
    assert {name: text for name, text in texts.items() if MACHINE_WORDS.search(text)} == {}
    assert [member.name for member in members if member.presentation.label in BARE_LABELS] == []
    assert [member.name for member in members if is_repeated(member.presentation.help, member)] == []


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.type_name)
def test_headings_of_forms_have_no_article_and_explanations_no_words_of_the_interface(fact: type[Fact]) -> None:
    assert not re.match("(An?|The) ", fact_heading(fact))
    assert not MACHINE_WORDS.search(fact_explanation(fact))


@pytest.mark.parametrize(
    ("fact", "name", "label"),
    [
        (RadiotherapyStarted, "index", "Index course"),
        (RadiotherapyStarted, "targets.0.fractions", "Targets › 1 › Fractions"),
        (ParticipantScreened, "criteria.a.b", "Criteria › a.b"),
        (ParticipantScreened, "no_such_field", "No such field"),
        (None, "replacement.data.found_on", "Found on"),
    ],
)
def test_field_is_labeled_as_its_form_labels_it(fact: type[Fact] | None, name: str, label: str) -> None:
    assert label_of(fact_fields(fact) if fact else None, name) == label
