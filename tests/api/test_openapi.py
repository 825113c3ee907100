"""The OpenAPI documents that the services serve: complete, whole, and made of the facts' own classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from services.analytics.documents.registry import DOCUMENTS
from services.analytics.figures.registry import FIGURES
from services.analytics.live.parts import LIVE_PARTS, SEALING_PARTS
from shared.contracts.catalogue import STREAMS
from shared.contracts.study import StudyOpened
from shared.kernel.fact import Fact, Stream
from shared.testing.builders import facts
from tests.api.support.study import EXAMPLE_BODIES, StudyUnderTest, open_study
from tests.demo import Demo

PARTICIPANT_READS = (
    "/{study_id}/participants",
    "/{study_id}/participants/{participant_id}",
    "/{study_id}/participants/{participant_id}/history",
    "/{study_id}/facts",
    "/{study_id}/exports",
    "/{study_id}/reads",
)
DOCUMENTED_READS = {
    "enrollment": ("/{study_id}", *PARTICIPANT_READS),
    "toxicity": PARTICIPANT_READS,
    "followup": PARTICIPANT_READS,
    "analytics": (
        "/{study_id}/position",
        "/{study_id}/figures",
        "/{study_id}/figures/{name}.{kind}",
        "/{study_id}/live",
        "/{study_id}/operations.json",
        "/{study_id}/changes.{kind}",
        "/{study_id}/documents",
        *(f"/{{study_id}}/{name}" for name in DOCUMENTS),
        "/{study_id}/literature.{kind}",
        "/{study_id}/queries.json",
        "/{study_id}/participants.json",
        "/{study_id}/worklist.json",
        "/{study_id}/worklist.csv",
        "/{study_id}/worklist.ics",
        "/{study_id}/reminders.json",
        "/{study_id}/reminders.csv",
        "/{study_id}/participants/{participant_id}/timeline.{kind}",
        "/{study_id}/reads",
    ),
}
SERVICES = tuple(DOCUMENTED_READS)
SETTINGS_PATHS = {
    f"/analytics/v1/studies/{{study_id}}/{name}"
    for name in ("subscription", "subscription/digest", "subscription/calendar", "dead-addresses")
}
"""Routes of subscriptions to messages, which are settings of members."""
SEARCH_PATH = "/enrollment/v1/studies/{study_id}/participants/search"
"""A read that is posted, since addresses are logged."""
DICTIONARY_PATHS = {"/toxicity/v1/dictionaries", "/toxicity/v1/dictionaries/{dictionary}/terms"}
STREAMS_AND_FACTS = [(stream, fact) for stream in STREAMS for fact in stream.facts.values() if fact is not StudyOpened]


@pytest.fixture(scope="module")
def documents(demo: Demo) -> dict[str, Any]:
    return {name: httpx.get(f"{demo.url}/{name}/openapi.json", trust_env=False).json() for name in SERVICES}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


def operations(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def data_operations(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yields the operations that state facts or read data: those of a member's own settings are no facts."""
    return (operation for operation in operations(document) if operation[1] not in SETTINGS_PATHS)


def fact_route(stream: Stream, fact: type[Fact]) -> str:
    prefix = "/{study_id}" if stream.subject == "study" else "/{study_id}/participants/{participant_id}"
    return f"/{stream.service}/v1/studies{prefix}/facts/{fact.type_name}"


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


def test_every_fact_route_is_described_by_its_own_docstring(documents: dict[str, Any]) -> None:
    for stream, fact in STREAMS_AND_FACTS:
        description = documents[stream.service]["paths"][fact_route(stream, fact)]["post"]["description"]
        assert description.endswith(f"Roles that may state it: {', '.join(sorted(fact.stated_by_roles))}.")
        docstring = vars(fact).get("__doc__")
        assert not docstring or docstring.splitlines()[0] in description


@pytest.mark.parametrize(("service", "more"), [("enrollment", 3), ("toxicity", 1), ("followup", 1), ("analytics", 0)])
def test_only_documented_routes_accept_post(documents: dict[str, Any], service: str, more: int) -> None:
    """`more` counts the routes for a new study, a new participant and several facts. The search is left out."""
    posts = [
        path for method, path, _ in data_operations(documents[service]) if method == "post" and path != SEARCH_PATH
    ]
    assert len(posts) == sum(stream.service == service for stream, _ in STREAMS_AND_FACTS) + more


@pytest.mark.parametrize("service", SERVICES)
def test_documented_reads_are_complete(documents: dict[str, Any], service: str) -> None:
    paths = {path for method, path, _ in data_operations(documents[service]) if method == "get"}
    dictionary_paths = DICTIONARY_PATHS if service == "toxicity" else set()
    assert paths - dictionary_paths == {f"/{service}/v1/studies{path}" for path in DOCUMENTED_READS[service]}
    assert dictionary_paths <= paths


@pytest.mark.parametrize("service", SERVICES)
def test_openapi_document_is_valid_and_complete(documents: dict[str, Any], service: str) -> None:
    document = documents[service]
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_documents_security_and_errors(documents: dict[str, Any], service: str) -> None:
    for method, path, operation in data_operations(documents[service]):
        assert operation["security"], path
        assert operation["description"], path
        for status in ("400", "401", "403", "404", "409", "412", "413", "415", "422", "429", "503"):
            content = operation["responses"][status]["content"]
            assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        parameter_names = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert set(re.findall(r"{(\w+)}", path)) <= parameter_names
        if method == "post" and path != SEARCH_PATH:
            assert {"dry_run", "idempotency-key", "if-match"} <= parameter_names, path
            assert {"200", "201"} <= set(operation["responses"])


