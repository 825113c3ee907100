"""Registry links: at linked sites the living count as alive, and life and death count after a withdrawal with consent.

domain.md, sections 5.5 and 6, is the definition; ADR 43 has what it leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.endpoints.follow_up import currency
from services.analytics.endpoints.overall_survival import other_readings, overall_survival
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.figures.swimmer import Swimmer
from services.analytics.snapshot.snapshot import StudySnapshot
from services.analytics.statistics.kaplan_meier import kaplan_meier
from shared.kernel.fact import Fact
from shared.kernel.record import Record
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import Time, alive, cohort_of, dead, selection, times_of, treated
from tests.unit.analytics.endpoints.known_lives import COHORTS, KnownLife
from tests.unit.analytics.figures.example_answers import context_of, treatments
from tests.unit.analytics.support import record_of

ASKED, NOT_ASKED = (facts.consent_signed(0, options={"registry": allowed}) for allowed in (True, False))


def link(site: str = "rome", since: int = 0, until: int | None = None) -> dict[str, Any]:
    return {"site_id": site, "from": facts.day(since), "until": None if until is None else facts.day(until)}


def study_with(*links: dict[str, Any], amended: tuple[int, Sequence[dict[str, Any]]] | None = None) -> Record:
    """Returns a study with these links. `amended`: the day of an amendment, and its links."""
    opened = facts.study_opened(facts.protocol(registry_links=links))
    if amended is None:
        return record_of(opened)
    return record_of(opened, facts.protocol_amended(amended[0], facts.protocol(registry_links=amended[1])))


def linked_cohort(*participants: Sequence[Fact], study: Record | None = None) -> StudySnapshot:
    return cohort_of(participants, study=study or study_with(link()))


def linked_times(cut: int, *participants: Sequence[Fact], study: Record | None = None) -> list[Time]:
    """Returns the times of overall survival at a cut-off, of a study whose site is linked from day 0 on."""
    return times_of(overall_survival(linked_cohort(*participants, study=study), selection(cut)))


class TestLivingAtLinkedSites:
    def test_given_a_linked_site_then_who_is_not_known_dead_is_censored_on_the_cut_off(self) -> None:
        assert linked_times(300, treated(*alive(90))) == [Time(0, 300, False)]

    def test_given_another_site_then_the_last_proof_of_life_counts(self) -> None:
        assert linked_times(300, treated(*alive(90), site="milan")) == [Time(0, 90, False)]

    def test_given_a_death_then_it_is_the_event_and_was_alive_before(self) -> None:
        assert linked_times(300, treated(*alive(90), dead(200))) == [Time(0, 200, True)]
        assert linked_times(150, treated(*alive(90), dead(200))) == [Time(0, 150, False)]

    def test_given_a_death_without_a_date_then_nothing_is_assumed(self) -> None:
        assert linked_times(300, treated(*alive(90), dead(None))) == [Time(0, 90, False)]

    def test_given_a_loss_that_stands_then_the_registry_still_reports(self) -> None:
        assert linked_times(300, treated(*alive(90), follow_up.lost_to_follow_up(100))) == [Time(0, 300, False)]

    def test_given_a_cut_off_before_the_link_then_nothing_is_assumed(self) -> None:
        study = study_with(link(since=200))
        assert linked_times(199, treated(*alive(90)), study=study) == [Time(0, 90, False)]
        assert linked_times(200, treated(*alive(90)), study=study) == [Time(0, 200, False)]

    def test_given_a_link_that_has_ended_then_its_last_day_is_the_last_report(self) -> None:
        study = study_with(link(until=200))
        assert linked_times(200, treated(*alive(90)), study=study) == [Time(0, 200, False)]
        assert linked_times(300, treated(*alive(90)), study=study) == [Time(0, 200, False)]
        assert linked_times(300, treated(*alive(90, 250)), study=study) == [Time(0, 250, False)]

    def test_given_an_amendment_without_the_link_then_it_reports_until_the_day_before(self) -> None:
        study = study_with(link(), amended=(150, ()))
        assert linked_times(149, treated(*alive(90)), study=study) == [Time(0, 149, False)]
        assert linked_times(300, treated(*alive(90)), study=study) == [Time(0, 149, False)]
        later = study_with(amended=(150, (link(),)))
        assert linked_times(149, treated(*alive(90)), study=later) == [Time(0, 90, False)]
        assert linked_times(300, treated(*alive(90)), study=later) == [Time(0, 300, False)]

    def test_given_a_transfer_then_the_site_that_follows_the_participant_counts(self) -> None:
        moved = treated(*alive(90), facts.participant_transferred("milan", 100))
        assert linked_times(99, moved) == [Time(0, 99, False)]
        assert linked_times(300, moved) == [Time(0, 99, False)], "the last day at the linked site"
        to_linked = treated(*alive(90), facts.participant_transferred("rome", 100), site="milan")
        assert linked_times(300, to_linked) == [Time(0, 300, False)]


class TestWithdrawalAtLinkedSites:
    """A participant who is seen on day 90 and withdraws consent on day 100."""

    def test_given_consent_to_registries_then_a_later_death_is_an_event(self) -> None:
        withdrawn = treated(ASKED, *alive(90), facts.consent_withdrawn(100), dead(200))
        assert linked_times(300, withdrawn) == [Time(0, 200, True)]
        assert linked_times(150, withdrawn) == [Time(0, 150, False)]

    def test_given_consent_to_registries_then_the_living_count_as_alive(self) -> None:
        withdrawn = treated(ASKED, *alive(90), facts.consent_withdrawn(100))
        assert linked_times(300, withdrawn) == [Time(0, 300, False)]

    @pytest.mark.parametrize("cut", [95, 100, 150, 300])
    def test_given_no_consent_to_registries_then_neither_life_nor_death_counts(self, cut: int) -> None:
        withdrawn = treated(NOT_ASKED, *alive(90), facts.consent_withdrawn(100), dead(200))
        assert (
            linked_times(cut, withdrawn, treated(NOT_ASKED, *alive(90), facts.consent_withdrawn(100)))
            == [Time(0, 90, False)] * 2
        )

    def test_given_consent_and_no_link_then_neither_life_nor_death_counts(self) -> None:
        registry = follow_up.vital_status_confirmed(180, "registry")
        withdrawn = treated(ASKED, *alive(90), facts.consent_withdrawn(100), registry, dead(200), site="milan")
        assert linked_times(300, withdrawn) == [Time(0, 90, False)]

    def test_given_a_link_that_ended_then_a_later_death_is_no_event(self) -> None:
        study = study_with(link(until=150))
        withdrawn = treated(ASKED, *alive(90), facts.consent_withdrawn(100), dead(200))
        assert linked_times(300, withdrawn, study=study) == [Time(0, 150, False)]

    def test_given_a_death_without_a_date_then_the_confirmation_of_the_registry_counts(self) -> None:
        registry = follow_up.vital_status_confirmed(180, "registry")
        withdrawn = treated(ASKED, *alive(90), facts.consent_withdrawn(100), registry, dead(None))
        assert linked_times(300, withdrawn) == [Time(0, 180, False)]
        assert linked_times(150, withdrawn) == [Time(0, 150, False)]

    def test_given_ten_who_withdraw_and_five_who_die_then_the_curve_is_the_truth(self) -> None:
        """W12 with a link: without one the curve stays at 1, and with deaths alone it falls to 0."""
        leaving: list[Fact] = [ASKED, *alive(100), facts.consent_withdrawn(100)]
        dying = [treated(*leaving, dead(day)) for day in (120, 140, 160, 180, 200)]
        cohort = linked_cohort(*dying, *[treated(*leaving)] * 5)
        curve = kaplan_meier(overall_survival(cohort, selection(300)).observations)
        assert curve.estimate[curve.events > 0].tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5])
        names = [line.name for line in OverallSurvival.compute(cohort, selection(300)).sensitivity]
        assert names == ["without_registry_links"]


class TestOtherReadings:
    def test_given_a_link_then_a_line_has_the_curve_by_proofs_alone(self) -> None:
        cohort = linked_cohort(treated(*alive(90)), treated(*alive(60), dead(120)))
        readings = dict(other_readings(cohort, selection(300), overall_survival(cohort, selection(300))))
        assert list(readings) == ["without_registry_links"]
        assert times_of(readings["without_registry_links"]) == [Time(0, 90, False), Time(0, 120, True)]

    def test_given_a_presumed_death_then_its_line_censors_it_on_the_last_proof_of_life(self) -> None:
        cohort = linked_cohort(treated(*alive(90), dead(120, presumed=True)))
        readings = dict(other_readings(cohort, selection(300), overall_survival(cohort, selection(300))))
        assert times_of(readings["presumed_censored"]) == [Time(0, 90, False)]

    def test_given_a_loss_then_its_line_censors_on_the_last_proof_of_life_before_it(self) -> None:
        cohort = linked_cohort(treated(*alive(90), follow_up.lost_to_follow_up(100)))
        readings = dict(other_readings(cohort, selection(300), overall_survival(cohort, selection(300))))
        assert times_of(readings["lost_censored"]) == [Time(0, 90, False)]

    def test_given_a_link_then_only_proofs_of_life_are_current(self) -> None:
        cohort = linked_cohort(treated(*alive(90)), treated(*alive(290)))
        assert currency(cohort, selection(300)).current == 1

    def test_given_a_link_then_caption_names_the_reading_without_it(self) -> None:
        figure = OverallSurvival.compute(linked_cohort(treated(*alive(90))), selection(300))
        (line,) = figure.sensitivity
        assert (line.name, line.participants, line.events) == ("without_registry_links", 1, 0)
        assert "With everybody censored on the last proof of life, also at sites with a registry link: 0 deaths" in (
            figure.caption(context_of(treatments()))
        )

    def test_given_a_link_then_lanes_of_the_swimmer_plot_reach_the_cut_off(self) -> None:
        withdrawn = treated(ASKED, *alive(90), facts.consent_withdrawn(100))
        figure = Swimmer.compute(linked_cohort(treated(*alive(90)), withdrawn), selection(300))
        assert [(lane.exit, lane.end) for lane in figure.lanes] == [(300, "cut_off")] * 2


DAY = st.integers(0, 34)
LINKS = st.lists(st.builds(lambda since, length: (since, since + length), DAY, st.integers(0, 20)), max_size=2)


def slow_exit(life: KnownLife, links: Sequence[tuple[int, int]], cut: int) -> tuple[int, bool]:
    """Returns the end of observation of one participant who consents to registries, and whether it is a death."""
    reported = max((min(last, cut) for first, last in links if first <= cut), default=-1)
    leaving = max(1000 if life.withdrawn is None else life.withdrawn, reported)
    first = min(life.start or 0, life.enrolled)
    own = [first, life.enrolled, *life.seen]
    own += [day for day in (life.start, life.stereotactic) if day is not None]
    withdrawn = 1000 if life.withdrawn is None else life.withdrawn
    proofs = [day for day in own if day <= withdrawn] + [
        min(day, leaving) for day in life.registry if reported > withdrawn or day <= withdrawn
    ]
    if life.died is not None and 0 <= life.died <= min(cut, leaving):
        return life.died, True
    if life.died is not None and cut < life.died <= leaving:
        return cut, False
    known_dead = life.died is not None and not life.died > leaving
    return min(cut, max([*proofs, *([] if known_dead else [reported])])), False


@given(COHORTS, LINKS, st.integers(0, 35))
def test_a_slow_implementation_per_participant_agrees(
    cohort: list[KnownLife], links: list[tuple[int, int]], cut: int
) -> None:
    study = study_with(*(link("rome", *days) for days in links))
    snapshot = linked_cohort(*(life.facts() for life in cohort), study=study)
    times = overall_survival(snapshot, selection(cut, origin="enrolled"))
    for subject, time in zip(np.sort(times.subjects), times_of(times), strict=True):
        life = cohort[int(subject)]
        day, is_event = slow_exit(life, links, cut)
        assert (time.exit + life.enrolled, time.is_event) == (day, is_event)


@given(COHORTS, LINKS)
def test_no_exit_decreases_and_no_event_moves_as_the_cut_off_grows(
    cohort: list[KnownLife], links: list[tuple[int, int]]
) -> None:
    study = study_with(*(link("rome", *days) for days in links))
    snapshot = linked_cohort(*(life.facts() for life in cohort), study=study)
    by_cut = [overall_survival(snapshot, selection(cut)) for cut in range(0, 56, 2)]
    for earlier, later in pairwise(by_cut):
        before, after = (dict(zip(times.subjects.tolist(), times_of(times), strict=True)) for times in (earlier, later))
        for subject in before.keys() & after.keys():
            assert before[subject].exit <= after[subject].exit
            assert not before[subject].is_event or before[subject] == after[subject]
