"""ADTRT: the targets of courses that started by the data cut-off, as prescribed and delivered, by version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, NamedTuple

from services.analytics.datasets.cohort import CutCohort
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import FLAG_RULE, IMPUTED_PARTS, YES_NO, ParticipantNumber, StudyId
from services.analytics.datasets.data_set import DataSet
from services.analytics.derivation.rows import UNKNOWN_NUMBER
from services.analytics.figures.target_rows import effective_doses
from services.analytics.statistics.dose import gray

CourseId = Annotated[str, Column("Course Identifier", "The id of the course, within the participant.")]


class PrescribedTarget(NamedTuple):
    """A target as it is prescribed from a day on. Doses in Gy."""

    studyid: StudyId
    usubjid: ParticipantNumber
    crsid: CourseId
    tgtid: Annotated[str, Column("Target Identifier", "The id of the target, within the course.")]
    presdt: Annotated[date | None, Column("Prescription Date", "The day from which this version holds.")]
    presdtf: Annotated[
        str | None, Column("Prescription Date Imputation Flag", FLAG_RULE.format(date="PRESDT"), codes=IMPUTED_PARTS)
    ]
    curfl: Annotated[str, Column("Current Version Flag", "Y if it holds on the cut-off.", codes=YES_NO)]
    indexfl: Annotated[str, Column("Index Course Flag", "As stated.", codes=YES_NO, source="Collected")]
    intent: Annotated[str, Column("Intent of the Course", "As stated.", source="Collected")]
    astdt: Annotated[date | None, Column("Analysis Start Date", "The start of the course.", source="Collected")]
    astdtf: Annotated[
        str | None, Column("Analysis Start Date Imputation Flag", FLAG_RULE.format(date="ASTDT"), codes=IMPUTED_PARTS)
    ]
    aendt: Annotated[date | None, Column("Analysis End Date", "The end of the course.", source="Collected")]
    aendtf: Annotated[
        str | None, Column("Analysis End Date Imputation Flag", FLAG_RULE.format(date="AENDT"), codes=IMPUTED_PARTS)
    ]
    endstat: Annotated[
        str | None,
        Column(
            "End of the Course",
            "As stated.",
            codes={"completed": "Completed", "discontinued": "Discontinued"},
            source="Collected",
        ),
    ]
    label: Annotated[str, Column("Label of the Target", "As stated.", source="Collected")]
    modality: Annotated[str, Column("Modality", "As stated.", source="Collected")]
    techniqu: Annotated[str, Column("Technique", "As stated.", source="Collected")]
    deliv: Annotated[str, Column("Delivery", "As stated.", source="Collected")]
    metafl: Annotated[str, Column("Treats a Metastasis Flag", "A lesion of it is one, or it names none.", codes=YES_NO)]
    fractn: Annotated[int, Column("Fractions", "As prescribed.", source="Collected")]
    fracdose: Annotated[float, Column("Dose per Fraction (Gy)", "As prescribed.", source="Collected")]
    totdose: Annotated[float, Column("Total Dose (Gy)", "As prescribed.", source="Collected")]
    isodose: Annotated[int | None, Column("Prescription Isodose (%)", "As prescribed.", source="Collected")]
    boostof: Annotated[str | None, Column("Boost of", "The target that it is a boost of.", source="Collected")]
    bed10: Annotated[float | None, Column("BED, Alpha/Beta 10 (Gy)", "n d (1 + d / 10), as prescribed.")]
    eqd210: Annotated[float | None, Column("EQD2, Alpha/Beta 10 (Gy)", "n d (d + 10) / 12, as prescribed.")]
    bed3: Annotated[float | None, Column("BED, Alpha/Beta 3 (Gy)", "n d (1 + d / 3), as prescribed.")]
    eqd23: Annotated[float | None, Column("EQD2, Alpha/Beta 3 (Gy)", "n d (d + 3) / 5, as prescribed.")]
    fracdel: Annotated[int | None, Column("Fractions Delivered", "By the end of the course.", source="Collected")]
    dosedel: Annotated[float | None, Column("Dose Delivered (Gy)", "By the end of the course.", source="Collected")]


def make_targets(cohort: CutCohort) -> Iterator[PrescribedTarget]:
    """Yields the targets by participant, course, target and version."""
    keys = ("usubjid", "crsid", "tgtid")
    yield from sorted(_targets(cohort), key=lambda row: (*(getattr(row, key) for key in keys), row.presdt or date.max))


def _targets(cohort: CutCohort) -> Iterator[PrescribedTarget]:
    courses, table = _courses(cohort), cohort.rows("target")
    numbers = (
        *("valid_from", "valid_to", "prescribed_precision", "treats_metastasis", "fractions", "fraction_cgy"),
        *("total_cgy", "isodose_percent", "fractions_delivered", "delivered_cgy"),
    )
    texts = ("course", "target", "label", "modality", "technique", "delivery", "boost_of")
    columns = [cohort.words(table[name]) for name in texts]
    rows = zip(cohort.records(table, "participant_id", *numbers), *columns, strict=True)
    for (number, *values), *words in rows:
        target = dict(zip((*numbers, *texts), (*values, *words), strict=True))
        if cohort.day(target["valid_from"]):
            yield _record(cohort, number, target, courses[number, target["course"]])


def _courses(cohort: CutCohort) -> dict[tuple[str, str], dict[str, Any]]:
    """Returns the members of each course of treatment that its targets show."""
    table = cohort.rows("course")
    names = ("is_index", "started_on", "started_precision", "ended_on", "ended_precision")
    texts = [cohort.words(table[name]) for name in ("course", "intent", "ended_as")]
    rows = zip(cohort.records(table, "participant_id", *names), *texts, strict=True)
    return {
        (number, course): {
            "indexfl": _flag(is_index),
            "intent": intent,
            "astdt": cohort.day(start),
            "astdtf": cohort.flag(start, start_precision),
            "aendt": cohort.day(end),
            "aendtf": cohort.flag(end, end_precision),
            "endstat": ended_as if cohort.day(end) else "",
        }
        for (number, is_index, start, start_precision, end, end_precision), course, intent, ended_as in rows
    }


def _record(cohort: CutCohort, number: str, target: dict[str, Any], course: dict[str, Any]) -> PrescribedTarget:
    doses = effective_doses(target["modality"], target["fractions"], target["fraction_cgy"], treats_cns=False)
    return PrescribedTarget(
        studyid=cohort.study_id,
        usubjid=number,
        crsid=target["course"],
        tgtid=target["target"],
        presdt=cohort.day(target["valid_from"]),
        presdtf=cohort.flag(target["valid_from"], target["prescribed_precision"]),
        curfl=_flag(cohort.cut_number <= target["valid_to"]),
        **course,
        label=target["label"],
        modality=target["modality"],
        techniqu=target["technique"],
        deliv=target["delivery"],
        metafl=_flag(target["treats_metastasis"]),
        fractn=target["fractions"],
        fracdose=float(gray(target["fraction_cgy"])),
        totdose=float(gray(target["total_cgy"])),
        isodose=_stated(target["isodose_percent"]),
        boostof=target["boost_of"],
        bed10=doses["bed_10"],
        eqd210=doses["eqd2_10"],
        bed3=doses["bed_3"],
        eqd23=doses["eqd2_3"],
        fracdel=_stated(target["fractions_delivered"]),
        dosedel=None if target["delivered_cgy"] == UNKNOWN_NUMBER else float(gray(target["delivered_cgy"])),
    )


def _flag(value: bool) -> str:
    return "Y" if value else "N"


def _stated(number: int) -> int | None:
    return None if number == UNKNOWN_NUMBER else number


ADTRT = DataSet(
    name="ADTRT",
    label="Radiotherapy Target Data Set",
    structure="One record per participant per course per target per version of the prescription",
    data_class="OCCURRENCE DATA STRUCTURE",
    keys=("STUDYID", "USUBJID", "CRSID", "TGTID", "PRESDT"),
    record=PrescribedTarget,
    make=make_targets,
)
