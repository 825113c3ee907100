"""What may be stated of how a participant fares after treatment: so far, how follow-up ends."""

from __future__ import annotations

from typing import Literal

from pydantic import StrictBool

from shared.contracts.streams import FOLLOWUP
from shared.kernel.dates import ClinicalDate
from shared.kernel.fact import Fact
from shared.kernel.sealed import Sealed


@FOLLOWUP.fact("participant.died", on="died_on")
class Died(Fact):
    """Death of any cause. `died_on` is null where the day is not known; presumed where death is not confirmed."""

    died_on: ClinicalDate | None
    cause: Literal["tumour", "treatment", "other", "unknown"]
    presumed: StrictBool = False
    detail: Sealed | None = None


@FOLLOWUP.fact("participant.lost", on="on")
class Lost(Fact):
    """Nobody can reach the participant any more; reversible."""

    on: ClinicalDate
    reason_code: Literal["unreachable", "moved", "care_elsewhere", "other"]


@FOLLOWUP.fact("participant.follow_up_resumed", on="on")
class FollowUpResumed(Fact):
    on: ClinicalDate
