"""The doors of a local installation: who can look at which study, under the names that `quartal token` gives."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from infra.reference import study as reference
from infra.simulator import patients as simulated
from shared.kernel.fact import Role

LIVE_STUDY = "demo-live"


@dataclass(frozen=True)
class Door:
    study: str
    role: Role
    label: str
    description: str
    site: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def way_in(self) -> str:
        """The address that signs in and leads to the study's page."""
        site = {"site": self.site} if self.site else {}
        asked = {"study": self.study, "role": self.role, **site, "next": f"/analytics/studies/{self.study}"}
        return f"/session/development?{urlencode(asked)}"


_REFERENCE_NOTES = (
    "4 published cases (times as published; calendar days filled in to respect them), 27 synthetic participants.",
    f"This study's clock stands at {reference.FROZEN_TODAY}.",
)
_LIVE_NOTES = ("Simulated: no person stands behind any of these records.",)


def doors() -> list[Door]:
    live_site = simulated.SITES[0].site_id
    atc, live = reference.STUDY_ID, LIVE_STUDY
    return [
        Door(
            atc,
            "investigator",
            "Reference study, as its investigator",
            "four published cases among synthetic participants",
            None,
            _REFERENCE_NOTES,
        ),
        Door(
            atc, "site", "Reference study, as its site", "what one hospital sees", reference.SITE_ID, _REFERENCE_NOTES
        ),
        Door(
            live,
            "investigator",
            "Live study, as its investigator",
            "eight simulated sites, as they report",
            None,
            _LIVE_NOTES,
        ),
        Door(live, "site", "Live study, as one site", "the same, for one hospital", live_site, _LIVE_NOTES),
    ]
