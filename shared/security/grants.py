"""Rights of members in a study, derived from the study's own facts in the order of recording."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.contracts.study import MemberGranted, MemberRevoked
from shared.kernel.errors import Forbidden, ReadersSeeCuts
from shared.kernel.fact import Role
from shared.kernel.record import Record
from shared.postgres.tenancy import EVERY_SITE

PARTICIPANT_ROLES = frozenset({"site", "coordinator", "investigator", "monitor", "auditor"})
"""Roles that see participants. Readers and administrators see figures only."""
OVERSIGHT_ROLES = frozenset({"administrator", "investigator", "coordinator", "monitor", "auditor"})
"""Roles that see every member of the study if granted for the whole study."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role at one site or, if `site_id` is None, in the whole study."""

    role: Role
    site_id: str | None

    @property
    def scope(self) -> str:
        return self.site_id or EVERY_SITE


@dataclass(frozen=True)
class Rights:
    """The grants of one member in one study."""

    member: str
    grants: frozenset[Grant]
    _sites_by_roles: dict[frozenset[str], frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    def sites_with_role(self, roles: frozenset[str]) -> frozenset[str]:
        """Returns the sites at which the member has one of the roles; `*` stands for every site."""
        if roles not in self._sites_by_roles:
            self._sites_by_roles[roles] = frozenset(grant.scope for grant in self.grants if grant.role in roles)
        return self._sites_by_roles[roles]

    def has_role_at(self, site_id: str | None, roles: frozenset[str]) -> bool:
        """Returns whether the member has one of the roles at that site (None: in the whole study)."""
        sites = self.sites_with_role(roles)
        return EVERY_SITE in sites or site_id in sites

    @property
    def is_reader(self) -> bool:
        """True if every grant is of the role `reader`: the member sees publications only."""
        return bool(self.grants) and all(grant.role == "reader" for grant in self.grants)

    def refuse_reading(self) -> Forbidden:
        """Returns the refusal of what the member may not read."""
        return ReadersSeeCuts() if self.is_reader else Forbidden()

    @property
    def visible_sites(self) -> frozenset[str]:
        """Sites whose participants the member may see; `*` stands for every site."""
        return self.sites_with_role(PARTICIPANT_ROLES)

    def is_site_staff(self, site_id: str) -> bool:
        """Returns whether the member is staff or coordinator of that site, and may read its sealed texts."""
        return any(grant.site_id == site_id and grant.role in ("site", "coordinator") for grant in self.grants)

    def may_see_member(self, member: str, site_id: str | None) -> bool:
        """Returns whether the member may see a grant: at the own site, the own one, or with an oversight role any."""
        is_own_site = any(grant.site_id and grant.site_id == site_id for grant in self.grants)
        return is_own_site or member == self.member or self.has_role_at(None, OVERSIGHT_ROLES)


def readable_tenants(rights: Rights, site: str | None = None) -> list[str]:
    """Returns the tenants to read participants under: `*`, or each visible site, or only `site` if it is given.

    Raises Forbidden for a member who may see no participants, or not those of `site`.
    """
    if not rights.visible_sites:
        raise rights.refuse_reading()
    if EVERY_SITE in rights.visible_sites:
        return [EVERY_SITE]
    if site is not None and site not in rights.visible_sites:
        raise Forbidden
    return sorted(rights.visible_sites) if site is None else [site]


def rights_from_record(study_record: Record, member: str) -> Rights:
    """Returns a member's current grants: a revocation ends a grant of the same role and site."""
    current_grants: dict[Grant, None] = {}
    for stated in study_record.stated_facts:
        match stated.fact:
            case MemberGranted(member=grantee, role=role, site_id=site) if grantee == member:
                current_grants[Grant(role, site)] = None
            case MemberRevoked(member=grantee, role=role, site_id=site) if grantee == member:
                current_grants.pop(Grant(role, site), None)
    return Rights(member, frozenset(current_grants))
