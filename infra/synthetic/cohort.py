"""The synthetic part of the reference cohort: 27 participants, and some who were screened and not enrolled.

Their local references begin with SYNTHETIC. None has stereotactic radiotherapy: with the four published cases the
cohort has 31 participants, 4 of them with stereotactic radiotherapy, as in the paper. Nothing else is from the paper.
The course after radiotherapy is drawn from probabilities.py and terms.py, by a seed of its own for each participant.
"""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any, Literal

from infra.reference.study import (
    CONSENT_VERSIONS,
    CRITERIA,
    FROZEN_TODAY,
    PROTOCOL,
    SITE,
    SITE_ID,
    SYMPTOMS,
    ReferenceFact,
)
from infra.synthetic.disease_course import draw_course
from infra.synthetic.enrollment_facts import (
    FactBuilder,
    ScreeningSetup,
    add_consent,
    add_enrollment,
    add_screening,
    add_withdrawal,
    complete_course,
    discontinue_course,
    facts_dated_until,
    had_thyroidectomy,
    lesion_ids_of_kinds,
    start_course,
    target_volume,
    working_day,
)
from infra.synthetic.follow_up_facts import draw_contacts, draw_follow_up_facts
from infra.synthetic.toxicity_facts import Grader, draw_toxicity_facts
from infra.synthetic.treatment_summary import SimulatedFact, TreatedParticipant
from shared.protocol.protocol import FollowUpPlan

TreatmentPath = Literal["curative", "palliative", "discontinued", "withdrawn"]
TREATMENT_PATH_COUNTS: dict[TreatmentPath, int] = {"curative": 13, "palliative": 7, "discontinued": 3, "withdrawn": 2}
LATEST_SCREENING_DAYS = [date(2025, 1, 17), date(2025, 1, 24)]
"""Screening days so late that radiotherapy has at most begun on the study's today."""
SCREENING_FAILURE_REASONS = ["histology", "refused", "radiotherapy", "histology", "consent-capable", "refused"]
CONSENT_ONLY_DAYS = [date(2022, 5, 16), date(2024, 3, 11), date(2025, 1, 27)]

FOLLOW_UP_PLAN = FollowUpPlan.model_validate(PROTOCOL["follow_up"])

LATER_FACTS_SEED = 899
"""A seed whose cohort has a loss to follow-up, a resumption, missed visits and a serious adverse event."""

ACCRUAL_FROM, ACCRUAL_TO = date(2020, 12, 7), date(2024, 12, 20)
CURATIVE_SCHEDULES = [(33, 200, 170), (30, 200, 180), (35, 200, 160), (33, 212, 165), (32, 200, 170)]
"""Fractions, cGy per fraction to the high-dose level, and to the elective level."""
PALLIATIVE_SCHEDULES = [(13, 300), (13, 300), (13, 300), (10, 300), (20, 250)]


def participants(seed: int = 31) -> list[list[ReferenceFact]]:
    """Returns the enrollment facts of each of the 27 participants, by screening day; equal seeds give equal facts."""
    rng = Random(seed)
    paths = rng.sample(
        list(TREATMENT_PATH_COUNTS), counts=list(TREATMENT_PATH_COUNTS.values()), k=sum(TREATMENT_PATH_COUNTS.values())
    )
    days = [*_spread_over_accrual(rng, len(paths)), *LATEST_SCREENING_DAYS]
    return [
        _facts_until_frozen_today(
            add_treatment_history(FactBuilder(rng, _screening_setup(f"SYNTHETIC-{number:02}"), day), path)
        )
        for number, (day, path) in enumerate(zip(days, [*paths, "curative", "curative"], strict=True), 1)
    ]


def later_facts(seed: int = LATER_FACTS_SEED) -> list[list[SimulatedFact]]:
    """Returns the toxicity and followup facts of each of the 27 participants, up to the study's today."""
    return [
        _later_facts(Random(f"{seed}/{number}/afterwards"), facts) for number, facts in enumerate(participants(), 1)
    ]


