"""Severe toxicity: the time from the start of a course to the first adverse event of grade 3 or more. Pure.

Death competes. Without an event, time ends on the last adequate assessment: one with a complete checklist, or with at
least one grade. The day of a finding is that of its onset, if it lies after every earlier assessment that shows the
term as less than severe, and else that of the assessment; derived rows have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from services.analytics.derivation.toxicity import SEVERE_GRADE
from services.analytics.endpoints.exits import Exits, VitalStatus
from services.analytics.endpoints.origins import chosen_origin
from services.analytics.endpoints.sensitivity import SensitivityName, sensitivity_readings
from services.analytics.endpoints.time_to_event import EndpointTimes, NotCountedReason, observe_endpoint
from services.analytics.endpoints.toxicity_findings import Assessments, Findings, ToxicityClock, with_clock
from services.analytics.endpoints.toxicity_versions import divide_by_version, graded_versions
from services.analytics.snapshot.columns import NEVER_NUMBER, Table
from services.analytics.snapshot.flow import DayColumn, first_days, last_days
from services.analytics.snapshot.groups import GroupNames
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.statistics.risk_sets import CENSORED

SEVERE_TOXICITY, DEATH_WITHOUT = 1, 2
"""The causes of an event: severe toxicity, and death without it, which competes."""
LONG_WITHOUT_ASSESSMENT = 183
"""Days before a death. A death with no adequate assessment in them came long after the last one."""
Attribution = Literal["all_causes", "related"]
"""The events that count: those of all causes, or those that are related to radiotherapy."""


@dataclass(frozen=True, slots=True, eq=False)
class SevereToxicityEndpoint:
    """The severe toxicity of a cohort after time 0, as far as a selection counts it.

    `selection`: with one of the clocks of toxicity as its origin. `events`: the first severe event by attribution.
    `assessed`: the last adequate assessment by the cut-off. `only_inadequate`: which participants were assessed, and
    never adequately. `severe_before`: which had severe toxicity at baseline. `without_attribution`: which have a first
    related event that is not attributed to anything. `versions`: the dictionary of each participant.
    """

    snapshot: StudySnapshot
    selection: Selection
    started: DayColumn
    events: Mapping[Attribution, DayColumn]
    assessed: DayColumn
    only_inadequate: Mask
    severe_before: Mask
    without_attribution: Mask
    versions: GroupNames

    @classmethod
    def of(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        """Returns the severe toxicity that a selection counts, by default from the start of the index course."""
        selection = with_clock(selection)
        clock = ToxicityClock.of(snapshot, selection)
        assessments = Assessments.of(snapshot, clock)
        severe = Findings.of(snapshot, assessments, snapshot.tables["finding"]["grade"] >= SEVERE_GRADE)
        events = _severe_events(snapshot, severe, assessments, clock, selection)
        related = events.where(events.are_related(snapshot))
        stated = events.where(events["relation"] == snapshot.words.code("related"))
        first_related, first_stated = (_first_events(snapshot, part) for part in (related, stated))
        assessed, only_inadequate = _assessed(snapshot, clock, selection.cut_number)
        return cls(
            snapshot=snapshot,
            selection=selection,
            started=clock.started,
            events={"all_causes": _first_events(snapshot, events), "related": first_related},
            assessed=assessed,
            only_inadequate=only_inadequate,
            severe_before=_mask_of(snapshot, severe.where(severe.are_of(assessments.is_before))),
            without_attribution=first_related.day < first_stated.day,
            versions=graded_versions(snapshot, clock, assessments, selection.cut_number),
        )

    @property
    def clock(self) -> Origin:
        """Time 0: the start of the index course, or of the first stereotactic course."""
        return chosen_origin(self.snapshot, self.selection)

    def times(self, attribution: Attribution) -> EndpointTimes:
        """Returns the times of the selected participants at the cut-off, by group and dictionary."""
        return self._times(self.selection, attribution, VitalStatus.of(self.snapshot).exits(self.selection.cut_number))

    def other_readings(self, times: EndpointTimes) -> Iterator[tuple[SensitivityName, EndpointTimes]]:
        """Yields the undivided times of all causes by each reading of the vital status that concerns `times`."""
        undivided = replace(self.selection, by=None)
        for reading in sensitivity_readings(self.snapshot, undivided):
            if np.any(reading.applies[times.subjects]):
                yield reading.name, self._times(undivided, "all_causes", reading.exits)

    def count_events_without_attribution(self, related: EndpointTimes) -> int:
        """Returns how many related events count as such because they are not attributed to anything."""
        is_event = related.observations.causes == SEVERE_TOXICITY
        return int(np.sum(self.without_attribution[related.subjects[is_event]]))

    def count_deaths_without_assessment(self, times: EndpointTimes) -> int:
        """Returns how many deaths without severe toxicity had no adequate assessment in the 183 days before.

        One before time 0 is an assessment; time 0 itself is none.
        """
        is_death, died = times.observations.causes == DEATH_WITHOUT, np.full(len(self.started.day), NEVER_NUMBER)
        died[times.subjects[is_death]] = (times.origins + times.observations.exits)[is_death]
        adequate = _adequate(self.snapshot.tables["assessment"])
        days_before = died[self.snapshot.subject_indexes(adequate)] - adequate["assessed_on"]
        is_recent = (days_before >= 0) & (days_before <= LONG_WITHOUT_ASSESSMENT)
        was_assessed = self.snapshot.subjects_with(adequate.where(is_recent))
        return int(np.sum(~was_assessed[times.subjects[is_death]]))

    def _times(self, selection: Selection, attribution: Attribution, life: Exits) -> EndpointTimes:
        has_any_event = (self.events["all_causes"].day <= selection.cut_number) | (life.cause != CENSORED)
        not_counted: dict[NotCountedReason, Mask] = {
            "baseline_severe": self.severe_before & (not selection.toxicity.emergent),
            "not_evaluable": self.only_inadequate & ~has_any_event,
        }
        exits = self._exits(attribution, life)
        return divide_by_version(observe_endpoint(self.snapshot, selection, exits, not_counted), self.versions)

    def _exits(self, attribution: Attribution, life: Exits) -> Exits:
        """Returns the ends of observation. Toxicity comes before a death on its day, and both before censoring.

        An end before time 0 stays there: nobody is counted here who is not counted in overall survival for it.
        """
        event, assessed, started = self.events[attribution], self.assessed, self.started
        has_died = life.cause != CENSORED
        is_event = event.day <= np.where(has_died, life.day, self.selection.cut_number)
        is_assessed = assessed.day < NEVER_NUMBER
        censored_on = np.where(is_assessed, assessed.day, np.minimum(started.day, life.day))
        censored_precision = np.where(is_assessed, assessed.precision, started.precision)
        return Exits(
            day=np.where(is_event, event.day, np.where(has_died, life.day, censored_on)).astype(np.int64),
            cause=np.where(is_event, SEVERE_TOXICITY, np.where(has_died, DEATH_WITHOUT, CENSORED)).astype(np.int64),
            precision=np.where(is_event, event.precision, np.where(has_died, life.precision, censored_precision)),
        )


def _severe_events(
    snapshot: StudySnapshot, severe: Findings, assessments: Assessments, clock: ToxicityClock, selection: Selection
) -> Findings:
    """Returns the severe findings after time 0 that count; with `emergent` those above the term's grade at baseline."""
    event_on = severe["event_on"]
    is_dated = (clock.started.day[severe.subjects] <= event_on) & (event_on <= selection.cut_number)
    events = severe.where(is_dated & ~severe.are_of(assessments.is_before) & severe.are_in_window(clock))
    if not selection.toxicity.emergent:
        return events
    return events.where(events["grade"] > _grades_before(snapshot, assessments, events))


