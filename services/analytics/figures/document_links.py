"""The list of the documents that are kept with a data cut, as the cohort page at the cut shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.ui.navigation import Link
from shared.web.container import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentList:
    """Links to the documents of a data cut that a member may get, with their sizes.

    `state`: a sentence on what is still missing; empty once nothing is.
    """

    links: Sequence[Link]
    state: str


class DocumentLinks(Protocol):
    """Lists the documents of a data cut; `site` narrows them."""

    async def __call__(self, study_id: str, member: str, cut: str, site: str | None) -> DocumentList: ...


@dataclass(frozen=True, kw_only=True)
class DocumentLinkResources(Resources):
    """The resource that links to documents: the package of the documents is above that of the figures."""

    document_links: DocumentLinks
