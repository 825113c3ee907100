"""The participant flow: whom it counts, its proportion, and how it states them."""

from __future__ import annotations

from datetime import date

from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.snapshot.selection import Selection
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_resumed, lost_to_follow_up, participant_died
from tests.unit.analytics.figures.example_answers import caption_of, empty_flow, figure_of, flow, svg_texts
from tests.unit.analytics.support import ENROLLED, SCREENED, TODAY, single_fraction, snapshot_of

ALL_PARTICIPANTS = Selection(TODAY)


def test_flow_of_an_empty_study_has_no_percentage() -> None:
    flow_counts = ParticipantFlow.compute(snapshot_of({}), ALL_PARTICIPANTS)
    assert (flow_counts.enrolled, flow_counts.stereotactic_percent, flow_counts.stereotactic_interval) == (
        0,
        None,
        None,
    )


def test_stereotactic_counts_stereotactic_targets_of_metastases_or_unnamed_lesions() -> None:
    facts_by_participant = {
        "metastasis": [
            SCREENED,
            ENROLLED,
            facts.lesion_registered("M"),
            facts.radiotherapy_started(0, "RT1", single_fraction("SRS", "M")),
        ],
        "primary": [
            SCREENED,
            ENROLLED,
            facts.lesion_registered("P", kind="primary"),
            facts.radiotherapy_started(0, "RT1", single_fraction("SBRT", "P")),
        ],
        "unnamed": [SCREENED, ENROLLED, facts.radiotherapy_started(0, "RT1", single_fraction("FSRT"))],
        "later": [
            SCREENED,
            ENROLLED,
            facts.radiotherapy_started(),
            facts.radiotherapy_started("2024-06-01", "RT2", single_fraction("SRS"), index=False),
        ],
        "conventional": [
            SCREENED,
            ENROLLED,
            facts.lesion_registered("M"),
            facts.radiotherapy_started(0, "RT1", single_fraction("conventional", "M")),
        ],
    }
    counted = ParticipantFlow.compute(snapshot_of(facts_by_participant), ALL_PARTICIPANTS)
    assert (counted.enrolled, counted.stereotactic, counted.stereotactic_percent) == (5, 3, 60.0)


def test_stereotactic_subset_has_no_share_of_itself() -> None:
    treated = [SCREENED, ENROLLED, facts.radiotherapy_started(0, "RT1", single_fraction("SRS"))]
    subset = ParticipantFlow.compute(snapshot_of({"p": treated}), Selection(TODAY, subset="stereotactic"))
    assert (subset.enrolled, subset.stereotactic, subset.stereotactic_percent) == (1, 1, None)
    answer = {**flow(), **subset.to_json()}
    assert not any("100" in words for words in [caption_of(answer), *svg_texts(answer)])


def test_picture_shows_a_participant_who_failed_screening_after_consent_once() -> None:
    facts_by_participant = {
        "before": [SCREENED, facts.screening_failed(1)],
        "after": [SCREENED, facts.consent_signed(), facts.screening_failed(1)],
    }
    counted = ParticipantFlow.compute(snapshot_of(facts_by_participant), ALL_PARTICIPANTS)
    assert (counted.screen_failed, counted.screen_failed_after_consent, counted.consented) == (2, 1, 1)
    words = svg_texts({**flow(), **counted.to_json()})
    assert words[words.index("Failed before consent") + 1] == "1"
    assert words[words.index("Not enrolled") + 1] == "1"


def test_treated_are_those_whose_index_course_has_started() -> None:
    other_course_only = facts.radiotherapy_started(0, "RT2", index=False)
    study_snapshot = snapshot_of(
        {
            "p": [SCREENED, ENROLLED, other_course_only],
            "q": [SCREENED, ENROLLED],
            "r": [SCREENED, ENROLLED, facts.radiotherapy_started()],
        }
    )
    counted = ParticipantFlow.compute(study_snapshot, ALL_PARTICIPANTS)
    assert (counted.treated, counted.awaiting_treatment, counted.in_follow_up) == (1, 2, 1)


def test_last_prescription_change_counts() -> None:
    changed = facts.prescription_changed("2024-02-02", "RT1", single_fraction("SRS"))
    study_snapshot = snapshot_of({"p": [SCREENED, ENROLLED, facts.radiotherapy_started(), changed]})
    assert ParticipantFlow.compute(study_snapshot, ALL_PARTICIPANTS).stereotactic == 1
    assert ParticipantFlow.compute(study_snapshot, Selection(date(2024, 2, 1))).stereotactic == 0


