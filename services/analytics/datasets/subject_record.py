"""The records of ADSL: the columns of a participant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, NamedTuple

from services.analytics.cohort.participation_status import FollowUpStatus
from services.analytics.cohort.performance import ECOG_MAP
from services.analytics.cohort.stage import STAGE_GROUPS
from services.analytics.datasets.column import Column
from services.analytics.datasets.common_columns import FLAG_RULE, IMPUTED_PARTS, YES_NO, ParticipantNumber, StudyId

STATUSES: Mapping[FollowUpStatus, tuple[str, str]] = {
    "died": ("DISCONTINUED", "DEATH"),
    "withdrawn": ("DISCONTINUED", "WITHDRAWAL BY SUBJECT"),
    "lost": ("DISCONTINUED", "LOST TO FOLLOW-UP"),
    "completed": ("COMPLETED", ""),
    "in_follow_up": ("ONGOING", ""),
    "awaiting_treatment": ("ONGOING", ""),
}
"""The status at the end of the study and the reason for leaving it, by the status in the participant flow."""
_FLOW_WORDS = {
    "died": "Died, with or without a known day",
    "withdrawn": "Withdrew consent",
    "lost": "Lost to follow-up",
    "completed": "The last planned visit is over",
    "in_follow_up": "In follow-up",
    "awaiting_treatment": "The index course has not started",
}
_MISSING_STAGE = {
    "no_baseline": "No baseline by the cut-off",
    "not_reported": "Not reported",
    "not_derivable": "TNM leaves it open",
}

Text = str | None


def _date_flag(name: str) -> Column:
    return Column(f"{name} Imputation Flag", FLAG_RULE.format(date="the date"), codes=IMPUTED_PARTS)


class SubjectLevel(NamedTuple):
    """A participant. Days after the cut-off are empty."""

    studyid: StudyId
    usubjid: ParticipantNumber
    subjid: Annotated[str, Column("Subject Identifier for the Study", "As USUBJID.", source="Assigned", length=11)]
    siteid: Annotated[str, Column("Study Site Identifier", "The site that screened the participant.")]
    cursite: Annotated[str, Column("Current Site", "The site that follows the participant at the data cut.")]
    age: Annotated[
        int | None, Column("Age", "Year of enrollment less year of birth; one less if enrolled before July.")
    ]
    ageu: Annotated[str, Column("Age Units", "Years.", codes={"YEARS": "Years"}, source="Assigned")]
    sex: Annotated[
        str, Column("Sex", "As screened.", codes={"F": "Female", "M": "Male", "U": "Unknown"}, source="Collected")
    ]
    fasfl: Annotated[str, Column("Full Analysis Set Population Flag", "Enrolled by the cut-off: all.", codes=YES_NO)]
    saffl: Annotated[
        str, Column("Safety Population Flag", "Y if the index course has started by the cut-off.", codes=YES_NO)
    ]
    srtfl: Annotated[
        str,
        Column(
            "Stereotactic Treatment Flag",
            "Y if a target with a stereotactic delivery of the protocol treats a metastasis by the cut-off.",
            codes=YES_NO,
        ),
    ]
    rficdt: Annotated[
        date | None, Column("Date of Informed Consent", "The first consent that was signed.", source="Collected")
    ]
    rficdtf: Annotated[Text, _date_flag("Informed Consent")]
    enrldt: Annotated[date | None, Column("Date of Enrollment", "As recorded, imputed if partial.", source="Collected")]
    enrldtf: Annotated[Text, _date_flag("Enrollment")]
    diagdt: Annotated[date | None, Column("Date of Diagnosis", "As stated at baseline.", source="Collected")]
    diagdtf: Annotated[Text, _date_flag("Diagnosis")]
    trtsdt: Annotated[
        date | None, Column("Date of First Exposure to Treatment", "Start of the index course.", source="Collected")
    ]
    trtsdtf: Annotated[Text, _date_flag("Treatment Start")]
    trtedt: Annotated[
        date | None, Column("Date of Last Exposure to Treatment", "End of the index course.", source="Collected")
    ]
    trtedtf: Annotated[Text, _date_flag("Treatment End")]
    srtsdt: Annotated[
        date | None,
        Column("Start of First Stereotactic Course", "The first course with a target as in SRTFL.", source="Derived"),
    ]
    srtsdtf: Annotated[Text, _date_flag("Stereotactic Start")]
    origindt: Annotated[
        date | None, Column("Origin of Times to Events", "Time 0 of the protocol: that of OS, PFS, LRC, DMC, FF, FUP.")
    ]
    origindf: Annotated[Text, _date_flag("Origin")]
    plnenddt: Annotated[
        date | None,
        Column("End of Planned Follow-up", "Last day of the last slot, by the cut-off; empty if it lies ahead."),
    ]
    plnenddf: Annotated[Text, _date_flag("Planned End")]
    dthfl: Annotated[
        str,
        Column("Subject Death Flag", "Y if dead on the cut-off; DTHDT is empty if the day is not known.", codes=YES_NO),
    ]
    dthdt: Annotated[date | None, Column("Date of Death", "As recorded, imputed if partial.", source="Collected")]
    dthdtf: Annotated[Text, _date_flag("Death")]
    deaddt: Annotated[
        date | None,
        Column("Date from which Dead", "DTHDT; of a death whose day is not known, the last proof of life before it."),
    ]
    dthpres: Annotated[Text, Column("Death Presumed Flag", "Y if the death is not confirmed.", codes=YES_NO)]
    dthcaus: Annotated[
        Text,
        Column(
            "Cause of Death",
            "As recorded.",
            codes={"tumour": "Tumor", "treatment": "Treatment", "other": "Another cause", "unknown": "Not known"},
            source="Collected",
        ),
    ]
    lstalvdt: Annotated[
        date | None,
        Column(
            "Date Last Known Alive",
            "Last proof of life up to a withdrawal of consent; the cut-off for those known to live or die later.",
        ),
    ]
    lstalvdf: Annotated[Text, _date_flag("Last Alive")]
    regalvdt: Annotated[
        date | None,
        Column(
            "Date Last Known Alive by a Registry",
            "The last day that a registry of a linked site reports on, or confirms after a withdrawal; the cut-off for "
            "a later one; empty where LSTALVDT is as late.",
        ),
    ]
    regalvdf: Annotated[Text, _date_flag("Last Alive by Registry")]
    withdt: Annotated[date | None, Column("Date of Withdrawal", "The first withdrawal of consent.", source="Collected")]
    withdtf: Annotated[Text, _date_flag("Withdrawal")]
    flowstat: Annotated[
        str, Column("Status in the Participant Flow", "Of those that hold, the first of the list.", codes=_FLOW_WORDS)
    ]
    eosstt: Annotated[
        str,
        Column(
            "End of Study Status",
            "From FLOWSTAT.",
            codes={"COMPLETED": "Completed", "DISCONTINUED": "Left", "ONGOING": "Ongoing"},
        ),
    ]
    eosdt: Annotated[date | None, Column("End of Study Date", "The day of FLOWSTAT, if it ends participation.")]
    dcsreas: Annotated[
        Text,
        Column(
            "Reason for Discontinuation from Study",
            "From FLOWSTAT.",
            codes={reason: reason.capitalize() for _, reason in STATUSES.values() if reason},
        ),
    ]
    histol: Annotated[Text, Column("Histology (ICD-O-3)", "As stated at baseline.", source="Collected")]
    primsite: Annotated[Text, Column("Primary Site (ICD-10)", "As stated at baseline.", source="Collected")]
    tcat: Annotated[Text, Column("T Category", "As stated at baseline.", source="Collected")]
    ncat: Annotated[Text, Column("N Category", "As stated at baseline.", source="Collected")]
    mcat: Annotated[Text, Column("M Category", "As stated at baseline.", source="Collected")]
    tnmed: Annotated[Text, Column("TNM Edition", "As stated at baseline.", source="Collected")]
    stage: Annotated[
        str,
        Column(
            "Stage Group at Baseline",
            "Derived from TNM by AJCC 8, or the reason for none.",
            codes={group: f"Stage {group}" for group in STAGE_GROUPS} | _MISSING_STAGE,
        ),
    ]
    kpsbl: Annotated[int | None, Column("Karnofsky Status at Baseline", "As measured.", source="Collected")]
    ecogbl: Annotated[int | None, Column("ECOG Status at Baseline", "As measured, or converted by ECOGMAP.")]
    ecogmap: Annotated[Text, Column("Map from Karnofsky to ECOG", "Of those converted.", codes={ECOG_MAP: "Oken"})]
    metasite: Annotated[
        Text, Column("Metastatic Sites at Baseline", "As stated, with blanks between.", source="Collected", length=400)
    ]
    metanum: Annotated[
        int | None, Column("Number of Metastatic Sites", "Those of METASITE; 0 with M0; empty if not reported.")
    ]
    molec: Annotated[
        Text,
        Column("Molecular Findings", "Gene and result, with blanks between.", source="Collected", length=2000),
    ]
    intent: Annotated[Text, Column("Intent of the Index Course", "As prescribed.", source="Collected")]
    deliv: Annotated[
        Text,
        Column(
            "Deliveries of the Index Course", "Those of its targets on the cut-off, with blanks between.", length=200
        ),
    ]
    indxdelv: Annotated[
        str,
        Column(
            "Delivery at the Index Course Start",
            "That of its targets as prescribed on the day of its start; several; no_index_course.",
        ),
    ]
    indxdose: Annotated[
        float | None,
        Column("Highest Dose of the Index Course (Gy)", "The most that a target is prescribed on the cut-off."),
    ]
