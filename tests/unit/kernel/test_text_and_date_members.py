"""Sealed texts and dates are searched only in members that can have them, and all are found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from pydantic import BaseModel

from shared.contracts.catalogue import STREAMS
from shared.kernel.fact import Fact, find_clinical_dates
from shared.kernel.partial_date import PartialDate
from shared.kernel.sealed_text import SealedText, extract_texts
from shared.testing.builders import facts
from tests.api.support.study import DECLARED_FACTS, PLAIN_FACTS, golden_fact

ALL_EXAMPLES = [*PLAIN_FACTS, *(golden_fact(*declared_fact) for declared_fact in DECLARED_FACTS)]


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
    stream = next(stream_type for stream_type in STREAMS if type(fact) in stream_type.facts.values())
    return [fact, facts.correction(1, fact)] if stream.correctable else [fact]


@pytest.mark.parametrize("fact", ALL_EXAMPLES, ids=lambda fact: fact.type_name)
def test_all_sealed_texts_and_dates_of_a_fact_are_found(fact: Fact) -> None:
    for stated in with_correction(fact):
        everything = list(everything_in(stated))
        sealed = [value.text for value in everything if isinstance(value, SealedText) and value.text is not None]
        assert sorted(text for _, text in extract_texts(stated)) == sorted(sealed)
        dates = [value for value in everything if isinstance(value, PartialDate)]
        assert sorted(str(when) for _, when in find_clinical_dates(stated)) == sorted(map(str, dates))
