"""Reads the four published cases from `published.json`: published time intervals, and dates chosen to fit them."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Literal, TypedDict

from infra.reference.study import ReferenceFact


class ValueOrigin(TypedDict):
    """The origin of a value, and what the paper states about it, in our own words."""

    level: Literal["published", "derived", "illustrative"]
    span: str


class LaterFact(ReferenceFact):
    """A fact for toxicity or followup."""

    service: Literal["toxicity", "followup"]


class PublishedCase(TypedDict):
    """A published case. `provenance` has, by JSON pointer within the case, every date and other values of our own."""

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
