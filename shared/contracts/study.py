"""Facts of a study as a whole. They cannot be corrected; later facts amend, revoke or close instead."""

from __future__ import annotations

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from shared.contracts.streams import STUDY
from shared.kernel.fact import Fact, Role
from shared.kernel.ids import Code, SiteId
from shared.kernel.partial_date import Day
from shared.kernel.patterns import explain_pattern
from shared.kernel.sealed_text import READING_STORED
from shared.kernel.text import LongText, ShortText
from shared.kernel.zones import suggest_zone
from shared.protocol.protocol import Protocol


@cache
def _machine_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _require_known_zone(name: str, info: ValidationInfo) -> str:
    """Refuse a name that is no time zone. Recorded zones stay readable on machines whose tables lack them."""
    if info.context != READING_STORED and name not in _machine_zones():
        raise ValueError(f"This is not an IANA time zone. Give one such as {suggest_zone(name) or 'Europe/Berlin'}.")
    return name


TimeZone = Annotated[str, StringConstraints(strict=True, max_length=64), AfterValidator(_require_known_zone)]
_COUNTRY = explain_pattern("^[A-Z]{2}$", "Give the country's code by ISO 3166-1: two capital letters, such as DE.")
Country = Annotated[str, StringConstraints(strict=True, pattern=_COUNTRY), Field(description="ISO 3166-1 alpha-2")]
_SUBJECT = explain_pattern(
    r"^[^\s\x00-\x1f*]{1,200}$",
    "Give the `sub` of the member's access token: 1 to 200 characters, without blanks and asterisks.",
)
Subject = Annotated[
    str,
    StringConstraints(strict=True, pattern=_SUBJECT),
    Field(description="`sub` of the member's access token"),
]


@STUDY.fact("study.opened", by="administrator")
class StudyOpened(Fact, schema_name="Opened"):
    """The study exists, with its first protocol. Who opens it becomes its administrator."""

    title: ShortText
    ethics_approval: ShortText
    registration: ShortText | None = None
    protocol: Protocol


@STUDY.fact("study.protocol_amended", on="effective_on", by="administrator investigator")
class ProtocolAmended(Fact):
    """Another protocol, in force from a day on. What was recorded before is not judged again."""

    amendment: Code
    effective_on: Day
    protocol: Protocol
    reason: LongText


@STUDY.fact("study.site_activated", on="on", by="administrator")
class SiteActivated(Fact):
    site_id: SiteId
    name: ShortText
    country: Country
    time_zone: TimeZone
    on: Day


@STUDY.fact("study.site_closed", on="on", by="administrator")
class SiteClosed(Fact):
    site_id: SiteId
    on: Day


@STUDY.fact("study.member_granted", by="administrator")
class MemberGranted(Fact):
    """A person may do in the study what the role may: at one site, or, without a site, in the whole study."""

    member: Subject
    role: Role
    site_id: SiteId | None = None


@STUDY.fact("study.member_revoked", by="administrator")
class MemberRevoked(Fact):
    """Takes back one grant: the same member, role and site."""

    member: Subject
    role: Role
    site_id: SiteId | None = None


@STUDY.fact("study.accrual_closed", on="on", by="administrator investigator")
class AccrualClosed(Fact):
    """No participant is screened or enrolled after that day."""

    on: Day


@STUDY.fact("study.closed", on="on", by="administrator investigator")
class StudyClosed(Fact, schema_name="Closed"):
    """Nothing dated after that day is stated any more, but corrections."""

    on: Day


@STUDY.fact("study.cut_taken", by="administrator investigator")
class CutTaken(Fact):
    """Freezes an analysis: a calendar day, and what is known when this fact is applied."""

    name: Code
    cut_on: Day
