"""A command with the study's facts that it is decided by, and what these facts allow its caller."""

from __future__ import annotations

from dataclasses import dataclass

from shared.eventstore.command import RecordFacts, refuse_references
from shared.eventstore.store import StreamHead
from shared.eventstore.stream_policy import StreamPolicy
from shared.eventstore.study_cache import StudyState
from shared.kernel.errors import Fault, Forbidden, NotFound, NotKnownYet, RequestError, StudyExists
from shared.postgres.tenancy import EVERY_SITE, Tenant
from shared.security.grants import Rights


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandContext:
    """A command, the study's facts of one version, and the policy of the stream that the command changes.

    `owns_participants`: the service registers participants; another service may learn of one after its first fact.
    """

    command: RecordFacts
    study: StudyState
    policy: StreamPolicy
    owns_participants: bool

    @property
    def rights(self) -> Rights:
        return self.study.rights(self.command.member)

    @property
    def opens_study(self) -> bool:
        return self.command.opens_study and self.study.version == 0

    @property
    def not_visible(self) -> type[RequestError]:
        """The error for a stream that does not exist or that the caller may not see: the answers are equal."""
        return NotFound if self.owns_participants else NotKnownYet

    def stating_site(self, head: StreamHead) -> str | None:
        """Returns the site that states the facts; None for facts of the whole study."""
        return self.policy.stating_site(head, self.command.facts)

    def scopes(self) -> frozenset[str]:
        """Returns the sites at which the caller may see the stream or state the facts; '*' is every site.

        Raises RequestError for a caller without a grant in the study, or without a role that may state the facts.
        """
        if not self.rights.grants and self.command.opens_study:
            raise StudyExists(faults=[Fault(StudyExists.code, StudyExists.title, "/study_id")])
        if not self.rights.grants:
            raise self.not_visible
        stating_scopes = [self.rights.sites_with_role(fact.stated_by_roles) for fact in self.command.facts]
        if not all(stating_scopes):
            raise Forbidden
        return frozenset.union(self.rights.visible_sites, *stating_scopes)

    def tenants(self) -> list[Tenant]:
        """Returns the tenants under which to look for the stream, in order. Raises RequestError as `scopes` does."""
        if self.opens_study:
            return [Tenant(self.command.study_id)]
        scopes = self.scopes()
        if self.command.stream_id is None:
            scopes &= {EVERY_SITE, self.stating_site(StreamHead())}
            if not scopes:
                raise Forbidden
        return [
            Tenant(self.command.study_id, site) for site in ([EVERY_SITE] if EVERY_SITE in scopes else sorted(scopes))
        ]

    def authorize(self, site: str | None) -> None:
        """Raises Forbidden unless the caller may state every fact at the site.

        Raises RequestRejected if the caller is not of the site and a fact contains the site's own reference.
        """
        if not self.opens_study and not all(
            self.rights.has_role_at(site, fact.stated_by_roles) for fact in self.command.facts
        ):
            raise Forbidden
        if not self.rights.is_site_staff(site or ""):
            refuse_references(self.command.facts, self.command.pointers)
