"""The rest of the reference cohort: 27 participants who never lived, and some who came no further than the door.

Their local references say so (`SYNTHETIC-01` …). None has stereotactic radiotherapy: with the four published cases
the cohort has 31 participants, 4 of them treated so, as the paper has. Nothing else about them is the paper's.
What follows radiotherapy is drawn from the tables of odds.py and terms.py, by a seed of its own, person by person.
"""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any, Literal

from infra.reference.chart import (
    Chart,
    Entry,
    break_off,
    consent,
    dated_up_to,
    end_course,
    enrol,
    lesions,
    operated,
    screen,
    start_course,
    target,
    withdraw,
    working_day,
)
from infra.reference.contacts import contacts, follow
from infra.reference.grading import Grader, grade
from infra.reference.outlook import foresee
from infra.reference.study import (
    CONSENT_VERSIONS,
    CRITERIA,
    FROZEN_TODAY,
    PROTOCOL,
    SITE,
    SITE_ID,
    SYMPTOMS,
    StatedFact,
)
from infra.reference.treated import Happening, Treated
from shared.protocol.protocol import FollowUp

Fate = Literal["curative", "palliative", "discontinued", "withdrawn"]
FATES: dict[Fate, int] = {"curative": 13, "palliative": 7, "discontinued": 3, "withdrawn": 2}
LATEST = [date(2025, 1, 17), date(2025, 1, 24)]
"""Screening days so late that on the study's today radiotherapy is under way at most."""
UNMET_OR_REFUSED = ["histology", "refused", "radiotherapy", "histology", "consent-capable", "refused"]
CONSENTED_ONLY = [date(2022, 5, 16), date(2024, 3, 11), date(2025, 1, 27)]

PLAN = FollowUp.model_validate(PROTOCOL["follow_up"])

AFTERWARDS = 899
"""A seed by which somebody is lost, somebody comes back, visits are missed, and a serious event happens, as in life."""

ACCRUAL_FROM, ACCRUAL_TO = date(2020, 12, 7), date(2024, 12, 20)
CURATIVE = [(33, 200, 170), (30, 200, 180), (35, 200, 160), (33, 212, 165), (32, 200, 170)]
"""Fractions, cGy per fraction to the high-dose level, and to the elective level."""
PALLIATIVE = [(13, 300), (13, 300), (13, 300), (10, 300), (20, 250)]


def participants(seed: int = 31) -> list[list[StatedFact]]:
    """The facts of each of the 27, in order of their screening; equal seeds give equal facts."""
    rng = Random(seed)
    fates = rng.sample(list(FATES), counts=list(FATES.values()), k=sum(FATES.values()))
    days = [*_spread(rng, len(fates)), *LATEST]
    return [
        _so_far(treat(Chart(rng, _entry(f"SYNTHETIC-{number:02}"), day), fate))
        for number, (day, fate) in enumerate(zip(days, [*fates, "curative", "curative"], strict=True), 1)
    ]


def afterwards(seed: int = AFTERWARDS) -> list[list[Happening]]:
    """What toxicity and followup are told of each of the 27, up to the study's today; equal seeds give equal facts."""
    return [_afterwards(Random(f"{seed}/{number}/afterwards"), facts) for number, facts in enumerate(participants(), 1)]


def _afterwards(rng: Random, facts: list[StatedFact]) -> list[Happening]:
    """Death comes no sooner than a week after the last that enrollment was told."""
    treated, by = Treated.of(facts), Grader("ctcae-3.0", SITE["time_zone"])
    if treated is None or treated.index is None:
        return [] if treated is None else _known_today(grade(rng, treated, None, [], by))
    outlook = foresee(rng, treated, treated.index.began, not_before=treated.last_on + timedelta(days=7))
    met = contacts(rng, treated, outlook, PLAN)
    return _known_today(follow(rng, treated, outlook, PLAN, met) + grade(rng, treated, outlook, met, by))


def _known_today(happenings: list[Happening]) -> list[Happening]:
    return [happening for happening in happenings if happening.day.isoformat() <= FROZEN_TODAY]


def not_enrolled(seed: int = 31) -> list[list[StatedFact]]:
    """People who were screened and not enrolled: six failed or refused, three consented and went no further."""
    rng = Random(seed)
    failed = [
        _so_far(fail(Chart(rng, _entry(f"SYNTHETIC-S{number:02}"), day), why))
        for number, (day, why) in enumerate(zip(_spread(rng, 6), UNMET_OR_REFUSED, strict=True), 1)
    ]
    waiting = [
        _so_far(only_consent(Chart(rng, _entry(f"SYNTHETIC-C{number:02}"), day)))
        for number, day in enumerate(CONSENTED_ONLY, 1)
    ]
    return failed + waiting


def _entry(local_reference: str) -> Entry:
    return Entry(SITE_ID, local_reference, [criterion["id"] for criterion in CRITERIA], CONSENT_VERSIONS, SYMPTOMS)


def _spread(rng: Random, number: int) -> list[date]:
    """One working day in each of `number` equal parts of the accrual."""
    part = (ACCRUAL_TO - ACCRUAL_FROM).days / number
    days = [ACCRUAL_FROM + timedelta(days=int(part * (place + rng.random()))) for place in range(number)]
    return [working_day(day, 1) for day in days]