def test_each_enrolled_participant_has_one_status_and_death_has_precedence() -> None:
    old, recent = (
        facts.radiotherapy_started("2021-01-04"),
        facts.radiotherapy_started("2024-12-02"),
    )
    died, lost = participant_died("2024-12-20"), lost_to_follow_up("2024-12-21")
    withdrawn, resumed = facts.consent_withdrawn("2024-12-22"), follow_up_resumed("2024-12-28")
    facts_by_participant = {
        "waiting": [SCREENED, ENROLLED],
        "treated": [SCREENED, ENROLLED, recent, facts.radiotherapy_completed("2024-12-20")],
        "done": [SCREENED, ENROLLED, old, facts.radiotherapy_completed("2021-02-01")],
        "died": [SCREENED, ENROLLED, recent, died, lost, withdrawn],
        "withdrawn": [SCREENED, ENROLLED, recent, withdrawn, lost],
        "lost": [SCREENED, ENROLLED, recent, lost],
        "found": [SCREENED, ENROLLED, recent, lost, resumed],
    }
    counted = ParticipantFlow.compute(snapshot_of(facts_by_participant), ALL_PARTICIPANTS)
    standings = {
        name: getattr(counted, name) for name in ("awaiting_treatment", "completed", "died", "withdrawn", "lost")
    }
    assert standings == {"awaiting_treatment": 1, "completed": 1, "died": 1, "withdrawn": 1, "lost": 1}
    assert counted.in_follow_up == 2
    assert sum(standings.values()) + 2 == counted.enrolled == 7


def test_facts_after_the_cut_off_are_not_counted() -> None:
    facts_by_participant = {
        "p": [
            facts.participant_screened("2024-01-01"),
            facts.participant_enrolled("2024-01-02"),
            facts.radiotherapy_started("2024-02-01"),
        ]
    }
    assert [
        getattr(ParticipantFlow.compute(snapshot_of(facts_by_participant), Selection(date(2024, 1, 1))), name)
        for name in ("screened", "enrolled")
    ] == [1, 0]


def test_unscreened_participants_are_ignored_and_excluded_ones_counted() -> None:
    facts_by_participant = {"p": [SCREENED, ENROLLED], "stranger": [ENROLLED], "gone": [SCREENED, ENROLLED]}
    study_snapshot = snapshot_of(facts_by_participant, excluded=["gone"])
    assert (
        ParticipantFlow.compute(study_snapshot, ALL_PARTICIPANTS).screened,
        ALL_PARTICIPANTS.count_excluded(study_snapshot),
    ) == (1, 1)
    assert Selection(TODAY, frozenset({"milan"})).count_excluded(study_snapshot) == 0


def test_facts_after_withdrawal_are_not_counted_except_death() -> None:
    withdrawn, died = facts.consent_withdrawn("2024-02-15"), participant_died("2024-06-01", cause="unknown")
    facts_recorded = [SCREENED, ENROLLED, facts.radiotherapy_started("2024-03-01"), withdrawn, died]
    counted = ParticipantFlow.compute(snapshot_of({"p": facts_recorded}), ALL_PARTICIPANTS)
    assert (counted.enrolled, counted.treated, counted.died, counted.withdrawn) == (1, 0, 1, 0)


def test_course_in_the_month_of_a_withdrawal_counts_but_a_later_one_does_not() -> None:
    facts_recorded = [
        SCREENED,
        ENROLLED,
        facts.radiotherapy_started("2024-09-20"),
        facts.radiotherapy_started("2024-10-01", "RT2", single_fraction("SRS"), index=False),
        facts.consent_withdrawn("2024-09"),
    ]
    counted = ParticipantFlow.compute(snapshot_of({"p": facts_recorded}), ALL_PARTICIPANTS)
    assert (counted.treated, counted.stereotactic, counted.withdrawn) == (1, 0, 1)


def test_flow_states_its_proportion_with_the_exact_interval() -> None:
    caption = caption_of(flow())
    assert "4 / 31 = 12.9 % (95 % CI 3.6–29.8)" in caption
    assert "12.9 % (95 % CI 3.6–29.8) of the enrolled" in svg_texts(flow())
    assert ["Stereotactic radiotherapy of a metastasis", "4", "12.9", "3.6", "29.8"] in figure_of(flow()).table()[1]


def test_percentage_of_no_participants_is_not_defined() -> None:
    texts = [caption_of(empty_flow()), *svg_texts(empty_flow())]
    assert "percentage not defined: no participant is enrolled" in texts
    assert "not defined, because no participant is enrolled" in texts[0]
    assert not any("0.0 %" in text or "0 %" in text for text in texts)
    assert ["Stereotactic radiotherapy of a metastasis", "0", "", "", ""] in figure_of(empty_flow()).table()[1]
