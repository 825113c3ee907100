"""Overall survival: origin, entry, exit and event of each participant at a cut-off, as domain.md, section 6, has them.

W1 to W22 are the worked examples of the review of the statistics; their numbers are R's.
"""

from __future__ import annotations

from datetime import date

import pytest

from services.analytics.endpoints.overall_survival import overall_survival
from services.analytics.endpoints.time_to_event import EndpointTimes
from services.analytics.statistics.kaplan_meier import SurvivalCurve, kaplan_meier, landmark, quantile
from services.analytics.statistics.log_rank import log_rank
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.unit.analytics.endpoints.cohorts import (
    FOUR_CASES_CUT,
    Time,
    alive,
    cohort_of,
    dead,
    four_cases,
    selection,
    stereotactic_course,
    survival_times,
    times_of,
    treated,
)
from tests.unit.analytics.support import day_after_start


def survival_by_day(curve: SurvivalCurve) -> dict[int, float]:
    """Returns the estimate on each day with an event."""
    rows = zip(curve.days.tolist(), curve.events.tolist(), curve.estimate.tolist(), strict=True)
    return {day: estimate for day, events, estimate in rows if events}


def survival_at(times: EndpointTimes, day: float) -> float | None:
    return landmark(kaplan_meier(times.observations), day).value


class TestExit:
    """W1: A is alive on 60, 182 and 258; B is alive on 150 and dies on 240; C dies on 200."""

    participants = (treated(*alive(60, 182, 258)), treated(*alive(150), dead(240)), treated(dead(200)))

    def test_given_a_later_contact_or_death_then_the_participant_was_alive_at_the_cut_off(self) -> None:
        assert survival_times(212, *self.participants) == [Time(0, 212, False), Time(0, 212, False), Time(0, 200, True)]
        assert survival_at(overall_survival(cohort_of(self.participants), selection(212)), 200) == pytest.approx(
            0.666666666666667, abs=1e-12
        )

    def test_given_a_cut_off_before_every_death_then_everybody_is_censored_on_it(self) -> None:
        assert survival_times(190, *self.participants) == [Time(0, 190, False)] * 3

    def test_given_no_later_proof_then_the_living_are_censored_on_the_last_one(self) -> None:
        times = overall_survival(cohort_of(self.participants), selection(260))
        assert times_of(times) == [Time(0, 258, False), Time(0, 240, True), Time(0, 200, True)]
        curve = survival_by_day(kaplan_meier(times.observations))
        assert curve == {200: pytest.approx(0.666666666666667), 240: pytest.approx(0.333333333333333)}

    def test_given_a_death_on_the_cut_off_then_it_is_an_event(self) -> None:
        assert survival_times(200, treated(dead(200))) == [Time(0, 200, True)]
        assert survival_times(199, treated(dead(200))) == [Time(0, 199, False)]

    def test_given_a_presumed_death_with_a_date_then_it_is_an_event(self) -> None:
        assert survival_times(300, treated(dead(200, presumed=True))) == [Time(0, 200, True)]

    def test_given_a_death_without_a_date_then_it_is_censored_on_the_last_proof_of_life(self) -> None:
        assert survival_times(300, treated(*alive(120), dead(None))) == [Time(0, 120, False)]
        assert survival_times(100, treated(*alive(120), dead(None))) == [Time(0, 100, False)]

    def test_given_a_loss_that_was_resumed_then_the_contact_after_it_proves_life_during_it(self) -> None:
        """W13: lost on day 100, found on day 300, alive on 310."""
        lost = treated(*alive(90), follow_up.lost_to_follow_up(100), follow_up.follow_up_resumed(300), *alive(310))
        assert survival_times(200, lost) == [Time(0, 200, False)]
        assert survival_times(320, lost) == [Time(0, 310, False)]

    @pytest.mark.parametrize("source", ["family_doctor", "registry"])
    def test_given_a_confirmed_vital_status_then_it_proves_life(self, source: str) -> None:
        assert survival_times(300, treated(follow_up.vital_status_confirmed(150, source))) == [Time(0, 150, False)]

    def test_given_a_progression_by_histology_then_it_proves_life_unless_a_death_on_or_before_its_day_stands(
        self,
    ) -> None:
        histology = follow_up.disease_progressed(150, basis="histology")
        assert survival_times(300, treated(histology)) == [Time(0, 150, False)]
        assert survival_times(300, treated(histology, dead(140))) == [Time(0, 140, True)]


