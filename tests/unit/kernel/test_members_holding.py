"""Sealed texts and dates are looked for only where a class can have them, and all of them are found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from pydantic import BaseModel

from shared.contracts.catalogue import STREAMS
from shared.kernel.dates import PartialDate
from shared.kernel.fact import Fact, clinical_dates
from shared.kernel.sealed import SealedText, texts
from shared.testing import facts
from tests.api.own_study import DECLARED, UNREMARKABLE, published

EVERY = [*UNREMARKABLE, *(published(*each) for each in DECLARED)]


def everything_in(value: object) -> Iterator[object]:
    yield value
    match value:
        case BaseModel():
            for name in type(value).model_fields:
                yield from everything_in(getattr(value, name))
        case Mapping():
            for member in value.values():
                yield from everything_in(member)
        case tuple() | list():
            for member in value:
                yield from everything_in(member)


def with_correction(fact: Fact) -> list[Fact]:
    stream = next(each for each in STREAMS if type(fact) in each.facts.values())
    return [fact, facts.correction(1, fact)] if stream.correctable else [fact]


@pytest.mark.parametrize("fact", EVERY, ids=lambda fact: fact.type_name)
def test_what_a_fact_holds_is_found(fact: Fact) -> None:
    for stated in with_correction(fact):
        everything = list(everything_in(stated))
        sealed = [each.text for each in everything if isinstance(each, SealedText) and each.text is not None]
        assert sorted(text for _, text in texts(stated)) == sorted(sealed)
        dates = [each for each in everything if isinstance(each, PartialDate)]
        assert sorted(str(when) for _, when in clinical_dates(stated)) == sorted(map(str, dates))
