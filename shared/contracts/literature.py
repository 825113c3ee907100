"""Facts of the published literature that a study is read beside. They are of the stream of the study."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from shared.contracts.streams import STUDY
from shared.kernel.fact import Fact
from shared.kernel.ids import Code, normalize_participant_id
from shared.kernel.presentation import Presentation
from shared.kernel.record import Record
from shared.kernel.text import LongText, ShortText

_NUMBER_TEXT = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")
_PARTICIPANT_FORM = re.compile(r"(?<![0-9A-Za-z-])[0-9A-Za-z]{4}-[0-9A-Za-z]{4}-[0-9A-Za-z](?![0-9A-Za-z-])")


def _refuse_number(text: str) -> str:
    """Refuses a number that is stated as a text: it could not be compared."""
    if _NUMBER_TEXT.fullmatch(text.strip()):
        raise ValueError("Give a number as a number, without quotation marks.")
    return text


def _refuse_participant(text: str) -> str:
    """Refuses a text with the number of a participant: these texts are published."""
    for candidate in _PARTICIPANT_FORM.findall(text):
        try:
            normalize_participant_id(candidate)
        except ValueError:
            continue
        raise ValueError("The text has the number of a participant. Literature names no participant.")
    return text


def _form_of(value: object) -> str:
    return "text" if isinstance(value, str) else "number"


Line = Annotated[ShortText, AfterValidator(_refuse_participant)]
Remark = Annotated[LongText, AfterValidator(_refuse_participant)]
Words = Annotated[Line, AfterValidator(_refuse_number), Tag("text")]
"""Words in place of a number, where a publication has no single one: `3-5`, for example."""
Year = Annotated[Annotated[int, Field(strict=True, ge=1800, le=2200), Tag("number")] | Words, Discriminator(_form_of)]
Time = Annotated[Annotated[float, Field(strict=True, ge=0, le=10_000), Tag("number")] | Words, Discriminator(_form_of)]
Percent = Annotated[Annotated[float, Field(strict=True, ge=0, le=100), Tag("number")] | Words, Discriminator(_form_of)]
Count = Annotated[int, Field(strict=True, ge=0, le=10_000_000)]


@STUDY.fact("literature.study_recorded", by="administrator investigator", heading="Published study")
class PublishedStudyRecorded(Fact):
    """A published study that the cohort is read beside. A later fact with the same `ref_id` replaces this one."""

    ref_id: Annotated[
        Code,
        Presentation(
            label="Id of the reference", help="Short name, such as SMITH2022. To replace an entry, give its id again."
        ),
    ]
    """Id of the reference, which is unique in the study."""
    first_author: Annotated[Line, Presentation(help="Family name and initials, such as Smith JA.")]
    """First author of the publication."""
    year: Annotated[Year, Presentation(label="Year of publication")]
    """Year of the publication."""
    doi_or_pmid: Annotated[
        Line | None, Presentation(label="DOI or PMID", help="Such as 10.1000/182, or PMID 12345678.")
    ] = None
    """Identifiers of the publication: DOI, PubMed or register."""
    design: Annotated[Line | None, Presentation(help="Such as multicenter retrospective.")] = None
    """Design of the study, in the words of its source."""
    population: Annotated[Line | None, Presentation(help="Who was studied, and when.")] = None
    """Population that was studied."""
    n: Annotated[Count | None, Presentation(label="Patients")] = None
    """Number of patients."""
    n_atc: Annotated[Count | None, Presentation(label="Patients with the disease of this study")] = None
    """Number of patients with anaplastic thyroid cancer, or with the disease that this study is about."""
    treatment: Annotated[Line | None, Presentation(help="Treatment that was studied.")] = None
    """Treatment that was studied."""
    dose: Annotated[Line | None, Presentation(help="Dose as published, such as 3 x 9 Gy.")] = None
    """Dose of radiotherapy, as published."""
    median_os: Annotated[
        Time | None,
        Presentation(
            label="Median overall survival", help="A number, or words such as 3-5 where there is no single one."
        ),
    ] = None
    """Median overall survival, in the unit of `os_unit`."""
    os_unit: Annotated[
        Line | None,
        Presentation(
            label="Unit of the median",
            help="Begin with days, weeks, months or years. An interval may follow: months (95 % CI 2.1-7.4).",
        ),
    ] = None
    """Unit of the median overall survival, with what its source says of it."""
    os_anchor: Annotated[
        Line | None,
        Presentation(
            label="Day that survival is counted from",
            help=(
                "Write diagnosis, enrollment, start of radiotherapy, end of radiotherapy or start of stereotactic "
                "radiotherapy, if it is one of these: only then it can be marked on a curve."
            ),
        ),
    ] = None
    """Day from which the source counts overall survival."""
    os_1y_pct: Annotated[
        Percent | None,
        Presentation(
            label="Overall survival at 1 year",
            unit="%",
            help="A number, or words such as 52 (95 % CI 36-66).",
        ),
    ] = None
    """Overall survival at one year, in percent."""
    other_outcome: Annotated[Remark | None, Presentation(label="Other outcomes", help="As published.")] = None
    """Other outcomes, as published."""
    toxicity: Annotated[Remark | None, Presentation(help="As published, with the number of patients.")] = None
    """Toxicity, as published."""
    verified: Annotated[
        Remark | None, Presentation(label="Source that was read", help="Full text, abstract or another publication.")
    ] = None
    """Source against which the entry was verified."""
    note: Annotated[Remark | None, Presentation(help="It is published: name no participant.")] = None
    """Remark about the entry."""

    @field_validator("n_atc")
    @classmethod
    def _require_part_of_all(cls, count: int | None, info: ValidationInfo) -> int | None:
        """Refuses more patients with the disease than patients."""
        total = info.data.get("n")
        if count is not None and total is not None and count > total:
            raise ValueError("There are more patients with the disease than patients. Check both numbers.")
        return count


def literature(record: Record) -> list[PublishedStudyRecorded]:
    """Returns the published studies of a study's record: of each reference the last one stated.

    They are in the order in which the references were first stated.
    """
    return list({study.ref_id: study for study in record.facts_of(PublishedStudyRecorded)}.values())
