"""A recorded fact in words: the label of each member and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.kernel.presentation import Offer
from shared.ui.forms.context import Offered
from shared.ui.forms.doses import dose_in_gray
from shared.ui.forms.fields import Choice, Group, Leaf, Mapped, Member, OneOf, Rows
from shared.ui.forms.offers import term_name
from shared.ui.forms.reading import normalize_breaks
from shared.ui.forms.site_time import describe_time
from shared.ui.forms.terms import is_term_id
from shared.ui.forms.writing import write_value

KEPT_WITH_THE_SITE = "kept with the site"
WordsOfOffers = Mapping[Offer, Mapping[str, Offered]]
"""The values whose words the study decides: the criteria of its protocol, each with the words of its answers."""
NO_WORDS: WordsOfOffers = {}


@dataclass(frozen=True, slots=True)
class FactLine:
    """One member of a fact in words. `children` are those of an object or a list."""

    label: str
    text: str = ""
    children: Sequence[FactLine] = ()


def describe_fact(group: Group, body: Mapping[str, Any], zone: str, offers: WordsOfOffers = NO_WORDS) -> list[FactLine]:
    """Returns the members that a fact states, in the order of its class, with times by the clock of a zone.

    `offers`: the criteria that the study asked. An answer to one means the opposite for an exclusion criterion.
    """
    members = [member for member in group.members if member.name in body]
    return [line for member in members for line in _lines(member, body[member.name], zone, offers)]


def _lines(member: Member, value: Any, zone: str, offers: WordsOfOffers) -> Iterator[FactLine]:
    label = member.presentation.label
    match member.node:
        case Leaf(kind="sealed") if value is None:
            if member.is_required:
                yield FactLine(label, KEPT_WITH_THE_SITE)
        case Leaf() | Choice():
            if value is not None or member.states_null:
                yield FactLine(label, value_in_words(member, value, zone, offers))
        case Group() as group if isinstance(value, dict):
            yield FactLine(label, children=describe_fact(group, value, zone, offers))
        case Rows(item=item) if value:
            yield _list_line(label, member, item, value, zone, offers)
        case Mapped(item=item) if value:
            words = Member(name="", node=item.node, presentation=member.presentation, annotation=None)
            questions = offers.get("criteria" if member.presentation.beside else member.presentation.offers, {})
            answers = [_answer_line(words, key, text, questions.get(key)) for key, text in value.items()]
            yield FactLine(label, children=answers)
        case OneOf(options=options) if value is not None:
            for option in options:
                yield from _option_lines(member, option, value, zone, offers)


def _answer_line(member: Member, key: str, answer: Any, question: Offered | None) -> FactLine:
    """Returns the answer to a question of the study, in the words that fit the question."""
    answer_words = question.words if question else {}
    return FactLine(
        question.label if question else key, answer_words.get(str(answer)) or value_in_words(member, answer)
    )


def _list_line(
    label: str, member: Member, item: Member, values: Sequence[Any], zone: str, offers: WordsOfOffers
) -> FactLine:
    if isinstance(item.node, Group):
        groups = [describe_fact(item.node, value, zone, offers) for value in values]
        return FactLine(label, children=[FactLine(f"{i}.", children=lines) for i, lines in enumerate(groups, 1)])
    described = Member(
        name="", node=item.node, presentation=item.presentation.over(member.presentation), annotation=None
    )
    return FactLine(label, ", ".join(value_in_words(described, value, zone, offers) for value in values))


def _option_lines(member: Member, option: Member, value: Any, zone: str, offers: WordsOfOffers) -> Iterator[FactLine]:
    match option.node:
        case Group(members=members) as group if isinstance(value, dict) and value.keys() <= {m.name for m in members}:
            yield FactLine(member.presentation.label, children=describe_fact(group, value, zone, offers))
        case Rows(item=item) if isinstance(value, list) and value:
            yield _list_line(member.presentation.label, member, item, value, zone, offers)
        case Leaf() | Choice() if isinstance(value, str | int | float):
            yield FactLine(member.presentation.label, value_in_words(member, value))


def value_in_words(member: Member, value: Any, zone: str = "UTC", offers: WordsOfOffers = NO_WORDS) -> str:
    """Returns a single value as people read it, a time by the clock of a zone."""
    if value is None:
        return member.presentation.words.get("null", "Not known")
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if choice := offers.get(member.presentation.offers, {}).get(str(value)):
        return choice.label
    if isinstance(member.node, Choice):
        return member.presentation.word(value)
    if member.node == Leaf("time") and (site_time := describe_time(str(value), zone)):
        return site_time
    if isinstance(value, str) and is_term_id(value):
        return f"{term_name(value)} ({value})"
    if note := dose_in_gray(member, str(value)):
        return note
    return f"{write_value(value)} {member.presentation.unit}".strip()


@dataclass(frozen=True, slots=True)
class FactChange:
    """One member that a correction changes: its label, what it said, and what it will say."""

    label: str
    before: str
    after: str


def describe_changes(
    group: Group, before: Mapping[str, Any], after: Mapping[str, Any], zone: str, offers: WordsOfOffers = NO_WORDS
) -> list[FactChange]:
    """Returns the members that differ, in the order of the fact's class, with times by the clock of a zone."""
    texts_before = dict(_flat(describe_fact(group, before, zone, offers)))
    texts_after = dict(_flat(describe_fact(group, after, zone, offers)))
    return [
        FactChange(label, texts_before.get(label, ""), texts_after.get(label, ""))
        for label in {**texts_before, **texts_after}
        if texts_before.get(label, "") != texts_after.get(label, "")
    ]


def _flat(lines: Sequence[FactLine], prefix: str = "") -> Iterator[tuple[str, str]]:
    for line in lines:
        label = f"{prefix} {line.label}".strip()
        if line.children:
            yield from _flat(line.children, f"{label} \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}")
        else:
            yield label, normalize_breaks(line.text)
