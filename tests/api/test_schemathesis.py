"""Requests made up from the OpenAPI documents: no server error, and every response as the document has it."""

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

from shared.testing.builders import facts
from tests.api.support.study import ROME_USER, StudyUnderTest, open_study
from tests.demo import Demo

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
EXAMPLE_COUNTS = {
    ("enrollment", ROME_USER): 5,
    ("enrollment", "investigator"): 3,
    ("toxicity", ROME_USER): 12,
    ("toxicity", "investigator"): 3,
    ("followup", ROME_USER): 8,
    ("followup", "investigator"): 3,
    ("analytics", ROME_USER): 8,
    ("analytics", "investigator"): 15,
}
"""Requests for each operation, twice: about what is there, and about what was made up. Few where most are refused."""


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        study.wait_until_known(study.enroll_at("rome", facts.lesion_registered(), facts.radiotherapy_started()))
        yield study


@pytest.mark.parametrize(("service", "user"), EXAMPLE_COUNTS)
def test_generated_requests_get_only_documented_responses(study: StudyUnderTest, service: str, user: str) -> None:
    schema = schemathesis.openapi.from_url(f"{study.demo.url}/{service}/openapi.json")
    participant_id = study.get("participants").json()["rows"][0]["participant_id"]
    path_values = {
        "study_id": study.study_id,
        "participant_id": participant_id,
        "name": "flow",
        "kind": "svg",
        "dictionary": "ctcae-3.0",
    }
    operation_count = 0
    for parsed in schema.get_all_operations():
        assert isinstance(parsed, Ok), parsed
        operation = parsed.ok()
        if operation.path.endswith("/live"):
            continue  # a stream without end
        operation_count += 1
        _run_generated_requests(study, operation, user, path_values, EXAMPLE_COUNTS[service, user])
    assert operation_count >= {"enrollment": 30, "toxicity": 10, "followup": 16, "analytics": 6}[service]


def _run_generated_requests(
    study: StudyUnderTest, operation: Any, user: str, path_values: dict[str, str], examples: int
) -> None:
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run_case(case: Any) -> None:
        for exists in (True, False):
            if exists:
                case.path_parameters = {**(case.path_parameters or {}), **_existing_path_values(operation, path_values)}
            case.call_and_validate(checks=CHECKS, headers=study.authorization(user), session=None)

    run_case()


def _existing_path_values(operation: Any, path_values: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in path_values.items() if f"{{{name}}}" in operation.path}
