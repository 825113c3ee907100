"""Response: the best response by RECIST 1.1 after the origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import ClassVar, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.disclosure.declaration import Disclosure
from services.analytics.endpoints.best_response import OBJECTIVE_RESPONSES, BestResponses, Response, best_responses
from services.analytics.endpoints.enrolled import EnrolledRows
from services.analytics.endpoints.origins import ORIGIN_WORDS, chosen_origin
from services.analytics.figures.figure import Figure, FigureContext, FigureTable, Headline
from services.analytics.figures.group_names import BASELINE_DIVISIONS
from services.analytics.figures.share_chart import ShareRow, ShareSection, draw_shares
from services.analytics.figures.shares import SHARE_HEADINGS, Share, divide_mask, share_counts
from services.analytics.figures.survival_numbers import Definition, NotCounted
from services.analytics.figures.survival_words import describe_not_counted
from services.analytics.snapshot.selection import Origin, Selection
from services.analytics.snapshot.snapshot import Mask, StudySnapshot
from services.analytics.wording.phrasing import count_noun

_RESPONSES: Mapping[Response, str] = {
    "CR": "Complete response",
    "PR": "Partial response",
    "SD": "Stable disease",
    "NON-CR/NON-PD": "Non-CR/non-PD",
    "PD": "Progressive disease",
    "NE": "Not evaluable",
}


class ResponseShare(Share):
    """The participants with one best response, of all with an origin."""

    response: Response


class ResponseGroup(BaseModel):
    """The best responses of one group of participants; `all` is the group of an undivided figure."""

    model_config = ConfigDict(frozen=True)

    name: str
    assessed: Share = Field(description="with a response after the origin, of all; one that is not evaluable is one")
    best: tuple[ResponseShare, ...]
    objective_of_assessed: Share = Field(description="complete or partial response, of those with an assessment")
    objective_of_all: Share = Field(description="complete or partial response, of all with an origin")


class BestResponse(Figure):
    """The best response by RECIST 1.1 that is dated after the origin, of participants with an origin by the cut-off.

    Participants without a response after the origin are not assessed.
    """

    NAME: ClassVar[str] = "response"
    TITLE: ClassVar[str] = "Best response"
    EXPLANATION: ClassVar[str] = (
        "The best response by RECIST after the origin, of every participant with an assessment. The response "
        "rate is complete and partial responses, of those assessed and of all, with Clopper and Pearson's "
        "interval."
    )
    STRATIFICATIONS: ClassVar[tuple[str, ...]] = BASELINE_DIVISIONS
    PARAMETERS: ClassVar[frozenset[str]] = frozenset({"origin"})
    TABLES: ClassVar[tuple[str, ...]] = ("subject_day",)
    DISCLOSURE: ClassVar[Disclosure] = Disclosure(
        counts=frozenset({"not_counted.participants"})
        | share_counts(
            *(f"groups.{name}" for name in ("assessed", "best", "objective_of_assessed", "objective_of_all"))
        ),
        divisible=False,
        person_level=False,
        other_numbers=frozenset({"definition.version"}),
    )

    origin: Origin
    definition: Definition
    groups: tuple[ResponseGroup, ...]
    not_counted: tuple[NotCounted, ...]

    @classmethod
    def _compute(cls, snapshot: StudySnapshot, selection: Selection) -> Self:
        responses = best_responses(EnrolledRows(snapshot, selection))
        groups = divide_mask(snapshot, selection, responses.counted)
        without_origin = _count(responses.without_origin)
        return cls(
            origin=chosen_origin(snapshot, selection),
            definition=Definition(id=cls.NAME, version=1),
            groups=tuple(_group(name, mask, responses) for name, mask in groups.items()),
            not_counted=(NotCounted(reason="no_origin", participants=without_origin),) if without_origin else (),
            imputed_dates=responses.imputed_dates,
            left_out=selection.count_excluded(snapshot),
        )

    def published(self, minimum: int, cut_date: date) -> Self:
        """Returns all counts: they are of the whole study, and of its state at the data cut-off."""
        return self

    def caption(self, context: FigureContext) -> str:
        """Returns the share with a response, of those with an assessment and of all, and every best response."""
        sentences = [
            f"Best response by RECIST 1.1 after {ORIGIN_WORDS[self.origin]}.",
            *(sentence for group in self.groups for sentence in _describe(group, is_divided=len(self.groups) > 1)),
            *describe_not_counted(self.not_counted),
        ]
        return " ".join([*sentences, self.provenance(context)])

    def headline(self, context: FigureContext) -> Headline:
        shares = [group.objective_of_assessed for group in self.groups]
        responses, assessed = (sum(getattr(share, name) for share in shares) for name in ("participants", "of"))
        return [("responses", str(responses), f"CR or PR, of {count_noun(assessed, 'participant')} assessed")]

    def table(self) -> FigureTable:
        """Returns a row for every share of each group."""
        rows = [[group.name, words, *share.cells()] for group in self.groups for words, share in _labeled_shares(group)]
        return ["Group", "Best response", *SHARE_HEADINGS], rows

    def draw(self, context: FigureContext) -> str:
        """Returns the shares as points with their intervals."""
        columns = [dict(_labeled_shares(group)) for group in self.groups]
        rows = [ShareRow(words, tuple(column[words] for column in columns)) for words in columns[0]] if columns else []
        sections = [
            ShareSection("Complete or partial response", rows=tuple(rows[:2])),
            ShareSection("Of all participants with an origin", rows=tuple(rows[2:])),
        ]
        names = [group.name for group in self.groups]
        return draw_shares(self.NAME, self.TITLE, self.caption(context), names, sections)


def _group(name: str, mask: Mask, responses: BestResponses) -> ResponseGroup:
    n, assessed = _count(mask), _count(mask & responses.assessed)
    counts = {response: _count(mask & of_response) for response, of_response in responses.best.items()}
    objective = sum(counts[response] for response in OBJECTIVE_RESPONSES)
    return ResponseGroup(
        name=name,
        assessed=Share.of_counts(assessed, n),
        best=tuple(ResponseShare.of_counts(count, n, response=response) for response, count in counts.items()),
        objective_of_assessed=Share.of_counts(objective, assessed),
        objective_of_all=Share.of_counts(objective, n),
    )


def _count(mask: Mask) -> int:
    return int(np.sum(mask))


def _labeled_shares(group: ResponseGroup) -> Iterator[tuple[str, Share]]:
    yield "CR or PR, of those assessed", group.objective_of_assessed
    yield "CR or PR, of all", group.objective_of_all
    yield from ((_RESPONSES[share.response], share) for share in group.best)
    yield "Not assessed", Share.of_counts(group.assessed.of - group.assessed.participants, group.assessed.of)


def _describe(group: ResponseGroup, *, is_divided: bool) -> Iterator[str]:
    beginning = f"{group.name}: complete" if is_divided else "Complete"
    of_assessed, of_all = group.objective_of_assessed.in_words(), group.objective_of_all.in_words()
    yield f"{beginning} or partial response of those with an assessment: {of_assessed}; of all: {of_all}."
    best = [f"{share.response} {share.participants}" for share in group.best if share.participants]
    not_assessed = group.assessed.of - group.assessed.participants
    yield f"Best response: {', '.join([*best, f'not assessed {not_assessed}'])}."
