"""The opening of a study: its request, and the facts that it states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from shared.contracts.study import MemberGranted, StudyOpened
from shared.kernel.fact import Fact
from shared.kernel.ids import StudyId
from shared.kernel.presentation import Presentation
from shared.kernel.schema_name import build_model

OPENING_IS_GRANTED = (
    "You may not open this study. The operators of this installation grant that (QUARTAL_ADMINISTRATORS)."
)


_FORM_ADDRESS = "new"
"""Last part of the address of the form that opens a study; the page of a study has the study's id there."""


def _require_own_address(study_id: str) -> str:
    if study_id == _FORM_ADDRESS:
        raise ValueError("This id stands in the address of the form for a new study. Give another one.")
    return study_id


@build_model
class NewStudy(StudyOpened):
    """A new study: its first fact, and the id that it gets."""

    study_id: Annotated[
        StudyId,
        AfterValidator(_require_own_address),
        Presentation(
            label="Id of the study",
            help="Short, such as anaplastic-rt. It is part of the address of every page, and never changes.",
        ),
    ]
    """Id of the study, which is part of every address."""


def opening_facts(study: NewStudy, member: str) -> Sequence[Fact]:
    """Returns the first facts of a study: the opening, and the grant that makes the member its administrator."""
    opened = StudyOpened.model_validate(study.model_dump(exclude={"study_id"}))
    return [opened, MemberGranted(member=member, role="administrator")]