class TestWithdrawal:
    def test_given_a_withdrawal_then_later_deaths_are_no_events(self) -> None:
        """W12: ten are seen and withdraw on day 100; five of them die later."""
        leaving: list[Fact] = [*alive(100), facts.consent_withdrawn(100)]
        dying = [treated(*leaving, dead(day)) for day in (120, 140, 160, 180, 200)]
        times = overall_survival(cohort_of([*dying, *[treated(*leaving)] * 5]), selection(300))
        assert times_of(times) == [Time(0, 100, False)] * 10
        assert survival_at(times, 100) == 1
        assert survival_at(times, 101) is None

    def test_given_a_death_by_the_day_of_the_withdrawal_then_it_is_an_event(self) -> None:
        assert survival_times(300, treated(*alive(90), facts.consent_withdrawn(100), dead(100))) == [Time(0, 100, True)]

    def test_given_a_withdrawal_without_a_contact_on_its_day_then_the_proof_of_life_before_it_counts(self) -> None:
        assert survival_times(300, treated(*alive(90), facts.consent_withdrawn(100))) == [Time(0, 90, False)]

    def test_given_a_registry_that_proves_life_after_the_withdrawal_then_the_proof_before_it_counts(self) -> None:
        """The site has no registry link, so neither lives nor deaths after the withdrawal are known of everybody."""
        consent = facts.consent_signed(0, options={"registry": True})
        registry = follow_up.vital_status_confirmed(200, "registry")
        withdrawn = treated(consent, *alive(90), facts.consent_withdrawn(100), registry)
        assert survival_times(300, withdrawn) == [Time(0, 90, False)]
        assert survival_times(300, treated(consent, *alive(90), registry)) == [Time(0, 200, False)]

    def test_given_a_cut_off_before_the_withdrawal_then_nobody_is_followed_beyond_the_proof_of_life(self) -> None:
        withdrawn = treated(*alive(90), facts.consent_withdrawn(100), dead(150))
        assert survival_times(95, withdrawn) == [Time(0, 90, False)]
        assert survival_times(80, withdrawn) == [Time(0, 80, False)]


