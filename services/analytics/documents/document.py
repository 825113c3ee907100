"""The definition of a document: a file that is kept with a data cut beside those of its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.analytics.cuts.sealed_study import SealedStudy
from services.analytics.snapshot.seals import READERS_SCOPE, SealScope
from shared.kernel.errors import Forbidden
from shared.kernel.fact import Role
from shared.security.grants import Rights


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document of data cuts.

    `name`: that of its file, and of its address. `title`: in links. `make`: returns its bytes for a scope, from nothing
    but the study at the cut, or None if the scope has no such document at this cut. `person_level`: it shows single
    participants, so readers never get it, and each read is logged. `roles`: the roles that open it; None: every role.
    """

    name: str
    title: str
    media_type: str
    make: Callable[[SealedStudy, SealScope], bytes | None]
    person_level: bool
    roles: frozenset[Role] | None = None

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def extension(self) -> str:
        return self.name.rpartition(".")[2]

    def rights_of(self, rights: Rights) -> Rights:
        """Returns the grants of a member that open the document. Raises Forbidden for a member without any."""
        if self.roles is None:
            return rights
        own = frozenset(grant for grant in rights.grants if grant.role in self.roles)
        if not own:
            raise Forbidden
        return Rights(rights.member, own)

    def is_for(self, scope: SealScope) -> bool:
        """Returns whether members of the scope may get the document at all."""
        return not (self.person_level and scope == READERS_SCOPE)
