"""The figures of the product, in the order in which the cohort page shows them."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.figures.accrual import Accrual
from services.analytics.figures.causes_of_death import CausesOfDeath
from services.analytics.figures.characteristics import Characteristics
from services.analytics.figures.distant_control import DistantControl
from services.analytics.figures.figure import Figure
from services.analytics.figures.first_failure import FirstFailure
from services.analytics.figures.follow_up import FollowUp
from services.analytics.figures.hazard_ratios import HazardRatios
from services.analytics.figures.local_control import LocalControl
from services.analytics.figures.locoregional_control import LocoregionalControl
from services.analytics.figures.overall_survival import OverallSurvival
from services.analytics.figures.participant_flow import ParticipantFlow
from services.analytics.figures.progression_free_survival import ProgressionFreeSurvival
from services.analytics.figures.response import BestResponse
from services.analytics.figures.severe_toxicity import SevereToxicity
from services.analytics.figures.swimmer import Swimmer
from services.analytics.figures.symptom_relief import SymptomReliefFigure
from services.analytics.figures.toxicity_grades import ToxicityGradesFigure
from services.analytics.figures.treatments import Treatments
from services.analytics.figures.visit_adherence import VisitAdherence

_FIGURES: tuple[type[Figure], ...] = (
    ParticipantFlow,
    Accrual,
    Characteristics,
    Treatments,
    OverallSurvival,
    HazardRatios,
    CausesOfDeath,
    ProgressionFreeSurvival,
    BestResponse,
    LocalControl,
    LocoregionalControl,
    DistantControl,
    FirstFailure,
    SevereToxicity,
    ToxicityGradesFigure,
    SymptomReliefFigure,
    Swimmer,
    FollowUp,
    VisitAdherence,
)
FIGURES: Mapping[str, type[Figure]] = {figure.NAME: figure for figure in _FIGURES}
"""Every figure by its name in addresses."""
FIGURE_TABLES = frozenset(table for figure in _FIGURES for table in figure.tables())
"""The tables of derived rows that figures are computed from."""
