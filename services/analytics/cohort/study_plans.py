"""The plans of a study with the days on which they are in force, read once for all participants. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from shared.contracts.study import SiteClosed, StudyClosed
from shared.gate.study_timeline import ProtocolPeriod, follow_up_plans, protocol_periods
from shared.kernel.record import Record
from shared.protocol.schedule import PlanPeriod


@dataclass(frozen=True, slots=True)
class StudyPlans:
    """The protocols and follow-up plans of a study in the order of their days, and the closings of study and sites.

    `closed_on`: the last day of the study; `date.max` while it goes on. `site_closings`: the last day of each site that
    was closed, by its id.
    """

    protocols: Sequence[ProtocolPeriod]
    follow_up: Sequence[PlanPeriod]
    closed_on: date
    site_closings: Mapping[str, date] = field(default_factory=dict)

    @classmethod
    def from_record(cls, study: Record) -> StudyPlans:
        """Reads the plans from the study's own facts."""
        return cls(
            protocols=protocol_periods(study),
            follow_up=follow_up_plans(study),
            closed_on=min((closing.on for closing in study.facts_of(StudyClosed)), default=date.max),
            site_closings={closing.site_id: closing.on for closing in study.facts_of(SiteClosed)},
        )

    def protocol_on(self, day: date) -> ProtocolPeriod:
        """Returns the protocol in force on a day. The study must have been opened."""
        return next(period for period in self.protocols if period.first_day <= day <= period.last_day)