def _later_facts(rng: Random, facts: list[ReferenceFact]) -> list[SimulatedFact]:
    """Draws later facts; death is at least a week after the last enrollment fact."""
    participant, grader = TreatedParticipant.from_facts(facts), Grader("ctcae-3.0", SITE["time_zone"])
    if participant is None or participant.index_course is None:
        return (
            [] if participant is None else _until_frozen_today(draw_toxicity_facts(rng, participant, None, [], grader))
        )
    disease_course = draw_course(
        rng, participant, participant.index_course.started_on, not_before=participant.last_fact_on + timedelta(days=7)
    )
    contacts = draw_contacts(rng, participant, disease_course, FOLLOW_UP_PLAN)
    return _until_frozen_today(
        draw_follow_up_facts(rng, participant, disease_course, FOLLOW_UP_PLAN, contacts)
        + draw_toxicity_facts(rng, participant, disease_course, contacts, grader)
    )


def _until_frozen_today(facts: list[SimulatedFact]) -> list[SimulatedFact]:
    return [fact for fact in facts if fact.day.isoformat() <= FROZEN_TODAY]


def not_enrolled_participants(seed: int = 31) -> list[list[ReferenceFact]]:
    """Returns the facts of nine screened participants who were not enrolled: six screening failures, three consents."""
    rng = Random(seed)
    failures = [
        _facts_until_frozen_today(
            add_screening_failure(FactBuilder(rng, _screening_setup(f"SYNTHETIC-S{number:02}"), day), reason)
        )
        for number, (day, reason) in enumerate(
            zip(_spread_over_accrual(rng, 6), SCREENING_FAILURE_REASONS, strict=True), 1
        )
    ]
    consented = [
        _facts_until_frozen_today(add_consent_only(FactBuilder(rng, _screening_setup(f"SYNTHETIC-C{number:02}"), day)))
        for number, day in enumerate(CONSENT_ONLY_DAYS, 1)
    ]
    return failures + consented


def _screening_setup(local_reference: str) -> ScreeningSetup:
    return ScreeningSetup(
        site_id=SITE_ID,
        local_reference=local_reference,
        criteria=[criterion["id"] for criterion in CRITERIA],
        consent_versions=CONSENT_VERSIONS,
        symptoms=SYMPTOMS,
    )


def _spread_over_accrual(rng: Random, number: int) -> list[date]:
    """Returns one working day in each of `number` equal parts of the accrual period."""
    part = (ACCRUAL_TO - ACCRUAL_FROM).days / number
    days = [ACCRUAL_FROM + timedelta(days=int(part * (index + rng.random()))) for index in range(number)]
    return [working_day(day, 1) for day in days]


def _facts_until_frozen_today(builder: FactBuilder) -> list[ReferenceFact]:
    return facts_dated_until(builder.facts, FROZEN_TODAY)


def add_treatment_history(builder: FactBuilder, path: TreatmentPath) -> FactBuilder:
    """Adds facts from the screening to the last line of therapy, as far as the path goes."""
    add_screening(builder)
    palliative = path == "palliative"
    sites = add_enrollment(
        builder, builder.rng.choice(["IVC", "IVC", "IVC", "IVB"] if palliative else ["IVA", "IVB", "IVB", "IVC"])
    )
    builder.advance(8, 16)
    if palliative:
        _add_palliative_course(builder)
    else:
        add_curative_course(builder, discontinued=path == "discontinued")
    _add_later_therapy(builder, sites)
    if path == "withdrawn":
        builder.advance(60, 200)
        add_withdrawal(builder)
    return builder


def add_screening_failure(builder: FactBuilder, reason_code: str) -> FactBuilder:
    """Adds a screening failure; `reason_code` is the unmet criterion, or `refused`."""
    add_screening(builder, unmet=None if reason_code == "refused" else reason_code)
    builder.advance(1, 7)
    builder.add_fact("participant.screen_failed", "failed_on", reason_codes=[reason_code])
    return builder


def add_consent_only(builder: FactBuilder) -> FactBuilder:
    add_screening(builder)
    builder.advance(0, 2)
    add_consent(builder)
    return builder