def _grades_before(snapshot: StudySnapshot, assessments: Assessments, events: Findings) -> NDArray[np.int64]:
    """Returns for each event the worst grade of its term at baseline; -1 if the term was not graded then."""
    everything = Findings.of(snapshot, assessments, snapshot.tables["finding"]["number"] >= 0)
    before = everything.where(everything.are_of(assessments.is_before))
    keys, event_keys = ((part.subjects.astype(np.int64) << 32) + part["term"] for part in (before, events))
    distinct, positions = np.unique(keys, return_inverse=True)
    worst = np.full(len(distinct) + 1, -1, dtype=np.int64)
    np.maximum.at(worst, positions, before["grade"].astype(np.int64))
    is_known = np.isin(event_keys, distinct)
    return np.where(is_known, worst[np.where(is_known, np.searchsorted(distinct, event_keys), 0)], -1)


def _first_events(snapshot: StudySnapshot, findings: Findings) -> DayColumn:
    return first_days(snapshot, findings.rows, "event_on", "event_precision")


def _mask_of(snapshot: StudySnapshot, findings: Findings) -> Mask:
    mask = np.zeros(len(snapshot.subjects), dtype=bool)
    mask[findings.subjects] = True
    return mask


def _adequate(assessments: Table) -> Table:
    """Returns the assessments with a complete checklist, or with at least one grade."""
    return assessments.where(assessments["is_complete"] | (assessments["graded"] > 0))


def _assessed(snapshot: StudySnapshot, clock: ToxicityClock, cut: int) -> tuple[DayColumn, Mask]:
    """Returns the last adequate assessment after time 0, and which participants have inadequate ones alone."""
    assessments = snapshot.tables["assessment"]
    started = clock.started.day[snapshot.subject_indexes(assessments)]
    after = assessments.where((assessments["assessed_on"] > started) & (assessments["assessed_on"] <= cut))
    adequate = _adequate(after)
    last = last_days(snapshot, adequate, "assessed_on", "assessed_precision")
    return last, snapshot.subjects_with(after) & ~snapshot.subjects_with(adequate)
