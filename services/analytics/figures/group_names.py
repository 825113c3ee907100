"""The groups of a divided figure, with those that nobody is in. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.endpoints.stereotactic import OTHER, STEREOTACTIC
from services.analytics.snapshot.groups import (
    FROM_65,
    NO_INDEX_COURSE,
    PERFORMANCES,
    STAGES,
    UNDER_65,
    GroupNames,
)
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.contracts.study import SiteActivated

BASELINE_DIVISIONS = ("site", "sex", "stage", "performance")
"""Values of the parameter `by` whose groups a participant never changes."""
DIVISIONS = (*BASELINE_DIVISIONS, "subset")
_STANDING_GROUPS: Mapping[str, tuple[str, ...]] = {
    "sex": ("female", "male"),
    "stage": STAGES,
    "performance": PERFORMANCES,
    "age": (UNDER_65, FROM_65),
    "subset": (OTHER, STEREOTACTIC),
}
"""Groups that a division has whether anybody is in them or not."""


def group_names(snapshot: StudySnapshot, selection: Selection, counted: GroupNames) -> list[str]:
    """Returns the groups of a division in the order of their names: those of the study, and those of `counted`."""
    return sorted(standing_groups(snapshot, selection) | set(counted.tolist()))


def standing_groups(snapshot: StudySnapshot, selection: Selection) -> set[str]:
    """Returns the groups that a division has whether anybody is in them or not; `all` of an undivided figure."""
    if selection.by is None:
        return {"all"}
    if selection.by == "site":
        sites = {site.site_id for site in snapshot.study.facts_of(SiteActivated)}
        return sites if selection.sites is None else sites & selection.sites
    if selection.by == "delivery":
        return set(selection.group_names(snapshot)[selection.subjects(snapshot)].tolist()) - {NO_INDEX_COURSE}
    return set(_STANDING_GROUPS[selection.by])
