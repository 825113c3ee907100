"""Rows that fit on a screen: members that are seldom stated are shown on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.ui.forms.field_view import FieldView


def fold_optional(
    row_name: str, children: Sequence[FieldView], is_filled: Callable[[str], bool], *, lists_only: bool = False
) -> list[FieldView]:
    """Returns the members of a row, with optional empty ones gathered behind one "More"; with `lists_only`, only lists.

    A row without a member that must be stated stays as it is: it would show nothing to fill in. So does a member with
    errors, and one that another answer may make necessary.
    """
    optional = [
        child
        for child in children
        if _is_optional(child) and not is_filled(child.name) and (child.kind == "rows" or not lists_only)
    ]
    visible_children = [child for child in children if child not in optional]
    if not optional or not any(child.is_required and child.kind != "hidden" for child in visible_children):
        return list(children)
    label = "More: " + " · ".join(child.label for child in optional)
    return [*visible_children, FieldView(kind="more", name=f"{row_name}.more", label=label, children=optional)]


def _is_optional(child: FieldView) -> bool:
    return not (child.is_required or child.may_be_needed or child.has_errors or child.kind == "hidden")
