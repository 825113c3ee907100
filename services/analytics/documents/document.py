"""The definition of a document: a file that is kept with a data cut beside those of its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.analytics.cuts.sealed_study import SealedStudy
from services.analytics.snapshot.seals import READERS_SCOPE, SealScope
from shared.security.grants import Rights


def _may_read(_: Rights) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document of data cuts.

    `name`: that of its file, and of its address. `title`: in links. `make`: returns its bytes for a scope, from nothing
    but the study at the cut, or None if the scope has no such document at this cut. `person_level`: it shows single
    participants, so readers never get it, and each read is logged. `may_read`: which of the members of a scope get it.
    """

    name: str
    title: str
    media_type: str
    make: Callable[[SealedStudy, SealScope], bytes | None]
    person_level: bool
    may_read: Callable[[Rights], bool] = _may_read

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def extension(self) -> str:
        return self.name.rpartition(".")[2]

    def is_for(self, scope: SealScope) -> bool:
        """Returns whether members of the scope may get the document at all."""
        return not (self.person_level and scope == READERS_SCOPE)