class TestTimeZero:
    def test_given_events_on_day_0_then_they_count(self) -> None:
        """W5."""
        first = overall_survival(
            cohort_of([treated(dead(0)), treated(dead(100)), treated(*alive(200))]), selection(300)
        )
        assert survival_by_day(kaplan_meier(first.observations)) == {
            0: pytest.approx(0.666666666666667),
            100: pytest.approx(0.333333333333333),
        }
        four = [treated(dead(0)), treated(dead(10)), treated(), treated(*alive(20))]
        curve = kaplan_meier(overall_survival(cohort_of(four), selection(300)).observations)
        row = [curve.days[0], curve.at_risk[0], curve.events[0], curve.censored[0], curve.estimate[0]]
        assert row == [0, 4, 1, 1, 0.75]
        assert (curve.days[1], curve.at_risk[1], curve.estimate[1]) == (10, 2, 0.375)

    def test_given_another_course_then_only_the_index_course_is_an_origin(self) -> None:
        other = [*facts.ENROLLMENT_FACTS, stereotactic_course(10), *alive(50)]
        times = overall_survival(cohort_of([other, treated(*alive(50), start=20)]), selection(100))
        assert times_of(times) == [Time(0, 30, False)]
        assert times.not_counted["no_origin"] == 1

    @pytest.mark.parametrize(
        ("origin", "expected"),
        [
            ("enrolled", Time(0, 100, True)),
            ("rt_start", Time(0, 80, True)),
            ("rt_end", Time(0, 60, True)),
            ("stereotactic_start", Time(0, 50, True)),
        ],
    )
    def test_given_an_origin_then_days_are_counted_from_it(self, origin: str, expected: Time) -> None:
        facts_ = treated(facts.radiotherapy_completed(40), stereotactic_course(50), dead(100), start=20)
        assert survival_times(300, facts_, origin=origin) == [expected]

    def test_given_a_missing_baseline_then_there_is_no_origin_from_diagnosis(self) -> None:
        """W16."""
        times = overall_survival(cohort_of([treated(dead(10))]), selection(300, origin="diagnosed"))
        assert (times.participants, times.not_counted["no_origin"]) == (0, 1)

    def test_given_an_origin_after_the_cut_off_then_the_participant_is_not_counted_yet(self) -> None:
        times = overall_survival(cohort_of([treated(start=50)]), selection(49))
        assert (times.participants, times.not_counted["no_origin"]) == (0, 1)
        assert survival_times(50, treated(start=50)) == [Time(0, 0, False)]

    def test_given_an_enrollment_after_the_cut_off_then_the_participant_is_neither_counted_nor_listed(self) -> None:
        times = overall_survival(cohort_of([treated(enrolled=50)]), selection(49))
        assert (times.participants, sum(times.not_counted.values())) == (0, 0)

    def test_given_an_excluded_participant_then_nobody_counts_them(self) -> None:
        times = overall_survival(cohort_of({"P": treated(), "Q": treated()}, excluded=["Q"]), selection(49))
        assert (times.participants, sum(times.not_counted.values())) == (1, 0)

    def test_given_a_proof_of_life_before_the_origin_alone_then_the_exit_is_before_the_origin(self) -> None:
        discontinued_by_leaving = treated(facts.consent_withdrawn(30), start=20)
        times = overall_survival(cohort_of([discontinued_by_leaving]), selection(300, origin="rt_end"))
        assert times.not_counted["no_origin"] == 1
        diagnosed_later = treated(facts.baseline_recorded(0, diagnosed_on="2024-02-10"))
        times = overall_survival(cohort_of([diagnosed_later]), selection(300, origin="diagnosed"))
        assert times.not_counted["exit_before_origin"] == 1


class TestDelayedEntry:
    def test_given_an_index_course_before_the_enrollment_then_the_participant_enters_on_the_enrollment(self) -> None:
        assert survival_times(300, treated(dead(100), start=0, enrolled=30)) == [Time(30, 100, True)]

    def test_given_an_exit_by_the_day_of_entry_then_the_participant_is_never_at_risk(self) -> None:
        times = overall_survival(cohort_of([treated(start=0, enrolled=30)]), selection(300))
        assert (times.participants, times.not_counted["entry_not_before_exit"]) == (0, 1)
        times = overall_survival(cohort_of([treated(dead(30), start=0, enrolled=30)]), selection(300))
        assert (times.participants, times.not_counted["event_before_entry"]) == (0, 1)

    def test_given_everybody_at_risk_dies_while_others_enter_later_then_the_estimate_stays_at_0(self) -> None:
        """W8: R prints a median of 5."""
        cohort = [
            treated(dead(5)),
            treated(dead(20), enrolled=10),
            treated(dead(30), enrolled=10),
            treated(*alive(40), enrolled=10),
        ]
        curve = kaplan_meier(overall_survival(cohort_of(cohort), selection(300)).observations)
        assert (curve.is_risk_set_emptied, curve.entered_later) == (True, 3)
        assert quantile(curve).value is None
        assert set(curve.estimate[1:].tolist()) == {0.0}

    def test_given_two_groups_with_delayed_entry_then_curve_and_test_are_those_of_r(self) -> None:
        """W7: a test that ignores the entries has 0.450913373609."""
        cohort = [
            *(treated(dead(exit_), enrolled=entry) for entry, exit_ in ((0, 25), (10, 40), (5, 18), (0, 33))),
            treated(*alive(60), enrolled=20),
            *(
                treated(dead(exit_), enrolled=entry, sex="male")
                for entry, exit_ in ((15, 33), (8, 50), (0, 12), (30, 70))
            ),
            treated(*alive(45), enrolled=12, sex="male"),
        ]
        times = overall_survival(cohort_of(cohort), selection(100, by="sex"))
        curve = kaplan_meier(times.observations)
        has_events = curve.events > 0
        assert curve.days[has_events].tolist() == [12, 18, 25, 33, 40, 50, 70]
        assert curve.at_risk[has_events].tolist() == [6, 7, 7, 7, 5, 3, 1]
        assert curve.estimate[has_events].tolist() == pytest.approx(
            [
                *(0.833333333333333, 0.714285714285714, 0.612244897959, 0.437317784257),
                *(0.349854227405, 0.233236151603, 0),
            ],
            abs=1e-12,
        )
        test = log_rank(times.observations, [["female", "male"].index(name) for name in times.groups], 2).test
        assert test.statistic == pytest.approx(0.227502006190530, abs=1e-12)
        assert test.p == pytest.approx(0.633382271143, abs=1e-12)


