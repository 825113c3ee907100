"""Content that a form begins with, where the record says what will mostly stay the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.contracts.follow_up import QUERY_KEY, QueryExplained, ReminderAcknowledged, ReminderSnoozed, VisitScheduled
from shared.contracts.study import ProtocolAmended
from shared.contracts.treatment import PrescriptionChanged
from shared.kernel.fact import Fact
from shared.kernel.text import is_showable
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


_GIVEN_MEMBERS: Mapping[type[Fact], Sequence[str]] = {
    QueryExplained: ("query_key",),
    VisitScheduled: ("visit", "course_id"),
    ReminderSnoozed: ("visit", "course_id"),
    ReminderAcknowledged: ("visit", "course_id"),
}
_FIXED_MEMBERS = ("every_months", "anchor_policy")
"""Members of the follow-up plan that no amendment changes."""


def given_values(form: PostedForm, fact: type[Fact]) -> dict[str, str]:
    """Returns the values by name that the link to a form fixes: what a reminder, a booking or an answer is about.

    Only when the form is opened, but for the key of a data query, which nobody types. A text that is no key stays in
    its field, so that nobody's words stand on the page as if they were ours.
    """
    names = _GIVEN_MEMBERS.get(fact, ()) if form.is_first or fact is QueryExplained else ()
    values = {name: form.entries.last_value(name) for name in names}
    return {name: value for name, value in values.items() if value and is_showable(value) and _is_fixed(name, value)}


def _is_fixed(name: str, value: str) -> bool:
    return name != "query_key" or re.fullmatch(QUERY_KEY, value) is not None


def fixed_content(context: FormContext, fact: type[Fact]) -> dict[str, str]:
    """Returns the values by name that the form of a fact of the study shows and does not ask for."""
    if fact is not ProtocolAmended or not context.protocol:
        return {}
    plan = context.protocol.follow_up
    return {f"protocol.follow_up.{name}": str(getattr(plan, name)) for name in _FIXED_MEMBERS}


def first_content(context: FormContext, type_name: str) -> dict[str, Any]:
    """Returns the content that the form of a fact begins with."""
    return dict(_PREFILLS[type_name](context)) if type_name in _PREFILLS else {}
