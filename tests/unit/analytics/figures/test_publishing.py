"""Publications of figures: along any history, what readers were shown never tells of a few participants."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.disclosure.editions import DividedCut, Edition, Members, count_changes, find_edition
from services.analytics.figures.accrual import Accrual
from services.analytics.figures.figure import Figure
from services.analytics.figures.parameters import FigureRequest
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.figures.publishing import (
    Division,
    cuts_until,
    divide,
    publish_at_cut,
    requested_division,
    require_publication,
)
from services.analytics.figures.treatments import Treatments
from services.analytics.snapshot.as_of import AsOf
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import DataCut
from shared.contracts.event import Event
from shared.kernel.errors import Forbidden, NotFound, NothingPublished, ReadersSeeCuts, SmallGroups
from shared.security.grants import Grant, Rights
from shared.testing.builders import facts
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.support import RECORDED_AT, SCREENED, TODAY, snapshot_of, snapshot_of_events

MINIMUM = 5  # the default of a protocol
BY_SEX = Division("sex")


@dataclass
class StudyHistory:
    """A study that readers look at after every step.

    `shown`: the participants of every division by sex that they were shown. `shown_counts`: for each number that they
    were shown of a group at the end of a day, the participants whom it counts.
    """

    participants: dict[str, dict[str, Any]] = field(default_factory=dict)
    cuts: list[DataCut] = field(default_factory=list)
    events_at_cuts: list[list[Event]] = field(default_factory=list)
    divided: list[DividedCut] = field(default_factory=list)
    shown: list[Members] = field(default_factory=list)
    shown_counts: dict[str, set[frozenset[str]]] = field(default_factory=dict)

    def enroll(self, sex: str, on: date) -> None:
        self.participants[f"P{len(self.participants):03}"] = {"sex": sex, "on": on, "is_voided": False}

    def change(self, index: int, **changed: Any) -> None:
        """Corrects, voids or re-instates a participant."""
        if self.participants:
            name = sorted(self.participants)[index % len(self.participants)]
            self.participants[name] |= changed

    def take_cut(self, on: date = TODAY) -> None:
        self.cuts.append(DataCut(f"cut{len(self.cuts)}", on, len(self.cuts) + 1, RECORDED_AT))
        self.events_at_cuts.append(self._events())
        self.divided.append(divide(Accrual, snapshot_of_events(self.events_at_cuts[-1]), on, "sex"))

    def look(self) -> dict[str, int] | None:
        """Returns the counts by sex that readers are shown now; None for a refusal."""
        excluded = frozenset(name for name, participant in self.participants.items() if participant["is_voided"])
        divided = [replace(cut, is_complete=excluded.isdisjoint(cut.members)) for cut in self.divided]
        edition = find_edition(divided, Accrual.edition_days)
        if edition is None:
            return None
        self.shown.append(edition.cut.members)
        return self._published_counts(edition, excluded)

    def _published_counts(self, edition: Edition, excluded: frozenset[str]) -> dict[str, int]:
        snapshot = snapshot_of_events(self.events_at_cuts[edition.index], excluded=excluded)
        answer = publish_at_cut(
            Accrual,
            snapshot,
            self.cuts[edition.index],
            requested_cut=self.cuts[-1],
            division=BY_SEX,
            days=edition.days,
        )
        assert answer.context.requested_cut == self.cuts[-1]
        assert isinstance(answer.figure, Accrual)
        for group in answer.figure.groups:
            for step in group.curve:
                counted = counted_participants(edition.cut.members, group.name, step.on)
                assert len(counted) == step.cumulative
                self.shown_counts.setdefault(group.name, set()).add(counted)
        counts = Counter({group.name: group.enrolled for group in answer.figure.groups})
        assert counts == Counter(membership.group for membership in edition.cut.members.values())
        return counts

    def _events(self) -> list[Event]:
        return [
            event
            for name, participant in self.participants.items()
            for event in participant_events(
                [
                    facts.participant_screened(sex=participant["sex"]),
                    facts.participant_enrolled(participant["on"].isoformat()),
                    *([facts.participant_voided()] if participant["is_voided"] else []),
                ],
                name,
            )
        ]


def counted_participants(members: Members, group: str, day: date) -> frozenset[str]:
    """Returns the members of a group who were enrolled by the end of a day."""
    return frozenset(
        name for name, membership in members.items() if membership.group == group and membership.entered_on <= day
    )


DAYS = st.dates(date(2024, 2, 1), TODAY)
SEXES = st.sampled_from(["female", "male"])
STEPS = st.one_of(
    st.tuples(st.just("enroll"), SEXES, DAYS, st.integers(1, 7)),
    st.tuples(st.just("cut"), DAYS),
    st.tuples(st.just("void"), st.integers(0, 60), st.booleans()),
    st.tuples(st.just("correct"), st.integers(0, 60), DAYS),
)


def take_step(history: StudyHistory, step: tuple[Any, ...]) -> None:
    match step:
        case "enroll", sex, on, count:
            for _ in range(count):
                history.enroll(sex, on)
        case "void", index, is_voided:
            history.change(index, is_voided=is_voided)
        case "correct", index, on:
            history.change(index, on=on)
        case "cut", on:
            history.take_cut(on)


@given(st.lists(STEPS, min_size=4, max_size=30))
def test_two_divisions_that_were_shown_differ_in_a_group_by_nobody_or_by_enough(steps: list[tuple[Any, ...]]) -> None:
    """Voided and re-instated participants, corrections, and looks between the cuts included."""
    history = StudyHistory()
    for step in steps:
        take_step(history, step)
        history.look()
    for earlier, later in combinations(history.shown, 2):
        assert all(changes >= MINIMUM for changes in count_changes(earlier, later).values())
    for counted in history.shown_counts.values():
        assert all(len(earlier ^ later) >= MINIMUM for earlier, later in combinations(counted, 2))


def test_newcomer_of_a_month_does_not_show_beside_an_earlier_edition() -> None:
    """One woman enrolled after the first cut and before the end of its month, five in the next month."""
    history = StudyHistory()
    for sex in ("female", "male"):
        take_step(history, ("enroll", sex, date(2024, 5, 2), 10))
    history.take_cut(date(2024, 5, 10))
    assert history.look() == {"female": 10, "male": 10}
    take_step(history, ("enroll", "female", date(2024, 5, 20), 1))
    take_step(history, ("enroll", "female", date(2024, 6, 3), 5))
    history.take_cut(date(2024, 6, 30))
    assert history.look() == {"female": 16, "male": 10}
    assert {len(counted) for counted in history.shown_counts["female"]} == {10, 16}


def test_history_of_the_property_shows_renews_holds_back_and_refuses() -> None:
    history = StudyHistory()
    for sex in ("female", "male"):
        take_step(history, ("enroll", sex, date(2024, 3, 1), 6))
    assert history.look() is None
    history.take_cut()
    assert history.look() == {"female": 6, "male": 6}
    take_step(history, ("enroll", "female", date(2024, 4, 1), 4))
    history.take_cut()
    assert history.look() == {"female": 6, "male": 6}
    take_step(history, ("enroll", "female", date(2024, 4, 1), 1))
    history.take_cut()
    assert history.look() == {"female": 11, "male": 6}
    history.change(0, is_voided=True)
    assert history.look() is None
    history.change(0, is_voided=False)
    assert history.look() == {"female": 11, "male": 6}


def test_corrected_day_of_few_participants_holds_back_the_division() -> None:
    history = StudyHistory()
    take_step(history, ("enroll", "female", date(2024, 3, 1), 8))
    history.take_cut()
    history.change(0, on=date(2024, 8, 1))
    history.take_cut()
    history.look()
    assert {membership.entered_on for membership in history.shown[-1].values()} == {date(2024, 3, 1)}


def reader(*sites: str | None) -> Rights:
    return Rights("rita", frozenset(Grant("reader", site) for site in sites))


@pytest.mark.parametrize(
    ("rights", "request_", "division"),
    [
        (reader(None), FigureRequest(), None),
        (reader(None), FigureRequest(by="sex"), Division("sex")),
        (reader(None), FigureRequest(site="a"), Division("site", "a")),
        (reader(None), FigureRequest(subset="stereotactic"), Division("subset", "stereotactic")),
        (reader("a"), FigureRequest(), Division("site", "a")),
        (reader("a", None), FigureRequest(), None),
        (reader("a", "b"), FigureRequest(site="b"), Division("site", "b")),
    ],
)
def test_division_that_a_reader_asks_for(rights: Rights, request_: FigureRequest, division: Division | None) -> None:
    assert requested_division(Accrual, rights, request_) == division


@pytest.mark.parametrize(
    ("figure", "rights", "request_", "refusal"),
    [
        (Accrual, reader(None), FigureRequest(site="a", by="sex"), SmallGroups),
        (Accrual, reader(None), FigureRequest(site="a", subset="stereotactic"), SmallGroups),
        (Accrual, reader("a"), FigureRequest(by="sex"), SmallGroups),
        (Accrual, reader("a", "b"), FigureRequest(), SmallGroups),
        (Accrual, reader("a"), FigureRequest(site="b"), Forbidden),
        (ParticipantFlow, reader(None), FigureRequest(by="sex"), SmallGroups),
        (ParticipantFlow, reader("a"), FigureRequest(), SmallGroups),
    ],
)
def test_divisions_that_no_reader_gets(
    figure: type[Figure], rights: Rights, request_: FigureRequest, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        requested_division(figure, rights, request_)


@pytest.mark.parametrize(
    "request_",
    [
        FigureRequest(cut_date=TODAY),
        FigureRequest(as_of=AsOf(recorded_until=RECORDED_AT)),
        FigureRequest(as_of=AsOf(at="7")),
        FigureRequest(as_of=AsOf(at="cut:")),
    ],
)
def test_readers_name_no_other_state_than_a_cut(request_: FigureRequest) -> None:
    with pytest.raises(ReadersSeeCuts):
        require_publication(Accrual, request_)
    require_publication(Accrual, FigureRequest(as_of=AsOf(at="cut:paper", epoch="e")))
    with pytest.raises(ReadersSeeCuts):
        require_publication(Treatments, FigureRequest())


def test_cuts_end_with_the_one_that_is_named() -> None:
    cuts = [DataCut(name, TODAY, position, RECORDED_AT) for position, name in enumerate(("first", "second"), 1)]
    assert [cuts_until(cuts, at) for at in (None, "cut:first", "cut:second")] == [cuts, cuts[:1], cuts]
    with pytest.raises(NotFound):
        cuts_until(cuts, "cut:third")
    with pytest.raises(NothingPublished):
        cuts_until([], "cut:first")


@given(st.lists(DAYS, min_size=1, max_size=25), st.data())
def test_day_of_one_enrollment_within_its_month_does_not_show(days: list[date], data: st.DataObject) -> None:
    """Two studies that differ in the day of one enrollment, within a month, have equal publications."""
    index = data.draw(st.integers(0, len(days) - 1))
    first = days[index].replace(day=1)
    last = min(TODAY, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))
    other = [*days[:index], data.draw(st.dates(first, last)), *days[index + 1 :]]
    published = [
        Accrual.compute(
            snapshot_of(
                {f"P{number}": [SCREENED, facts.participant_enrolled(str(day))] for number, day in enumerate(study)}
            ),
            Selection(TODAY),
        ).published(MINIMUM, TODAY)
        for study in (days, other)
    ]
    assert published[0] == published[1]