def _so_far(chart: Chart) -> list[StatedFact]:
    return dated_up_to(chart.facts, FROZEN_TODAY)


def treat(chart: Chart, fate: Fate) -> Chart:
    """From the screening to the last line of therapy, as far as that fate lets it come."""
    screen(chart)
    palliative = fate == "palliative"
    sites = enrol(chart, chart.rng.choice(["IVC", "IVC", "IVC", "IVB"] if palliative else ["IVA", "IVB", "IVB", "IVC"]))
    chart.later(8, 16)
    if palliative:
        _palliative_course(chart)
    else:
        curative_course(chart, discontinued=fate == "discontinued")
    _later_therapy(chart, sites)
    if fate == "withdrawn":
        chart.later(60, 200)
        withdraw(chart)
    return chart


def fail(chart: Chart, why: str) -> Chart:
    """Screened and not eligible (`why` is the criterion), or not willing (`refused`)."""
    screen(chart, unmet=None if why == "refused" else why)
    chart.later(1, 7)
    chart.state("participant.screen_failed", "failed_on", reason_codes=[why])
    return chart


def only_consent(chart: Chart) -> Chart:
    screen(chart)
    chart.later(0, 2)
    consent(chart)
    return chart


def curative_course(chart: Chart, *, discontinued: bool = False) -> None:
    fractions, high, elective = chart.rng.choice(CURATIVE)
    technique = {"technique": chart.rng.choice(["VMAT", "VMAT", "IMRT"]), "delivery": "conventional"}
    treated = lesions(chart, "primary", "node")
    targets = [
        target("elective", "PTV_Low", fractions, elective, **technique),
        target("tumour", "PTV_High", fractions, high, lesion_ids=treated, boost_of="elective", **technique),
    ]
    end = start_course(chart, "RT-1", "adjuvant" if operated(chart) else "definitive", targets, index=True)
    concurrent = chart.rng.random() < 0.75
    if concurrent:
        _start_line(chart, "line-1", "concurrent", WEEKLY, planned_cycles=6)
    if discontinued:
        break_off(chart, "RT-1", targets, chart.rng.randint(6, fractions - 8))
    else:
        end_course(chart, "RT-1", end)
    if concurrent:
        cycles = chart.rng.randint(1, 3) if discontinued else chart.rng.randint(4, 6)
        chart.state(
            "systemic_therapy.stopped",
            "on",
            line_id="line-1",
            reason_code="toxicity" if discontinued else "completed",
            cycles_given=cycles,
        )


def _palliative_course(chart: Chart) -> None:
    fractions, dose = chart.rng.choice(PALLIATIVE)
    technique = {"technique": chart.rng.choice(["3D-CRT", "VMAT"]), "delivery": "hypofractionated"}
    treated = lesions(chart, "primary", "node")
    targets = [target("neck", "PTV_Neck", fractions, dose, lesion_ids=treated, **technique)]
    end_course(chart, "RT-1", start_course(chart, "RT-1", "palliative", targets, index=True))


WEEKLY: list[dict[str, Any]] = [
    {"name": "carboplatin", "dose": 2, "unit": "AUC", "schedule": "weekly"},
    {"name": "paclitaxel", "dose": 50, "unit": "mg/m2", "schedule": "weekly"},
]
BRAF_DIRECTED: list[dict[str, Any]] = [
    {"name": "dabrafenib", "dose": 150, "unit": "mg", "schedule": "twice daily"},
    {"name": "trametinib", "dose": 2, "unit": "mg", "schedule": "daily"},
]
IMMUNOTHERAPY: list[dict[str, Any]] = [
    {"name": "pembrolizumab", "dose": 200, "unit": "mg", "schedule": "every 3 weeks"},
    {"name": "lenvatinib", "dose": 20, "unit": "mg", "schedule": "daily"},
]


def _start_line(chart: Chart, line_id: str, setting: str, agents: list[dict[str, Any]], **members: Any) -> None:
    chart.state("systemic_therapy.started", "on", line_id=line_id, setting=setting, agents=agents, **members)


def _later_therapy(chart: Chart, sites: list[str]) -> None:
    """After the index course: perhaps a tracheostomy, a further line, palliative radiotherapy of a bone metastasis."""
    if chart.rng.random() < 0.15:
        chart.later(5, 30)
        chart.state("procedure.performed", "performed_on", kind="tracheostomy", body_site="neck")
    if chart.rng.random() < 0.5:
        chart.later(14, 45)
        agents = BRAF_DIRECTED if _braf_mutated(chart) else IMMUNOTHERAPY
        _start_line(chart, "line-2", "palliative" if sites else "adjuvant", agents)
    if "bone" in sites:
        chart.later(20, 60)
        bone = f"M{sites.index('bone') + 1}"
        technique = {"technique": "3D-CRT", "delivery": "hypofractionated", "lesion_ids": [bone]}
        targets = [target("bone", "PTV_Bone", 10, 300, **technique)]
        end_course(chart, "RT-2", start_course(chart, "RT-2", "palliative", targets, index=False))


def _braf_mutated(chart: Chart) -> bool:
    baseline = next(fact["data"] for fact in chart.facts if fact["type"] == "participant.baseline_recorded")
    return bool(baseline["molecular_findings"][0]["result"] == "detected")
