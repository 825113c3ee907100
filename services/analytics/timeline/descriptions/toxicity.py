"""Descriptions of adverse events with grade and attribution. Pure. A missing grade is never grade 0."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.timeline.answers import FactMembers, TimelineAttribution, TimelineFinding
from services.analytics.timeline.descriptions.context import Describe, Description, DescriptionContext
from services.analytics.wording.phrasing import count_noun, humanize, join_words, non_empty
from shared.contracts.toxicity import (
    Attribution,
    Finding,
    SeriousEventReported,
    SeriousEventResolved,
    SeriousEventUpdated,
    ToxicityAssessed,
)
from shared.kernel.fact import Fact
from shared.ui.forms.site_time import write_site_time

_MAX_TERMS_IN_TITLE = 2


def _describe_assessment(fact: ToxicityAssessed, context: DescriptionContext) -> Description:
    present_findings = [finding for finding in fact.findings if finding.grade != 0]
    worst_grade = max((finding.grade for finding in fact.findings if finding.grade is not None), default=None)
    worst_grade = 0 if worst_grade is None and not present_findings and fact.checklist_complete else worst_grade
    timing = non_empty(
        humanize(fact.timepoint.replace("rt", "radiotherapy")),
        f"visit {fact.visit}" if fact.visit else "",
        f"course {fact.course_id}" if fact.course_id else "",
        "" if fact.checklist_complete else "checklist incomplete",
    )
    detail = (", ".join(timing), *(_describe_finding(finding, context) for finding in fact.findings))
    findings = tuple(_finding_members(finding, context) for finding in fact.findings)
    return Description(
        "toxicity",
        _title(fact, present_findings, worst_grade, context),
        _label(present_findings, worst_grade, fact),
        detail,
        FactMembers(grade=worst_grade, findings=findings),
    )


def _title(
    fact: ToxicityAssessed, present_findings: list[Finding], worst_grade: int | None, context: DescriptionContext
) -> str:
    if not present_findings:
        return "No toxicity found" if fact.checklist_complete else "No toxicity found; checklist incomplete"
    if len(present_findings) <= _MAX_TERMS_IN_TITLE:
        labels = (f"{context.term_label(finding.term)} {format_grade(finding.grade)}" for finding in present_findings)
        return f"Toxicity: {join_words(labels)}"
    return f"Toxicity: {count_noun(len(present_findings), 'finding')}, worst {format_grade(worst_grade)}"


def _label(present_findings: list[Finding], worst_grade: int | None, fact: ToxicityAssessed) -> str:
    if not present_findings:
        return "0" if fact.checklist_complete else "?"
    return "?" if worst_grade is None else str(worst_grade)


def format_grade(grade: int | None) -> str:
    return "not graded" if grade is None else f"grade {grade}"


def _describe_finding(finding: Finding, context: DescriptionContext) -> str:
    causes = [f"{_describe_cause(cause)} {cause.level}" for cause in finding.attribution]
    attribution = f"attribution: {', '.join(causes)}" if causes else ""
    onset = f"onset {finding.onset_on}" if finding.onset_on else ""
    return "; ".join(
        non_empty(f"{context.term_label(finding.term)}: {format_grade(finding.grade)}", attribution, onset)
    )


def _describe_cause(attribution: Attribution) -> str:
    """Returns `SRS`, `line-1`, `disease` or `other causes`."""
    treatment = attribution.treatment
    return treatment[1] if treatment else {"other": "other causes"}.get(attribution.to, attribution.to)


def _finding_members(finding: Finding, context: DescriptionContext) -> TimelineFinding:
    return TimelineFinding(
        term=finding.term,
        name=context.term_names.get(finding.term),
        grade=finding.grade,
        attribution=tuple(TimelineAttribution(to=cause.to, level=cause.level) for cause in finding.attribution),
        onset_on=str(finding.onset_on) if finding.onset_on else None,
    )


FollowUpReport = SeriousEventUpdated | SeriousEventResolved


def _describe_serious_event(fact: SeriousEventReported, context: DescriptionContext) -> Description:
    term_and_grade = f"{context.term_label(fact.term)} {format_grade(fact.grade)}"
    detail = (
        _describe_seriousness(fact),
        f"site aware since {write_site_time(fact.aware_at, context.zone)}",
        f"outcome: {fact.outcome.lower()}",
    )
    members = FactMembers(serious_event_id=fact.serious_event_id, term=fact.term, grade=fact.grade)
    return Description(
        "toxicity",
        f"Serious adverse event {fact.serious_event_id}: {term_and_grade}",
        f"SAE {fact.grade}",
        detail,
        members,
    )


def _describe_follow_up_report(fact: FollowUpReport, context: DescriptionContext) -> Description:
    verb = "resolved" if isinstance(fact, SeriousEventResolved) else "updated"
    detail = non_empty(
        f"site aware since {write_site_time(fact.aware_at, context.zone)}",
        context.term_label(fact.term) if fact.term else "",
        format_grade(fact.grade) if fact.grade is not None else "",
        f"onset {fact.onset_on}" if fact.onset_on else "",
        _describe_seriousness(fact),
        f"outcome: {fact.outcome.lower()}" if fact.outcome else "",
    )
    title = f"Serious adverse event {fact.serious_event_id} {verb}"
    return Description("toxicity", title, detail=detail, members=FactMembers(serious_event_id=fact.serious_event_id))


def _describe_seriousness(fact: SeriousEventReported | FollowUpReport) -> str:
    return (
        f"seriousness: {join_words(humanize(criterion) for criterion in fact.seriousness)}" if fact.seriousness else ""
    )


DESCRIPTIONS: Mapping[type[Fact], Describe] = {
    ToxicityAssessed: _describe_assessment,
    SeriousEventReported: _describe_serious_event,
    SeriousEventUpdated: _describe_follow_up_report,
    SeriousEventResolved: _describe_follow_up_report,
}
