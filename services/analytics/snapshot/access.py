"""Access of a member to the participants of a study: at which sites."""

from __future__ import annotations

from dataclasses import dataclass

from shared.kernel.errors import Forbidden
from shared.postgres.tenancy import EVERY_SITE
from shared.security.grants import Rights

OPERATIONS_ROLES = frozenset({"administrator", "investigator", "monitor", "auditor"})


@dataclass(frozen=True, slots=True)
class ReadScope:
    """The participants that an analysis may use.

    `enrolling_sites`: only participants enrolled at these sites; None: at any. `current_sites`: only participants who
    are followed at these sites now; None: wherever they are.
    """

    enrolling_sites: frozenset[str] | None
    current_sites: frozenset[str] | None


def read_scope(rights: Rights, site: str | None, *, participant_level: bool) -> ReadScope:
    """Returns the scope of a member, narrowed to `site` if one is given. Raises Forbidden.

    A grant for the whole study opens all sites, any other grant its own site. Counts are limited by enrolling site. An
    analysis that shows single participants is limited by current site, which row-level security enforces.
    """
    if participant_level and not may_see_participants(rights):
        raise Forbidden
    sites = rights.visible_sites if participant_level else frozenset(grant.scope for grant in rights.grants)
    sees_whole_study = EVERY_SITE in sites
    if site is not None and not (sees_whole_study or site in sites):
        raise Forbidden
    own_sites = None if sees_whole_study or participant_level else sites
    return ReadScope(
        enrolling_sites=own_sites if site is None else frozenset({site}),
        current_sites=frozenset(sites) if participant_level and not sees_whole_study else None,
    )


def may_see_participants(rights: Rights) -> bool:
    """True for a member who may see the participants of at least one site."""
    return bool(rights.visible_sites)


def may_see_operations(rights: Rights) -> bool:
    """True for these roles with a grant for the whole study, since a parked stream may be of any site."""
    return EVERY_SITE in rights.sites_with_role(OPERATIONS_ROLES)
