"""The views of a form: a tree of controls and fieldsets, made of the fields, the values, the faults and the offers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from shared.kernel.presentation import Presentation
from shared.ui.forms.context import Offered
from shared.ui.forms.controls import Controls
from shared.ui.forms.doses import describe_product
from shared.ui.forms.entries import EMPTY, NULL_TEXT, Entries
from shared.ui.forms.field_view import FieldView, Option, ViewKind
from shared.ui.forms.fields import Choice, Group, Leaf, Mapped, Member, OneOf, Rows
from shared.ui.forms.folding import fold_optional
from shared.ui.forms.offers import no_longer_asked
from shared.ui.forms.terms import is_term_id
from shared.ui.forms.writing import write_member


@dataclass
class FormView:
    """Builds the views of one form. Errors that belong to no field stay in `controls.errors`, and are shown on top."""

    controls: Controls
    _beside: dict[str, str] = field(default_factory=dict)

    def build(self, fields: Group) -> list[FieldView]:
        return self._group(fields, self.controls.form.entries, "")

    def _group(self, group: Group, entries: Entries, name: str) -> list[FieldView]:
        views: list[FieldView] = []
        prefix = f"{name}." if name else ""
        for member in group.members:
            if member.presentation.beside:
                self._beside[prefix + member.presentation.beside] = member.name
        for member in sorted(group.members, key=lambda member: member.presentation.comes_last):
            name = prefix + member.name
            if self._is_asked(member, entries.within(member.name), name):
                views += self._member(member, entries.children.get(member.name), name, entries)
        return views

    def _is_asked(self, member: Member, entries: Entries, name: str) -> bool:
        """Returns whether the form asks for a member: not for the course of a visit in a study with one schedule."""
        offer = member.presentation.offers
        has_no_choice = offer == "visit_courses" and not self.controls.offered(offer)
        return (
            member.is_asked
            and not member.presentation.beside
            and (not has_no_choice or entries.is_filled(name, frozenset()))
        )

    def _member(self, member: Member, entries: Entries | None, name: str, siblings: Entries) -> Iterator[FieldView]:
        entries, is_default = self._with_default(member, entries, name)
        match member.node:
            case Leaf() | Choice():
                view = self.controls.control(member, entries, name)
                if product := describe_product(member, siblings):
                    view = replace(view, note=f"{view.note} ({product})".strip())
                is_filled_in = is_default if "." in name else view.kind == "fixed"
                yield replace(view, is_offered=is_filled_in or name in self.controls.form.offered)
            case Group() as group:
                children = self._group(group, entries, name)
                view = self._fieldset("group", member, name, children)
                yield view if member.is_always_stated else view.clearable()
            case Rows(item=item):
                yield self._list(member, item, entries, name)
            case Mapped(item=item):
                yield self._map(member, item, entries, name, siblings)
            case OneOf(options=options):
                yield self._one_of(member, options, entries, name, siblings)

    def _with_default(self, member: Member, entries: Entries | None, name: str) -> tuple[Entries, bool]:
        """Returns the entries, or those of the default where the form has not been sent with the field."""
        if entries is not None:
            return entries, False
        has_own_defaults = isinstance(member.node, Group)
        is_never_chosen = member.node in (Leaf("boolean"), Leaf("date"), Leaf("day"))
        if member.default is None or has_own_defaults or is_never_chosen or name in self.controls.form.box_lists:
            return EMPTY, False
        root = Entries()
        for pair in write_member(member, member.default, "x"):
            root.add(*pair)
        return root.children.get("x", EMPTY), True

    def _fieldset(
        self, kind: ViewKind, member: Member, name: str, children: Sequence[FieldView], label: str = ""
    ) -> FieldView:
        presentation = member.presentation
        return FieldView(
            kind=kind,
            name=name,
            label=label or presentation.label,
            help=presentation.help,
            hint=self.controls.present_value(member),
            children=children,
            errors=self.controls.take_errors(name),
            is_required=member.is_required,
        )

    def _list(self, member: Member, item: Member, entries: Entries, name: str) -> FieldView:
        offered = self.controls.offered(item.presentation.offers or member.presentation.offers)
        if isinstance(item.node, Choice):
            offered = [
                Offered(str(code), item.presentation.over(member.presentation).word(code)) for code in item.node.values
            ]
        has_choices = offered or (item.presentation.offers and self.controls.standing(name))
        if not isinstance(item.node, Group) and has_choices:
            return self._boxes(member, item, entries, name, offered)
        entries = self._with_offered_rows(member, item, entries)
        numbers = entries.numbers() or ([0] if member.is_required else [])
        rows = [self._row(member, item, entries, name, number) for number in numbers]
        return self._fieldset("rows", member, name, rows)

    def _boxes(
        self, member: Member, item: Member, entries: Entries, name: str, offered: Sequence[Offered]
    ) -> FieldView:
        values = [*entries.values, *(value for child in entries.children.values() for value in child.values)]
        offered_values = {choice.value for choice in offered}
        offer = item.presentation.offers or member.presentation.offers
        others = [
            self.controls.unoffered(offer, value)
            for value in dict.fromkeys((*values, *self.controls.standing(name)))
            if value.strip() and value not in offered_values
        ]
        options = [Option(choice.value, choice.label, choice.value in values) for choice in (*offered, *others)]
        return replace(self._fieldset("boxes", member, name, ()), options=options)

    def _row(self, member: Member, item: Member, entries: Entries, name: str, number: int) -> FieldView:
        row_name, row = f"{name}.{number}", entries.children.get(str(number), EMPTY)
        singular = item.presentation.label or member.presentation.label.removesuffix("s")
        if not isinstance(item.node, Group):
            row_item = replace(
                item, presentation=Presentation(label=singular).over(item.presentation), is_required=False
            )
            control = self.controls.control(row_item, row, row_name)
            return FieldView(
                kind="row", name=row_name, label=f"{singular} {number + 1}", children=[control], is_removable=True
            )
        key = _key_member(item.node)
        offered = {choice.value: choice for choice in self.controls.offered(key.presentation.offers)} if key else {}
        key_value = _value_of(row, key.name) if key else ""
        children = self._group(item.node, row, row_name)
        is_filled = partial(self._is_filled, row, row_name)
        if key is None or key_value not in offered:
            children = fold_optional(row_name, children, is_filled, lists_only=True)
            legend = f"{singular} {number + 1}"
            return replace(
                self._fieldset("row", item, row_name, children, legend), help="", is_removable=True, is_required=False
            )
        label = offered[key_value].label
        children = [
            replace(child, kind="hidden", value=key_value, is_offered=True)
            if child.name == f"{row_name}.{key.name}"
            else child
            for child in children
        ]
        children = [self._with_grades_of(child, key_value) for child in children]
        children = fold_optional(row_name, children, is_filled)
        view = replace(self._fieldset("row", item, row_name, children, label), help="", is_required=False)
        return view.clearable()

    def _is_filled(self, row: Entries, row_name: str, name: str) -> bool:
        member = row.children.get(name.removeprefix(f"{row_name}."), EMPTY)
        return member.is_filled(name, self.controls.form.offered)

    def _with_grades_of(self, child: FieldView, key_value: str) -> FieldView:
        """Leaves out the grades that the term of the row does not have."""
        if not is_term_id(key_value) or not child.name.endswith(".grade"):
            return child
        term = self.controls.context.dictionary.terms.get(key_value)
        allowed = {"", NULL_TEXT, *(str(grade) for grade in (term.grades if term else range(6)))}
        return replace(
            child, options=[option for option in child.options if option.value in allowed or option.is_answer]
        )

    def _with_offered_rows(self, member: Member, item: Member, entries: Entries) -> Entries:
        """Adds a row for everything offered that has none."""
        key = _key_member(item.node) if isinstance(item.node, Group) else None
        if key is None:
            return entries
        row_keys = {_value_of(row, key.name) for row in entries.children.values()}
        choices = [choice for choice in self.controls.offered(key.presentation.offers) if choice.value not in row_keys]
        numbers = entries.numbers()
        first = max(numbers, default=-1) + 1
        rows = dict(entries.children)
        for index, choice in enumerate(choices):
            rows[str(first + index)] = Entries([], {key.name: Entries([choice.value])})
        return Entries(entries.values, rows)

    def _map(self, member: Member, item: Member, entries: Entries, name: str, siblings: Entries) -> FieldView:
        offered = self.controls.offered(member.presentation.offers)
        answers = dict(entries.names())
        question_ids = {choice.value for choice in offered}
        unasked = no_longer_asked(self.controls.context, member.presentation.offers)
        rows = [
            self._map_row(member, item, name, choice, answers.get(choice.value, ""), siblings) for choice in offered
        ]
        for key in (key for key in answers if key and key not in question_ids):
            row = self._map_row(member, item, name, Offered(key, key), answers[key], siblings)
            is_of_other_day = key in unasked and not name.startswith("replacement.")
            rows.append(row.hidden() if is_of_other_day else row.clearable())
        return self._fieldset("map", member, name, rows)

    def _map_row(
        self, member: Member, item: Member, name: str, choice: Offered, value: str, siblings: Entries
    ) -> FieldView:
        key_name = f"{name}.{choice.value}"
        presentation = Presentation(label=choice.label, words=choice.words).over(member.presentation)
        answer = self.controls.control(replace(item, presentation=presentation), Entries([value]), key_name)
        children = [replace(answer, help=""), *self._reasons_beside(name, choice.value, siblings)]
        return FieldView(kind="row", name=f"{key_name}-row", label="", children=children)

    def _reasons_beside(self, name: str, key: str, siblings: Entries) -> Iterator[FieldView]:
        """Yields the text of the map that stands beside this one, for the same key."""
        if beside := self._beside.get(name):
            text_name = f"{name.removesuffix(name.rpartition('.')[2])}{beside}.{key}"
            texts = [text for name, text in siblings.children.get(beside, EMPTY).names() if name == key]
            errors = self.controls.take_errors(text_name)
            view = FieldView(
                kind="text",
                name=text_name,
                label="Reason, if it was waived",
                value=texts[-1] if texts else "",
                errors=errors,
            )
            is_kept = text_name in self.controls.context.kept_texts
            yield self.controls.kept_text(view, texts) if is_kept else view

    def _one_of(
        self, member: Member, options: tuple[Member, ...], entries: Entries, name: str, siblings: Entries
    ) -> FieldView:
        children = [
            replace(view, is_alternative=index > 0, is_required=True)
            for index, option in enumerate(options)
            for view in self._option(member, option, entries, name, siblings)
        ]
        return self._fieldset("group", member, name, children).clearable()

    def _option(
        self, member: Member, option: Member, entries: Entries, name: str, siblings: Entries
    ) -> Iterator[FieldView]:
        match option.node:
            case Group() as group:
                yield from self._group(group, entries, name)
            case _:
                presentation = Presentation(label=member.presentation.label).over(option.presentation)
                yield from self._member(
                    replace(option, presentation=presentation, is_required=False), entries, name, siblings
                )


def _key_member(group: Group) -> Member | None:
    return next((member for member in group.members if member.presentation.one_row_each), None)


def _value_of(row: Entries, name: str) -> str:
    values = row.children.get(name, EMPTY).values
    return values[-1] if values else ""
