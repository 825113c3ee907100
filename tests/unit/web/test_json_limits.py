"""Bodies of a realistic size are accepted; larger ones, which would only cost work, are refused before parsing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.kernel.errors import MalformedBody, RequestRejected
from shared.settings import Limits
from shared.web.json_limits import refuse_many_items, refuse_many_values

LIMITS = Limits(max_body_values=1000, max_fact_values=400, max_list_items=200)


def to_pointer(path: list[str | int]) -> str:
    return "".join(f"/{step}" for step in path)


def refusal(value: Any) -> RequestRejected:
    with pytest.raises(RequestRejected) as error:
        refuse_many_items(value, LIMITS, to_pointer)
    assert error.value.code == "too-many-items"
    return error.value


@pytest.mark.parametrize(
    "value", [[0] * 999, {"a": ["," * 5000, '"[{,' * 5000]}, ["\\" * 3000 + '"' * 3000], {"n": [[], {}] * 240}, "x", 1]
)
def test_body_with_the_maximum_of_values_is_accepted(value: Any) -> None:
    refuse_many_values(json.dumps(value).encode(), LIMITS)


@pytest.mark.parametrize("unit", ["0", '""', '"a,b"', "{}", "[]", '{"a":0}', "null", '"\\""'])
def test_a_body_with_more_values_is_refused_before_it_is_parsed(unit: str) -> None:
    refuse_many_values(f"[{','.join([unit] * 300)}]".encode(), LIMITS)
    with pytest.raises(RequestRejected, match="1,000 values") as error:
        refuse_many_values(f"[{','.join([unit] * 1000)}]".encode(), LIMITS)
    assert error.value.faults[0].pointer == ""


@pytest.mark.parametrize("body", [b"[" * 5000, b'{"a":' * 5000])
def test_deeply_nested_body_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        refuse_many_values(body, LIMITS)


def test_unterminated_text_is_left_to_the_parser() -> None:
    refuse_many_values(b'["' + b'\\",' * 300_000, LIMITS)


def test_oversized_list_or_object_is_reported_with_its_pointer() -> None:
    refuse_many_items({"findings": [0] * 200, "more": {str(number): 0 for number in range(190)}}, LIMITS, to_pointer)
    assert refusal({"findings": [0] * 201}).faults[0].pointer == "/findings"
    assert refusal({"a": [{"b": {str(number): 0 for number in range(201)}}]}).faults[0].pointer == "/a/0/b"
    assert refusal([{"data": {"findings": [0] * 201}}]).faults[0].pointer == "/0/data/findings"
    assert refusal({"facts": [{}, {"data": [0] * 201}]}).faults[0].pointer == "/facts/1/data"
    assert refusal([0] * 201).faults[0].pointer == ""
    assert refusal({"facts": [0] * 201}).faults[0].pointer == "/facts"


def test_value_limit_applies_to_each_fact_of_a_batch() -> None:
    fact = {"findings": [[0] * 9] * 30}
    refuse_many_items([fact] * 200, LIMITS, to_pointer)
    refuse_many_items({"facts": [fact] * 200}, LIMITS, to_pointer)
    larger = {"findings": [[0] * 9] * 40}
    assert refusal(larger).faults[0].pointer == ""
    assert refusal([fact, larger]).faults[0].pointer == "/1"
    assert refusal({"facts": [fact, larger]}).faults[0].pointer == "/facts/1"
