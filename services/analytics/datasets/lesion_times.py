"""ADTTEL: the times to local failure of treated lesions, each from the course that begins it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, NamedTuple

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import YES_NO, ParticipantNumber, StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.datasets.endpoint_times import (
    COMPETING,
    EVENT,
    DateSource,
    Endpoint,
    Outcome,
    SourceRecord,
    censoring_reasons,
    source_sequence,
    time_parts,
)
from services.analytics.datasets.lesion_assessments import LesionId, make_lesion_assessments
from services.analytics.datasets.targets import CourseId
from services.analytics.datasets.time_columns import (
    Analysis,
    CensoringCode,
    CensoringDate,
    Entry,
    EventCode,
    EventWords,
    ExitDate,
    ExitFlag,
    SourceDomain,
    SourceSequence,
    SourceVariable,
    StartDate,
    StartFlag,
    Units,
)
from services.analytics.endpoints.exits import Exits, VitalStatus
from services.analytics.endpoints.lesion_statuses import LESION_STATUSES, LastImaging, first_necrosis, last_imaging
from services.analytics.endpoints.local_control import DEATH, FAILURE, RETREATMENT, LesionTimes, local_control
from services.analytics.endpoints.stereotactic import STEREOTACTIC
from services.analytics.endpoints.treated_lesions import TreatedLesions, treated_lesions
from services.analytics.snapshot.flow import DayColumn, status_dates
from services.analytics.snapshot.selection import Selection

LesionRecords = Mapping[tuple[str, str, date | None], Sequence[SourceRecord]]
"""Records of lesions by participant, lesion and day: the basis in place of a parameter, and the status."""
PARAMETERS: Mapping[str, str] = {
    "LF": "Local failure of the lesion from its first course",
    "LN": "Necrosis of the lesion from its first course",
    "LFSRT": "Local failure of the lesion from its first stereotactic course",
}


class TreatedLesionTime(NamedTuple):
    """The time of one treated lesion. USUBJID is the cluster: lesions of a participant are alike."""

    studyid: StudyId
    usubjid: ParticipantNumber
    lesid: LesionId
    crsid: CourseId
    paramcd: Annotated[str, Column("Parameter Code", "The event and the course.", codes=PARAMETERS)]
    param: Annotated[str, Column("Parameter", "PARAMCD in words.", length=100)]
    startdt: StartDate
    startdtf: StartFlag
    adt: ExitDate
    adtf: ExitFlag
    aval: Analysis
    avalu: Units
    aentry: Entry
    cnsr: CensoringCode
    evntcd: EventCode
    evntdesc: EventWords
    cnsdtdsc: CensoringDate
    lesstat: Annotated[
        str,
        Column(
            "Status at the Last Imaging",
            "After time 0 and by the end of observation of the participant.",
            codes={status: status.replace("_", " ").capitalize() for status in LESION_STATUSES},
        ),
    ]
    gapfl: Annotated[
        str,
        Column("Death without Recent Imaging Flag", "Y: a death competes, no imaging in the 183 days before.", YES_NO),
    ]
    srcdom: SourceDomain
    srcvar: SourceVariable
    srcseq: SourceSequence


def make_lesion_times(cohort: CutCohort) -> Iterator[TreatedLesionTime]:
    """Yields the times by participant, lesion and parameter."""
    sources = defaultdict[tuple[str, str, date | None], list[SourceRecord]](list)
    for record in make_lesion_assessments(cohort):
        sources[record.usubjid, record.lesid, record.adt].append((record.basis, record.avalc, record.aseq))
    selections = lesion_selections(cohort)
    times = [time for code, chosen in selections.items() for time in _times(cohort, code, chosen, sources)]
    yield from sorted(times, key=lambda time: (time.usubjid, time.lesid, time.paramcd))


def lesion_selections(cohort: CutCohort) -> dict[str, Selection]:
    """Returns what local control selects, by the parameter that has its times."""
    selection = cohort.selection
    return {
        "LF": selection,
        "LN": replace(selection, event="necrosis"),
        "LFSRT": replace(selection, subset=STEREOTACTIC),
    }


def _times(cohort: CutCohort, code: str, selection: Selection, sources: LesionRecords) -> Iterator[TreatedLesionTime]:
    lesions = treated_lesions(cohort.snapshot, selection, stereotactic=selection.subset == STEREOTACTIC)
    times = local_control(cohort.snapshot, selection)
    names, courses = cohort.words(lesions.lesions), cohort.words(lesions.courses)
    endpoint = _endpoint(cohort, code, selection, lesions, times)
    extras = zip(time_parts(cohort, endpoint), times.status.tolist(), times.is_death_after_gap.tolist(), strict=True)
    for (element, parts, source), status, is_after_gap in extras:
        number, lesion = cohort.numbers[int(lesions.subjects[element])], names[element]
        records = sources.get((number, lesion, parts.adt), ())
        yield TreatedLesionTime(
            cohort.study_id,
            number,
            lesion,
            courses[element],
            **parts._asdict(),
            lesstat=status,
            gapfl="Y" if is_after_gap else "N",
            srcseq=source_sequence(records, source) if source.domain == "ADLES" else None,
        )


def _endpoint(
    cohort: CutCohort, code: str, selection: Selection, lesions: TreatedLesions, times: LesionTimes
) -> Endpoint:
    """Returns the times as an endpoint, of whose columns an element is a treated lesion."""
    snapshot, subjects = cohort.snapshot, lesions.subjects
    life = VitalStatus.of(snapshot).exits(cohort.cut_number)
    imaging = last_imaging(snapshot, lesions, life.day)
    is_lost = status_dates(snapshot, cohort.cut_number)["lost"].day <= cohort.cut_number
    reasons = censoring_reasons(cohort, life, is_lost)
    places = {key: index for index, key in enumerate(_keys(subjects.tolist(), lesions.lesions.tolist()))}
    return Endpoint(
        code=code,
        label=PARAMETERS[code],
        elements=[places[key] for key in _keys(times.subjects.tolist(), times.lesions.tolist())],
        origins=times.origins.tolist(),
        observations=times.observations,
        started=lesions.named,
        reasons=[reasons[subject] for subject in subjects.tolist()],
        outcomes=_outcomes(cohort, selection, lesions, life),
        censored=_censored(lesions, imaging),
    )


def _keys(subjects: list[int], lesions: list[int]) -> list[tuple[int, int]]:
    return list(zip(subjects, lesions, strict=True))


def _outcomes(cohort: CutCohort, selection: Selection, lesions: TreatedLesions, life: Exits) -> dict[int, Outcome]:
    is_necrosis = selection.event == "necrosis"
    failed = first_necrosis(cohort.snapshot, lesions) if is_necrosis else lesions.failed
    words, status = ("NECROSIS", "necrosis") if is_necrosis else ("LOCAL FAILURE", "progressed")
    died = DayColumn(life.day[lesions.subjects], life.precision[lesions.subjects])
    return {
        FAILURE: Outcome(EVENT, (DateSource("ADLES", "ADT", words, failed, "", (status,)),)),
        RETREATMENT: Outcome(COMPETING, (DateSource("", "", "TREATED AGAIN", lesions.retreated),)),
        DEATH: Outcome(COMPETING, (DateSource("ADSL", "DTHDT", "DEATH", died),)),
    }


def _censored(lesions: TreatedLesions, imaging: LastImaging) -> tuple[DateSource, ...]:
    return (
        DateSource("ADLES", "ADT", "LAST IMAGING OF THE LESION", imaging.on, "imaging"),
        DateSource("", "", "DAY 0, NO IMAGING AFTER IT", lesions.named),
    )


ADTTEL = DataSet(
    name="ADTTEL",
    label="Lesion Time-to-Event Analysis Data Set",
    structure="One record per participant per treated lesion per parameter",
    data_class="BASIC DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "LESID", "PARAMCD"),
    record=TreatedLesionTime,
    make=make_lesion_times,
)
