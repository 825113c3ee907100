"""Who may do what in a study: read off the study's own facts, in the order in which they were stated."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.contracts.study import MemberGranted, MemberRevoked
from shared.kernel.fact import Role
from shared.kernel.record import Record
from shared.kernel.refusal import NotYourRole

EVERY_SITE = "*"
SEEING = frozenset({"site", "coordinator", "investigator", "monitor", "auditor"})
"""Roles that see participants; readers and administrators see figures only."""
OVERSEEING = frozenset({"administrator", "investigator", "coordinator", "monitor", "auditor"})
"""Roles that, study-wide, see every member of the study."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, at one site or (site None) in the whole study."""

    role: Role
    site_id: str | None

    @property
    def scope(self) -> str:
        return self.site_id or EVERY_SITE


@dataclass(frozen=True)
class Rights:
    """What one member may do in one study."""

    member: str
    grants: frozenset[Grant]
    _sites: dict[frozenset[str], frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    def sites(self, roles: frozenset[str]) -> frozenset[str]:
        """Sites at which the member has one of the roles; '*' stands for every site."""
        if roles not in self._sites:
            self._sites[roles] = frozenset(grant.scope for grant in self.grants if grant.role in roles)
        return self._sites[roles]

    def at(self, site_id: str | None, roles: frozenset[str]) -> bool:
        """Has the member one of the roles at that site (None: in the study as a whole)?"""
        sites = self.sites(roles)
        return EVERY_SITE in sites or site_id in sites

    @property
    def visible(self) -> frozenset[str]:
        """Sites whose participants the member may see at all."""
        return self.sites(SEEING)

    def has_site(self, site_id: str) -> bool:
        """Is the member of that site itself, and so allowed to read its sealed text?"""
        return any(grant.site_id == site_id and grant.role in ("site", "coordinator") for grant in self.grants)

    def sees_member(self, member: str, site_id: str | None) -> bool:
        """May the member know of that grant? Members of other sites are shown to those who oversee the whole study."""
        own = any(grant.site_id and grant.site_id == site_id for grant in self.grants)
        return own or member == self.member or self.at(None, OVERSEEING)


def readable_tenants(rights: Rights, site: str | None) -> list[str]:
    """Tenants to read participants under: `*`, or each visible site; only `site`, where that is asked for.

    Raises NotYourRole for a member who sees no participants, or not those of that site.
    """
    if not rights.visible:
        raise NotYourRole
    if EVERY_SITE in rights.visible:
        return [EVERY_SITE]
    if site is not None and site not in rights.visible:
        raise NotYourRole
    return sorted(rights.visible) if site is None else [site]


def rights(study: Record, member: str) -> Rights:
    """A member's standing grants: a revocation takes back the same role and site, a later grant gives it again."""
    held: dict[Grant, None] = {}
    for stated in study.stated:
        match stated.fact:
            case MemberGranted(member=who, role=role, site_id=site) if who == member:
                held[Grant(role, site)] = None
            case MemberRevoked(member=who, role=role, site_id=site) if who == member:
                held.pop(Grant(role, site), None)
    return Rights(member, frozenset(held))
