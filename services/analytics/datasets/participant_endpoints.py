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
from services.analytics.endpoints.progression_free_survival import (
    other_progression_readings,
    progression_free_survival,
)
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

_READING_WORDS: Mapping[str, str] = {
    "PRES": "presumed deaths censored",
    "UND": "deaths without a day on the day after the last proof of life",
    "LEFT": "deaths after withdrawal counted",
    "LOST": "those lost censored on the last proof of life before",
    "REG": "by proofs of life alone, without registry links",
}
"""Other readings of the vital status in words, by the end of the codes of their parameters."""
PARAMETERS: Mapping[str, str] = {
    "OS": "Overall survival from the origin of the protocol",
    "OSDX": "Overall survival from diagnosis",
    "OSENR": "Overall survival from enrollment",
    "OSRTS": "Overall survival from the start of the index course",
    "OSRTE": "Overall survival from the end of the index course",
    "OSSRT": "Overall survival from the start of the first stereotactic course",
    **{f"OS{code}": f"Overall survival, {words}" for code, words in _READING_WORDS.items()},
    "PFS": "Progression-free survival from the origin of the protocol",
    **{f"PFS{code}": f"Progression-free survival, {words}" for code, words in _READING_WORDS.items()},
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
    "presumed_censored": "PRES",
    "undated_as_event": "UND",
    "deaths_after_leaving": "LEFT",
    "lost_censored": "LOST",
    "without_registry_links": "REG",
}
_CONTROL: Mapping[str, Failure] = {"LRC": "locoregional", "DMC": "distant", "FF": "first"}
_ATTRIBUTIONS: Mapping[str, Attribution] = {"TOX3": "all_causes", "TOX3R": "related"}
DatedEndpoint = tuple[Endpoint, GroupNames | None]
"""An endpoint, with the dictionary of each participant if it is one of toxicity."""


def participant_endpoints(cohort: CutCohort) -> Iterator[DatedEndpoint]:
    """Yields the endpoints. Another reading of survival that concerns nobody has no times."""
    endpoints = _ParticipantEndpoints(cohort)
    yield from ((endpoint, None) for endpoint in endpoints.survival())
    yield from ((endpoint, None) for endpoint in endpoints.progression_free_survival())
    yield from ((endpoints.control(code, failure), None) for code, failure in _CONTROL.items())
    yield from endpoints.toxicity()
    yield endpoints.follow_up(), None


class _ParticipantEndpoints:
    """Makes endpoints of a cohort. An element of their columns is a participant of the snapshot."""

    def __init__(self, cohort: CutCohort) -> None:
        self._cohort, self._snapshot, self._selection = cohort, cohort.snapshot, cohort.selection
        vital, subjects = VitalStatus.of(cohort.snapshot), cohort.snapshot.subjects
        self._life = vital.exits(cohort.cut_number)
        self._readings = {
            reading.name: reading.exits for reading in sensitivity_readings(self._snapshot, self._selection)
        }
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
        for name, other in other_readings(self._snapshot, self._selection, times):
            yield self._other_reading(f"OS{READING_CODES[name]}", other, self._readings[name])

    def _survival(self, code: str, times: EndpointTimes, origin: Origin | None) -> Endpoint:
        outcomes = {CENSORED + 1: Outcome(EVENT, (self._death,))}
        return self._endpoint(code, times, outcomes, self._end_of_life_known, origin=origin)

    def _other_reading(self, code: str, times: EndpointTimes, life: Exits) -> Endpoint:
        """Returns overall survival by another reading, which also ends on days that no fact states."""
        last = DateSource("ADSL", "LSTALVDT", "LAST PROOF OF LIFE BEFORE THE LOSS", DayColumn(life.day, life.precision))
        outcomes = {CENSORED + 1: Outcome(EVENT, self._deaths_of_reading(life))}
        return self._endpoint(code, times, outcomes, (*self._end_of_life_known, last), life=life)

    def _deaths_of_reading(self, life: Exits) -> Sequence[DateSource]:
        words = "DEATH ON THE DAY AFTER THE LAST PROOF OF LIFE"
        return self._death, DateSource("ADSL", "LSTALVDT", words, DayColumn(life.day, life.precision))

    def progression_free_survival(self) -> Iterator[Endpoint]:
        """Yields progression-free survival, also by every other reading of the vital status."""
        times = progression_free_survival(self._snapshot, self._selection)
        progressed = DateSource(
            "ADRS", "ADT", "PROGRESSION", first_progressions(self._snapshot, self._selection), "PROG"
        )
        outcomes = {CENSORED + 1: Outcome(EVENT, (progressed, self._death))}
        yield self._endpoint("PFS", times, outcomes, self._disease_assessments(self._life))
        for name, other in other_progression_readings(self._snapshot, self._selection, times):
            life = self._readings[name]
            outcomes = {CENSORED + 1: Outcome(EVENT, (progressed, *self._deaths_of_reading(life)))}
            code, censored = f"PFS{READING_CODES[name]}", self._disease_assessments(life)
            yield self._endpoint(code, other, outcomes, censored, life=life)

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
        return self._endpoint(code, times, outcomes, self._disease_assessments(self._life))

    def _disease_assessments(self, life: Exits) -> Sequence[DateSource]:
        assessed = last_assessments(self._snapshot, self._selection, life)
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
