"""Controls and fieldsets of a form, as the template shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

ViewKind = Literal[
    "text",
    "textarea",
    "suggest",
    "radio",
    "select",
    "boxes",
    "fixed",
    "hidden",
    "term",
    "time",
    "group",
    "rows",
    "row",
    "map",
    "more",
]


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a control."""

    value: str
    label: str
    is_answer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    """A control or a fieldset.

    `note` stands beside the value, such as a dose in Gy. `children` are those of a fieldset. `is_alternative`: the view
    stands after "or". `may_be_needed`: another answer may make an optional value necessary. `null_box`: a box that
    states null: the value is not known, or a text that is not shown stays. The kind `more` is shown on request.
    """

    kind: ViewKind
    name: str
    label: str
    help: str = ""
    hint: str = ""
    unit: str = ""
    value: str = ""
    note: str = ""
    options: Sequence[Option] = ()
    children: Sequence[FieldView] = ()
    errors: Sequence[str] = ()
    is_required: bool = False
    is_alternative: bool = False
    is_removable: bool = False
    is_offered: bool = False
    may_be_needed: bool = False
    null_box: Option | None = None
    lines: int = 1
    input_mode: str = ""

    @property
    def has_errors(self) -> bool:
        return bool(self.errors) or any(child.has_errors for child in self.children)

    def clearable(self) -> FieldView:
        """Returns the view with selects for radio buttons, which nobody could clear again."""
        children = [child.clearable() for child in self.children]
        if self.kind != "radio":
            return replace(self, children=children)
        empty = [] if any(option.value == "" for option in self.options) else [Option("", "")]
        return replace(self, kind="select", options=[*empty, *self.options])

    def hidden(self) -> FieldView:
        """Returns the view with hidden controls, which keep their values."""
        return replace(self, kind="row" if self.children else "hidden", children=[c.hidden() for c in self.children])

    @property
    def id(self) -> str:
        """Id of the element, to which faults link. A fieldset around a control of its own name has another one."""
        suffix = "-part" if any(child.name == self.name for child in self.children) else ""
        return f"f-{self.name.replace('.', '-')}{suffix}"

    @property
    def described_by(self) -> str:
        """Ids of the sentences that describe the control: hints before errors."""
        parts = [f"{self.id}-help"] if self.help or self.hint else []
        return " ".join([*parts, *([f"{self.id}-errors"] if self.errors else [])])
