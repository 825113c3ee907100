"""Coming into the study and leaving it, disease at the beginning, procedures."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.figures import spoken
from services.analytics.telling.words import Known, Tell, Told, amount, capital, listed, performance, place, some
from shared.contracts.enrollment import (
    BaselineRecorded,
    Consented,
    Enrolled,
    LesionRegistered,
    MolecularFinding,
    NotReported,
    ProcedurePerformed,
    Screened,
    ScreenFailed,
    Transferred,
    Withdrawn,
)
from shared.kernel.fact import Fact


def _screened(fact: Screened, _: Known) -> Told:
    answers = {
        words: [criterion for criterion, answer in fact.criteria.items() if answer == code]
        for code, words in (("not_met", "not met"), ("not_assessed", "not assessed"), ("waived", "waived"))
    }
    open_ones = [f"criteria {words}: {listed(named)}" for words, named in answers.items() if named]
    who = f"{spoken(fact.sex)}, born {fact.birth_year}"
    return Told("status", f"Screened at {fact.site_id}", detail=(who, *open_ones))


def _screen_failed(fact: ScreenFailed, _: Known) -> Told:
    return Told("status", "Screen failure", "Screen failure", (f"reason: {listed(fact.reason_codes)}",))


def _consented(fact: Consented, _: Known) -> Told:
    agreed = [spoken(name) for name, given in fact.options if given]
    return Told(
        "status", "Consent signed",
        detail=(f"consent form version {fact.form_version}", f"agreed to {listed(agreed) or 'none of the options'}"),
    )  # fmt: skip


def _enrolled(_: Enrolled, __: Known) -> Told:
    return Told("status", "Enrolled", "Enrolled")


def _baseline(fact: BaselineRecorded, _: Known) -> Told:
    tnm = [
        f"{name} not reported" if isinstance(said, NotReported) else said
        for name, said in (("T", fact.tnm.t), ("N", fact.tnm.n), ("M", fact.tnm.m))
    ]
    detail = some(
        f"diagnosed {fact.diagnosed_on}: histology {fact.histology}, primary site {fact.primary_site}",
        f"TNM, edition {fact.tnm.edition}: {', '.join(tnm)}",
        f"metastases in {listed(spoken(site) for site in fact.metastatic_sites)}" if fact.metastatic_sites else "",
        _molecular(fact.molecular_findings),
        listed((f"{spoken(each.symptom)} {each.severity}" for each in fact.symptoms), ", "),
    )
    return Told("status", f"Baseline assessment: {performance(fact.performance)}", detail=detail)


def _molecular(findings: tuple[MolecularFinding, ...] | NotReported) -> str:
    if isinstance(findings, NotReported):
        return "molecular findings not reported"
    return "; ".join(" ".join(some(each.gene, each.alteration or "", _result(each))) for each in findings)


def _result(finding: MolecularFinding) -> str:
    said = "not reported" if isinstance(finding.result, NotReported) else spoken(finding.result)
    return f"{said} (germline)" if finding.origin == "germline" else said


def _lesion(fact: LesionRegistered, _: Known) -> Told:
    size = (f"{amount(fact.size_mm)} mm",) if fact.size_mm else ()
    kind = {"primary": "Primary tumor"}.get(fact.kind, capital(fact.kind))
    return Told("status", f"{kind} {fact.lesion_id} found: {place(fact)}", fact.lesion_id, size)


def _procedure(fact: ProcedurePerformed, _: Known) -> Told:
    kind = capital(spoken(fact.kind))
    return Told("procedures", f"{kind}: {spoken(fact.body_site)}", kind)


def _withdrawn(fact: Withdrawn, _: Known) -> Told:
    return Told("status", f"Withdrew consent to {spoken(fact.scope)}", "Withdrawn")


def _transferred(fact: Transferred, _: Known) -> Told:
    return Told("status", f"Transferred to {fact.to_site}", f"To {fact.to_site}")


TELLS: Mapping[type[Fact], Tell] = {
    Screened: _screened,
    ScreenFailed: _screen_failed,
    Consented: _consented,
    Enrolled: _enrolled,
    BaselineRecorded: _baseline,
    LesionRegistered: _lesion,
    ProcedurePerformed: _procedure,
    Withdrawn: _withdrawn,
    Transferred: _transferred,
}
