"""The endpoints of ADTTE, computed by the functions that figures are computed by. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.endpoint_times import (
    COMPETING,
    DEATH,
    EVENT,
    DateSource,
    Endpoint,
    Outcome,
    censoring_reasons,
    cut_off_source,
)
from services.analytics.endpoints.disease import first_progressions, last_assessments
from services.analytics.endpoints.exits import Exits, VitalStatus
from services.analytics.endpoints.follow_up import follow_up_times
from services.analytics.endpoints.origins import origin_days
from services.analytics.endpoints.overall_survival import other_readings, overall_survival
from services.analytics.endpoints.progression_control import (
    FIRST_FAILURES,
    PROGRESSION_CODES,
    Failure,
    death_cause,
    progression_control,
)
from services.analytics.endpoints.progression_free_survival import progression_free_survival
from services.analytics.endpoints.sensitivity import SensitivityName, sensitivity_readings
from services.analytics.endpoints.severe_toxicity import (
    DEATH_WITHOUT,
    SEVERE_TOXICITY,
    Attribution,
    SevereToxicityEndpoint,
)
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.snapshot.flow import DayColumn, status_dates
from services.analytics.snapshot.groups import GroupNames
from services.analytics.snapshot.selection import Origin
from services.analytics.snapshot.snapshot import Mask
from services.analytics.statistics.risk_sets import CENSORED

PARAMETERS: Mapping[str, str] = {
    "OS": "Overall survival from the origin of the protocol",
    "OSDX": "Overall survival from diagnosis",
    "OSENR": "Overall survival from enrollment",
    "OSRTS": "Overall survival from the start of the index course",
    "OSRTE": "Overall survival from the end of the index course",
    "OSSRT": "Overall survival from the start of the first stereotactic course",
    "OSPRES": "Overall survival, presumed deaths censored",
    "OSUND": "Overall survival, deaths without a day on the day after the last proof of life",
    "OSLEFT": "Overall survival, deaths after withdrawal counted",
    "OSLOST": "Overall survival, those lost censored on the last proof of life before",
    "OSREG": "Overall survival by proofs of life alone, without registry links",
    "PFS": "Progression-free survival from the origin of the protocol",
    "LRC": "Locoregional failure from the origin of the protocol",
    "DMC": "Distant failure from the origin of the protocol",
    "FF": "First failure by site from the origin of the protocol",
    "TOX3": "Severe toxicity of all causes from the start of the index course",
    "TOX3R": "Severe toxicity related to radiotherapy from the start of the index course",
    "FUP": "Follow-up (reverse) from the origin of the protocol",
}
"""The parameters of ADTTE in words, in the order of its records."""
_ORIGINS: Mapping[str, Origin] = {
    "OSDX": "diagnosed",
    "OSENR": "enrolled",
    "OSRTS": "rt_start",
    "OSRTE": "rt_end",
    "OSSRT": "stereotactic_start",
}
READING_CODES: Mapping[SensitivityName, str] = {
    "presumed_censored": "OSPRES",
    "undated_as_event": "OSUND",
    "deaths_after_leaving": "OSLEFT",
    "lost_censored": "OSLOST",
    "without_registry_links": "OSREG",
}
_CONTROL: Mapping[str, Failure] = {"LRC": "locoregional", "DMC": "distant", "FF": "first"}
_ATTRIBUTIONS: Mapping[str, Attribution] = {"TOX3": "all_causes", "TOX3R": "related"}
DatedEndpoint = tuple[Endpoint, GroupNames | None]
"""An endpoint, with the dictionary of each participant if it is one of toxicity."""


def participant_endpoints(cohort: CutCohort) -> Iterator[DatedEndpoint]:
    """Yields the endpoints. A reading of overall survival that concerns nobody has no times."""
    endpoints = _ParticipantEndpoints(cohort)
    yield from ((endpoint, None) for endpoint in endpoints.survival())
    yield endpoints.progression_free_survival(), None
    yield from ((endpoints.control(code, failure), None) for code, failure in _CONTROL.items())
    yield from endpoints.toxicity()
    yield endpoints.follow_up(), None


class _ParticipantEndpoints:
    """Makes endpoints of a cohort. An element of their columns is a participant of the snapshot."""

    def __init__(self, cohort: CutCohort) -> None:
        self._cohort, self._snapshot, self._selection = cohort, cohort.snapshot, cohort.selection
        vital, subjects = VitalStatus.of(cohort.snapshot), cohort.snapshot.subjects
        self._life = vital.exits(cohort.cut_number)
        self._lost: Mask = status_dates(cohort.snapshot, cohort.cut_number)["lost"].day <= cohort.cut_number
        self._death = DateSource(
            "ADSL", "DTHDT", "DEATH", DayColumn(subjects["died_on"], subjects["died_precision"] % len("DMY"))
        )
        alive = DateSource("ADSL", "LSTALVDT", "LAST KNOWN ALIVE", vital.alive)
        reported = DateSource("ADSL", "REGALVDT", "LAST KNOWN ALIVE BY A REGISTRY", vital.at(cohort.cut_number).alive)
        self._end_of_life_known = (cut_off_source(cohort), alive, reported)

    def survival(self) -> Iterator[Endpoint]:
        """Yields overall survival from every origin, and by every other reading."""
        times = overall_survival(self._snapshot, self._selection)
        yield self._survival("OS", times, None)
        for code, origin in _ORIGINS.items():
            yield self._survival(
                code, overall_survival(self._snapshot, replace(self._selection, origin=origin)), origin
            )
        exits = {reading.name: reading.exits for reading in sensitivity_readings(self._snapshot, self._selection)}
        for name, other in other_readings(self._snapshot, self._selection, times):
            yield self._other_reading(READING_CODES[name], other, exits[name])

    def _survival(self, code: str, times: EndpointTimes, origin: Origin | None) -> Endpoint:
        outcomes = {CENSORED + 1: Outcome(EVENT, (self._death,))}
        return self._endpoint(code, times, outcomes, self._end_of_life_known, origin=origin)

    def _other_reading(self, code: str, times: EndpointTimes, life: Exits) -> Endpoint:
        """Returns overall survival by another reading, which also ends on days that no fact states."""
        read = DayColumn(life.day, life.precision)
        events = (self._death, DateSource("ADSL", "LSTALVDT", "DEATH ON THE DAY AFTER THE LAST PROOF OF LIFE", read))
        last = DateSource("ADSL", "LSTALVDT", "LAST PROOF OF LIFE BEFORE THE LOSS", read)
        outcomes = {CENSORED + 1: Outcome(EVENT, events)}
        return self._endpoint(code, times, outcomes, (*self._end_of_life_known, last), life=life)

    def progression_free_survival(self) -> Endpoint:
        times = progression_free_survival(self._snapshot, self._selection)
        progressed = first_progressions(self._snapshot, self._selection)
        events = (DateSource("ADRS", "ADT", "PROGRESSION", progressed, "PROG"), self._death)
        return self._endpoint("PFS", times, {CENSORED + 1: Outcome(EVENT, events)}, self._disease_assessments())

    def control(self, code: str, failure: Failure) -> Endpoint:
        times = progression_control(self._snapshot, self._selection, failure)
        outcomes = {death_cause(failure): Outcome(COMPETING, (self._death,))}
        sites: Sequence[str] = FIRST_FAILURES if failure == "first" else (failure,)
        failed = first_progressions(
            self._snapshot, self._selection, None if failure == "first" else PROGRESSION_CODES[failure]
        )
        for cause, site in enumerate(sites, start=1):
            kinds = PROGRESSION_CODES.get(site, ())
            source = DateSource("ADRS", "ADT", f"{site.upper()} FAILURE", failed, "PROG", kinds)
            outcomes[cause] = Outcome(EVENT, (source,))
        return self._endpoint(code, times, outcomes, self._disease_assessments())

    def _disease_assessments(self) -> Sequence[DateSource]:
        assessed = last_assessments(self._snapshot, self._selection, self._life)
        return (
            DateSource("ADRS", "ADT", "LAST DISEASE ASSESSMENT", assessed, "DISASS"),
            self._origin_source(None),
        )

    def _origin_source(self, origin: Origin | None) -> DateSource:
        started = origin_days(self._snapshot, replace(self._selection, origin=origin))
        return DateSource("", "", "ORIGIN, NO ASSESSMENT AFTER IT", started)

    def toxicity(self) -> Iterator[DatedEndpoint]:
        severe = SevereToxicityEndpoint.of(self._snapshot, self._selection)
        censored = (
            DateSource("ADTOX", "ADT", "LAST ADEQUATE ASSESSMENT", severe.assessed),
            self._origin_source(severe.clock),
        )
        for code, attribution in _ATTRIBUTIONS.items():
            relations = ("Y", "U") if attribution == "related" else ()
            event = DateSource("ADAE", "ASTDT", "SEVERE TOXICITY", severe.events[attribution], "", relations)
            outcomes = {
                SEVERE_TOXICITY: Outcome(EVENT, (event,)),
                DEATH_WITHOUT: Outcome(COMPETING, (self._death,)),
            }
            times = severe.times(attribution)
            yield self._endpoint(code, times, outcomes, censored, origin=severe.clock), severe.versions

    def follow_up(self) -> Endpoint:
        """Returns the reverse of overall survival: the end of follow-up is the event, and a death is censored."""
        times = follow_up_times(self._snapshot, self._selection)
        outcomes = {CENSORED + 1: Outcome(EVENT, self._end_of_life_known)}
        endpoint = self._endpoint("FUP", times, outcomes, (self._death, *self._end_of_life_known))
        died = (self._life.cause != CENSORED).tolist()
        reasons = [DEATH if dead else reason for dead, reason in zip(died, endpoint.reasons, strict=True)]
        return replace(endpoint, reasons=reasons)

    def _endpoint(
        self,
        code: str,
        times: EndpointTimes,
        outcomes: Mapping[int, Outcome],
        censored: Sequence[DateSource],
        *,
        life: Exits | None = None,
        origin: Origin | None = None,
    ) -> Endpoint:
        return Endpoint(
            code=code,
            label=PARAMETERS[code],
            elements=times.subjects.tolist(),
            origins=times.origins.tolist(),
            observations=times.observations,
            started=origin_days(self._snapshot, replace(self._selection, origin=origin)),
            reasons=censoring_reasons(self._cohort, life or self._life, self._lost),
            outcomes=outcomes,
            censored=censored,
        )
