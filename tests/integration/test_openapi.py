"""The OpenAPI documents that the services serve: complete, whole, and made of the facts' own classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from shared.contracts.catalogue import PARTICIPANT, STUDY
from shared.contracts.study import Opened
from shared.kernel.fact import Fact
from tests.demo import Demo
from tests.integration.own_study import SAID, OwnStudy, own_study

BASE = "/enrollment/v1/studies"
READS = {
    "enrollment": ("/{study_id}", "/{study_id}/participants", "/{study_id}/participants/{participant_id}",
                   "/{study_id}/participants/{participant_id}/history", "/{study_id}/facts",
                   "/{study_id}/exports"),
    "analytics": ("/{study_id}/position", "/{study_id}/figures", "/{study_id}/figures/{name}.{kind}",
                  "/{study_id}/live"),
}  # fmt: skip
SERVICES = tuple(READS)


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


def route_of(fact: type[Fact]) -> str:
    within = "/{study_id}" if fact.type_name in STUDY.facts else "/{study_id}/participants/{participant_id}"
    return f"{BASE}{within}/facts/{fact.type_name}"


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
    facts = [fact for fact in (*STUDY.facts.values(), *PARTICIPANT.facts.values()) if fact is not Opened]
    for fact in facts:
        said = documents["enrollment"]["paths"][route_of(fact)]["post"]["description"]
        assert said.endswith(f"Stated by: {', '.join(sorted(fact.by))}.")
        own = vars(fact).get("__doc__")
        assert not own or own.splitlines()[0] in said
    posts = [path for method, path, _ in operations(documents["enrollment"]) if method == "post"]
    assert len(posts) == len(facts) + 3  # a study, a participant, several facts at once


@pytest.mark.parametrize("service", SERVICES)
def test_the_documented_reads_are_there_and_nothing_else(documents: dict[str, Any], service: str) -> None:
    found = {path for method, path, _ in operations(documents[service]) if method == "get"}
    assert found == {f"/{service}/v1/studies{path}" for path in READS[service]}


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
        if method == "post":
            assert {"dry_run", "idempotency-key", "if-match"} <= named, path
            assert {"200", "201"} <= set(operation["responses"])


def test_a_fact_as_it_is_sent_is_a_fact_as_it_is_documented(documents: dict[str, Any]) -> None:
    document = documents["enrollment"]
    for name, said in SAID.items():
        route = route_of({**STUDY.facts, **PARTICIPANT.facts}[name])
        schema = document["paths"][route]["post"]["requestBody"]["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**schema, "components": document["components"]})
        assert list(validator.iter_errors(said)) == [], name
        assert list(validator.iter_errors({**said, "surplus": 1})) != [], name


def test_answers_are_as_documented(study: OwnStudy, documents: dict[str, Any]) -> None:
    components = documents["enrollment"]["components"]
    recorded = study.post("participants", SAID["participant.screened"])
    refused = study.post("participants", {"birth_year": "1949"})
    for name, answer in (("Recorded", recorded), ("Problem", refused)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        assert list(Draft202012Validator(schema).iter_errors(answer.json())) == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_page_for_people_lists_every_operation_without_script(
    demo: Demo, documents: dict[str, Any], service: str
) -> None:
    page = httpx.get(f"{demo.url}/{service}/docs", trust_env=False)
    assert "<script" not in page.text
    for method, path, _ in operations(documents[service]):
        assert f"{method.upper()} {path}" in page.text
