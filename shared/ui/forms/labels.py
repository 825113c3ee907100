"""The labels of fields by their names, for pages that show entries without the form."""

from __future__ import annotations

from shared.ui.forms.fields import Group, Member, Node, OneOf, Rows


def field_label(fields: Group | None, name: str) -> str:
    """Returns the labels along a field's name, rows counted from one.

    Parts that `fields` does not have, such as the questions of a protocol, are written with spaces. The content of a
    correction, whose fact is not known here, has no labels.
    """
    labels = list[str]()
    node: Node | None = fields
    for part in name.removeprefix("replacement.data.").split("."):
        member = _inner_member(node, part)
        is_row = isinstance(node, Rows) and part.isdigit()
        label = member.presentation.label if member and not is_row else ""
        labels.append(label or (str(int(part) + 1) if is_row else part.replace("_", " ")))
        node = member.node if member else None
    return " ".join(labels)


def _inner_member(node: Node | None, part: str) -> Member | None:
    match node:
        case Group(members=members):
            return next((member for member in members if member.name == part), None)
        case Rows(item=item) if part.isdigit():
            return item
        case OneOf(options=options):
            return next((member for option in options if (member := _inner_member(option.node, part))), None)
        case _:
            return None
