"""Draws the course of a participant's disease, from which facts are made later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from infra.synthetic import probabilities
from infra.synthetic.treatment_summary import TreatedParticipant
from shared.protocol.schedule import add_months

OBSERVATION_MONTHS = 27
"""Months from the start of radiotherapy after which no fact is made."""


@dataclass(frozen=True)
class Progression:
    occurred_on: date
    kind: str
    basis: str
    body_site: str


@dataclass(frozen=True)
class DiseaseCourse:
    """Days of true events, which may never be reported. `observed_until` is the first day without any observation."""

    dies_on: date
    cause: str
    progressions: tuple[Progression, ...]
    lost_on: date | None
    resumes_on: date | None
    observed_until: date

    def is_lost_on(self, day: date) -> bool:
        """Returns whether the participant is lost to follow-up on that day."""
        lost = self.lost_on is not None and day >= self.lost_on
        return lost and (self.resumes_on is None or day < self.resumes_on)


def draw_course(
    rng: Random, participant: TreatedParticipant, started_on: date, *, not_before: date | None = None
) -> DiseaseCourse:
    """Draws the course of a participant whose radiotherapy began on that day; death is not before `not_before`."""
    dies_on = max(started_on + probabilities.draw_survival(rng, participant.stage), not_before or started_on)
    last = add_months(started_on, OBSERVATION_MONTHS)
    observed_until = min(dies_on, last, (participant.withdrawn_on or last) + timedelta(days=1))
    lost_on, resumes_on = _draw_loss(rng, started_on, observed_until)
    progressions = tuple(_draw_progressions(rng, participant, started_on, dies_on))
    return DiseaseCourse(
        dies_on=dies_on,
        cause=probabilities.draw(rng, probabilities.CAUSE_OF_DEATH_WEIGHTS),
        progressions=progressions,
        lost_on=lost_on,
        resumes_on=resumes_on,
        observed_until=observed_until,
    )


def _draw_loss(rng: Random, started_on: date, observed_until: date) -> tuple[date | None, date | None]:
    is_lost, does_resume = (
        probabilities.draw_bool(rng, probabilities.LOSS_PROBABILITY),
        probabilities.draw_bool(rng, probabilities.RESUMPTION_PROBABILITY),
    )
    lost_on = started_on + (observed_until - started_on) * rng.uniform(0.3, 0.9)
    resumes_on = lost_on + timedelta(days=rng.randint(60, 200))
    if not is_lost or lost_on >= observed_until:
        return None, None
    return lost_on, resumes_on if does_resume and resumes_on < observed_until else None


def _draw_progressions(
    rng: Random, participant: TreatedParticipant, started_on: date, dies_on: date
) -> list[Progression]:
    if not probabilities.draw_bool(rng, probabilities.PROGRESSION_PROBABILITY):
        return []
    first = started_on + (dies_on - started_on) * rng.betavariate(3, 2)
    progressions = [_draw_progression(rng, participant, first)]
    if probabilities.draw_bool(rng, probabilities.SECOND_PROGRESSION_PROBABILITY):
        progressions.append(_draw_progression(rng, participant, first + (dies_on - first) * rng.uniform(0.2, 0.9)))
    return progressions


def _draw_progression(rng: Random, participant: TreatedParticipant, occurred_on: date) -> Progression:
    kind = probabilities.draw(rng, probabilities.PROGRESSION_KIND_WEIGHTS)
    if kind == "local" and not (participant.index_course and participant.index_course.lesion_ids):
        kind = "regional"
    site = probabilities.draw(rng, probabilities.METASTASIS_SITE_WEIGHTS) if kind == "distant" else "neck"
    return Progression(occurred_on, kind, probabilities.draw(rng, probabilities.PROGRESSION_BASIS_WEIGHTS), site)
