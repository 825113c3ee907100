"""The `.json` answers of figures that tests draw, and what a drawing says."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Any

from services.analytics.figures.figure import Figure, FigureAnswer, FigureContext
from services.analytics.figures.filters import FigureFilters
from services.analytics.figures.registry import FIGURES
from services.analytics.snapshot.selection import Selection
from services.analytics.snapshot.snapshot import StudySnapshot
from shared.testing.builders import facts
from tests.svg import parse_svg
from tests.unit.analytics.support import ENROLLED, SCREENED, TODAY, single_fraction, snapshot_of

SVG = "{http://www.w3.org/2000/svg}"
COMMON: dict[str, Any] = {
    "study_id": "atc-rt",
    "position": 412,
    "recorded_at": "2026-11-23T18:40:12.5+01:00",
    "cut": "2025-01-31",
    "parameters": {"subset": "all", "by": None},
    "imputed_dates": 3,
    "left_out": 1,
}
FLOW_COUNTS = (
    "screened",
    "screen_failed",
    "screen_failed_after_consent",
    "consented",
    "enrolled",
    "treated",
    "stereotactic",
    "in_follow_up",
    "awaiting_treatment",
    "completed",
    "died",
    "withdrawn",
    "lost",
)
OPTIONAL_TARGET_COLUMNS = (
    "prescription_isodose_percent",
    "boost_of",
    "bed_10",
    "bed_3",
    "eqd2_10",
    "eqd2_3",
    "fractions_delivered",
    "dose_delivered_gy",
)


def figure_of(answer: dict[str, Any]) -> Figure:
    """Returns the figure whose numbers a `.json` answer has."""
    return FIGURES[answer["figure"]].model_validate(answer)


def context_of(answer: dict[str, Any]) -> FigureContext:
    return FigureContext(
        study_id=answer["study_id"],
        position=answer["position"],
        recorded_at=datetime.fromisoformat(answer["recorded_at"]),
        cut_date=date.fromisoformat(answer["cut"]),
        filters=FigureFilters.model_validate(answer["parameters"]),
    )


def answer_of(answer: dict[str, Any]) -> FigureAnswer:
    return FigureAnswer(figure=figure_of(answer), context=context_of(answer))


def caption_of(answer: dict[str, Any]) -> str:
    return figure_of(answer).caption(context_of(answer))


def flow(**changed: Any) -> dict[str, Any]:
    counts = dict(zip(FLOW_COUNTS, (38, 5, 1, 33, 31, 28, 4, 9, 2, 3, 14, 2, 1), strict=True))
    shares = {"stereotactic_percent": 12.9, "stereotactic_interval": [3.6, 29.8]}
    return {"figure": "flow", **COMMON, **counts, **shares, **changed}


def empty_flow() -> dict[str, Any]:
    return flow(**dict.fromkeys(FLOW_COUNTS, 0), stereotactic_percent=None, stereotactic_interval=None)


def accrual(**changed: Any) -> dict[str, Any]:
    curve = [{"on": "2024-01-01", "cumulative": 1}, {"on": "2024-07-01", "cumulative": 3}]
    groups = [{"name": "all", "enrolled": 3, "curve": curve}]
    target = {"participants": 10, "by": "2025-12-31"}
    return {"figure": "accrual", **COMMON, "target": target, "groups": groups, **changed}


def accrual_by_site() -> dict[str, Any]:
    first_group = {"name": "one", "enrolled": 1, "curve": [{"on": "2024-01-01", "cumulative": 1}]}
    second_group = {"name": "two", "enrolled": 2, "curve": [{"on": "2024-07-01", "cumulative": 2}]}
    return accrual(
        groups=[first_group, second_group, {"name": "three", "enrolled": 0, "curve": []}], parameters={"by": "site"}
    )


def target(participant: str, delivery: str, fractions: int, dose: float, **changed: Any) -> dict[str, Any]:
    doses = {"fractions": fractions, "dose_per_fraction_gy": dose, "total_dose_gy": round(fractions * dose, 2)}
    ids = {"participant_id": participant, "site_id": "one", "course_id": "A", "target_id": "1", "index": True}
    coded = {"intent": "curative", "label": "PTV", "modality": "photons", "technique": "VMAT", "delivery": delivery}
    empty = dict.fromkeys((*OPTIONAL_TARGET_COLUMNS, "ended_on"))
    return {**ids, **coded, **doses, **empty, "started_on": "2024-03", **changed}


def treatments(*targets: dict[str, Any], first: int = 1, total: int | None = None) -> dict[str, Any]:
    """Returns the answer with these targets, which are all or, with `total`, those of a page."""
    return {
        "figure": "treatments",
        **COMMON,
        "page": {"first": first, "rows": len(targets), "total": total or len(targets)},
        "next": None,
        "targets": list(targets),
        "participants": len({target["participant_id"] for target in targets}),
        "deliveries": [
            delivery_count(kind, [target for target in targets if target["delivery"] == kind])
            for kind in sorted({target["delivery"] for target in targets})
        ],
    }


def delivery_count(delivery: str, targets: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("fractions", "dose_per_fraction_gy", "total_dose_gy", "index")
    fractionations = Counter(tuple(target[name] for name in names) for target in targets)
    return {
        "delivery": delivery,
        "participants": len({target["participant_id"] for target in targets}),
        "targets": len(targets),
        "fractionations": [
            {**dict(zip(names, values, strict=True)), "targets": count} for values, count in fractionations.items()
        ],
    }


def example_treatments() -> dict[str, Any]:
    return treatments(
        target("P1", "conventional", 33, 2.12),
        target("P2", "conventional", 33, 1.65),
        target("P1", "SRS", 1, 18, index=False),
    )


def adherence_group(name: str, *numbers: int) -> dict[str, Any]:
    """Returns the group of a figure with as many done, late, unreported and inapplicable visits of each number."""
    states = dict(zip(("done", "done_late", "not_reported", "not_applicable"), numbers, strict=True))
    counts = {"expected": sum(numbers[:3]), **states}
    shares = {"reported_percent": 80.0, "in_window_percent": 60.0}
    return {"name": name, "participants": 9, **counts, **shares, "visits": [{"number": 1, **counts}]}


def visit_adherence(*groups: dict[str, Any], by: str | None = None) -> dict[str, Any]:
    return {"figure": "visit-adherence", **COMMON, "groups": list(groups), "parameters": {"by": by}}


EXAMPLE_ANSWERS = [
    flow(),
    empty_flow(),
    accrual(),
    accrual(target=None),
    accrual(groups=[]),
    accrual_by_site(),
    example_treatments(),
    treatments(),
    visit_adherence(adherence_group("all", 6, 2, 2, 5)),
    visit_adherence(adherence_group("one", 6, 2, 2, 5), adherence_group("two", 0, 0, 0, 4), by="site"),
]


def example_cohort() -> StudySnapshot:
    lesion, course = facts.lesion_registered("M"), facts.radiotherapy_started(0, "RT1", single_fraction("SRS", "M"))
    return snapshot_of(
        {
            "p": [SCREENED, ENROLLED, lesion, course, facts.radiotherapy_completed("2024-03-01")],
            "q": [
                facts.participant_screened("2024-03", site_id="milan", sex="male"),
                facts.participant_enrolled("2024-04"),
                facts.radiotherapy_started(),
            ],
            "excluded": [SCREENED, ENROLLED],
        },
        excluded=["excluded"],
    )


def registry_answers() -> list[dict[str, Any]]:
    """Computes each figure of the registry, whole and by each division, for an empty cohort and the example."""
    return [
        {
            "figure": name,
            **COMMON,
            **figure.compute(cohort, Selection(TODAY, by=division)).to_json(),
            "parameters": {"by": division},
        }
        for cohort in (snapshot_of({}), example_cohort())
        for name, figure in FIGURES.items()
        for division in (None, *figure.STRATIFICATIONS)
    ]


def render_svg(figure: dict[str, Any]) -> str:
    return figure_of(figure).draw(context_of(figure))


def svg_texts(figure: dict[str, Any]) -> list[str]:
    return [element.text or "" for element in parse_svg(render_svg(figure)).iter(f"{SVG}text")]
