"""The step of a visit that is sent next if nothing more is recorded. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from services.analytics.reminders.steps import PlanFrom, SentStep, Step, VisitOnDay, next_step
from services.analytics.reminders.working_days import first_working_day
from shared.contracts.study import SiteActivated
from shared.gate.study_timeline import protocol_periods
from shared.kernel.record import Record
from shared.protocol.reminder_steps import AUDIENCES, Audience


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingSteps:
    """The plans of reminders, those of days to come included, and the countries whose working days count.

    `plans`: in the order of their first days; the first has no beginning. `countries`: by site, in the order of
    activation. Study-wide digests go by the first site, whose hour counts for members who chose none, and by its day
    `study_today`; None: by the day of the visit's site.
    """

    plans: Sequence[PlanFrom]
    countries: Mapping[str, str]
    study_today: date | None = None

    @classmethod
    def from_study(cls, study: Record, todays: Mapping[str, date]) -> ComingSteps:
        """Returns those of a study. `todays`: the day at each site, as far as known."""
        sites = study.facts_of(SiteActivated)
        return cls(
            plans=[PlanFrom(first_day, protocol.reminders) for protocol, _, first_day, _ in protocol_periods(study)],
            countries={site.site_id: site.country for site in sites},
            study_today=todays.get(sites[0].site_id) if sites else None,
        )

    def find(
        self, occasion: VisitOnDay, sent: Sequence[SentStep], audiences: Collection[Audience] = AUDIENCES
    ) -> Step | None:
        """Returns the step that comes next, with the day at the visit's site on which it is sent; None without one."""
        steps = [step for audience in audiences if (step := self._find_for(audience, occasion, sent))]
        return min(steps, key=lambda step: step.day, default=None)

    def _find_for(self, audience: Audience, occasion: VisitOnDay, sent: Sequence[SentStep]) -> Step | None:
        if audience == "site":
            country, ahead = self.countries[occasion.site_id], timedelta(0)
        else:
            country = next(iter(self.countries.values()))
            ahead = (self.study_today or occasion.today) - occasion.today
        plans = [
            PlanFrom(first_day if first_day == date.min else first_day - ahead, plan) for first_day, plan in self.plans
        ]
        return next_step(occasion, plans, sent, audience, lambda day: first_working_day(country, day + ahead) - ahead)
