"""The doors of a local installation: who can look at which study, under the names that `quartal token` gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from infra.reference import study as reference
from infra.simulator import patients as simulated
from shared.kernel.fact import Role

LIVE_STUDY = "demo-live"


@dataclass(frozen=True)
class Door:
    study: str
    title: str
    """The study's, for people."""
    role: Role
    description: str
    site: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def way_in(self) -> str:
        """The address that signs in and leads to the study's page."""
        site = {"site": self.site} if self.site else {}
        asked = {"study": self.study, "role": self.role, **site, "next": f"/analytics/studies/{self.study}"}
        return f"/session/development?{urlencode(asked)}"


SEEN_BY: Mapping[Role, str] = {
    "investigator": "every figure and participant, the queries, the operations",
    "site": "what one hospital sees: its own participants and queries",
    "coordinator": "figures, participants and queries of all sites",
    "monitor": "as the investigator, by who oversees the conduct",
    "auditor": "as the investigator, by who checks the record",
    "administrator": "figures and operations, no single participant",
    "reader": "figures alone, small counts withheld",
}
"""What the page shows a role. Each shows something to everyone whom the studies grant a role, so no role lacks a door;
a site's coordinator, though, is shown what its staff are, and has none of their own."""

_REFERENCE_NOTES = (
    "4 published cases (times as published; calendar days filled in to respect them), 27 synthetic participants.",
    "Who is synthetic has a number of the site's own that begins with SYNTHETIC; the site's staff see it.",
    f"This study's clock stands at {reference.FROZEN_TODAY}.",
)
_LIVE_NOTES = ("Simulated: no person stands behind any of these records.",)


def doors() -> list[Door]:
    """One for each role in each study, study after study."""
    studies = (
        (reference.STUDY_ID, "Reference study", reference.SITE_ID, _REFERENCE_NOTES),
        (LIVE_STUDY, "Live study", simulated.SITES[0].site_id, _LIVE_NOTES),
    )
    return [
        Door(study, title, role, seen, site if role == "site" else None, notes)
        for study, title, site, notes in studies
        for role, seen in SEEN_BY.items()
    ]