def add_curative_course(builder: FactBuilder, *, discontinued: bool = False) -> None:
    fractions, high, elective = builder.rng.choice(CURATIVE_SCHEDULES)
    technique = {"technique": builder.rng.choice(["VMAT", "VMAT", "IMRT"]), "delivery": "conventional"}
    lesions = lesion_ids_of_kinds(builder, "primary", "node")
    targets = [
        target_volume("elective", "PTV_Low", fractions, elective, **technique),
        target_volume("tumour", "PTV_High", fractions, high, lesion_ids=lesions, boost_of="elective", **technique),
    ]
    planned_end = start_course(
        builder, "RT-1", "adjuvant" if had_thyroidectomy(builder) else "definitive", targets, index=True
    )
    concurrent = builder.rng.random() < 0.75
    if concurrent:
        _add_line_start(builder, "line-1", "concurrent", WEEKLY_CHEMOTHERAPY, planned_cycles=6)
    if discontinued:
        discontinue_course(builder, "RT-1", targets, builder.rng.randint(6, fractions - 8))
    else:
        complete_course(builder, "RT-1", planned_end)
    if concurrent:
        cycles = builder.rng.randint(1, 3) if discontinued else builder.rng.randint(4, 6)
        builder.add_fact(
            "systemic_therapy.stopped",
            "on",
            line_id="line-1",
            reason_code="toxicity" if discontinued else "completed",
            cycles_given=cycles,
        )


def _add_palliative_course(builder: FactBuilder) -> None:
    fractions, dose = builder.rng.choice(PALLIATIVE_SCHEDULES)
    technique = {"technique": builder.rng.choice(["3D-CRT", "VMAT"]), "delivery": "hypofractionated"}
    lesions = lesion_ids_of_kinds(builder, "primary", "node")
    targets = [target_volume("neck", "PTV_Neck", fractions, dose, lesion_ids=lesions, **technique)]
    complete_course(builder, "RT-1", start_course(builder, "RT-1", "palliative", targets, index=True))


WEEKLY_CHEMOTHERAPY: list[dict[str, Any]] = [
    {"name": "carboplatin", "dose": 2, "unit": "AUC", "schedule": "weekly"},
    {"name": "paclitaxel", "dose": 50, "unit": "mg/m2", "schedule": "weekly"},
]
BRAF_DIRECTED_THERAPY: list[dict[str, Any]] = [
    {"name": "dabrafenib", "dose": 150, "unit": "mg", "schedule": "twice daily"},
    {"name": "trametinib", "dose": 2, "unit": "mg", "schedule": "daily"},
]
IMMUNOTHERAPY: list[dict[str, Any]] = [
    {"name": "pembrolizumab", "dose": 200, "unit": "mg", "schedule": "every 3 weeks"},
    {"name": "lenvatinib", "dose": 20, "unit": "mg", "schedule": "daily"},
]


def _add_line_start(
    builder: FactBuilder, line_id: str, setting: str, agents: list[dict[str, Any]], **members: Any
) -> None:
    builder.add_fact("systemic_therapy.started", "on", line_id=line_id, setting=setting, agents=agents, **members)


def _add_later_therapy(builder: FactBuilder, sites: list[str]) -> None:
    """Adds, at random, a tracheostomy, a further line, and palliative radiotherapy of a bone metastasis."""
    if builder.rng.random() < 0.15:
        builder.advance(5, 30)
        builder.add_fact("procedure.performed", "performed_on", kind="tracheostomy", body_site="neck")
    if builder.rng.random() < 0.5:
        builder.advance(14, 45)
        agents = BRAF_DIRECTED_THERAPY if _is_braf_mutated(builder) else IMMUNOTHERAPY
        _add_line_start(builder, "line-2", "palliative" if sites else "adjuvant", agents)
    if "bone" in sites:
        builder.advance(20, 60)
        bone = f"M{sites.index('bone') + 1}"
        technique = {"technique": "3D-CRT", "delivery": "hypofractionated", "lesion_ids": [bone]}
        targets = [target_volume("bone", "PTV_Bone", 10, 300, **technique)]
        complete_course(builder, "RT-2", start_course(builder, "RT-2", "palliative", targets, index=False))


def _is_braf_mutated(builder: FactBuilder) -> bool:
    baseline = next(fact["data"] for fact in builder.facts if fact["type"] == "participant.baseline_recorded")
    return bool(baseline["molecular_findings"][0]["result"] == "detected")
