"""Builds the enrollment facts of a synthetic participant, day by day from the screening on.

Pure: every random value comes from the given `random.Random`, so equal seeds give equal facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, Literal

from infra.reference.study import ReferenceFact

Stage = Literal["IVA", "IVB", "IVC"]
SATURDAY = 5

TNM_BY_STAGE: dict[Stage, list[tuple[str, str]]] = {
    "IVA": [("cT2", "cN0"), ("pT2", "pN0"), ("pT3a", "pN0"), ("cT3a", "cN0")],
    "IVB": [("cT4a", "cN1b"), ("pT4a", "pN1b"), ("cT4b", "cN0"), ("cT4b", "cN1b"), ("pT3b", "pN1a")],
    "IVC": [("cT4a", "cN1b"), ("cT4b", "cN1b"), ("cT4b", "cN1a"), ("cT3b", "cN0")],
}
METASTASIS_SITES = ["lung", "lung", "lung", "bone", "liver", "adrenal", "brain"]
SEVERITIES = ["mild", "moderate", "severe"]


@dataclass(frozen=True)
class ScreeningSetup:
    """The requirements of a study at screening: criteria, consent forms (first to last), symptoms to assess."""

    site_id: str
    local_reference: str
    criteria: Sequence[str]
    consent_versions: Sequence[dict[str, str]]
    symptoms: Sequence[str]

    def consent_version_on(self, day: date) -> str:
        """Returns the version of the consent form that is valid on that day."""
        return [form["version"] for form in self.consent_versions if form["valid_from"] <= day.isoformat()][-1]


@dataclass
class FactBuilder:
    """The facts of one participant so far; `day` is the current day."""

    rng: Random
    setup: ScreeningSetup
    day: date
    facts: list[ReferenceFact] = field(default_factory=list)

    def add_fact(self, type_name: str, date_member: str, on: date | None = None, /, **data: Any) -> None:
        """Adds a fact whose member `date_member` is `on`, or the current day."""
        self.facts.append({"type": type_name, "data": {date_member: (on or self.day).isoformat(), **data}})

    def advance(self, min_days: int, max_days: int) -> date:
        self.day += timedelta(days=self.rng.randint(min_days, max_days))
        return self.day

    def advance_to_working_day(self) -> date:
        self.day = working_day(self.day, 1)
        return self.day


def working_day(start: date, number: int) -> date:
    """Returns the `number`-th working day from `start` on, which counts if it is one. Holidays are ignored."""
    day = start
    while True:
        number -= day.weekday() < SATURDAY
        if not number:
            return day
        day += timedelta(days=1)


def add_screening(builder: FactBuilder, *, unmet: str | None = None) -> None:
    """Adds the screening of a participant at the usual age of this cancer: about 70, seldom below 50."""
    age = min(91, max(44, round(builder.rng.gauss(70, 9))))
    builder.add_fact(
        "participant.screened",
        "screened_on",
        site_id=builder.setup.site_id,
        sex=builder.rng.choice(["female", "female", "female", "male", "male"]),
        birth_year=builder.day.year - age,
        criteria={criterion: "not_met" if criterion == unmet else "met" for criterion in builder.setup.criteria},
        local_reference=builder.setup.local_reference,
    )


def add_consent(builder: FactBuilder) -> None:
    options = {"data_use": True, "registry": builder.rng.random() < 0.8, "recontact": builder.rng.random() < 0.5}
    builder.add_fact(
        "participant.consented",
        "signed_on",
        form_version=builder.setup.consent_version_on(builder.day),
        options=options,
    )


def add_enrollment(builder: FactBuilder, stage: Stage) -> list[str]:
    """Adds consent, enrollment, baseline and known lesions; returns the sites of distant metastases."""
    diagnosed = builder.day - timedelta(days=builder.rng.randint(5, 25))
    builder.advance(0, 3)
    add_consent(builder)
    builder.advance(0, 4)
    builder.add_fact("participant.enrolled", "enrolled_on")
    sites = (
        list(dict.fromkeys(builder.rng.choices(METASTASIS_SITES, k=builder.rng.randint(1, 3))))
        if stage == "IVC"
        else []
    )
    t, n = builder.rng.choice(TNM_BY_STAGE[stage])
    builder.add_fact(
        "participant.baseline_recorded",
        "assessed_on",
        diagnosed_on=diagnosed.isoformat(),
        histology=builder.rng.choice(["8021/3", "8021/3", "8020/3"]),
        primary_site="C73",
        tnm={"t": t, "n": n, "m": "cM1" if sites else "cM0", "edition": "8"},
        performance={"scale": "KPS", "value": builder.rng.choice([60, 70, 70, 80, 80, 80, 90, 90, 100])},
        metastatic_sites=sites,
        molecular_findings=_draw_molecular_findings(builder.rng),
        symptoms=_draw_symptoms(builder),
    )
    _add_known_lesions(builder, diagnosed, t, n, sites)
    return sites


def _draw_molecular_findings(rng: Random) -> list[dict[str, str]]:
    if rng.random() < 0.1:
        return [{"gene": "BRAF", "alteration": "V600E", "origin": "tumour", "result": "not_tested"}]
    braf = "detected" if rng.random() < 0.35 else "not_detected"
    findings = [{"gene": "BRAF", "alteration": "V600E", "origin": "tumour", "result": braf}]
    if rng.random() < 0.5:
        findings.append({"gene": "TP53", "origin": "tumour", "result": "pathogenic"})
    return findings


def _draw_symptoms(builder: FactBuilder) -> list[dict[str, str]]:
    symptoms = builder.rng.sample(list(builder.setup.symptoms), k=builder.rng.randint(1, 3))
    return [{"symptom": symptom, "severity": builder.rng.choice(SEVERITIES)} for symptom in symptoms]


def _add_known_lesions(builder: FactBuilder, diagnosed: date, t: str, n: str, sites: list[str]) -> None:
    size = builder.rng.randint(25, 95)
    kind = "thyroidectomy" if t.startswith("p") else "biopsy"
    builder.add_fact("procedure.performed", "performed_on", diagnosed, kind=kind, body_site="thyroid")
    lesions: list[dict[str, Any]] = [{"lesion_id": "T", "kind": "primary", "body_site": "thyroid", "size_mm": size}]
    if "N1" in n:
        lesions.append({"lesion_id": "N", "kind": "node", "body_site": "neck"})
    for number, site in enumerate(sites, 1):
        lesions.append({"lesion_id": f"M{number}", "kind": "metastasis", "body_site": site})
    for lesion in lesions:
        builder.add_fact("lesion.registered", "found_on", diagnosed, **lesion)


def had_thyroidectomy(builder: FactBuilder) -> bool:
    return any(fact["data"].get("kind") == "thyroidectomy" for fact in builder.facts)


def lesion_ids_of_kinds(builder: FactBuilder, *kinds: str) -> list[str]:
    """Returns the ids of registered lesions of these kinds."""
    registered = [fact["data"] for fact in builder.facts if fact["type"] == "lesion.registered"]
    return [lesion["lesion_id"] for lesion in registered if lesion["kind"] in kinds]


def target_volume(target_id: str, label: str, fractions: int, dose_cgy: int, **members: Any) -> dict[str, Any]:
    """Returns a target with a prescription of `fractions` times `dose_cgy`, by photons unless `members` differ."""
    prescription = {"fractions": fractions, "dose_per_fraction_cgy": dose_cgy, "total_dose_cgy": fractions * dose_cgy}
    return {"target_id": target_id, "label": label, "modality": "photons", **prescription, **members}


def start_course(
    builder: FactBuilder, course_id: str, intent: str, targets: list[dict[str, Any]], *, index: bool
) -> date:
    """Starts a course on the next working day; returns the planned day of the last fraction."""
    started = builder.advance_to_working_day()
    builder.add_fact(
        "radiotherapy.started", "started_on", course_id=course_id, intent=intent, index=index, targets=targets
    )
    return working_day(started, targets[0]["fractions"])


def complete_course(builder: FactBuilder, course_id: str, ended: date) -> None:
    builder.day = ended
    builder.add_fact("radiotherapy.completed", "ended_on", course_id=course_id)


def discontinue_course(
    builder: FactBuilder, course_id: str, targets: list[dict[str, Any]], fraction_count: int
) -> None:
    """Ends the course after `fraction_count` fractions to each target."""
    builder.day = working_day(builder.day, fraction_count)
    delivered = [_delivered_dose(target, fraction_count) for target in targets]
    reason = builder.rng.choice(["toxicity", "progression", "intercurrent_illness"])
    builder.add_fact(
        "radiotherapy.discontinued", "ended_on", course_id=course_id, delivered=delivered, reason_code=reason
    )


def end_at_death(builder: FactBuilder, died_on: date) -> None:
    """Drops later facts; ends a running course on the day of death, with the fractions given by then."""
    builder.facts = facts_dated_until(builder.facts, died_on.isoformat())
    ended_courses = {fact["data"]["course_id"] for fact in builder.facts if fact["type"] in COURSE_ENDS}
    for fact in [fact for fact in builder.facts if fact["type"] == "radiotherapy.started"]:
        if (course_id := fact["data"]["course_id"]) not in ended_courses:
            days = (
                date.fromisoformat(clinical_date(fact)) + timedelta(days=n) for n in range(_days_before(fact, died_on))
            )
            fraction_count = sum(day.weekday() < SATURDAY for day in days)
            delivered = [_delivered_dose(target, fraction_count) for target in fact["data"]["targets"]]
            end_data: dict[str, Any] = {"course_id": course_id, "delivered": delivered, "reason_code": "death"}
            builder.add_fact("radiotherapy.discontinued", "ended_on", died_on, **end_data)


COURSE_ENDS = ("radiotherapy.completed", "radiotherapy.discontinued")


def _days_before(fact: ReferenceFact, day: date) -> int:
    return (day - date.fromisoformat(clinical_date(fact))).days


def _delivered_dose(volume: dict[str, Any], fraction_count: int) -> dict[str, Any]:
    fractions = min(fraction_count, volume["fractions"])
    dose = fractions * volume["dose_per_fraction_cgy"]
    return {"target_id": volume["target_id"], "fractions": fractions, "dose_cgy": dose}


def add_withdrawal(builder: FactBuilder) -> None:
    """Withdraws consent to follow-up, and drops later facts."""
    until = builder.day.isoformat()
    builder.facts = facts_dated_until(builder.facts, until)
    builder.add_fact("participant.withdrawn", "withdrawn_on", scope="follow_up")


DATE_MEMBERS = (
    "screened_on",
    "failed_on",
    "signed_on",
    "enrolled_on",
    "assessed_on",
    "withdrawn_on",
    "found_on",
    "performed_on",
    "started_on",
    "ended_on",
    "on",
)


def clinical_date(fact: ReferenceFact) -> str:
    """Returns the clinical date of an enrollment fact."""
    return next(str(fact["data"][member]) for member in DATE_MEMBERS if member in fact["data"])


def facts_dated_until(facts: list[ReferenceFact], last: str) -> list[ReferenceFact]:
    return [fact for fact in facts if clinical_date(fact) <= last]
