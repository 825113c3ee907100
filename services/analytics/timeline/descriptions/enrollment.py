"""Descriptions of enrollment facts: screening to withdrawal of consent, disease at baseline, procedures. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.timeline.descriptions.context import (
    Describe,
    Description,
    DescriptionContext,
    describe_location,
    describe_performance,
)
from services.analytics.wording.phrasing import capitalize, format_number, humanize, join_words, non_empty
from shared.contracts.baseline import MolecularFinding, NotReported
from shared.contracts.enrollment import (
    BaselineRecorded,
    ConsentSigned,
    ConsentWithdrawn,
    LesionRegistered,
    ParticipantEnrolled,
    ParticipantScreened,
    ParticipantTransferred,
    ProcedurePerformed,
    ScreeningFailed,
)
from shared.kernel.fact import Fact


def _describe_screening(fact: ParticipantScreened, _: DescriptionContext) -> Description:
    """Returns the screening with the criteria that were not answered `met`.

    `not_met` says that a criterion stands in the way: one for inclusion is absent, or one for exclusion is present.
    """
    answer_words = {"not_met": "that stand in the way", "not_assessed": "not assessed", "waived": "waived"}
    answers = {
        words: [criterion for criterion, answer in fact.criteria.items() if answer == code]
        for code, words in answer_words.items()
    }
    unmet_criteria = [f"criteria {words}: {join_words(criteria)}" for words, criteria in answers.items() if criteria]
    demographics = f"{humanize(fact.sex)}, born {fact.birth_year}"
    return Description("status", f"Screened at {fact.site_id}", detail=(demographics, *unmet_criteria))


def _describe_screening_failure(fact: ScreeningFailed, _: DescriptionContext) -> Description:
    return Description("status", "Screen failure", "Screen failure", (f"reason: {join_words(fact.reason_codes)}",))


def _describe_consent(fact: ConsentSigned, _: DescriptionContext) -> Description:
    accepted_options = [humanize(name) for name, is_accepted in fact.options if is_accepted]
    return Description(
        "status",
        "Consent signed",
        detail=(
            f"consent form version {fact.form_version}",
            f"agreed to {join_words(accepted_options) or 'none of the options'}",
        ),
    )


def _describe_enrollment(_: ParticipantEnrolled, __: DescriptionContext) -> Description:
    return Description("status", "Enrolled", "Enrolled")


def _describe_baseline(fact: BaselineRecorded, _: DescriptionContext) -> Description:
    tnm = [
        f"{name} not reported" if isinstance(category, NotReported) else category
        for name, category in (("T", fact.tnm.t), ("N", fact.tnm.n), ("M", fact.tnm.m))
    ]
    detail = non_empty(
        f"diagnosed {fact.diagnosed_on}: histology {fact.histology}, primary site {fact.primary_site}",
        f"TNM, edition {fact.tnm.edition}: {', '.join(tnm)}",
        f"metastases in {join_words(humanize(site) for site in fact.metastatic_sites)}"
        if fact.metastatic_sites
        else "",
        _describe_molecular_findings(fact.molecular_findings),
        join_words((f"{humanize(symptom.symptom)} {symptom.severity}" for symptom in fact.symptoms), ", "),
    )
    return Description("status", f"Baseline assessment: {describe_performance(fact.performance)}", detail=detail)


def _describe_molecular_findings(findings: tuple[MolecularFinding, ...] | NotReported) -> str:
    if isinstance(findings, NotReported):
        return "molecular findings not reported"
    return "; ".join(
        " ".join(non_empty(finding.gene, finding.alteration or "", _describe_result(finding))) for finding in findings
    )


def _describe_result(finding: MolecularFinding) -> str:
    result = "not reported" if isinstance(finding.result, NotReported) else humanize(finding.result)
    return f"{result} (germline)" if finding.origin == "germline" else result


def _describe_lesion(fact: LesionRegistered, _: DescriptionContext) -> Description:
    size = (f"{format_number(fact.size_mm)} mm",) if fact.size_mm else ()
    kind = {"primary": "Primary tumor"}.get(fact.kind, capitalize(fact.kind))
    return Description("status", f"{kind} {fact.lesion_id} found: {describe_location(fact)}", fact.lesion_id, size)


def _describe_procedure(fact: ProcedurePerformed, _: DescriptionContext) -> Description:
    kind = capitalize(humanize(fact.kind))
    return Description("procedures", f"{kind}: {humanize(fact.body_site)}", kind)


def _describe_withdrawal(fact: ConsentWithdrawn, _: DescriptionContext) -> Description:
    return Description("status", f"Withdrew consent to {humanize(fact.scope)}", "Withdrawn")


def _describe_transfer(fact: ParticipantTransferred, _: DescriptionContext) -> Description:
    return Description("status", f"Transferred to {fact.to_site}", f"To {fact.to_site}")


DESCRIPTIONS: Mapping[type[Fact], Describe] = {
    ParticipantScreened: _describe_screening,
    ScreeningFailed: _describe_screening_failure,
    ConsentSigned: _describe_consent,
    ParticipantEnrolled: _describe_enrollment,
    BaselineRecorded: _describe_baseline,
    LesionRegistered: _describe_lesion,
    ProcedurePerformed: _describe_procedure,
    ConsentWithdrawn: _describe_withdrawal,
    ParticipantTransferred: _describe_transfer,
}
