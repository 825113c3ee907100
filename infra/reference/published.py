"""The four published cases, as the file beside this module keeps them: published spans, and days that respect them."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Literal, TypedDict

from infra.reference.study import StatedFact


class Origin(TypedDict):
    """Where a value comes from, and what the paper states of it, in our own words."""

    level: Literal["published", "derived", "illustrative"]
    span: str


class LaterFact(StatedFact):
    """A fact that another service than enrollment takes."""

    service: Literal["toxicity", "followup"]


class Case(TypedDict):
    """`provenance` goes by JSON pointer within the case; it names every date, and other values that are ours."""

    case: int
    summary: str
    facts: list[StatedFact]
    later: list[LaterFact]
    provenance: dict[str, Origin]
    left_out: list[str]


@cache
def cases() -> list[Case]:
    text = files("infra.reference").joinpath("published.json").read_text(encoding="utf-8")
    kept: list[Case] = json.loads(text)["cases"]
    return kept
