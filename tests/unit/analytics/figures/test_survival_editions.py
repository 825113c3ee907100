"""Editions of survival curves: along any history, two that readers were shown differ by nobody or by enough in a group.

Who is shown, from when until when and with which end, is worked out here from the facts, not by the figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.disclosure.editions import DividedCut, find_edition
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.figures.progression_free_survival import ProgressionFreeSurvival
from services.analytics.figures.publishing import Division, divide, publish_at_cut
from services.analytics.figures.survival_figure import SurvivalFigure
from services.analytics.snapshot.snapshot import DataCut
from shared.contracts.event import Event
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import disease_progressed
from shared.testing.builders.participant_history import participant_events
from tests.unit.analytics.endpoints.cohorts import KNOWN_ON, alive, cohort_of, dead, stereotactic_course, treated
from tests.unit.analytics.support import RECORDED_AT, day_after_start, snapshot_of_events

MINIMUM = 5  # the default of a protocol
BY_SEX = Division("sex")


class FollowedLife(NamedTuple):
    """A participant: the days of the index course, the last contact, progression and death."""

    sex: str
    start: int
    last_contact: int
    progressed: int | None = None
    died: int | None = None
    is_voided: bool = False

    def facts(self) -> list[Fact]:
        stated = treated(*alive(self.last_contact), start=self.start, enrolled=self.start, sex=self.sex)
        progressions = [] if self.progressed is None else [disease_progressed(self.progressed)]
        deaths = [] if self.died is None else [dead(self.died)]
        return [*stated, *progressions, *deaths, *([facts.participant_voided()] if self.is_voided else [])]

    def shown(self, cut: int, figure: type[SurvivalFigure]) -> tuple[str, int, int, bool] | None:
        """Returns group, time 0, end and whether the end is an event; None for who is not counted at a cut-off."""
        if self.is_voided or self.start > cut:
            return None
        has_died = self.died is not None and self.died <= cut
        if figure is ProgressionFreeSurvival:
            if self.progressed is not None and self.progressed <= cut:
                return self.sex, self.start, self.progressed, True
            return self.sex, self.start, self.died if has_died and self.died else self.start, has_died
        if has_died:
            return self.sex, self.start, self.died or 0, True
        last = max(self.last_contact, self.progressed or 0, self.died or 0)
        return self.sex, self.start, min(cut, last), False


Shown = Mapping[str, tuple[str, int, int, bool]]


@dataclass
class CurveHistory:
    """A study whose survival by sex readers look at after every step. `shown`: what each look showed of whom."""

    figure: type[SurvivalFigure]
    lives: dict[str, FollowedLife] = field(default_factory=dict)
    cuts: list[DataCut] = field(default_factory=list)
    events: list[list[Event]] = field(default_factory=list)
    members: list[Shown] = field(default_factory=list)
    divided: list[DividedCut] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)

    def take_step(self, step: tuple[Any, ...]) -> None:
        match step:
            case "enroll", life, count:
                for _ in range(count):
                    self.lives[f"P{len(self.lives):03}"] = life
            case "change", index, changed if self.lives:
                name = sorted(self.lives)[index % len(self.lives)]
                self.lives[name] = self.lives[name]._replace(**changed)
            case "cut", day:
                self._take_cut(day)

    def _take_cut(self, day: int) -> None:
        cut_on = day_after_start(day)
        self.cuts.append(DataCut(f"cut{len(self.cuts)}", cut_on, len(self.cuts) + 1, RECORDED_AT))
        self.events.append(
            [
                event
                for name, life in self.lives.items()
                for event in participant_events(life.facts(), name, known_on=KNOWN_ON)
            ]
        )
        members = {name: life.shown(day, self.figure) for name, life in self.lives.items()}
        self.members.append({name: member for name, member in members.items() if member})
        self.divided.append(divide(self.figure, snapshot_of_events(self.events[-1]), cut_on, "sex"))

    def look(self) -> dict[str, tuple[int, int]] | None:
        """Returns participants and events by sex as readers see them now; None for a refusal."""
        excluded = frozenset(name for name, life in self.lives.items() if life.is_voided)
        divided = [replace(cut, is_complete=excluded.isdisjoint(cut.members)) for cut in self.divided]
        edition = find_edition(divided, self.figure.edition_days)
        if edition is None:
            return None
        snapshot, cut = snapshot_of_events(self.events[edition.index], excluded=excluded), self.cuts[edition.index]
        answer = publish_at_cut(
            self.figure, snapshot, cut, requested_cut=self.cuts[-1], division=BY_SEX, days=edition.days
        )
        assert isinstance(answer.figure, SurvivalFigure)
        members = self.members[edition.index]
        self.shown.append(members)
        counts = Counter(group for group, _, _, _ in members.values())
        events = Counter(group for group, _, _, is_event in members.values() if is_event)
        numbers = {group.name: (group.n, group.events) for group in answer.figure.groups}
        assert numbers == {group: (counts[group], events[group]) for group in numbers}
        return numbers


def count_differences(earlier: Shown, later: Shown) -> Counter[str]:
    """Returns for each group how many participants it shows otherwise, or in one of the two alone."""
    differences = Counter[str]()
    for name in earlier.keys() | later.keys():
        before, after = earlier.get(name), later.get(name)
        if before != after:
            differences.update({member[0] for member in (before, after) if member})
    return differences


SEXES, DAYS = st.sampled_from(["female", "male"]), st.integers(0, 120)


@st.composite
def lives(draw: st.DrawFn) -> FollowedLife:
    start = draw(st.integers(0, 30))
    contact = start + 1 + draw(DAYS)
    progressed = contact + draw(DAYS) if draw(st.booleans()) else None
    died = (progressed or contact) + 1 + draw(DAYS) if draw(st.integers(0, 3)) else None
    return FollowedLife(draw(SEXES), start, contact, progressed, died)


STEPS = st.one_of(
    st.tuples(st.just("enroll"), lives(), st.integers(1, 9)),
    st.tuples(st.just("cut"), st.integers(0, 500)),
    st.tuples(st.just("change"), st.integers(0, 60), st.builds(lambda sex: {"sex": sex}, SEXES)),
    st.tuples(st.just("change"), st.integers(0, 60), st.builds(lambda voided: {"is_voided": voided}, st.booleans())),
    st.tuples(st.just("change"), st.integers(0, 60), st.just({"died": None, "progressed": None})),
)
EVERY_CURVE = pytest.mark.parametrize("figure", [OverallSurvival, ProgressionFreeSurvival])
GROUPS = [("enroll", FollowedLife(sex, 0, 20, died=day), 6) for sex in ("female", "male") for day in (40, 80)]


@EVERY_CURVE
@given(st.lists(STEPS, min_size=3, max_size=20))
def test_two_curves_that_were_shown_differ_in_a_group_by_nobody_or_by_enough(
    figure: type[SurvivalFigure], steps: list[tuple[Any, ...]]
) -> None:
    """Each history begins with groups that may be shown, so that what follows can be compared."""
    history = CurveHistory(figure)
    for step in [*GROUPS, ("cut", 60), *steps, ("cut", 600)]:
        history.take_step(step)
        history.look()
    for earlier, later in combinations(history.shown, 2):
        assert all(count >= MINIMUM for count in count_differences(earlier, later).values())


@EVERY_CURVE
def test_history_of_the_property_shows_holds_back_renews_and_refuses(figure: type[SurvivalFigure]) -> None:
    history = CurveHistory(figure)
    for step in [*GROUPS, ("cut", 60)]:
        history.take_step(step)
    assert history.look() == {"female": (12, 6), "male": (12, 6)}
    history.take_step(("enroll", FollowedLife("female", 50, 55, died=59), 1))
    history.take_step(("cut", 60))
    assert history.look() == {"female": (12, 6), "male": (12, 6)}, "one newcomer would be the difference"
    history.take_step(("cut", 100))
    assert history.look() == {"female": (13, 13), "male": (12, 12)}
    history.take_step(("change", 0, {"is_voided": True}))
    assert history.look() is None


@pytest.mark.parametrize(
    ("from_the_start", "later", "is_shown"), [(6, 0, True), (0, 6, True), (5, 5, True), (1, 6, False), (6, 1, False)]
)
def test_groups_that_share_participants_are_shown_if_enough_are_shared_and_enough_are_not(
    from_the_start: int, later: int, is_shown: bool
) -> None:
    """The sum of both groups, less the participants of the whole study, is the number of those in both."""
    days = [0] * from_the_start + [20] * later
    stereotactic = [treated(stereotactic_course(day), dead(100)) for day in days]
    cohort = cohort_of([*stereotactic, *[treated(dead(90))] * 6])
    assert divide(OverallSurvival, cohort, day_after_start(300), "subset").may_divide is is_shown
