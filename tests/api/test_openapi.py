"""The OpenAPI documents that the services serve: complete, whole, and made of the facts' own classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from services.analytics.api import PARTS
from shared.contracts.catalogue import STREAMS
from shared.contracts.study import Opened
from shared.kernel.fact import Fact, Stream
from shared.testing import facts
from tests.api.own_study import SAID, OwnStudy, own_study
from tests.demo import Demo

OF_PARTICIPANTS = (
    "/{study_id}/participants", "/{study_id}/participants/{participant_id}",
    "/{study_id}/participants/{participant_id}/history", "/{study_id}/facts", "/{study_id}/exports",
    "/{study_id}/reads",
)  # fmt: skip
READS = {
    "enrollment": ("/{study_id}", *OF_PARTICIPANTS),
    "toxicity": OF_PARTICIPANTS,
    "followup": OF_PARTICIPANTS,
    "analytics": (
        "/{study_id}/position", "/{study_id}/figures", "/{study_id}/figures/{name}.{kind}", "/{study_id}/live",
        "/{study_id}/operations.json", "/{study_id}/queries.json", "/{study_id}/participants.json",
        "/{study_id}/participants/{participant_id}/timeline.{kind}", "/{study_id}/reads",
    ),
}  # fmt: skip
SERVICES = tuple(READS)
SEARCH = "/enrollment/v1/studies/{study_id}/participants/search"
"""A read that is posted, since addresses are logged."""
DICTIONARIES = {"/toxicity/v1/dictionaries", "/toxicity/v1/dictionaries/{dictionary}/terms"}
FACTS = [(stream, fact) for stream in STREAMS for fact in stream.facts.values() if fact is not Opened]


@pytest.fixture(scope="module")
def documents(demo: Demo) -> dict[str, Any]:
    return {name: httpx.get(f"{demo.url}/{name}/openapi.json", trust_env=False).json() for name in SERVICES}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


def operations(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def route_of(stream: Stream, fact: type[Fact]) -> str:
    within = "/{study_id}" if stream.subject == "study" else "/{study_id}/participants/{participant_id}"
    return f"/{stream.service}/v1/studies{within}/facts/{fact.type_name}"


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


def test_every_fact_has_a_route_with_its_own_words(documents: dict[str, Any]) -> None:
    for stream, fact in FACTS:
        said = documents[stream.service]["paths"][route_of(stream, fact)]["post"]["description"]
        assert said.endswith(f"Roles that may state it: {', '.join(sorted(fact.by))}.")
        own = vars(fact).get("__doc__")
        assert not own or own.splitlines()[0] in said


@pytest.mark.parametrize(("service", "more"), [("enrollment", 3), ("toxicity", 1), ("followup", 1), ("analytics", 0)])
def test_nothing_is_posted_but_facts(documents: dict[str, Any], service: str, more: int) -> None:
    """And a study, a participant, several facts at once; and the search."""
    posts = [path for method, path, _ in operations(documents[service]) if method == "post" and path != SEARCH]
    assert len(posts) == sum(stream.service == service for stream, _ in FACTS) + more


@pytest.mark.parametrize("service", SERVICES)
def test_the_documented_reads_are_there_and_nothing_else(documents: dict[str, Any], service: str) -> None:
    found = {path for method, path, _ in operations(documents[service]) if method == "get"}
    beside = DICTIONARIES if service == "toxicity" else set()
    assert found - beside == {f"/{service}/v1/studies{path}" for path in READS[service]}
    assert beside <= found


@pytest.mark.parametrize("service", SERVICES)
def test_a_document_is_whole(documents: dict[str, Any], service: str) -> None:
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
def test_every_operation_says_who_may_call_and_what_can_go_wrong(documents: dict[str, Any], service: str) -> None:
    for method, path, operation in operations(documents[service]):
        assert operation["security"], path
        assert operation["description"], path
        for status in ("400", "401", "403", "404", "409", "412", "413", "415", "422", "429", "503"):
            answer = operation["responses"][status]["content"]
            assert answer == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        named = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert set(re.findall(r"{(\w+)}", path)) <= named
        if method == "post" and path != SEARCH:
            assert {"dry_run", "idempotency-key", "if-match"} <= named, path
            assert {"200", "201"} <= set(operation["responses"])


def test_a_fact_as_it_is_sent_is_a_fact_as_it_is_documented(documents: dict[str, Any]) -> None:
    tried = [(stream, fact) for stream, fact in FACTS if fact.type_name in SAID]
    assert len(tried) == len(SAID)
    for stream, fact in tried:
        document, said = documents[stream.service], SAID[fact.type_name]
        schema = document["paths"][route_of(stream, fact)]["post"]["requestBody"]["content"]["application/json"][
            "schema"
        ]
        validator = Draft202012Validator({**schema, "components": document["components"]})
        assert list(validator.iter_errors(said)) == [], fact.type_name
        assert list(validator.iter_errors({**said, "surplus": 1})) != [], fact.type_name


def test_answers_are_as_documented(study: OwnStudy, documents: dict[str, Any]) -> None:
    components = documents["enrollment"]["components"]
    recorded = study.post("participants", SAID["participant.screened"])
    refused = study.post("participants", {"birth_year": "1949"})
    for name, answer in (("Recorded", recorded), ("Problem", refused)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        assert list(Draft202012Validator(schema).iter_errors(answer.json())) == []


WITHOUT_SCHEMA = {"/analytics/v1/studies/{study_id}/figures/{name}.{kind}", "/analytics/v1/studies/{study_id}/live"}
"""A stream; and figures, each of which has a form of its own."""


@pytest.mark.parametrize("service", SERVICES)
def test_every_answer_has_a_schema_and_its_headers(documents: dict[str, Any], service: str) -> None:
    for method, path, operation in operations(documents[service]):
        good = operation["responses"]["201" if method == "post" and path != SEARCH else "200"]
        if path not in WITHOUT_SCHEMA:
            assert good["content"]["application/json"]["schema"], path
        if not path.endswith("/live") and path != SEARCH:
            assert "ETag" in good["headers"], path
        if path == SEARCH:
            assert "ETag" not in good.get("headers", {})
        elif method == "post":
            assert {"Quartal-Version", "Idempotency-Replayed"} <= good["headers"].keys()
        elif not path.endswith("/live"):
            assert "ETag" in operation["responses"]["304"]["headers"], path
        assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
        for status in ("409", "429", "503"):
            assert "Retry-After" in operation["responses"][status]["headers"]
    if service == "enrollment":
        registers = documents[service]["paths"]["/enrollment/v1/studies/{study_id}/participants"]["post"]
        assert "Location" in registers["responses"]["201"]["headers"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_component_is_used(documents: dict[str, Any], service: str) -> None:
    used = {reference.rpartition("/")[2] for reference in references(documents[service])}
    assert documents[service]["components"]["schemas"].keys() <= used


def test_every_read_answers_as_it_is_documented(study: OwnStudy, documents: dict[str, Any]) -> None:
    """Also: a client that holds the answer gets 304, unless a cursor or the age of a measurement is in it."""
    number = study.known_everywhere(study.at_site("rome", facts.lesion(), facts.procedure(detail="By telephone.")))
    values = {"study_id": study.study_id, "participant_id": number, "dictionary": "ctcae-3.0"}
    tried = 0
    for service, document in documents.items():
        for method, path, operation in operations(document):
            if method != "get" or path in WITHOUT_SCHEMA:
                continue
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            path = path.replace("{kind}", "json").format_map(values)
            for query in ("", "?since=") if path.endswith("/facts") else ("",):
                answer = study.http.get(path + query, headers=study.bearer("investigator"))
                assert answer.status_code == 200, (service, path, answer.text)
                validator = Draft202012Validator({**schema, "components": document["components"]})
                assert list(validator.iter_errors(answer.json())) == [], path
                again = {"If-None-Match": answer.headers["ETag"], **study.bearer("investigator")}
                held = study.http.get(path + query, headers=again).status_code
                assert held == 304 or query or path.endswith("/operations.json"), path
                tried += 1
    assert tried >= 22


def test_the_stream_names_every_event_that_it_sends(documents: dict[str, Any]) -> None:
    live = documents["analytics"]["paths"]["/analytics/v1/studies/{study_id}/live"]["get"]
    assert set(PARTS) <= set(re.findall(r"[a-z-]+", live["responses"]["200"]["description"]))


@pytest.mark.parametrize("service", SERVICES)
def test_the_page_for_people_lists_every_operation_without_script(
    demo: Demo, documents: dict[str, Any], service: str
) -> None:
    page = httpx.get(f"{demo.url}/{service}/docs", trust_env=False)
    assert "<script" not in page.text
    for method, path, _ in operations(documents[service]):
        assert f"{method.upper()} {path}" in page.text
