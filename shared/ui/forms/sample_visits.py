"""The visits of the follow-up plan that a form about the protocol states, for a sample anchor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pydantic import ValidationError

from shared.kernel.presentation import Presentation
from shared.protocol.protocol import FollowUpPlan, Protocol
from shared.protocol.schedule import PlanPeriod, Visit, planned_visits
from shared.ui.forms.entries import PostedForm
from shared.ui.forms.fields import Group, Leaf, Member, fact_fields
from shared.ui.forms.reading import read_form, read_value

WINDOWS = "protocol.follow_up.window_days"
_PERIODS = (("every_months", "3"), ("for_months", "24"))
_MONTHS = Member(name="", node=Leaf("integer"), presentation=Presentation(), annotation=int)


def sample_visits(fields: Group, form: PostedForm, anchor: date) -> Sequence[Visit]:
    """Returns the visits for an anchor; none for a form about something else, and for a plan that cannot be read."""
    if not any(isinstance(member.node, Group) and member.node.model is Protocol for member in fields.members):
        return ()
    plan = stated_plan(form)
    return planned_visits([PlanPeriod(plan)], anchor) if plan else ()


def stated_plan(form: PostedForm) -> FollowUpPlan | None:
    """Returns the follow-up plan that a form about the protocol states; None if it cannot be read."""
    entries = form.entries.within("protocol").within("follow_up")
    reading = read_form(fact_fields(FollowUpPlan), PostedForm(pairs=tuple(entries.names())))
    try:
        return FollowUpPlan.model_validate(reading.body)
    except ValidationError:
        return None


def with_rows(form: PostedForm, name: str) -> PostedForm:
    """Returns the form with one more row of a list; of the windows of visits, with one for each visit of the plan."""
    longer_form = form.with_row(name)
    if name != WINDOWS:
        return longer_form
    follow_up = form.entries.within("protocol").within("follow_up")
    months = [read_value(_MONTHS, (follow_up.within(step).values or [default])[-1]) for step, default in _PERIODS]
    visits = months[1] // months[0] if all(isinstance(number, int) and 0 < number <= 120 for number in months) else 0
    while len(longer_form.entries.within("protocol").within("follow_up").within("window_days").numbers()) < visits:
        longer_form = longer_form.with_row(name)
    return longer_form
