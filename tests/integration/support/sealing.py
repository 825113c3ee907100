"""Seals data cuts of a test's study, as the process of analytics does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from services.analytics.cuts.repository import DueCut
from services.analytics.cuts.sealer import Sealer
from services.analytics.documents.document import Document
from services.analytics.documents.registry import DOCUMENTS
from services.analytics.documents.sealer import DocumentSealer
from shared.kernel.clock import Clock
from shared.testing.builders import facts
from tests.integration.support.analytics_app import AnalyticsStudy

File = TypeVar("File")
SMALL = 0.05
"""A scale of PNG files for tests that look at other files: pictures of full size take most of the time of a seal."""


def open_sealer(study: AnalyticsStudy, png_scale: float = SMALL) -> Sealer:
    return Sealer(study.database.system, Clock(), list(DOCUMENTS), png_scale)


async def due_cuts(study: AnalyticsStudy) -> list[DueCut]:
    """Returns the data cuts of the study that wait for their seals."""
    return [due for due in await open_sealer(study).due() if due.study_id == study.study_id]


async def seal_cuts(study: AnalyticsStudy, png_scale: float = SMALL) -> list[str]:
    """Seals what is due, and returns the names of the cuts."""
    due = await due_cuts(study)
    for cut in due:
        assert await open_sealer(study, png_scale).seal(cut)
    return [sealed.cut.name for sealed in due]


async def make_documents(study: AnalyticsStudy, documents: Mapping[str, Document] = DOCUMENTS) -> list[tuple[str, ...]]:
    """Makes those of the documents that sealed data cuts of the study lack, and returns their names by cut."""
    sealer = DocumentSealer(study.database.system, Clock(), documents)
    due = [due for due in await sealer.due() if due.study_id == study.study_id]
    for of_cut in due:
        assert await sealer.seal(of_cut)
    return [(of_cut.cut.name, *of_cut.documents) for of_cut in due]


async def take_sealed_cut(study: AnalyticsStudy, name: str, on: str) -> int:
    """Takes and seals a data cut; returns its position."""
    await study.project([study.study.record(facts.cut_taken(name, on))])
    position = study.position
    assert await seal_cuts(study) == [name]
    return position


class SealInterrupted(Exception):
    """The process is ended from outside."""


def interrupted(files: Sequence[File], count: int) -> Iterator[File]:
    """Yields some of the files, and is then killed."""
    yield from files[:count]
    raise SealInterrupted


async def execute_as_owner(study: AnalyticsStudy, statement: str, *arguments: object) -> None:
    """Executes a statement that no role of the services may execute."""
    connection = await asyncpg.connect(study.database.superuser_url)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


def page_request(study: AnalyticsStudy, member: str, at: str | None = "cut:interim", **params: str) -> dict[str, Any]:
    """Returns the request for the cohort page."""
    return {
        "url": f"/analytics/studies/{study.study_id}",
        "params": {**params, **({"at": at} if at else {})},
        "headers": study.authorization(member),
    }


def shown_figures(page: str) -> list[str]:
    """Returns the figures of a page as HTML."""
    figures = re.findall(r"<figure .*?</figure>", page, re.DOTALL)
    assert figures
    return figures
