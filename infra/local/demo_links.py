"""Sign-in links of the demo: each role in each study, as the subjects that `quartal token` uses by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from infra.reference import simulated_study as simulated
from infra.reference import study as reference
from services.analytics.urls import cohort_url
from shared.kernel.fact import Role

LIVE_STUDY = simulated.STUDY_ID


@dataclass(frozen=True)
class DemoLink:
    """A link that signs in; `study` is the id of the study, `title` its name, `notes` describe the study."""

    study: str
    title: str
    """Title of the study."""
    role: Role
    description: str
    site: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def sign_in_url(self) -> str:
        """Returns the local address that signs in and redirects to the page of the study."""
        site = {"site": self.site} if self.site else {}
        query = {"study": self.study, "role": self.role, **site, "next": cohort_url(self.study)}
        return f"/session/development?{urlencode(query)}"


ROLE_DESCRIPTIONS: Mapping[Role, str] = {
    "investigator": "All figures, participants and data queries, and the operations page.",
    "site": "Figures, participants and data queries of one site.",
    "coordinator": "Figures, participants and data queries of all sites.",
    "monitor": "The same pages as the investigator, to monitor the conduct of the study.",
    "auditor": "The same pages as the investigator, to audit the record.",
    "administrator": "Figures of counts and the operations page. No single participants.",
    "reader": "Figures of counts as of the last data cut of the study. No small groups.",
}
"""Content of the pages for each role. Each role has a link, except the coordinator of a site, who sees what its staff
sees."""

_REFERENCE_NOTES = (
    "This study has 4 published cases and 27 synthetic participants.",
    "The published cases have their published time intervals; their calendar dates were added to fit.",
    "Synthetic participants have a local reference that begins with SYNTHETIC. Only staff of the site can see it.",
    f"Today is always {reference.FROZEN_TODAY} in this study; the command “quartal clock advance” moves the day.",
)
_LIVE_NOTES = ("This study is simulated. Its records describe no real people.",)


def demo_links() -> list[DemoLink]:
    """Returns a link for each role in each study, study after study."""
    studies = (
        (reference.STUDY_ID, "Reference study", reference.SITE_ID, _REFERENCE_NOTES),
        (LIVE_STUDY, "Simulated study", simulated.SITES[0].site_id, _LIVE_NOTES),
    )
    return [
        DemoLink(
            study=study,
            title=title,
            role=role,
            description=description,
            site=site if role == "site" else None,
            notes=notes,
        )
        for study, title, site, notes in studies
        for role, description in ROLE_DESCRIPTIONS.items()
    ]
