"""Requests made up from the OpenAPI documents: no server error, and every answer as the document has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.testing import facts
from tests.api.own_study import SITE, OwnStudy, own_study
from tests.demo import Demo

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    response_headers_conformance,
]  # fmt: skip
EXAMPLES = {
    ("enrollment", SITE): 5,
    ("enrollment", "investigator"): 3,
    ("toxicity", SITE): 12,
    ("toxicity", "investigator"): 3,
    ("followup", SITE): 8,
    ("followup", "investigator"): 3,
    ("analytics", SITE): 15,
    ("analytics", "investigator"): 30,
}
"""Requests for each operation, twice: about what is there, and about what was made up. Few where most are refused."""


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        opened.known_everywhere(opened.at_site("rome", facts.lesion(), facts.course()))
        yield opened


@pytest.mark.parametrize(("service", "who"), EXAMPLES)
def test_no_request_gets_an_answer_that_is_not_documented(study: OwnStudy, service: str, who: str) -> None:
    schema = schemathesis.openapi.from_url(f"{study.demo.url}/{service}/openapi.json")
    number = study.get("participants").json()["rows"][0]["participant_id"]
    known = {
        "study_id": study.study_id,
        "participant_id": number,
        "name": "flow",
        "kind": "svg",
        "dictionary": "ctcae-3.0",
    }
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path.endswith("/live"):
            continue  # a stream without end
        tried += 1
        _try(study, operation, who, known, EXAMPLES[service, who])
    assert tried >= {"enrollment": 30, "toxicity": 10, "followup": 16, "analytics": 6}[service]


def _try(study: OwnStudy, operation: Any, who: str, known: dict[str, str], examples: int) -> None:
    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        for there in (True, False):
            if there:
                case.path_parameters = {**(case.path_parameters or {}), **_own(operation, known)}
            case.call_and_validate(checks=CHECKS, headers=study.bearer(who), session=None)

    run()


def _own(operation: Any, known: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}