def test_settings_document_who_may_change_them(documents: dict[str, Any]) -> None:
    settings = {(method, path) for method, path, _ in operations(documents["analytics"]) if path in SETTINGS_PATHS}
    assert {path for _, path in settings} == SETTINGS_PATHS
    for method, path in settings:
        operation = documents["analytics"]["paths"][path][method]
        assert operation["security"], path
        assert operation["description"], path
        assert {"200", "204"} & set(operation["responses"]), path


def test_example_facts_satisfy_their_documented_schema(documents: dict[str, Any]) -> None:
    example_facts = [(stream, fact) for stream, fact in STREAMS_AND_FACTS if fact.type_name in EXAMPLE_BODIES]
    assert len(example_facts) == len(EXAMPLE_BODIES)
    for stream, fact in example_facts:
        document, body = documents[stream.service], EXAMPLE_BODIES[fact.type_name]
        schema = document["paths"][fact_route(stream, fact)]["post"]["requestBody"]["content"]["application/json"][
            "schema"
        ]
        validator = Draft202012Validator({**schema, "components": document["components"]})
        assert list(validator.iter_errors(body)) == [], fact.type_name
        assert list(validator.iter_errors({**body, "surplus": 1})) != [], fact.type_name


def test_recorded_and_problem_responses_match_the_document(study: StudyUnderTest, documents: dict[str, Any]) -> None:
    components = documents["enrollment"]["components"]
    recorded = study.post("participants", EXAMPLE_BODIES["participant.screened"])
    refused = study.post("participants", {"birth_year": "1949"})
    for name, response in (("Recorded", recorded), ("Problem", refused)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        assert list(Draft202012Validator(schema).iter_errors(response.json())) == []


PATHS_WITHOUT_SCHEMA = {
    f"/analytics/v1/studies/{{study_id}}/{name}"
    for name in ("live", "worklist.csv", "worklist.ics", "reminders.csv", *DOCUMENTS)
}
"""A stream of events, tables, a calendar, and the documents of data cuts, whose bytes are kept."""
PATHS_AT_NAMED_CUTS = {"/analytics/v1/studies/{study_id}/documents"}
"""Reads that need a data cut. `tests/integration/test_cut_documents.py` reads them."""


@pytest.mark.parametrize("service", SERVICES)
def test_every_response_documents_its_schema_and_headers(documents: dict[str, Any], service: str) -> None:
    for method, path, operation in data_operations(documents[service]):
        success = operation["responses"]["201" if method == "post" and path != SEARCH_PATH else "200"]
        if path not in PATHS_WITHOUT_SCHEMA:
            assert success["content"]["application/json"]["schema"], path
        if not path.endswith("/live") and path != SEARCH_PATH:
            assert "ETag" in success["headers"], path
        if path == SEARCH_PATH:
            assert "ETag" not in success.get("headers", {})
        elif method == "post":
            assert {"Quartal-Version", "Idempotency-Replayed"} <= success["headers"].keys()
        elif not path.endswith("/live"):
            assert "ETag" in operation["responses"]["304"]["headers"], path
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
        for status in ("409", "429", "503"):
            assert "Retry-After" in operation["responses"][status]["headers"]
    if service == "enrollment":
        registration = documents[service]["paths"]["/enrollment/v1/studies/{study_id}/participants"]["post"]
        assert "Location" in registration["responses"]["201"]["headers"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_schema_component_is_used(documents: dict[str, Any], service: str) -> None:
    referenced = {reference.rpartition("/")[2] for reference in references(documents[service])}
    assert documents[service]["components"]["schemas"].keys() <= referenced


def test_every_read_responds_as_documented_and_honors_etags(study: StudyUnderTest, documents: dict[str, Any]) -> None:
    """A second read with the ETag gets 304, unless the response has a cursor or the age of a measurement."""
    participant_id = study.wait_until_known(
        study.enroll_at("rome", facts.lesion_registered(), facts.procedure_performed(detail="By telephone."))
    )
    values = {"study_id": study.study_id, "participant_id": participant_id, "dictionary": "ctcae-3.0"}
    attempts = 0
    for service, document in documents.items():
        for method, path, operation in data_operations(document):
            if method != "get" or path in PATHS_WITHOUT_SCHEMA | PATHS_AT_NAMED_CUTS:
                continue
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            queries = ("", "?since=") if path.endswith("/facts") else ("?since=1",) if "/changes." in path else ("",)
            figures = FIGURES if path.endswith("/figures/{name}.{kind}") else ("",)
            for query, figure in product(queries, figures):
                address = path.replace("{kind}", "json").format_map({**values, "name": figure}) + query
                response = study.http.get(address, headers=study.authorization("investigator"))
                assert response.status_code == 200, (service, address, response.text)
                validator = Draft202012Validator({**schema, "components": document["components"]})
                assert list(validator.iter_errors(response.json())) == [], address
                headers = {"If-None-Match": response.headers["ETag"], **study.authorization("investigator")}
                revalidation_status = study.http.get(address, headers=headers).status_code
                assert revalidation_status == 304 or query or path.endswith("/operations.json"), address
                attempts += 1
    assert attempts >= 22


def test_live_stream_documents_every_event_it_sends(documents: dict[str, Any]) -> None:
    live = documents["analytics"]["paths"]["/analytics/v1/studies/{study_id}/live"]["get"]
    assert {*LIVE_PARTS, *SEALING_PARTS} <= set(re.findall(r"[a-z-]+", live["responses"]["200"]["description"]))


@pytest.mark.parametrize("service", SERVICES)
def test_api_reference_page_lists_every_operation_without_script(
    demo: Demo, documents: dict[str, Any], service: str
) -> None:
    page = httpx.get(f"{demo.url}/{service}/docs", trust_env=False)
    assert "<script" not in page.text
    for method, path, _ in operations(documents[service]):
        assert f"{method.upper()} {path}" in page.text
