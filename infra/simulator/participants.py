"""Draws the participants of `demo-live`. All are synthetic, and equal seeds give equal participants.

A participant is a list of facts for three services from the screening on: late, corrected, at times contradictory. They
do not depend on the day on which they are recorded, so an interrupted simulation continues with the same participants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random

from infra.reference.simulated_study import (
    ACCRUAL_DAYS,
    CONSENT_VERSIONS,
    FIRST_SCREENING_DAY,
    OPENING_DATA,
    SCREENING_INTERVAL_DAYS,
    SITES,
    STUDY_ID,
    SYMPTOMS,
    SimulatedSite,
)
from infra.reference.study import CRITERIA, PROTOCOL
from infra.simulator import rates
from infra.simulator.optional_events import OPTIONAL_EVENTS
from infra.simulator.participant_story import ParticipantStory, choose_events
from infra.simulator.rates import PARTICIPANT_PATH_WEIGHTS, ParticipantPath
from infra.simulator.reporting import ReportedFact, SimulatedParticipant, schedule_reports
from infra.simulator.site_errors import CONTRADICTIONS, CORRECTIONS, coarsen_dates
from infra.synthetic import probabilities
from infra.synthetic.cohort import (
    add_consent_only,
    add_curative_course,
    add_screening_failure,
    add_treatment_history,
)
from infra.synthetic.disease_course import draw_course
from infra.synthetic.enrollment_facts import (
    FactBuilder,
    ScreeningSetup,
    add_enrollment,
    add_screening,
    clinical_date,
    complete_course,
    end_at_death,
    lesion_ids_of_kinds,
    start_course,
    target_volume,
)
from infra.synthetic.follow_up_facts import draw_contacts, draw_follow_up_facts
from infra.synthetic.toxicity_facts import Grader, draw_toxicity_facts
from infra.synthetic.treatment_summary import SimulatedFact, TreatedParticipant
from shared.protocol.protocol import FollowUpPlan

__all__ = [
    "FIRST_SCREENING_DAY",
    "OPENING_DATA",
    "PARTICIPANT_PATH_WEIGHTS",
    "SITES",
    "STUDY_ID",
    "ReportedFact",
    "SimulatedParticipant",
    "SimulatedSite",
    "draw_story",
    "simulate_participant",
    "simulate_participants",
]

FOLLOW_UP_PLAN = FollowUpPlan.model_validate(PROTOCOL["follow_up"])
ABLATIVE_SCHEDULES = {"brain": [("SRS", 1, 1800), ("SRS", 1, 2000), ("FSRT", 5, 600)]}
ABLATIVE_SCHEDULES_ELSEWHERE = (
    [("SBRT", 5, 600)] * 6 + [("SBRT", 3, 900)] * 6 + [("SBRT", 5, 700)] * 6 + [("SBRT", 8, 500)]
)
"""The last of them has more than five fractions, which raises a data query."""


def simulate_participants(
    seed: int, number: int, sites: Sequence[SimulatedSite] = SITES, since: date = FIRST_SCREENING_DAY
) -> Iterator[SimulatedParticipant]:
    """Yields the first `number` participants of the seed."""
    return (simulate_participant(seed, index, sites, since) for index in range(number))


def simulate_participant(
    seed: int, index: int, sites: Sequence[SimulatedSite] = SITES, since: date = FIRST_SCREENING_DAY
) -> SimulatedParticipant:
    """Returns participant `index` (0, 1, …) of the seed, screened after `since` at one of the sites."""
    return schedule_reports(draw_story(seed, index, sites, since))


def draw_story(
    seed: int, index: int, sites: Sequence[SimulatedSite] = SITES, since: date = FIRST_SCREENING_DAY
) -> ParticipantStory:
    """Draws the facts of a participant, and the errors of the sites."""
    rng = Random(f"{seed}/{index}")
    site = rng.choice(sites)
    day = since + timedelta(
        days=index * SCREENING_INTERVAL_DAYS % ACCRUAL_DAYS + rng.randrange(SCREENING_INTERVAL_DAYS)
    )
    reference = f"SIMULATED-{seed}-{index + 1:05}"
    builder = FactBuilder(
        rng,
        ScreeningSetup(
            site_id=site.site_id,
            local_reference=reference,
            criteria=[criterion["id"] for criterion in CRITERIA],
            consent_versions=CONSENT_VERSIONS,
            symptoms=SYMPTOMS,
        ),
        day,
    )
    story = _add_later_facts(
        _add_enrollment_facts(builder, probabilities.draw(rng, PARTICIPANT_PATH_WEIGHTS)),
        ParticipantStory(rng, site, sites, []),
    )
    choose_events(story, OPTIONAL_EVENTS, rates.OPTIONAL_EVENT_RATES)
    choose_events(story, CONTRADICTIONS, rates.CONTRADICTION_RATES)
    choose_events(story, CORRECTIONS, rates.CORRECTION_RATES)
    coarsen_dates(story, rates.PARTIAL_DATE_RATES)
    return story


def _add_enrollment_facts(builder: FactBuilder, path: ParticipantPath) -> FactBuilder:
    match path:
        case "failed":
            return add_screening_failure(builder, builder.rng.choice(["histology", "radiotherapy", "refused"]))
        case "consented":
            return add_consent_only(builder)
        case "stereotactic":
            return _add_stereotactic_history(builder)
        case _:
            return add_treatment_history(builder, path)


def _add_stereotactic_history(builder: FactBuilder) -> FactBuilder:
    """Adds radiotherapy of the neck, then ablation of one metastasis."""
    add_screening(builder)
    sites = add_enrollment(builder, "IVC")
    builder.advance(8, 16)
    add_curative_course(builder)
    builder.advance(30, 120)
    delivery, fractions, dose = builder.rng.choice(ABLATIVE_SCHEDULES.get(sites[0], ABLATIVE_SCHEDULES_ELSEWHERE))
    prescription = {"lesion_ids": lesion_ids_of_kinds(builder, "metastasis")[:1], "prescription_isodose_percent": 80}
    volume = target_volume(
        "met", "PTV_Met", fractions, dose, technique="stereotactic", delivery=delivery, **prescription
    )
    complete_course(builder, "RT-2", start_course(builder, "RT-2", "ablative", [volume], index=False))
    return builder


def _add_later_facts(builder: FactBuilder, story: ParticipantStory) -> ParticipantStory:
    """Ends treatment at death, and adds the facts of toxicity and followup."""
    participant = TreatedParticipant.from_facts(builder.facts)
    if participant and participant.index_course:
        story.disease_course = draw_course(builder.rng, participant, participant.index_course.started_on)
        end_at_death(builder, story.disease_course.dies_on)
    story.facts = [
        SimulatedFact("enrollment", fact["type"], fact["data"], date.fromisoformat(clinical_date(fact)))
        for fact in builder.facts
    ]
    story.participant = TreatedParticipant.from_facts(builder.facts)
    if story.participant and story.disease_course:
        contacts = draw_contacts(builder.rng, story.participant, story.disease_course, FOLLOW_UP_PLAN)
        grader = Grader("ctcae-5.0", story.site.time_zone)
        story.facts += draw_follow_up_facts(
            builder.rng, story.participant, story.disease_course, FOLLOW_UP_PLAN, contacts
        )
        story.facts += draw_toxicity_facts(builder.rng, story.participant, story.disease_course, contacts, grader)
    return story
