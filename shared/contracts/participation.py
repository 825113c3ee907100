"""The current site and the participation status of a participant, as all services define them.

The SQL function `present_site` gives the same answer as `current_site`; a contract test compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Literal

from shared.contracts.enrollment import (
    ConsentSigned,
    ConsentWithdrawn,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ParticipantVoided,
    ScreeningFailed,
)
from shared.kernel.fact import Fact
from shared.kernel.record import Record

EnrollmentMilestone = Literal["screening", "screen_failed", "consented", "enrolled"]
EnrollmentStatus = Literal[EnrollmentMilestone, "withdrawn", "voided"]
"""Participation status in the service enrollment, which knows neither deaths nor losses to follow-up."""
ParticipationStatus = Literal[EnrollmentMilestone, "died", "withdrawn", "lost"]
"""Participation status in analyses, in which no voided participant is."""
MILESTONES: tuple[tuple[type[Fact], EnrollmentMilestone], ...] = (
    (ParticipantEnrolled, "enrolled"),
    (ScreeningFailed, "screen_failed"),
    (ConsentSigned, "consented"),
)
"""The facts that mark progress in enrollment, the last step first. Before all of them the milestone is `screening`."""
_ENROLLMENT_STATUSES: tuple[tuple[type[Fact], EnrollmentStatus], ...] = (
    (ParticipantVoided, "voided"),
    (ConsentWithdrawn, "withdrawn"),
    *MILESTONES,
)
ENROLLMENT_STATUS_FACTS = frozenset(kind.type_name for kind, _ in _ENROLLMENT_STATUSES)
"""Types of the facts that change the status in enrollment."""


def _latest_possible_day(consent: ConsentSigned) -> date:
    return consent.signed_on.latest


def enrollment_status(record: Record) -> EnrollmentStatus:
    """Returns the first status that holds: voided, withdrawn, or the furthest milestone of enrollment."""
    return next((status for kind, status in _ENROLLMENT_STATUSES if record.stated_of(kind)), "screening")


def last_consent(
    record: Record, day_of: Callable[[ConsentSigned], date] = _latest_possible_day
) -> ConsentSigned | None:
    """Returns the consent that holds: that of the last day; of several on one day, the one stated last.

    `day_of` gives the day of a consent. None for a participant who has not consented.
    """
    consents = record.facts_of(ConsentSigned)
    return sorted(consents, key=day_of)[-1] if len(consents) > 1 else next(iter(consents), None)


def current_site(record: Record) -> str | None:
    """Returns the site that follows the participant now: the target of the last transfer, or else the screening's site.

    The last transfer has the latest possible day; among several with that day it is the one stated last. None for a
    record with neither a screening nor a transfer.
    """
    transfers = sorted(record.facts_of(ParticipantTransferred), key=lambda transfer: transfer.on.latest)
    if transfers:
        return transfers[-1].to_site
    return next((screening.site_id for screening in record.facts_of(ParticipantScreened)), None)
