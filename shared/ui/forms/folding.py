"""Rows that fit on a screen: members that are seldom stated are shown on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from shared.ui.forms.field_view import FieldView


def fold_optional(row_name: str, children: Sequence[FieldView], is_filled: Callable[[str], bool]) -> list[FieldView]:
    """Returns the members of an offered row, with optional empty ones gathered behind one "More".

    A row without a member that must be stated stays as it is: it would show nothing to fill in. So does a member with
    errors.
    """
    optional = [child for child in children if _is_optional(child) and not is_filled(child.name)]
    shown = [child for child in children if child not in optional]
    if not optional or not any(child.is_required and child.kind != "hidden" for child in shown):
        return list(children)
    label = "More: " + " · ".join(child.label for child in optional)
    more = [replace(child, is_folded=False) for child in optional]
    return [*shown, FieldView(kind="more", name=f"{row_name}.more", label=label, children=more)]


def _is_optional(child: FieldView) -> bool:
    return not (child.is_required or child.has_errors or child.kind == "hidden")
