"""How a made-up participant's facts are put together: a chart is written from the screening on, day by day.

Pure: everything drawn comes from the `random.Random` that is handed in, so equal seeds give equal charts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, Literal

from infra.reference.study import StatedFact

Stage = Literal["IVA", "IVB", "IVC"]
SATURDAY = 5

TNM: dict[Stage, list[tuple[str, str]]] = {
    "IVA": [("cT2", "cN0"), ("pT2", "pN0"), ("pT3a", "pN0"), ("cT3a", "cN0")],
    "IVB": [("cT4a", "cN1b"), ("pT4a", "pN1b"), ("cT4b", "cN0"), ("cT4b", "cN1b"), ("pT3b", "pN1a")],
    "IVC": [("cT4a", "cN1b"), ("cT4b", "cN1b"), ("cT4b", "cN1a"), ("cT3b", "cN0")],
}
METASTASES = ["lung", "lung", "lung", "bone", "liver", "adrenal", "brain"]
SEVERITIES = ["mild", "moderate", "severe"]


@dataclass(frozen=True)
class Entry:
    """What a study asks at the door: its criteria, its consent forms (first to last), the symptoms it follows."""

    site_id: str
    local_reference: str
    criteria: Sequence[str]
    forms: Sequence[dict[str, str]]
    symptoms: Sequence[str]

    def form(self, day: date) -> str:
        """The form that is valid on that day."""
        return [form["version"] for form in self.forms if form["valid_from"] <= day.isoformat()][-1]


@dataclass
class Chart:
    """One participant's facts; `day` is the day that the chart has come to."""

    rng: Random
    entry: Entry
    day: date
    facts: list[StatedFact] = field(default_factory=list)

    def state(self, type_name: str, dated: str, on: date | None = None, /, **data: Any) -> None:
        """Add a fact that is dated `on` (today of the chart, if not said) in its member `dated`."""
        self.facts.append({"type": type_name, "data": {dated: (on or self.day).isoformat(), **data}})

    def later(self, fewest: int, most: int) -> date:
        self.day += timedelta(days=self.rng.randint(fewest, most))
        return self.day

    def next_working_day(self) -> date:
        self.day = working_day(self.day, 1)
        return self.day


def working_day(start: date, number: int) -> date:
    """The `number`-th working day from `start` on, which counts as the first if it is one. Holidays are worked."""
    day = start
    while True:
        number -= day.weekday() < SATURDAY
        if not number:
            return day
        day += timedelta(days=1)


def screen(chart: Chart, *, unmet: str | None = None) -> None:
    """Somebody of the age at which this cancer occurs: about 70, seldom below 50."""
    age = min(91, max(44, round(chart.rng.gauss(70, 9))))
    chart.state(
        "participant.screened",
        "screened_on",
        site_id=chart.entry.site_id,
        sex=chart.rng.choice(["female", "female", "female", "male", "male"]),
        birth_year=chart.day.year - age,
        criteria={criterion: "not_met" if criterion == unmet else "met" for criterion in chart.entry.criteria},
        local_reference=chart.entry.local_reference,
    )


def consent(chart: Chart) -> None:
    options = {"data_use": True, "registry": chart.rng.random() < 0.8, "recontact": chart.rng.random() < 0.5}
    chart.state("participant.consented", "signed_on", form_version=chart.entry.form(chart.day), options=options)


def enrol(chart: Chart, stage: Stage) -> list[str]:
    """Consent, enrolment, baseline and the known lesions; returns the sites of distant metastases."""
    diagnosed = chart.day - timedelta(days=chart.rng.randint(5, 25))
    chart.later(0, 3)
    consent(chart)
    chart.later(0, 4)
    chart.state("participant.enrolled", "enrolled_on")
    sites = list(dict.fromkeys(chart.rng.choices(METASTASES, k=chart.rng.randint(1, 3)))) if stage == "IVC" else []
    t, n = chart.rng.choice(TNM[stage])
    chart.state(
        "participant.baseline_recorded",
        "assessed_on",
        diagnosed_on=diagnosed.isoformat(),
        histology=chart.rng.choice(["8021/3", "8021/3", "8020/3"]),
        primary_site="C73",
        tnm={"t": t, "n": n, "m": "cM1" if sites else "cM0", "edition": "8"},
        performance={"scale": "KPS", "value": chart.rng.choice([60, 70, 70, 80, 80, 80, 90, 90, 100])},
        metastatic_sites=sites,
        molecular_findings=_molecular(chart.rng),
        symptoms=_symptoms(chart),
    )
    _find(chart, diagnosed, t, n, sites)
    return sites


def _molecular(rng: Random) -> list[dict[str, str]]:
    if rng.random() < 0.1:
        return [{"gene": "BRAF", "alteration": "V600E", "origin": "tumour", "result": "not_tested"}]
    braf = "detected" if rng.random() < 0.35 else "not_detected"
    findings = [{"gene": "BRAF", "alteration": "V600E", "origin": "tumour", "result": braf}]
    if rng.random() < 0.5:
        findings.append({"gene": "TP53", "origin": "tumour", "result": "pathogenic"})
    return findings


