"""Access to the state of the projection."""

from __future__ import annotations

from shared.security.grants import EVERY_SITE, Rights

OPERATIONS_ROLES = frozenset({"administrator", "investigator", "monitor", "auditor"})


def may_see_operations(rights: Rights) -> bool:
    """True for these roles with a grant for the whole study: no single site can tell which participants it concerns."""
    return EVERY_SITE in rights.sites_with_role(OPERATIONS_ROLES)
