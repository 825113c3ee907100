"""Probabilities of events after radiotherapy of anaplastic thyroid cancer, for synthetic participants.

Weights and probabilities are ours, set so that a cohort looks like published ones (see each table).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from math import log
from random import Random
from typing import TypeVar

from infra.synthetic.enrollment_facts import Stage

T = TypeVar("T")
Weights = Mapping[T, float]
DaySpanWeights = Mapping[tuple[int, int], float]
"""Weights of spans of days, both ends inclusive; the days of a span are equally likely."""

DAYS_PER_MONTH = 30.4375
MEDIAN_SURVIVAL_MONTHS: Mapping[Stage, float] = {"IVA": 14.0, "IVB": 7.0, "IVC": 3.5}
"""Median survival from the start of radiotherapy. With this shape 76, 55 and 28 % are alive after six months.

Five German centers had 78, 54 and 18 % of all patients (Wendler 2016). Patients who are well enough for a study live
longer."""
SURVIVAL_SHAPE = 1.1
"""Shape of the Weibull distribution: a slightly increasing hazard."""
CAUSE_OF_DEATH_WEIGHTS: Weights[str] = {"tumour": 80, "other": 10, "treatment": 3, "unknown": 7}
PRESUMED_DEATH_PROBABILITY = 0.04
DEATH_DATE_PRECISION_WEIGHTS: Weights[str] = {"day": 88, "month": 8, "unknown": 4}
DEATH_REPORTED_PROBABILITIES = {"followed": 0.98, "lost": 0.4, "withdrawn": 0.5}

PROGRESSION_PROBABILITY = 0.75
"""Probability of progression before death, most often in the second half of the remaining time."""
SECOND_PROGRESSION_PROBABILITY = 0.3
PROGRESSION_KIND_WEIGHTS: Weights[str] = {"distant": 60, "local": 22, "regional": 18}
"""Three quarters die of distant metastases (IMRT series of 2014), one quarter of disease in the neck."""
METASTASIS_SITE_WEIGHTS: Weights[str] = {"lung": 45, "bone": 18, "liver": 14, "brain": 13, "adrenal": 6, "skin": 4}
PROGRESSION_BASIS_WEIGHTS: Weights[str] = {"imaging": 88, "clinical": 9, "histology": 3}

VISIT_OUTCOME_WEIGHTS: Weights[str] = {"in_window": 80, "late": 9, "missed": 7, "declared": 4}
"""Outcomes of a planned visit while the participant is not lost to follow-up."""
MISSED_VISIT_REASON_WEIGHTS: Weights[str] = {"not_attended": 45, "too_ill": 40, "refused": 12, "other": 3}
EARLY_CONTACT_PROBABILITY = 0.45
VISIT_NAMED_PROBABILITY = 0.9
CONTACT_MODE_WEIGHTS: Weights[str] = {"clinic": 82, "phone": 11, "video": 4, "letter": 3}
IMAGING_PROBABILITY = 0.85
RESPONSE_WEIGHTS: Weights[str] = {"SD": 52, "PR": 26, "CR": 8, "NON-CR/NON-PD": 6, "NE": 8}
SYMPTOM_CHANGE_WEIGHTS: Weights[str] = {"improved": 36, "stable": 34, "worse": 18, "resolved": 12}
NECROSIS_PROBABILITY = 0.033
"""Share of ablated brain metastases with necrosis (Blomain 2022: 3.3 %)."""
PERFORMANCE_NOT_REPORTED_PROBABILITY = 0.06
LOSS_PROBABILITY, RESUMPTION_PROBABILITY = 0.07, 0.35
LOSS_REASON_WEIGHTS: Weights[str] = {"unreachable": 55, "care_elsewhere": 25, "moved": 17, "other": 3}
EXTERNAL_INQUIRY_PROBABILITY = 0.35
"""Probability that another source confirms vital status after a missed visit or a loss to follow-up."""
VITAL_STATUS_SOURCE_WEIGHTS: Weights[str] = {
    "family_doctor": 40,
    "phone": 30,
    "relative": 18,
    "letter": 7,
    "registry": 5,
}

TOXICITY_ASSESSED_PROBABILITIES: Mapping[str, float] = {
    "baseline": 0.95,
    "during_rt": 0.9,
    "end_of_rt": 0.92,
    "follow_up": 0.88,
}
"""Probability that toxicity is graded at a timepoint; at follow-up, at a clinic visit."""
CHECKLIST_COMPLETE_PROBABILITY = 0.9
ABSENT_TERM_LISTED_PROBABILITY = 0.1
"""Probability that an absent term is listed with grade 0."""
ONSET_STATED_PROBABILITY = 0.4
SERIOUS_EVENT_PROBABILITY = 0.12
"""Share of participants with a serious event; a death by treatment adds one of its own."""
SERIOUS_EVENT_UPDATED_PROBABILITY, SERIOUS_EVENT_RESOLVED_PROBABILITY = 0.4, 0.75
SERIOUS_EVENT_OUTCOME_WEIGHTS: Weights[str] = {
    "RECOVERED/RESOLVED": 65,
    "RECOVERED/RESOLVED WITH SEQUELAE": 25,
    "NOT RECOVERED/NOT RESOLVED": 10,
}
FATAL_EVENT_GRADED_PROBABILITIES: Mapping[str, float] = {"treatment": 1.0, "other": 0.5}
"""Probability that a death of that cause is graded as an event of grade 5."""
RADIOTHERAPY_ATTRIBUTION_WEIGHTS: Weights[str] = {"definite": 28, "probable": 40, "possible": 25, "unlikely": 7}
LINE_ATTRIBUTION_WEIGHTS: Weights[str] = {"possible": 50, "probable": 20, "unlikely": 30}
DISEASE_ATTRIBUTION_WEIGHTS: Weights[str] = {"possible": 40, "probable": 45, "definite": 15}


def draw(rng: Random, weights: Weights[T]) -> T:
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def draw_bool(rng: Random, probability: float) -> bool:
    return rng.random() < probability


def draw_days(rng: Random, spans: DaySpanWeights) -> timedelta:
    return timedelta(days=rng.randint(*draw(rng, spans)))


def draw_day_between(rng: Random, first: date, last: date) -> date:
    """Draws a day from `first` to `last`, both inclusive; `first` if `last` is before it."""
    return first + timedelta(days=rng.randint(0, max(0, (last - first).days)))


def draw_survival(rng: Random, stage: Stage) -> timedelta:
    """Draws the time from the start of radiotherapy to death from a Weibull distribution; at least a day."""
    scale = MEDIAN_SURVIVAL_MONTHS[stage] * DAYS_PER_MONTH / log(2) ** (1 / SURVIVAL_SHAPE)
    return timedelta(days=max(1, round(rng.weibullvariate(scale, SURVIVAL_SHAPE))))
