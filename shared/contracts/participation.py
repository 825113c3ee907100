"""Definitions of a participant's place in a study that services share: the current site and the enrollment milestones.

Pure. The SQL function `present_site` gives the same answer as `current_site`; a contract test compares them.
"""

from __future__ import annotations

from typing import Literal

from shared.contracts.enrollment import (
    ConsentSigned,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ScreeningFailed,
)
from shared.kernel.fact import Fact
from shared.kernel.record import Record

EnrollmentMilestone = Literal["screening", "consented", "screen_failed", "enrolled"]
MILESTONES: tuple[tuple[type[Fact], EnrollmentMilestone], ...] = (
    (ParticipantEnrolled, "enrolled"),
    (ScreeningFailed, "screen_failed"),
    (ConsentSigned, "consented"),
)
"""The facts that take a participant through enrollment, the furthest first; before any of them it is `screening`."""


def current_site(record: Record) -> str | None:
    """The site that follows the participant now: that of the last transfer, or of the screening without a transfer.

    The last transfer is the one with the latest possible day, and of several with one such day the one stated last.
    None for a record without a screening and without a transfer.
    """
    transfers = sorted(record.facts_of(ParticipantTransferred), key=lambda transfer: transfer.on.latest)
    if transfers:
        return transfers[-1].to_site
    return next((screening.site_id for screening in record.facts_of(ParticipantScreened)), None)
