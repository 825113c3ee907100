"""ADSL: one record for each participant who is enrolled by the data cut-off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from services.analytics.cohort.date_imputation import UNDATED
from services.analytics.cohort.participation_status import FollowUpStatus
from services.analytics.cohort.performance import ECOG_MAP
from services.analytics.datasets.cohort import CutCohort, indexes
from services.analytics.datasets.data_set import DataSet
from services.analytics.datasets.subject_record import STATUSES, SubjectLevel
from services.analytics.derivation.rows import UNKNOWN_NUMBER
from services.analytics.endpoints.characteristics import characteristics
from services.analytics.endpoints.enrolled import Characteristic
from services.analytics.endpoints.exits import VitalStatus
from services.analytics.endpoints.origins import origin_days
from services.analytics.endpoints.stereotactic import stereotactic_days
from services.analytics.snapshot.columns import NEVER_NUMBER
from services.analytics.snapshot.flow import CohortFlow, DayColumn, completion_days, status_dates
from services.analytics.snapshot.groups import ages, delivery_groups

SEX = {"female": "F", "male": "M", "unknown": "U"}


def make_subjects(cohort: CutCohort) -> Iterator[SubjectLevel]:
    """Yields the participants in the order of their numbers."""
    columns = {**_identity(cohort), **_dates(cohort), **_ends(cohort), **_baseline(cohort)}
    for index in cohort.places:
        yield SubjectLevel(**{name: values[index] for name, values in columns.items()})


def _identity(cohort: CutCohort) -> dict[str, Sequence[Any]]:
    subjects, numbers = cohort.snapshot.subjects, cohort.numbers
    sites = cohort.words(subjects["enrolling_site"])
    return {
        "studyid": [cohort.study_id] * len(numbers),
        "usubjid": numbers,
        "subjid": numbers,
        "siteid": sites,
        "cursite": [cohort.sites.get(number, site) for number, site in zip(numbers, sites, strict=True)],
        "age": [
            age if birth_year != UNKNOWN_NUMBER else None
            for age, birth_year in zip(
                ages(cohort.snapshot, cohort.enrolled.cut).tolist(), subjects["birth_year"].tolist(), strict=True
            )
        ],
        "ageu": ["YEARS"] * len(numbers),
        "sex": [SEX.get(sex, "U") for sex in cohort.words(subjects["sex"])],
        "fasfl": _flags(cohort.enrolled.counted.tolist()),
        "saffl": _flags(cohort.enrolled.has_index_course.tolist()),
    }


def _flags(values: Sequence[bool]) -> list[str]:
    return ["Y" if value else "N" for value in values]


def _dates(cohort: CutCohort) -> dict[str, Sequence[Any]]:
    subjects, selection = cohort.snapshot.subjects, cohort.selection
    stereotactic = stereotactic_days(cohort.snapshot, selection.cut_date)
    vital = VitalStatus.of(cohort.snapshot)
    names = {
        "rficdt": "consented",
        "enrldt": "enrolled",
        "diagdt": "diagnosed",
        "trtsdt": "index_started",
        "trtedt": "index_ended",
        "withdt": "participation_ends",
    }
    dates = {name: DayColumn(subjects[f"{of}_on"], subjects[f"{of}_precision"]) for name, of in names.items()}
    dates["srtsdt"] = stereotactic.started
    columns: dict[str, Sequence[Any]] = {"srtfl": _flags((stereotactic.reached.day <= cohort.cut_number).tolist())}
    for name, column in dates.items():
        columns[name], columns[f"{name}f"] = cohort.dated(column)
    alive, reported = [_known_alive(cohort, status) for status in (vital, vital.at(cohort.cut_number))]
    columns["lstalvdt"], columns["lstalvdf"] = cohort.dated(alive)
    is_reported = reported.day > alive.day
    days = np.where(is_reported, reported.day, NEVER_NUMBER)
    columns["regalvdt"], columns["regalvdf"] = cohort.dated(DayColumn(days, reported.precision))
    columns["plnenddt"], columns["plnenddf"] = cohort.dated(completion_days(cohort.snapshot, cohort.cut_number))
    columns["origindt"], columns["origindf"] = cohort.dated(origin_days(cohort.snapshot, selection))
    return columns


def _known_alive(cohort: CutCohort, status: VitalStatus) -> DayColumn:
    """Returns the last day known alive: the cut-off, which is no imputed date, for those who live or die later."""
    alive, died, cut = status.alive, status.died.day, cohort.cut_number
    is_later = (alive.day > cut) | ((cut < died) & (died < NEVER_NUMBER))
    return DayColumn(np.where(is_later, cut, alive.day), alive.precision * ~is_later)


def _ends(cohort: CutCohort) -> dict[str, Sequence[Any]]:
    """Returns deaths, and the status in the participant flow with what it says of the end of the study."""
    subjects, cut = cohort.snapshot.subjects, cohort.cut_number
    flow = CohortFlow.from_snapshot(cohort.snapshot, cohort.selection)
    statuses: list[FollowUpStatus] = ["in_follow_up"] * len(subjects)
    for status, mask in flow.statuses.items():
        for index in indexes(mask):
            statuses[index] = status
    dates = {name: column.day.tolist() for name, column in status_dates(cohort.snapshot, cut).items()}
    is_dead = (subjects["dead_from"] <= cut).tolist()
    died, flags = cohort.dated(DayColumn(subjects["died_on"], subjects["died_precision"]))
    undated = (subjects["died_precision"] == UNDATED).tolist()
    presumed, causes = _flags(subjects["is_death_presumed"].tolist()), cohort.words(subjects["death_cause"])
    ends = [STATUSES[status] for status in statuses]
    return {
        "dthfl": _flags(is_dead),
        "dthdt": died,
        "dthdtf": [
            "Y" if dead and no_day else flag for dead, no_day, flag in zip(is_dead, undated, flags, strict=True)
        ],
        "deaddt": [cohort.day(day) for day in subjects["dead_from"].tolist()],
        "dthpres": [flag if dead else "" for flag, dead in zip(presumed, is_dead, strict=True)],
        "dthcaus": [cause if dead else "" for cause, dead in zip(causes, is_dead, strict=True)],
        "flowstat": statuses,
        "eosstt": [status for status, _ in ends],
        "eosdt": [
            cohort.day(dates[status][index]) if ends[index][0] != "ONGOING" else None
            for index, status in enumerate(statuses)
        ],
        "dcsreas": [reason for _, reason in ends],
    }


def _baseline(cohort: CutCohort) -> dict[str, Sequence[Any]]:
    subjects, rows = cohort.snapshot.subjects, cohort.enrolled
    by_name: dict[str, Characteristic] = {}
    genes = []
    for characteristic in characteristics(rows):
        by_name[characteristic.name] = characteristic
        genes += [characteristic] if characteristic.name == "molecular" else []
    has_baseline = rows.has_baseline.tolist()
    names = {"histol": "histology", "primsite": "primary_site", "tcat": "t", "ncat": "n", "mcat": "m"}
    stated = {
        name: [word if has else "" for word, has in zip(cohort.words(subjects[of]), has_baseline, strict=True)]
        for name, of in (names | {"tnmed": "tnm_edition"}).items()
    }
    scales = cohort.words(subjects["performance_scale"])
    is_karnofsky = [scale == "KPS" and has for scale, has in zip(scales, has_baseline, strict=True)]
    performance = subjects["performance_value"].tolist()
    return {
        **stated,
        "stage": _one_value(by_name["stage"]),
        "kpsbl": [
            value if karnofsky and value != UNKNOWN_NUMBER else None
            for value, karnofsky in zip(performance, is_karnofsky, strict=True)
        ],
        "ecogbl": [int(value) if value.isdecimal() else None for value in _one_value(by_name["ecog"])],
        "ecogmap": [ECOG_MAP if karnofsky else "" for karnofsky in is_karnofsky],
        "metasite": _several_values(by_name["metastatic_sites"]),
        "metanum": _whole_numbers(by_name["metastatic_site_count"]),
        "molec": _joined(
            [
                [f"{gene.item}:{value}" if value != "no_baseline" else "" for value in _one_value(gene)]
                for gene in genes
            ],
            len(has_baseline),
        ),
        "intent": [value if value != "no_index_course" else "" for value in _one_value(by_name["intent"])],
        "deliv": _several_values(by_name["delivery"]),
        "indxdelv": [str(name) for name in delivery_groups(cohort.snapshot, cohort.cut_number)],
        "indxdose": _numbers(by_name["index_dose"]),
    }


def _one_value(characteristic: Characteristic) -> list[str]:
    """Returns the value of each participant, or the reason for none."""
    values = [""] * len(characteristic.is_known)
    for name, mask in chain(characteristic.missing.items(), characteristic.values.items()):
        for index in indexes(mask):
            values[index] = name
    return values


def _several_values(characteristic: Characteristic) -> list[str]:
    """Returns the values of each participant with blanks between."""
    parts = [[""] * len(characteristic.is_known) for _ in characteristic.values]
    for part, (name, mask) in zip(parts, characteristic.values.items(), strict=True):
        for index in indexes(mask):
            part[index] = name
    return _joined(parts, len(characteristic.is_known))


def _joined(parts: Sequence[Sequence[str]], count: int) -> list[str]:
    return [" ".join(part[index] for part in parts if part[index]) for index in range(count)]


def _numbers(characteristic: Characteristic) -> list[float | None]:
    """Returns the number of each participant in its unit; None where it is not known."""
    numbers = characteristic.numbers
    if numbers is None:
        raise TypeError(f"{characteristic.name} has no numbers")
    pairs = zip(numbers.tolist(), characteristic.is_known.tolist(), strict=True)
    return [number / characteristic.parts if is_known else None for number, is_known in pairs]


def _whole_numbers(characteristic: Characteristic) -> list[int | None]:
    return [None if number is None else int(number) for number in _numbers(characteristic)]


ADSL = DataSet(
    name="ADSL",
    label="Subject-Level Analysis Data Set",
    structure="One record per enrolled participant",
    data_class="SUBJECT LEVEL ANALYSIS DATASET",
    keys=("STUDYID", "USUBJID"),
    record=SubjectLevel,
    make=make_subjects,
)
