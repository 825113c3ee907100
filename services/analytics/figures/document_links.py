"""The links from the cohort page at a data cut to the documents that are kept with the cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.ui.navigation import Link
from shared.web.container import Resources


class DocumentLinks(Protocol):
    """Returns links to the documents of a data cut that a member may get, with their sizes; `site` narrows them."""

    async def __call__(self, study_id: str, member: str, cut: str, site: str | None) -> Sequence[Link]: ...


@dataclass(frozen=True, kw_only=True)
class DocumentLinkResources(Resources):
    """The resource that links to documents: the package of the documents is above that of the figures."""

    document_links: DocumentLinks
