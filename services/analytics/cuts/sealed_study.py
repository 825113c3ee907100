"""A study at a data cut whose figures are sealed: what the documents of the cut are made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.analytics.cuts.changes import FactDifference
from services.analytics.figures.page_content import PageContent
from services.analytics.snapshot.seals import CutSeal, SealScope
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot
from services.analytics.snapshot.study_at_cut import StudyAtCut


@dataclass(frozen=True, slots=True)
class SealedFigure:
    """A figure as it was sealed for one scope. `contents`: the bytes of some formats; `digests`: SHA-256 of all."""

    contents: Mapping[str, bytes]
    digests: Mapping[str, str]

    def page_content(self) -> PageContent:
        """Returns the words and the table that the page shows beside the picture."""
        return PageContent.model_validate_json(self.contents["page"])


SealedFigures = Mapping[str, SealedFigure]
"""Figures by name, in the order in which the cohort page shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierCut:
    """The sealed data cut before another one.

    `figures`: of the same scope. `facts`: those of the whole study with another content at the later cut.
    """

    cut: DataCut
    snapshot: StudySnapshot
    figures: SealedFigures
    facts: Sequence[FactDifference]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedStudy(StudyAtCut):
    """A study at a data cut, with the figures that were sealed for one scope.

    `seal`: that of the cut. `streams`: the number of streams in its frontier. `sealed_later`: the documents that are
    made of it were not sealed together with the figures. `earlier`: None at the first data cut.
    """

    seal: CutSeal
    streams: int
    figures: SealedFigures
    earlier: EarlierCut | None

    def followed_at(self, scope: SealScope) -> frozenset[str] | None:
        """Returns the participants whom the site of a scope followed at the cut; None for the whole study."""
        if scope.site_id is None:
            return None
        return frozenset(name for name, site in self.sites.items() if site == scope.site_id)

    def count_participants(self, scope: SealScope) -> int:
        """Returns the number of participants of a scope who are in analyses at the cut."""
        subjects, own = self.snapshot.subjects, self.followed_at(scope)
        names = subjects["participant_id"][subjects["is_screened"] & ~subjects["is_excluded"]].tolist()
        return sum(own is None or name.decode() in own for name in names)
