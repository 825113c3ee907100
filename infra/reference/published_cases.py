"""The four published cases, as the file beside this module keeps them: published spans, and days that respect them."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Literal, TypedDict

from infra.reference.study import ReferenceFact


class ValueOrigin(TypedDict):
    """Where a value comes from, and what the paper states of it, in our own words."""

    level: Literal["published", "derived", "illustrative"]
    span: str


class LaterFact(ReferenceFact):
    """A fact that another service than enrollment takes."""

    service: Literal["toxicity", "followup"]


class PublishedCase(TypedDict):
    """`provenance` goes by JSON pointer within the case; it names every date, and other values that are ours."""

    case: int
    summary: str
    facts: list[ReferenceFact]
    later: list[LaterFact]
    provenance: dict[str, ValueOrigin]
    left_out: list[str]


@cache
def cases() -> list[PublishedCase]:
    text = files("infra.reference").joinpath("published.json").read_text(encoding="utf-8")
    published_cases: list[PublishedCase] = json.loads(text)["cases"]
    return published_cases
