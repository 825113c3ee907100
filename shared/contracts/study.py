"""Facts of a study as a whole. They cannot be corrected; later facts amend, revoke or close instead."""

from __future__ import annotations

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from shared.contracts.streams import STUDY
from shared.kernel.fact import Fact, Role, add_no_member
from shared.kernel.ids import Code, SiteId
from shared.kernel.partial_date import Day
from shared.kernel.patterns import explain_pattern
from shared.kernel.presentation import Presentation
from shared.kernel.sealed_text import READING_STORED
from shared.kernel.text import LongText, ShortText
from shared.kernel.zones import suggest_zone
from shared.protocol.protocol import Protocol


@cache
def _machine_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _require_known_zone(name: str, info: ValidationInfo) -> str:
    """Refuses a name that is no time zone. Recorded zones stay readable on machines whose tables lack them."""
    if info.context != READING_STORED and name not in _machine_zones():
        raise ValueError(f"This is not an IANA time zone. Give one such as {suggest_zone(name) or 'Europe/Berlin'}.")
    return name


TimeZone = Annotated[
    str,
    StringConstraints(strict=True, max_length=64),
    AfterValidator(_require_known_zone),
    Presentation(offers="zones", type_in=True),
]
_COUNTRY = explain_pattern("^[A-Z]{2}$", "Give the country's code by ISO 3166-1: two capital letters, such as DE.")
Country = Annotated[
    str,
    StringConstraints(strict=True, pattern=_COUNTRY),
    Field(description="Country of the site, by ISO 3166-1 alpha-2, such as IT."),
    Presentation(help="Two letters, such as IT for Italy.", offers="countries", type_in=True),
]
_SUBJECT = explain_pattern(
    r"^[^\s\x00-\x1f*]{1,200}$",
    "Give the `sub` of the member's access token: 1 to 200 characters, without blanks and asterisks.",
)
Subject = Annotated[
    str,
    StringConstraints(strict=True, pattern=_SUBJECT),
    Field(description="The member, by `sub` of the access token."),
    Presentation(help="Name under which the person signs in. Pages show it at the top to who is signed in."),
]


ROLES_IN_WORDS = {
    "administrator": "Administrator: sites, members and the protocol; sees no participants",
    "investigator": "Investigator: sees every participant, corrects, amends the protocol and takes data cuts",
    "site": "Site: records the participants of one site, and alone reads its texts",
    "coordinator": "Coordinator: records and corrects, of one site or of all; reads texts of an own site only",
    "monitor": "Monitor: sees participants, and records nothing",
    "auditor": "Auditor: sees participants and who read them, and records nothing",
    "reader": "Reader: sees published figures, and no participants",
}


@STUDY.fact("study.opened", by="administrator", version=2, upcasts={1: add_no_member})
class StudyOpened(Fact, schema_name="Opened"):
    """Opening of a study, with its first protocol. The person who opens it becomes its administrator."""

    title: ShortText
    """Title of the study."""
    ethics_approval: ShortText
    """Approval by the ethics committee: its reference or number."""
    registration: ShortText | None = None
    """Number in a public register of studies, such as ClinicalTrials.gov."""
    protocol: Protocol
    """First version of the protocol."""


@STUDY.fact(
    "study.protocol_amended",
    on="effective_on",
    by="administrator investigator",
    version=2,
    upcasts={1: add_no_member},
)
class ProtocolAmended(Fact):
    """Amendment: the whole protocol that is in force from a day on. Facts recorded before it stay recorded."""

    amendment: Annotated[Code, Presentation(help="Number or short name, such as A1.")]
    """Number or name of the amendment."""
    effective_on: Day
    """First day on which the amendment is in force."""
    protocol: Annotated[Protocol, Presentation(comes_last=True)]
    """The whole protocol with the amendment."""
    reason: Annotated[LongText, Presentation(lines=4)]
    """Reason for the amendment. It is published: name no participant."""


@STUDY.fact("study.site_activated", on="on", by="administrator")
class SiteActivated(Fact):
    """Activation of a site: from that day it may screen participants."""

    site_id: Annotated[SiteId, Presentation(label="Id of the site", help="Short, such as rome. It never changes.")]
    """Id of the site in the study."""
    name: ShortText
    """Name of the site, as pages show it."""
    country: Country
    time_zone: Annotated[
        TimeZone, Presentation(help="Area and city, such as Europe/Rome. It decides which day it is at the site.")
    ]
    """Time zone of the site (IANA), such as Europe/Rome. It decides which calendar day it is at the site."""
    on: Annotated[Day, Presentation(label="First day")]
    """First day on which the site takes part."""


@STUDY.fact("study.site_closed", on="on", by="administrator")
class SiteClosed(Fact):
    """Closure of a site."""

    site_id: Annotated[SiteId, Presentation(help="Site that no longer takes part.", offers="sites")]
    """Id of the site in the study."""
    on: Annotated[Day, Presentation(label="Last day")]
    """Last day on which the site takes part."""


@STUDY.fact("study.member_granted", by="administrator")
class MemberGranted(Fact):
    """Grant of a role to a member: at one site, or without a site in the whole study."""

    member: Subject
    role: Annotated[Role, Presentation(words=ROLES_IN_WORDS)]
    """Role of the member, which decides what the member may read and record."""
    site_id: Annotated[
        SiteId | None, Presentation(help="Left empty, the role is for the whole study.", offers="sites")
    ] = None
    """Site to which the role is limited."""


@STUDY.fact("study.member_revoked", by="administrator", heading="Revocation of a role")
class MemberRevoked(Fact):
    """Revocation of one grant: the same member, role and site."""

    member: Subject
    role: Annotated[Role, Presentation(words=ROLES_IN_WORDS)]
    """Role that is revoked."""
    site_id: Annotated[SiteId | None, Presentation(offers="sites")] = None
    """Site of the grant that is revoked; left out if the grant has none."""


@STUDY.fact("study.accrual_closed", on="on", by="administrator investigator", requires_check=True)
class AccrualClosed(Fact):
    """End of accrual: no screening or enrollment is dated after that day."""

    on: Annotated[Day, Presentation(label="Last day of accrual")]
    """Last day of accrual."""


@STUDY.fact("study.closed", on="on", by="administrator investigator", requires_check=True)
class StudyClosed(Fact, schema_name="Closed"):
    """Closure of the study: no fact is dated after that day. Corrections stay possible."""

    on: Annotated[Day, Presentation(label="Last day of the study")]
    """Last day of the study."""


@STUDY.fact("study.cut_taken", by="administrator investigator", heading="Data cut")
class CutTaken(Fact):
    """A named data cut: a data cut-off day, and the facts that are known when this fact is applied."""

    name: Annotated[Code, Presentation(help="Short name without blanks, such as interim-1.")]
    """Name of the data cut."""
    cut_on: Annotated[Day, Presentation(label="Data cut-off")]
    """Data cut-off: the last calendar day that analyses of the data cut count."""