def _symptoms(chart: Chart) -> list[dict[str, str]]:
    named = chart.rng.sample(list(chart.entry.symptoms), k=chart.rng.randint(1, 3))
    return [{"symptom": symptom, "severity": chart.rng.choice(SEVERITIES)} for symptom in named]


def _find(chart: Chart, diagnosed: date, t: str, n: str, sites: list[str]) -> None:
    size = chart.rng.randint(25, 95)
    kind = "thyroidectomy" if t.startswith("p") else "biopsy"
    chart.state("procedure.performed", "performed_on", diagnosed, kind=kind, body_site="thyroid")
    found: list[dict[str, Any]] = [{"lesion_id": "T", "kind": "primary", "body_site": "thyroid", "size_mm": size}]
    if "N1" in n:
        found.append({"lesion_id": "N", "kind": "node", "body_site": "neck"})
    for number, site in enumerate(sites, 1):
        found.append({"lesion_id": f"M{number}", "kind": "metastasis", "body_site": site})
    for lesion in found:
        chart.state("lesion.registered", "found_on", diagnosed, **lesion)


def operated(chart: Chart) -> bool:
    return any(fact["data"].get("kind") == "thyroidectomy" for fact in chart.facts)


def lesions(chart: Chart, *kinds: str) -> list[str]:
    """Ids of the lesions of these kinds that the chart holds."""
    registered = [fact["data"] for fact in chart.facts if fact["type"] == "lesion.registered"]
    return [lesion["lesion_id"] for lesion in registered if lesion["kind"] in kinds]


def target(target_id: str, label: str, fractions: int, dose_cgy: int, **members: Any) -> dict[str, Any]:
    """A volume with `fractions` times `dose_cgy` prescribed to it, by photons if not said otherwise."""
    prescribed = {"fractions": fractions, "dose_per_fraction_cgy": dose_cgy, "total_dose_cgy": fractions * dose_cgy}
    return {"target_id": target_id, "label": label, "modality": "photons", **prescribed, **members}


def start_course(chart: Chart, course_id: str, intent: str, targets: list[dict[str, Any]], *, index: bool) -> date:
    """Begin on the next working day; returns the day of the last fraction as planned."""
    started = chart.next_working_day()
    chart.state("radiotherapy.started", "started_on", course_id=course_id, intent=intent, index=index, targets=targets)
    return working_day(started, targets[0]["fractions"])


def end_course(chart: Chart, course_id: str, ended: date) -> None:
    chart.day = ended
    chart.state("radiotherapy.completed", "ended_on", course_id=course_id)


def break_off(chart: Chart, course_id: str, targets: list[dict[str, Any]], given: int) -> None:
    """The course ends after `given` fractions to each target."""
    chart.day = working_day(chart.day, given)
    delivered = [_delivered(each, given) for each in targets]
    reason = chart.rng.choice(["toxicity", "progression", "intercurrent_illness"])
    chart.state("radiotherapy.discontinued", "ended_on", course_id=course_id, delivered=delivered, reason_code=reason)


def break_off_at_death(chart: Chart, died_on: date) -> None:
    """Nothing later is in the chart; a course that was under way ends that day, with the fractions given by then."""
    chart.facts = dated_up_to(chart.facts, died_on.isoformat())
    courses = {fact["data"]["course_id"] for fact in chart.facts if fact["type"] in COURSE_ENDS}
    for fact in [fact for fact in chart.facts if fact["type"] == "radiotherapy.started"]:
        if (course_id := fact["data"]["course_id"]) not in courses:
            days = (date.fromisoformat(day_of(fact)) + timedelta(days=n) for n in range(_days_until(fact, died_on)))
            given = sum(day.weekday() < SATURDAY for day in days)
            delivered = [_delivered(each, given) for each in fact["data"]["targets"]]
            ended: dict[str, Any] = {"course_id": course_id, "delivered": delivered, "reason_code": "death"}
            chart.state("radiotherapy.discontinued", "ended_on", died_on, **ended)


COURSE_ENDS = ("radiotherapy.completed", "radiotherapy.discontinued")


def _days_until(fact: StatedFact, day: date) -> int:
    return (day - date.fromisoformat(day_of(fact))).days


def _delivered(volume: dict[str, Any], given: int) -> dict[str, Any]:
    fractions = min(given, volume["fractions"])
    dose = fractions * volume["dose_per_fraction_cgy"]
    return {"target_id": volume["target_id"], "fractions": fractions, "dose_cgy": dose}


def withdraw(chart: Chart) -> None:
    """Follow-up consent is taken back; nothing later is in the chart."""
    until = chart.day.isoformat()
    chart.facts = dated_up_to(chart.facts, until)
    chart.state("participant.withdrawn", "withdrawn_on", scope="follow_up")


DATED = (
    "screened_on", "failed_on", "signed_on", "enrolled_on", "assessed_on", "withdrawn_on", "found_on", "performed_on",
    "started_on", "ended_on", "on",
)  # fmt: skip


def day_of(fact: StatedFact) -> str:
    """The clinical date of an enrollment fact."""
    return next(str(fact["data"][member]) for member in DATED if member in fact["data"])


def dated_up_to(facts: list[StatedFact], last: str) -> list[StatedFact]:
    return [fact for fact in facts if day_of(fact) <= last]
