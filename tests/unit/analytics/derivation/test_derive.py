"""Derived rows: what a participant's facts come to, and that they depend on nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from services.analytics.cohort.date_imputation import EXACT, MONTH, UNDATED, YEAR
from services.analytics.cohort.participant import Participant
from services.analytics.cohort.study_plans import StudyPlans
from services.analytics.cohort.treatment import current_targets
from services.analytics.derivation.derive import derive
from services.analytics.derivation.rows import NEVER, ParticipantRows
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, TOXICITY
from shared.contracts.enrollment import ParticipantEnrolled, ParticipantScreened
from shared.contracts.follow_up import FollowUpResumed, LostToFollowUp
from shared.contracts.treatment import CourseEnd, PrescriptionChanged, RadiotherapyStarted
from shared.gate.study_timeline import protocol_on
from shared.kernel.fact import F, Fact
from shared.protocol.protocol import Protocol
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from shared.testing.builders.generated import PLANS, any_fact
from shared.testing.builders.toxicity_facts import (
    attributions,
    finding,
    serious_event_reported,
    serious_event_resolved,
    serious_event_updated,
    toxicity_assessed,
)
from tests.unit.analytics.support import record_of

KNOWN_ON = date(2027, 1, 1)
CHECKLIST = {"dictionary": "ctcae-3.0", "checklist": ["3.0:0150"]}
STUDY = (facts.study_opened(facts.protocol(toxicity=CHECKLIST)),)
BEGINNING = (*facts.ENROLLMENT_FACTS, facts.lesion_registered())
TREATED = (*BEGINNING, facts.radiotherapy_started(), facts.radiotherapy_completed())
DAYS = st.dates(date(2023, 12, 1), date(2026, 12, 31))


def participant(*stated: Fact) -> Participant:
    record = record_of(*stated)
    known_on = {stated.event_id: KNOWN_ON for stated in record.stated_facts}
    return Participant(participant_id="K7F2-9QXA-3", record=record, known_on=known_on)


def rows_of(*stated: Fact, study: tuple[Fact, ...] = STUDY) -> ParticipantRows:
    return derive(participant(*stated), StudyPlans.from_record(record_of(*study)))


def day(days: int) -> date:
    return facts.START_DATE + timedelta(days=days)


def test_milestones_of_a_treated_participant_are_days_of_one_row() -> None:
    (row,) = rows_of(*TREATED, follow_up.participant_died(200)).subject
    assert (row.screened_on, row.enrolled_on) == (day(0), day(0))
    assert (row.index_course, row.index_started_on, row.index_ended_on) == ("RT1", day(0), day(28))
    assert (row.died_on, row.dead_from, row.death_cause) == (day(200), day(200), "tumour")
    assert (row.alive_on, row.screen_failed_on, row.participation_ends_on) == (day(28), NEVER, NEVER)


def test_partial_date_is_an_imputed_day_with_its_precision() -> None:
    (row,) = rows_of(*TREATED, follow_up.participant_died("2025-06")).subject
    assert (row.died_on, row.died_precision) == (date(2025, 6, 15), MONTH)
    (row,) = rows_of(*TREATED, follow_up.participant_died("2025")).subject
    assert (row.died_on, row.died_precision) == (date(2025, 7, 1), YEAR)


def test_death_without_a_date_is_no_event_but_counts_as_dead_from_the_last_proof_of_life() -> None:
    (row,) = rows_of(*TREATED, follow_up.follow_up_recorded(100), follow_up.participant_died(None)).subject
    assert (row.died_on, row.dead_from, row.alive_on) == (NEVER, day(100), day(100))


def test_death_without_a_date_has_no_precision_and_so_counts_as_imputed() -> None:
    (row,) = rows_of(*TREATED, follow_up.participant_died(None)).subject
    assert (row.died_on, row.died_precision) == (NEVER, UNDATED)


def test_last_proof_of_life_is_as_precise_as_the_most_precise_of_its_day() -> None:
    contacts = (follow_up.follow_up_recorded("2024-07-01"), follow_up.follow_up_recorded("2024"))
    for stated in (contacts, contacts[::-1]):
        (row,) = rows_of(*TREATED, *stated).subject
        assert (row.alive_on, row.alive_precision) == (date(2024, 7, 1), EXACT)


def test_refusal_of_data_use_counts_although_an_earlier_consent_may_be_dated_later() -> None:
    """A consent of 2024 is taken as signed in the middle of the year at the latest, so one of August is later."""
    screened, _, enrolled = facts.ENROLLMENT_FACTS
    consents = [
        facts.consent_signed("2024", options={"data_use": True, "registry": True, "recontact": True}),
        facts.consent_signed("2024-08-01", options={"data_use": False, "registry": True, "recontact": True}),
    ]
    (row,) = rows_of(screened, *consents, enrolled).subject
    assert row.is_excluded


def test_nothing_but_death_counts_after_the_withdrawal_of_consent() -> None:
    stated = (*TREATED, facts.consent_withdrawn(60), follow_up.follow_up_recorded(100), follow_up.participant_died(200))
    rows = rows_of(*stated)
    (row,) = rows.subject
    assert (row.participation_ends_on, row.alive_on, row.died_on) == (day(60), day(28), day(200))
    assert not [row for row in rows.subject_day if row.kind == "contact"]


def test_screening_dated_after_the_withdrawal_lists_the_participant_without_a_day() -> None:
    screened = facts.participant_screened(2)
    (row,) = rows_of(screened, facts.consent_signed(2), facts.consent_withdrawn(1)).subject
    assert (row.is_screened, row.sex, row.enrolling_site) == (True, screened.sex, screened.site_id)
    assert (row.screened_on, row.consented_on) == (NEVER, NEVER)


def test_registry_confirms_life_after_a_withdrawal_only_with_consent_to_registries() -> None:
    confirmed = follow_up.vital_status_confirmed(300, source="registry")
    renewed = facts.consent_signed(1, options={"registry": True})
    withdrawn = facts.consent_withdrawn(60)
    assert rows_of(*TREATED, withdrawn, confirmed).subject[0].alive_on == day(28)
    assert rows_of(*TREATED, renewed, withdrawn, confirmed).subject[0].alive_on == day(300)


def test_withdrawal_after_which_registries_may_be_asked_has_a_row() -> None:
    renewed, withdrawn = facts.consent_signed(1, options={"registry": True}), facts.consent_withdrawn(60)
    kinds = {
        case: [row.day_on for row in rows_of(*stated).subject_day if row.kind == "registry_consent_stands"]
        for case, stated in {
            "without consent": (*TREATED, withdrawn),
            "with consent": (*TREATED, renewed, withdrawn),
            "without withdrawal": (*TREATED, renewed),
        }.items()
    }
    assert kinds == {"without consent": [], "with consent": [day(60)], "without withdrawal": []}


def test_transfers_have_rows_with_the_other_site() -> None:
    moved = rows_of(*TREATED, facts.participant_transferred("milan", 60), facts.participant_transferred("rome", 90))
    transfers = [(row.day_on, row.code) for row in moved.subject_day if row.kind == "transfer"]
    assert transfers == [(day(60), "milan"), (day(90), "rome")]


def test_progression_by_histology_proves_life_unless_a_death_precedes_it() -> None:
    progression = follow_up.disease_progressed(150, "L1", basis="histology")
    assert rows_of(*TREATED, progression).subject[0].alive_on == day(150)
    assert rows_of(*TREATED, progression, follow_up.participant_died(150)).subject[0].alive_on == day(28)


def test_excluded_participant_has_one_row_without_days() -> None:
    without_data_use = facts.consent_signed(1, options={"data_use": False})
    for exclusion in (facts.participant_voided(), facts.consent_withdrawn(60, "data_use"), without_data_use):
        rows = rows_of(*TREATED, exclusion)
        assert rows == ParticipantRows(subject=rows.subject)
        (row,) = rows.subject
        assert (row.is_excluded, row.is_screened, row.enrolling_site) == (True, True, participant(*TREATED).site_id)
        assert (row.screened_on, row.enrolled_on, row.sex) == (NEVER, NEVER, "")


def test_consent_to_data_use_that_is_renewed_includes_the_participant_again() -> None:
    refused = facts.consent_signed(1, options={"data_use": False})
    granted = facts.consent_signed(2)
    assert not rows_of(*TREATED, refused, granted).subject[0].is_excluded


def test_target_has_a_row_for_each_version_of_the_prescription() -> None:
    changed = facts.prescription_changed(10, "RT1", facts.target("T1", fractions=10, cgy_per_fraction=300))
    rows = rows_of(*BEGINNING, facts.radiotherapy_started(), changed, facts.radiotherapy_completed()).target
    assert [(row.valid_from, row.valid_to, row.total_cgy, row.delivered_cgy) for row in rows] == [
        (day(0), day(9), 5000, -1),
        (day(10), day(27), 3000, -1),
        (day(28), NEVER, 3000, 3000),
    ]


def test_lesion_episode_ends_with_the_prescription_that_no_longer_names_the_lesion() -> None:
    named = facts.radiotherapy_started(0, "RT1", facts.target("T1", "L1"))
    changed = facts.prescription_changed(10, "RT1", facts.target("T1"))
    (episode,) = rows_of(*BEGINNING, named, changed).lesion_episode
    assert (episode.lesion, episode.course, episode.named_on, episode.retracted_on) == ("L1", "RT1", day(0), day(10))


def test_lesion_fails_with_the_first_evidence_of_progression_after_it_was_named() -> None:
    named = facts.radiotherapy_started(0, "RT1", facts.target("T1", "L1"))
    contact = follow_up.follow_up_recorded(90, disease=follow_up.disease_status("L1", status="progressed"))
    earlier = follow_up.follow_up_recorded(0, disease=follow_up.disease_status("L1", status="progressed"))
    procedure = facts.procedure_performed(40, lesion_ids=["L1"])
    retreated = facts.radiotherapy_started(120, "RT2", facts.target("T1", "L1"), index=False)
    rows = rows_of(*BEGINNING, named, earlier, contact, follow_up.disease_progressed(100, "L1"), procedure, retreated)
    first, second = rows.lesion_episode
    assert (first.failed_on, first.procedure_on, first.retreated_on) == (day(90), day(40), day(120))
    assert (second.failed_on, second.procedure_on, second.retreated_on) == (NEVER, NEVER, NEVER)
    assert [row.assessed_on for row in rows.lesion_status] == [day(0), day(90), day(100)]


def test_onset_counts_as_the_day_of_a_finding_unless_the_term_was_less_than_severe_later() -> None:
    severe = finding(grade=3, onset_on=day(10).isoformat())
    (row,) = rows_of(*TREATED, toxicity_assessed(40, severe, timepoint="follow_up")).finding
    assert (row.event_on, row.assessed_on) == (day(10), day(40))
    mild = toxicity_assessed(20, finding(grade=1), timepoint="during_rt")
    assert rows_of(*TREATED, mild, toxicity_assessed(40, severe, timepoint="follow_up")).finding[-1].event_on == day(40)
    absent = toxicity_assessed(20, timepoint="during_rt")
    assert rows_of(*TREATED, absent, toxicity_assessed(40, severe, timepoint="follow_up")).finding[-1].event_on == day(
        40
    )


def test_relation_of_a_finding_needs_a_course_that_had_begun() -> None:
    def relation(causes: list[dict[str, str]]) -> str:
        severe = finding(grade=3, attribution=causes)
        return rows_of(*TREATED, toxicity_assessed(40, severe)).finding[0].relation

    assert relation([]) == "not_stated"
    assert relation(attributions("course:RT1")) == "related"
    assert relation(attributions("course:RT1", level="unlikely")) == "unrelated"
    assert relation(attributions("course:RT9", level="definite")) == "unrelated"
    assert relation(attributions("disease", level="definite")) == "unrelated"


def test_serious_event_is_a_finding_on_its_onset_with_the_highest_grade_known() -> None:
    reported = serious_event_reported("SAE1", 50, attribution=attributions("course:RT1", level="probable"))
    updated = serious_event_updated("SAE1", aware_at="2024-05-01T00:00:00Z", grade=4)
    (row,) = rows_of(*TREATED, reported, updated).finding
    assert (row.number, row.grade, row.event_on, row.relation) == (-1, 4, day(50), "related")


def test_onset_of_a_serious_event_is_the_one_that_was_learned_last() -> None:
    reported = serious_event_reported("SAE1", "2024-04", aware_at="2024-04-20T00:00:00Z")
    better = serious_event_updated("SAE1", aware_at="2024-05-01T00:00:00Z", onset_on="2024-04-02")
    last = serious_event_resolved("SAE1", aware_at="2024-05-09T00:00:00Z", onset_on="2024-03-30")
    for stated, expected in (
        ((reported,), (date(2024, 4, 15), MONTH)),
        ((better, reported), (date(2024, 4, 2), EXACT)),
        ((last, better, reported), (date(2024, 3, 30), EXACT)),
    ):
        (row,) = rows_of(*TREATED, *stated).finding
        assert (row.event_on, row.event_precision) == (row.assessed_on, row.assessed_precision) == expected


def test_event_whose_better_onset_is_after_the_withdrawal_is_no_finding() -> None:
    reported = serious_event_reported("SAE1", 50)
    better = serious_event_updated("SAE1", aware_at="2024-05-01T00:00:00Z", onset_on=day(61).isoformat())
    assert [row.event_on for row in rows_of(*TREATED, reported, better).finding] == [day(61)]
    assert not rows_of(*TREATED, reported, better, facts.consent_withdrawn(60)).finding


def test_partial_date_of_a_diagnosis_is_taken_for_no_day_after_the_assessment_that_states_it() -> None:
    """The fifteenth of the month, or 1 July, may lie after the baseline, and even after treatment began."""
    for assessed, diagnosed, expected in (
        ("2024-02-05", "2024-02", date(2024, 2, 5)),
        ("2024-02-20", "2024-02", date(2024, 2, 15)),
        ("2024-02-05", "2024", date(2024, 2, 5)),
        ("2024-02-05", "2023", date(2023, 7, 1)),
        ("2024-02-05", "2024-03", date(2024, 3, 1)),  # no day of the month is before the assessment
        ("2024-02-05", "2024-02-10", date(2024, 2, 10)),
    ):
        (row,) = rows_of(*TREATED, facts.baseline_recorded(assessed, diagnosed_on=diagnosed)).subject
        assert row.diagnosed_on == expected, (assessed, diagnosed)


def test_partial_onset_of_a_serious_event_is_taken_for_no_day_after_the_site_learned_of_it() -> None:
    reported = serious_event_reported("SAE1", "2024-04", aware_at="2024-04-03T00:00:00Z")
    (row,) = rows_of(*TREATED, reported).finding
    assert (row.event_on, row.event_precision) == (date(2024, 4, 3), MONTH)


def test_assessment_of_the_same_day_is_no_earlier_one_that_rules_an_onset_out() -> None:
    severe = toxicity_assessed(30, finding(grade=3, onset_on=day(25).isoformat()), checklist_complete=False)
    for other in (toxicity_assessed(30), toxicity_assessed(30, finding(grade=1), checklist_complete=False)):
        rows = rows_of(*TREATED, severe, other)
        assert [row.event_on for row in rows.finding if row.grade == 3] == [day(25)]


def test_assessment_has_the_dictionary_and_amendment_of_its_day() -> None:
    amended = facts.protocol_amended(30, facts.protocol(toxicity={"dictionary": "ctcae-5.0"}), "A1")
    rows = rows_of(
        *TREATED,
        toxicity_assessed(0, timepoint="baseline"),
        toxicity_assessed(30, timepoint="follow_up"),
        study=(*STUDY, amended),
    )
    assert [(row.dictionary, row.amendment) for row in rows.assessment] == [("ctcae-3.0", ""), ("ctcae-5.0", "A1")]


def test_visit_has_the_earliest_contact_in_its_slot() -> None:
    first_visit = rows_of(*TREATED).visit[0]
    late, early = first_visit.slot_ends, first_visit.opens
    contacts = [follow_up.follow_up_recorded(day.isoformat()) for day in (late, early)]
    registry = follow_up.follow_up_recorded(early.isoformat(), mode="registry")
    assert rows_of(*TREATED, *contacts).visit[0].contact_on == early
    assert rows_of(*TREATED, registry).visit[0].contact_on == NEVER
    row = rows_of(*TREATED, contacts[0], follow_up.visit_missed(100)).visit[0]
    assert (row.contact_on, row.contact_precision, row.missed_on) == (late, 0, day(100))


def test_contact_of_a_named_course_counts_in_its_own_schedule_only() -> None:
    study = (facts.study_opened(facts.protocol(follow_up={"anchor_policy": "per_course"})),)
    later = (facts.radiotherapy_started(30, "RT2", index=False), facts.radiotherapy_completed(40, "RT2"))
    contacts = follow_up.follow_up_recorded(130, course_id="RT2")
    rows = rows_of(*TREATED, *later, contacts, study=study).visit
    assert {(row.schedule, row.number) for row in rows if row.contact_on < NEVER} == {("RT2", 1)}
    rows = rows_of(*TREATED, *later, follow_up.follow_up_recorded(130), study=study).visit
    assert {(row.schedule, row.number) for row in rows if row.contact_on < NEVER} == {("RT1", 1), ("RT2", 1)}


def test_visits_count_from_the_earliest_index_course_in_any_order_of_recording() -> None:
    second = (facts.radiotherapy_started(40, "RT2"), facts.radiotherapy_completed(60, "RT2"))
    expected = rows_of(*TREATED, *second).visit
    assert {row.anchor_on for row in expected} == {day(28)}
    assert rows_of(*second, *TREATED).visit == expected


def test_absence_lasts_from_a_loss_to_the_next_resumption() -> None:
    losses = (follow_up.lost_to_follow_up(100), follow_up.follow_up_resumed(150), follow_up.lost_to_follow_up(200))
    rows = rows_of(*TREATED, *losses).absence
    assert [(row.lost_on, row.resumed_on, row.alive_before) for row in rows] == [
        (day(100), day(150), day(28)),
        (day(200), NEVER, day(150)),
    ]


participant_facts = st.lists(st.one_of(any_fact(PARTICIPANT), any_fact(TOXICITY), any_fact(FOLLOWUP)), max_size=8)
beginnings = st.sampled_from([(), BEGINNING, TREATED])
protocols = st.sampled_from(PLANS)


@given(beginnings, participant_facts, protocols, st.randoms())
def test_rows_do_not_depend_on_the_order_in_which_facts_were_stated(
    beginning: tuple[Fact, ...], stated: list[Fact], plan: Protocol, random: Random
) -> None:
    everything = [*beginning, *stated]
    person = participant(*everything)
    assume(len({(type(fact), person.day(fact)) for fact in everything}) == len(everything))
    shuffled = random.sample(everything, len(everything))
    study = (facts.study_opened(plan),)
    assert rows_of(*shuffled, study=study) == rows_of(*everything, study=study)


def facts_until(person: Participant, fact_type: type[F], until: date) -> list[F]:
    """Returns the facts of a type that analyses count and that have a day until then."""
    return [fact for fact in person.counted(fact_type) if person.day(fact) <= until]


def course_end_until(person: Participant, course: RadiotherapyStarted, until: date) -> CourseEnd | None:
    end = person.course_ends.get(course.course_id)
    return end if end and person.day(end) <= until else None


def is_lost_on(person: Participant, day: date) -> bool:
    """Returns whether the last loss until a day was followed by no resumption until then."""
    losses, resumptions = (facts_until(person, kind, day) for kind in (LostToFollowUp, FollowUpResumed))
    last_resumption = max(map(person.day, resumptions), default=date.min)
    return bool(losses) and max(map(person.day, losses)) > last_resumption


def treats_stereotactically(person: Participant, protocol: Protocol, until: date) -> bool:
    """Returns, from the facts, whether a metastasis is treated stereotactically until that day."""
    return any(
        target.delivery in protocol.stereotactic.deliveries and person.treats_metastasis(target)
        for course in facts_until(person, RadiotherapyStarted, until)
        for target in current_targets(
            course,
            [
                change
                for change in facts_until(person, PrescriptionChanged, until)
                if change.course_id == course.course_id
            ],
            course_end_until(person, course, until),
            person.day,
        )
    )


@given(beginnings, participant_facts, protocols, DAYS)
def test_days_of_rows_select_what_the_facts_until_a_day_say(
    beginning: tuple[Fact, ...], stated: list[Fact], plan: Protocol, cut: date
) -> None:
    study = (facts.study_opened(plan),)
    person = participant(*beginning, *stated)
    rows = derive(person, StudyPlans.from_record(record_of(*study)))
    (row,) = rows.subject
    if row.is_excluded:
        return
    assert (row.screened_on <= cut) == bool(facts_until(person, ParticipantScreened, cut))
    assert (row.enrolled_on <= cut) == bool(facts_until(person, ParticipantEnrolled, cut))
    deliveries = protocol_on(record_of(*study), cut).stereotactic.deliveries
    is_stereotactic = any(
        target.delivery in deliveries and target.treats_metastasis and target.valid_from <= cut <= target.valid_to
        for target in rows.target
    )
    assert is_stereotactic == treats_stereotactically(person, protocol_on(record_of(*study), cut), cut)
    is_lost = any(absence.lost_on <= cut < absence.resumed_on for absence in rows.absence)
    assert is_lost == is_lost_on(person, cut)
