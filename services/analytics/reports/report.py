"""The report of a data cut as PDF: a document that is kept with the cut. Pure."""

from __future__ import annotations

from services.analytics.cuts.sealed_study import SealedStudy
from services.analytics.reports.content import build_report
from services.analytics.reports.typesetting import typeset
from services.analytics.snapshot.seals import SealScope


def make_report(study: SealedStudy, scope: SealScope) -> bytes:
    """Returns the report of a scope. It depends on what was sealed, and on no clock, zone, locale or folder."""
    content = build_report(study, scope).model_dump(mode="json")
    return typeset("report.typ", content, study.cut.recorded_at)
