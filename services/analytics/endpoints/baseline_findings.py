"""Findings at baseline of which a participant has several: metastatic sites, genes that were tested, symptoms. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

import numpy as np

from services.analytics.cohort.stage import NOT_REPORTED
from services.analytics.endpoints.enrolled import Characteristic, EnrolledRows, MissingReason, in_order
from services.analytics.snapshot.columns import Column
from services.analytics.snapshot.snapshot import Mask
from services.analytics.snapshot.subject_days import days_of_kind
from shared.contracts.baseline import MetastasisSite
from shared.gate.study_timeline import protocol_on

SEVERITIES = ("none", "mild", "moderate", "severe", *map(str, range(1, 11)))
"""Severities of a symptom, in words or from 1 to 10; the number 0 is `none`."""
ABSENT = "none"
_MOST_SITES = 3
_ALTERED, _NOT_ALTERED = "altered", "not_altered"
_MOLECULAR_RESULTS: Mapping[str, str] = {
    "pathogenic": _ALTERED,
    "likely_pathogenic": _ALTERED,
    "detected": _ALTERED,
    "vus": "uncertain_significance",
    "not_detected": _NOT_ALTERED,
    "failed": "test_failed",
    "not_tested": "not_tested",
    NOT_REPORTED: NOT_REPORTED,
}
_MOLECULAR_ORDER = tuple(dict.fromkeys(_MOLECULAR_RESULTS.values()))
"""The results by precedence: the first one counts of several results of one gene."""
_MOLECULAR_REASONS: tuple[MissingReason, ...] = ("uncertain_significance", "test_failed", "not_tested")


def metastatic_sites(rows: EnrolledRows) -> Iterator[Characteristic]:
    """Yields the organs with metastases, and their number.

    A baseline without any says that there are none if it has M0; with M1, or without M, they are not reported.
    """
    days = days_of_kind(rows.snapshot, "metastatic_site", rows.cut)
    subjects = rows.snapshot.subject_indexes(days)
    numbers = np.bincount(subjects, minlength=len(rows.counted)).astype(np.int64)
    without = [rows.code(category) for category in ("M0", "cM0")]
    is_stated = (numbers > 0) | np.isin(rows.column("m"), without)
    missing: dict[MissingReason, Mask] = {
        "no_baseline": ~rows.has_baseline,
        "not_reported": rows.has_baseline & ~is_stated,
    }
    chosen = rows.has_baseline[subjects]
    sites = {
        rows.word(code): rows.with_rows(subjects[chosen & (days["code"] == code)])
        for code in np.unique(days["code"][chosen])
    }
    yield Characteristic("metastatic_sites", missing, in_order(sites, get_args(MetastasisSite)), is_multiple=True)
    values = {str(number): numbers == number for number in range(_MOST_SITES)}
    values[f"{_MOST_SITES} or more"] = numbers >= _MOST_SITES
    yield Characteristic("metastatic_site_count", missing, values, numbers)


def molecular_findings(rows: EnrolledRows) -> Iterator[Characteristic]:
    """Yields the result of each gene that is named for somebody. A gene that a baseline does not name is not reported.

    A variant of uncertain significance and a test that failed leave open whether the gene is altered.
    """
    days = days_of_kind(rows.snapshot, "molecular_finding", rows.cut)
    subjects = rows.snapshot.subject_indexes(days)
    chosen = rows.has_baseline[subjects]
    codes_by_gene: dict[str, dict[int, int]] = {}
    for code in np.unique(days["code"][chosen]).tolist():
        gene, _, result = rows.word(code).rpartition(":")
        codes_by_gene.setdefault(gene, {})[code] = _MOLECULAR_ORDER.index(_MOLECULAR_RESULTS[result])
    for gene, ranks in sorted(codes_by_gene.items()):
        best = np.full(len(rows.counted), _MOLECULAR_ORDER.index(NOT_REPORTED))
        for code, rank in ranks.items():
            np.minimum.at(best, subjects[chosen & (days["code"] == code)], rank)
        results = {name: rows.has_baseline & (best == rank) for rank, name in enumerate(_MOLECULAR_ORDER)}
        missing: dict[MissingReason, Mask] = {
            "no_baseline": ~rows.has_baseline,
            "not_reported": results[NOT_REPORTED],
            **{reason: results[reason] for reason in _MOLECULAR_REASONS},
        }
        values = {name: results[name] for name in (_ALTERED, _NOT_ALTERED)}
        yield Characteristic("molecular", missing, values, item=gene)


def symptoms(rows: EnrolledRows) -> Iterator[Characteristic]:
    """Yields the severity of each symptom at baseline: those of the protocol, and others that are stated."""
    table = rows.snapshot.tables["symptom"]
    subjects = rows.snapshot.subject_indexes(table)
    is_baseline = (table["severity"] != rows.code("")) & (table["day_on"] <= rows.cut) & rows.has_baseline[subjects]
    stated = {rows.word(code): code for code in np.unique(table["symptom"][is_baseline])}
    planned = protocol_on(rows.snapshot.study, rows.selection.cut_date).symptoms
    for symptom in dict.fromkeys([*planned, *sorted(stated)]):
        of_symptom = is_baseline & (table["symptom"] == stated.get(symptom, -1))
        yield Characteristic(
            "symptom", *_severities(rows, subjects[of_symptom], table["severity"][of_symptom]), item=symptom
        )


def _severities(
    rows: EnrolledRows, subjects: Column, severities: Column
) -> tuple[dict[MissingReason, Mask], dict[str, Mask]]:
    """Returns of whom a symptom is not known, and who has each severity; a scale in words is there as a whole."""
    masks = dict.fromkeys(("none", "mild", "moderate", "severe"), rows.nobody())
    for code in np.unique(severities):
        severity = ABSENT if rows.word(code) == "0" else rows.word(code)
        masks[severity] = masks.get(severity, rows.nobody()) | rows.with_rows(subjects[severities == code])
    is_stated = rows.with_rows(subjects)
    missing: dict[MissingReason, Mask] = {
        "no_baseline": ~rows.has_baseline,
        "not_reported": rows.has_baseline & ~is_stated,
    }
    return missing, in_order(masks, SEVERITIES)
