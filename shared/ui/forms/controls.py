"""Controls of single values: texts, choices, and terms of CTCAE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.kernel.presentation import Offer, Presentation
from shared.ui.forms.context import FormContext, Offered
from shared.ui.forms.doses import dose_in_gray
from shared.ui.forms.entries import NULL_TEXT, Entries, PostedForm
from shared.ui.forms.field_view import FieldView, Option, ViewKind
from shared.ui.forms.fields import Choice, Group, Leaf, Mapped, Member, OneOf, Rows
from shared.ui.forms.offers import cause_in_words, describe_unoffered, offered, term_name
from shared.ui.forms.site_time import describe_time, possible_times
from shared.ui.forms.terms import TERM_OFFERS, find_terms, is_term_id, search_words
from shared.ui.forms.words import value_in_words

MAX_RADIOS = 7
_DATE_HINT = "YYYY-MM-DD, or YYYY-MM or YYYY if the day or the month is not known."
_HINTS = {"date": _DATE_HINT, "day": "YYYY-MM-DD"}
_INPUT_MODES = {"integer": "numeric", "decimal": "decimal"}
_HIDDEN_TEXT = "A text that is there is kept with the site, and not shown to you. Leave this empty to keep it."
_OTHER_DICTIONARY = "The version of CTCAE by which toxicity is graded does not have this term."
_KEPT_TEXT = "The text is kept with the site, and not shown to you. To replace it, write another one."
_KEEP_TEXT, _NOT_KNOWN = "Keep the text that is there", "Not known"
_REPLACED_WHOLE = "If you change one of these answers, give all of them: yours replace the present ones."
_NO_ANSWER, _VISIT_BY_DATE = Offered("", ""), Offered("", "By date")


@dataclass
class Controls:
    """Makes the controls of one form.

    `errors`: sentences by the name of a field; those that are shown are taken out. `constants`: values by name that the
    form shows and does not ask for.
    """

    context: FormContext
    form: PostedForm
    errors: dict[str, list[str]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)

    def take_errors(self, name: str) -> Sequence[str]:
        return self.errors.pop(name, ())

    def offered(self, offer: Offer) -> Sequence[Offered]:
        return offered(self.context, offer)

    def control(self, member: Member, entries: Entries, name: str) -> FieldView:
        presentation, value = member.presentation, entries.values[-1] if entries.values else ""
        offered = self.offered(presentation.offers)
        view = FieldView(
            kind="text",
            name=name,
            label=presentation.label,
            help=presentation.help,
            unit=presentation.unit,
            value=value,
            errors=self.take_errors(name),
            is_required=member.is_required or member.default is not None,
            lines=presentation.lines,
            may_be_needed=presentation.may_be_needed,
        )
        if name in self.constants:
            return replace(view, kind="fixed", value=self.constants[name], note=self._fixed_note(presentation, name))
        suggestion = self.context.suggestions.get(member.name, "")
        view = replace(view, hint=f"{self.present_value(member)} {suggestion}".strip())
        if presentation.offers in TERM_OFFERS:
            return self._term(view, entries)
        if member.node == Leaf("time"):
            return self._time(view, entries)
        match member.node:
            case Choice(values=values):
                choices = [Offered(str(code), presentation.word(code)) for code in values]
                return self._choice(member, view, [*choices, *_null_choice(member)])
            case Leaf(kind="boolean"):
                options = [Option("true", "Yes", value == "true"), Option("false", "No", value == "false")]
                return replace(view, kind="radio", options=options, is_required=True)
            case Leaf(kind="sealed") if name in self.context.kept_texts:
                return self.kept_text(view, entries.values)
            case Leaf(kind=kind):
                return self._text(member, kind, view, offered)
            case _:
                return view

    def _text(self, member: Member, kind: str, view: FieldView, offered: Sequence[Offered]) -> FieldView:
        presentation = member.presentation
        if offered and presentation.offers.startswith("next_"):
            return replace(view, value=view.value or (offered[0].value if self.form.is_first else ""))
        if offered and presentation.type_in:
            return replace(view, kind="suggest", options=[Option(choice.value, choice.label) for choice in offered])
        if offered or (presentation.offers and self.standing(view.name)):
            return self._choice(member, view, offered)
        hint = _HINTS.get(kind, "")
        if kind == "sealed" and self.context.hides_texts and not member.is_required:
            hint = _HIDDEN_TEXT
        if member.states_null:
            view = self._with_null_box(view)
        return replace(
            view,
            kind="textarea" if view.lines > 1 or "\n" in view.value else "text",
            hint=f"{hint} {view.hint}".strip(),
            input_mode=_INPUT_MODES.get(kind, ""),
            note=dose_in_gray(member, view.value),
        )

    def kept_text(self, view: FieldView, values: Sequence[str]) -> FieldView:
        """Returns the control of a text that the caller does not see: a box that keeps it, and room for another."""
        other_text = next((value for value in reversed(values) if value.strip() not in ("", NULL_TEXT)), "")
        kind: ViewKind = "textarea" if view.lines > 1 else "text"
        box = Option(NULL_TEXT, _KEEP_TEXT, NULL_TEXT in values)
        return replace(view, kind=kind, value=other_text, hint=_KEPT_TEXT, null_box=box)

    def _with_null_box(self, view: FieldView) -> FieldView:
        """Returns the view with a box that states that the value is not known."""
        is_null = view.value.strip() == NULL_TEXT
        return replace(view, value="" if is_null else view.value, null_box=Option(NULL_TEXT, _NOT_KNOWN, is_null))

    def _fixed_note(self, presentation: Presentation, name: str) -> str:
        """Returns a fixed value in words: those of an offer, or else its own."""
        value = self.constants[name]
        labels = {choice.value: choice.label for choice in self.offered(presentation.offers)}
        if presentation.offers and value not in labels:
            return self.unoffered(presentation.offers, value).label
        return labels.get(value) or f"{presentation.word(value)} {presentation.unit}".strip()

    def standing(self, name: str) -> Sequence[str]:
        """Returns the values of a field, or of a list's boxes, in the fact that the form corrects."""
        return self.context.standing_values.get(name, ())

    def unoffered(self, offer: Offer, value: str) -> Offered:
        """Returns a value that is not among those of an offer, in words."""
        return describe_unoffered(self.context, offer, value) if offer else Offered(value, value)

    def present_value(self, member: Member) -> str:
        """Returns what a report that leaves the member out keeps."""
        value = self.context.current_values.get(member.name)
        if value is None or isinstance(member.node, Mapped | Group | OneOf):
            return ""
        if isinstance(member.node, Rows) and isinstance(member.node.item.node, Group):
            rows = "; ".join(self._row_in_words(member.node.item.node, row) for row in value)
            return f"At present: {rows}. {_REPLACED_WHOLE}"
        if isinstance(member.node, Rows):
            item = replace(member.node.item, presentation=member.node.item.presentation.over(member.presentation))
            return f"At present: {', '.join(value_in_words(item, code) for code in value)}."
        return f"At present: {value_in_words(member, value)}."

    def _row_in_words(self, group: Group, row: Mapping[str, Any]) -> str:
        """Returns a row such as the likelihood of one cause in words: what it is about, and what is said of it."""
        key, *others = [value_in_words(member, row[member.name]) for member in group.members if row.get(member.name)]
        return f"{cause_in_words(key)}: {', '.join(others).lower()}"

    def _choice(self, member: Member, view: FieldView, choices: Sequence[Offered]) -> FieldView:
        choice_values = {choice.value for choice in choices}
        other = [
            self.unoffered(member.presentation.offers, value)
            for value in dict.fromkeys((*self.standing(view.name), view.value))
            if value.strip() and value not in choice_values
        ]
        always_answered = member.is_required or member.default is not None
        is_short = len(choices) <= MAX_RADIOS and always_answered
        no_answer = _VISIT_BY_DATE if member.presentation.offers == "visits" else _NO_ANSWER
        empty = [] if is_short else [no_answer]
        options = [
            Option(choice.value, choice.label, choice.value == view.value) for choice in [*empty, *choices, *other]
        ]
        return replace(view, kind="radio" if is_short else "select", options=options)

    def _term(self, view: FieldView, entries: Entries) -> FieldView:
        words = search_words(entries.values)
        if is_term_id(view.value) and not words:
            is_listed = view.value.strip() in self.context.dictionary.terms
            errors = view.errors if is_listed else [*view.errors, _OTHER_DICTIONARY]
            return replace(view, kind="term", note=term_name(view.value), errors=errors)
        terms = find_terms(self.context.dictionary, words) if words else []
        options = [Option(term.term_id, term.name, term.term_id in entries.values) for term in terms]
        return replace(view, kind="term", value=words, options=options)

    def _time(self, view: FieldView, entries: Entries) -> FieldView:
        """Shows a time with the site's zone; of a time that exists twice there, both."""
        zone = self.context.zone
        text = next((value for value in entries.values if value.strip()), "")
        times = possible_times(text, zone) or []
        options = [Option(time, f"{time[11:16]}, UTC{time[19:]}", time in entries.values) for time in times]
        hint = f"YYYY-MM-DD HH:MM by the clock of the site ({zone}). {view.hint}".strip()
        note = describe_time(text, zone) if len(times) < 2 else ""
        return replace(view, kind="time", value=text, hint=hint, note=note, options=options if len(times) > 1 else ())


def _null_choice(member: Member) -> list[Offered]:
    return [Offered(NULL_TEXT, member.presentation.words.get(NULL_TEXT, "Not known"))] if member.states_null else []
