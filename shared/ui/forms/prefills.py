"""Content that a form begins with, where the record says what will mostly stay the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shared.contracts.study import ProtocolAmended
from shared.contracts.treatment import PrescriptionChanged
from shared.kernel.fact import Fact
from shared.ui.forms.context import FormContext
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


_FIXED_MEMBERS = ("every_months", "anchor_policy")
"""Members of the follow-up plan that no amendment changes."""


def fixed_content(context: FormContext, fact: type[Fact]) -> dict[str, str]:
    """Returns the values by name that the form of a fact shows and does not ask for."""
    if fact is not ProtocolAmended or not context.protocol:
        return {}
    plan = context.protocol.follow_up
    return {f"protocol.follow_up.{name}": str(getattr(plan, name)) for name in _FIXED_MEMBERS}


def first_content(context: FormContext, type_name: str) -> dict[str, Any]:
    """Returns the content that the form of a fact begins with."""
    return dict(_PREFILLS[type_name](context)) if type_name in _PREFILLS else {}