class TestStereotacticGroup:
    """W9: no effect was built in. The time before a stereotactic course is time in the other group."""

    def toy(self) -> list[list[Fact]]:
        courses = {120: 90, 180: 100, 220: 120, 300: 150}
        dying = [
            treated(*([stereotactic_course(courses[day])] if day in courses else []), dead(day))
            for day in (30, 45, 60, 80, 100, 120, 150, 180, 220, 260, 300)
        ]
        return [*dying, treated(stereotactic_course(200), *alive(365))]

    def test_given_groups_that_are_reached_then_nobody_is_immortal_before_reaching_one(self) -> None:
        times = overall_survival(cohort_of(self.toy()), selection(400, by="subset"))
        other = survival_by_day(kaplan_meier(times.of_group("other")))
        assert other[30] == pytest.approx(0.916666666667)
        assert other[100] == pytest.approx(0.571428571429)
        assert other[150] == pytest.approx(0.428571428571)
        reached = survival_by_day(kaplan_meier(times.of_group("stereotactic")))
        assert reached == {
            120: pytest.approx(0.5),
            180: pytest.approx(0.333333333333),
            220: pytest.approx(0.222222222222),
            300: pytest.approx(0.111111111111),
        }
        groups = [["other", "stereotactic"].index(name) for name in times.groups]
        test = log_rank(times.observations, groups, 2).test
        assert test.statistic == pytest.approx(0.048302346073, abs=1e-11)
        assert test.p == pytest.approx(0.826044095321, abs=1e-11)
        assert (times.participants, times.events) == (12, 11)

    def test_given_a_death_on_the_day_of_reaching_the_group_then_it_belongs_to_the_group_before(self) -> None:
        times = overall_survival(cohort_of([treated(stereotactic_course(50), dead(50))]), selection(300, by="subset"))
        assert times_of(times, "other") == [Time(0, 50, True)]
        assert times_of(times, "stereotactic") == []

    def test_given_a_stereotactic_index_course_then_the_participant_is_in_the_group_from_day_0(self) -> None:
        index = facts.radiotherapy_started(0, "RT1", facts.target(delivery="SBRT", fractions=5, cgy_per_fraction=500))
        enrolled_only = treated()[:3]
        times = overall_survival(cohort_of([[*enrolled_only, index, dead(40)]]), selection(300, by="subset"))
        assert times_of(times, "stereotactic") == [Time(0, 40, True)]

    def test_given_a_change_that_adds_the_target_then_the_group_is_reached_on_the_day_of_the_change(self) -> None:
        stereotactic = facts.target("T2", delivery="SRS", fractions=1, cgy_per_fraction=2000)
        changed = treated(facts.prescription_changed(12, "RT1", facts.target(), stereotactic), *alive(90))
        assert survival_times(300, changed, subset="stereotactic") == [Time(12, 90, False)]
        assert survival_times(300, changed, origin="stereotactic_start") == [Time(0, 90, False)]

    def test_given_a_course_after_the_cut_off_then_the_group_is_not_reached(self) -> None:
        later = treated(stereotactic_course(100), *alive(150))
        assert survival_times(99, later, subset="stereotactic") == []
        assert survival_times(150, later, subset="stereotactic") == [Time(100, 150, False)]


