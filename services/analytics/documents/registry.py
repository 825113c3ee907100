"""The documents of data cuts. A document is one line here; sealing, addresses, rights and links follow from it."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.cuts.changes_at_cut import make_changes_csv, make_changes_json
from services.analytics.datasets.archive import make_datasets
from services.analytics.documents.document import Document
from services.analytics.reports.report import make_report

_DOCUMENTS = (
    Document(name="report.pdf", title="Report", media_type="application/pdf", make=make_report, person_level=False),
    Document(
        name="cut-changes.json",
        title="Changes since the data cut before, as numbers",
        media_type="application/json",
        make=make_changes_json,
        person_level=True,
    ),
    Document(
        name="cut-changes.csv",
        title="Changes since the data cut before, as a table",
        media_type="text/csv; charset=utf-8",
        make=make_changes_csv,
        person_level=True,
    ),
    Document(
        name="datasets.zip",
        title="Data sets",
        media_type="application/zip",
        make=make_datasets,
        person_level=True,
        roles=frozenset({"investigator", "auditor", "coordinator", "site"}),
    ),
)
DOCUMENTS: Mapping[str, Document] = {document.name: document for document in _DOCUMENTS}
"""Every document by its name."""
