"""The protocol of a study: eligibility criteria, consent forms, toxicity, follow-up, reminders, accrual target."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.kernel.fact import FactPart
from shared.kernel.ids import Code
from shared.kernel.partial_date import Day
from shared.kernel.patterns import explain_pattern
from shared.kernel.text import LongText

_TIME_OF_DAY = explain_pattern("^([01][0-9]|2[0-3]):[0-5][0-9]$", "Give a time of day as HH:MM, such as 08:00.")
Delivery = Literal["conventional", "hypofractionated", "FSRT", "SBRT", "SRS", "brachytherapy"]
SurvivalOrigin = Literal["rt_start", "diagnosed", "enrolled", "rt_end"]
SHORTEST_QUARTER_DAYS = 89
"""The least number of days between two targets three months apart (89 to 92 for all anchors of 2020 to 2027)."""
SHORTEST_MONTH_DAYS = 28


class Criterion(FactPart):
    id: Code
    text: LongText
    kind: Literal["inclusion", "exclusion"]


class ConsentVersion(FactPart):
    """A form is valid from its day until the next version's."""

    version: Code
    valid_from: Day


class ToxicityPlan(FactPart, schema_name="Toxicity"):
    dictionary: Literal["ctcae-3.0", "ctcae-4.03", "ctcae-5.0", "ctcae-6.0"]
    checklist: tuple[Code, ...] = ()


class VisitWindow(FactPart, schema_name="Window"):
    """Days before and after a visit's target within which it counts as in time, both ends inclusive."""

    before: Annotated[int, Field(strict=True, ge=0, le=180)] = 14
    after: Annotated[int, Field(strict=True, ge=0, le=180)] = 14


class FollowUpPlan(FactPart, schema_name="FollowUp"):
    anchor: Literal["index_course_end"] = "index_course_end"
    every_months: Annotated[int, Field(strict=True, ge=1, le=24)] = 3
    for_months: Annotated[int, Field(strict=True, ge=1, le=120)] = 24
    window_days: VisitWindow | tuple[VisitWindow, ...] = VisitWindow()
    anchor_policy: Literal["index", "latest", "per_course"] = "index"

    @property
    def windows(self) -> tuple[VisitWindow, ...]:
        """The window of each visit, in the order of the visits."""
        if isinstance(self.window_days, VisitWindow):
            return (self.window_days,) * (self.for_months // self.every_months)
        return self.window_days

    @model_validator(mode="after")
    def _require_windows_to_fit(self) -> FollowUpPlan:
        if not self.windows or len(self.windows) != self.for_months // self.every_months:
            raise ValueError(
                "The number of windows does not fit the number of visits. Give one for all visits, or one for each."
            )
        gap = self._shortest_gap()
        for earlier, later in zip(self.windows, (*self.windows[1:], self.windows[-1]), strict=True):
            if earlier.after + later.before >= gap:
                raise ValueError(
                    "The windows of two visits overlap. Make the windows shorter, or the time between visits longer."
                )
        return self

    def _shortest_gap(self) -> int:
        """Return the least number of days between two targets, over all anchors."""
        quarters, months = divmod(self.every_months, 3)
        return quarters * SHORTEST_QUARTER_DAYS + months * SHORTEST_MONTH_DAYS


class ReminderPlan(FactPart, schema_name="Reminders"):
    steps: tuple[Code, ...] = ("open", "target", "overdue")
    digest_at: Annotated[str, Field(pattern=_TIME_OF_DAY)] = "08:00"
    escalate_after_days: Annotated[int, Field(strict=True, ge=1, le=180)] = 21


class AccrualTarget(FactPart):
    participants: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    by: Day


class StereotacticDefinition(FactPart, schema_name="Stereotactic"):
    deliveries: tuple[Delivery, ...] = ("SRS", "FSRT", "SBRT")


class Protocol(FactPart):
    """A study's plan. `met` always means "does not stand in the way": an exclusion criterion is met when absent."""

    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1, max_length=200)]
    minimum_age: Annotated[int, Field(strict=True, ge=0, le=120)] = 0
    consent_versions: Annotated[tuple[ConsentVersion, ...], Field(min_length=1, max_length=100)]
    toxicity: ToxicityPlan
    symptoms: tuple[Code, ...] = ()
    follow_up: FollowUpPlan
    reminders: ReminderPlan = ReminderPlan()
    accrual_target: AccrualTarget | None = None
    stereotactic: StereotacticDefinition = StereotacticDefinition()
    survival_origin: SurvivalOrigin = "rt_start"
    small_cell: Annotated[int, Field(strict=True, ge=0, le=100)] = 5

    @model_validator(mode="after")
    def _require_unique_names(self) -> Protocol:
        for names in ([c.id for c in self.criteria], [v.version for v in self.consent_versions]):
            if len(set(names)) < len(names):
                raise ValueError(
                    "Two criteria have the same id, or two consent forms the same version. Give each its own."
                )
        return self
