"""Content that a form begins with, where the record says what will mostly stay the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.contracts.follow_up import QUERY_KEY, QueryExplained, ReminderAcknowledged, ReminderSnoozed, VisitScheduled
from shared.contracts.study import ProtocolAmended
from shared.contracts.toxicity import VISIT_NUMBER
from shared.contracts.treatment import PrescriptionChanged
from shared.kernel.fact import Fact
from shared.kernel.ids import LOCAL_ID
from shared.ui.forms.context import FormContext
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.offers import prescribed_targets

Body = Mapping[str, Any]


def _protocol(context: FormContext) -> Body:
    return {"protocol": context.protocol.model_dump(mode="json")} if context.protocol else {}


def _prescription(context: FormContext) -> Body:
    targets = [target.model_dump(mode="json") for target in prescribed_targets(context)]
    return {"targets": targets} if targets else {}


_PREFILLS: Mapping[str, Callable[[FormContext], Body]] = {
    ProtocolAmended.type_name: _protocol,
    PrescriptionChanged.type_name: _prescription,
}


_LINK_MEMBERS: Mapping[type[Fact], Sequence[str]] = {
    QueryExplained: ("query_key",),
    VisitScheduled: ("visit", "course_id"),
    ReminderSnoozed: ("visit", "course_id"),
    ReminderAcknowledged: ("visit", "course_id"),
}
_LINK_PATTERNS: Mapping[str, str] = {
    "query_key": QUERY_KEY,
    "visit": VISIT_NUMBER,
    "course_id": LOCAL_ID,
}
_FIXED_MEMBERS = ("every_months", "anchor_policy")
"""Members of the follow-up plan that no amendment changes."""


def link_values(form: PostedForm, fact: type[Fact]) -> dict[str, str]:
    """Returns the values by name that the link to a form fixes: what a reminder, a booking or an answer is about.

    A form that was sent says which these were, but for the key of a data query, which nobody types: a form that was
    opened without a visit asks for it. A text of another form stays in its field, so that nobody's words stand on the
    page as if they were ours.
    """
    is_first = form.is_first or fact is QueryExplained
    names = [name for name in _LINK_MEMBERS.get(fact, ()) if is_first or name in form.offered]
    values = {name: form.entries.last_value(name) for name in names}
    return {name: value for name, value in values.items() if re.fullmatch(_LINK_PATTERNS[name], value)}


def corrected_constants(fact: type[Fact], body: Body) -> dict[str, str]:
    """Returns the values by name that the correction of a fact with this content shows and does not ask for."""
    names = ["query_key"] if fact is QueryExplained else []
    return {f"replacement.data.{name}": str(body[name]) for name in names}


def fixed_content(context: FormContext, fact: type[Fact]) -> dict[str, str]:
    """Returns the values by name that the form of a fact of the study shows and does not ask for."""
    if fact is not ProtocolAmended or not context.protocol:
        return {}
    plan = context.protocol.follow_up
    return {f"protocol.follow_up.{name}": str(getattr(plan, name)) for name in _FIXED_MEMBERS}


def first_content(context: FormContext, type_name: str) -> dict[str, Any]:
    """Returns the content that the form of a fact begins with."""
    return dict(_PREFILLS[type_name](context)) if type_name in _PREFILLS else {}