class TestFourCases:
    """The published cases on 2025-01-31; case 3 is presumed dead without a date."""

    def test_given_the_start_of_the_index_course_as_the_origin(self) -> None:
        """W2."""
        times = overall_survival(four_cases(), selection(FOUR_CASES_CUT))
        expected = [Time(0, 246, True), Time(0, 145, True), Time(0, 599, False), Time(0, 345, False)]
        assert times_of(times) == expected
        curve = kaplan_meier(times.observations)
        assert survival_by_day(curve) == {145: 0.75, 246: 0.5}
        assert curve.lower[1:3].tolist() == pytest.approx([0.127946917595146, 0.0578470829951446], abs=1e-12)
        assert curve.upper[1:3].tolist() == pytest.approx([0.960548642285078, 0.844861281190374], abs=1e-12)
        assert (quantile(curve).value, quantile(curve).lower, quantile(curve).upper) == (246, 145, None)
        assert landmark(curve, 24 * 30.4375).value is None

    def test_given_diagnosis_as_the_origin_then_entry_is_delayed(self) -> None:
        times = overall_survival(four_cases(), selection(FOUR_CASES_CUT, origin="diagnosed"))
        expected = [Time(42, 301, True), Time(12, 169, True), Time(12, 618, False), Time(28, 380, False)]
        assert times_of(times) == expected
        curve = kaplan_meier(times.observations)
        assert survival_by_day(curve) == {169: 0.75, 301: 0.5}
        assert quantile(curve).value == 301
        assert times.imputed_dates == 1

    def test_given_the_first_stereotactic_course_as_the_origin(self) -> None:
        """W4."""
        times = overall_survival(four_cases(), selection(FOUR_CASES_CUT, origin="stereotactic_start"))
        expected = [Time(0, 246, True), Time(0, 25, True), Time(0, 543, False), Time(0, 58, False)]
        assert times_of(times) == expected
        curve = kaplan_meier(times.observations)
        assert survival_by_day(curve) == {25: 0.75, 246: 0.375}
        assert (quantile(curve).value, quantile(curve).lower, quantile(curve).upper) == (246, 25, None)

    def test_given_the_stereotactic_subset_then_its_members_enter_on_the_day_of_reaching_it(self) -> None:
        """W4: naively, 0.75 on day 145 and 0.5 on day 246."""
        times = overall_survival(four_cases(), selection(FOUR_CASES_CUT, subset="stereotactic"))
        curve = kaplan_meier(times.observations)
        assert [time.entry for time in times_of(times)] == [0, 120, 56, 287]
        assert survival_by_day(curve) == {145: pytest.approx(2 / 3), 246: pytest.approx(1 / 3)}
        assert [int(curve.at_risk[curve.days == day][0]) for day in (145, 246)] == [3, 2]


def test_given_a_death_in_the_month_of_a_contact_then_it_is_imputed_and_counted_as_imputed() -> None:
    imputed = treated(*alive(20), follow_up.participant_died("2024-05"))
    times = overall_survival(cohort_of([imputed]), selection(300))
    assert times_of(times) == [Time(0, (date(2024, 5, 15) - day_after_start(0)).days, True)]
    assert times.imputed_dates == 1


def test_given_an_imputed_date_that_fixes_several_days_then_it_is_counted_once() -> None:
    start = "2024-02"
    stated = [*facts.ENROLLMENT_FACTS, facts.radiotherapy_started(start)]
    assert overall_survival(cohort_of([stated]), selection(300)).imputed_dates == 1
    assert overall_survival(cohort_of([stated]), selection(10)).imputed_dates == 0


def test_given_an_imputed_date_after_the_cut_off_then_it_fixes_nothing() -> None:
    later = treated(follow_up.follow_up_recorded("2024-06"))
    assert overall_survival(cohort_of([later]), selection(60)).imputed_dates == 0
    assert overall_survival(cohort_of([later]), selection(300)).imputed_dates == 1
