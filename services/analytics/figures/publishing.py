"""Requests of readers, and the figures that are published for them, from a snapshot of the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import TypeVar

from services.analytics.disclosure.editions import DividedCut, group_sizes, part_sizes
from services.analytics.disclosure.policy import has_two_sites, may_divide, smallest_group
from services.analytics.figures.figure import Figure, FigureAnswer, FigureContext, Publication
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.parameters import FigureRequest
from services.analytics.snapshot.as_of import NO_SUCH_CUT, cut_name
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import DataCut, StudySnapshot
from shared.kernel.errors import Forbidden, NotFound, NothingPublished, ReadersSeeCuts, SmallGroups
from shared.postgres.tenancy import EVERY_SITE
from shared.security.grants import Rights

F = TypeVar("F", bound=Figure)
_READER_PARAMETERS = frozenset({"as_of", "site", "subset", "by"})
"""Members of a request that readers may set. Any other one is refused, also one that is added later."""


@dataclass(frozen=True, slots=True)
class Division:
    """A division of a figure by `by`. `group`: the only group that is shown, of a narrowed figure; None: all groups."""

    by: str
    group: str | None = None


def publish(figure: F, minimum: int, cut_date: date, group: str | None = None, days: Sequence[date] = ()) -> F:
    """Returns a figure as readers see it. Each file and page of a publication is made of this result.

    `minimum`: the smallest group. `group`: the only group that is shown; None: all. `days`: those of the edition of a
    division. Raises ReadersSeeCuts for a figure with rows of single participants.
    """
    if figure.DISCLOSURE.person_level:
        raise ReadersSeeCuts
    published = figure.published_on(days) if days else figure.published(minimum, cut_date)
    return published if group is None else published.narrowed_to(group)


def require_publication(figure_type: type[Figure], request: FigureRequest) -> None:
    """Raises ReadersSeeCuts for a figure that is never published, and for any parameter that readers do not have."""
    if figure_type.DISCLOSURE.person_level or any(
        getattr(request, parameter.name) != parameter.default
        for parameter in fields(request)
        if parameter.name not in _READER_PARAMETERS
    ):
        raise ReadersSeeCuts
    as_of = request.as_of
    if as_of.recorded_until or (as_of.at is not None and cut_name(as_of.at) is None):
        raise ReadersSeeCuts


def requested_division(figure_type: type[Figure], rights: Rights, request: FigureRequest) -> Division | None:
    """Returns the division of the figure that a reader asks for; None for the whole study.

    A part of the study is one group of a division, and is shown if the whole division may be. A reader with a grant at
    one site asks for the part of that site. Raises Forbidden for another site, SmallGroups for a figure that is never
    divided, and for several divisions at once.
    """
    sites = frozenset(grant.scope for grant in rights.grants)
    if request.site is not None and not sites & {EVERY_SITE, request.site}:
        raise Forbidden
    shown_sites = [request.site] if request.site else sorted(sites - {EVERY_SITE}) if EVERY_SITE not in sites else []
    divisions = [
        *(Division("site", site) for site in shown_sites),
        *([] if request.subset == "all" else [Division("subset", request.subset)]),
        *([Division(request.by)] if request.by else []),
    ]
    if not divisions:
        return None
    is_divisible = figure_type.DISCLOSURE.divisible and divisions[0].by in figure_type.STRATIFICATIONS
    if len(divisions) > 1 or not is_divisible:
        raise SmallGroups
    return divisions[0]


def divide(figure_type: type[Figure], snapshot: StudySnapshot, cut_date: date, by: str) -> DividedCut:
    """Returns the division of a figure as it was when a data cut was taken, and whether its groups are large enough.

    Participants of two sites are never divided by site: each could subtract its own. Neither are two groups shown that
    share few participants, or all but few.
    """
    members = figure_type.members(snapshot, Selection(cut_date, by=by))
    minimum, groups = smallest_group(snapshot.study, cut_date), group_sizes(members)
    are_parts_large_enough = all(size >= minimum for size in part_sizes(members))
    is_refused = not are_parts_large_enough or (by == "site" and has_two_sites(snapshot.study, groups))
    return DividedCut(
        cut_on=cut_date,
        members=members,
        minimum=minimum,
        may_divide=not is_refused and may_divide(groups, minimum),
    )


def publish_at_cut(
    figure_type: type[Figure],
    snapshot: StudySnapshot,
    cut: DataCut,
    *,
    requested_cut: DataCut,
    division: Division | None = None,
    days: Sequence[date] = (),
) -> FigureAnswer:
    """Returns a figure as published with `cut`, for readers who asked for `requested_cut`.

    A division has the participants that it was published with, and shows counts on the `days` of its edition. Those
    who are excluded since are in no figure.
    """
    selection = Selection(cut.cut_on, by=division.by if division else None)
    figure = figure_type.compute(snapshot, selection)
    context = FigureContext(
        study_id=snapshot.study_id,
        position=cut.position,
        recorded_at=cut.recorded_at,
        cut_date=cut.cut_on,
        filters=_filters(division),
        publication=Publication(cut=requested_cut.name, edition=cut.name),
        requested_cut=requested_cut,
    )
    minimum = smallest_group(snapshot.study, cut.cut_on)
    return FigureAnswer(
        figure=publish(figure, minimum, cut.cut_on, division.group if division else None, days), context=context
    )


def cuts_until(cuts: Sequence[DataCut], at: str | None) -> Sequence[DataCut]:
    """Returns the data cuts up to the one that is named, or all of them. Raises NothingPublished or NotFound."""
    if not cuts:
        raise NothingPublished
    if at is None:
        return cuts
    name = cut_name(at)
    until = next((index for index, cut in enumerate(cuts, 1) if cut.name == name), None)
    if until is None:
        raise NotFound(NO_SUCH_CUT)
    return cuts[:until]


def _filters(division: Division | None) -> FigureFilters:
    if division is None:
        return FigureFilters()
    if division.group is None:
        return FigureFilters(by=division.by)
    return FigureFilters(site=division.group) if division.by == "site" else FigureFilters(subset=division.group)
