"""Creates routes from fact classes: the class is the request body, its name the path, its docstring the description.

This module does not postpone annotations: the class of a route's body is known only when the route is created.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Discriminator, Field, Tag

from shared.contracts.streams import MAX_BATCH_FACTS
from shared.kernel.fact import Fact, FactPart, Stream, fact_union
from shared.kernel.schema_name import build_model, make_class
from shared.web.entitlement import require_roles
from shared.web.fact_recording import DryRun, FactHeaders, ParticipantIdPath, StudyIdPath, record_facts
from shared.web.problems import MEDIA_TYPE
from shared.web.response_models import CREATED_HEADERS, RECORDED_HEADERS, REFUSAL_DESCRIPTIONS, Recorded
from shared.web.route_classes import CheckedRoute

OpenApiResponses = dict[int | str, dict[str, Any]]


def refusal_responses(by_status: Mapping[int, str]) -> OpenApiResponses:
    """Returns the OpenAPI responses of problem documents, from descriptions by status."""
    media_types = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": sentence, "content": media_types} for status, sentence in by_status.items()}


_REPLAYED_HEADER_DOCS = {
    "Idempotency-Replayed": {
        "description": "`true`: the key was used before, and this is the answer to that request",
        "schema": {"type": "string", "const": "true"},
    }
}
FACT_ROUTE_OPTIONS: dict[str, Any] = {
    "status_code": 201,
    "response_model": Recorded,
    "response_model_exclude_none": True,
    "responses": {
        200: {
            "model": Recorded,
            "description": "Dry run: the facts are acceptable, and nothing was recorded",
            "headers": _REPLAYED_HEADER_DOCS,
        },
        201: {"headers": {**RECORDED_HEADERS, **_REPLAYED_HEADER_DOCS}},
    },
    "tags": ["facts"],
}
"""Options of a route that records facts."""
REGISTRATION_ROUTE_OPTIONS: dict[str, Any] = {
    **FACT_ROUTE_OPTIONS,
    "responses": {**FACT_ROUTE_OPTIONS["responses"], 201: {"headers": dict(CREATED_HEADERS)}},
}
"""Options of a route that also registers a study or a participant."""


def create_router(prefix: str) -> APIRouter:
    return APIRouter(prefix=prefix, route_class=CheckedRoute, responses=refusal_responses(REFUSAL_DESCRIPTIONS))


def fact_routes(stream: Stream, base: str, *, excluded: type[Fact] | None = None) -> APIRouter:
    """Creates a POST route per fact of the stream, under `{base}/facts/`, and for participants one for batches."""
    routes = create_router(base)
    for fact in stream.facts.values():
        if fact is excluded:
            continue
        routes.post(f"/facts/{fact.type_name}", name=fact.type_name, **_route_options(fact))(
            _single_fact_endpoint(stream, fact)
        )
    if stream.subject == "participant":
        routes.post(
            "/facts", name="facts", **_route_options(None, "Records several facts, in any order: all of them, or none.")
        )(_batch_endpoint(stream))
    return routes


def _route_options(fact: type[Fact] | None, text: str = "") -> dict[str, Any]:
    return {**FACT_ROUTE_OPTIONS, "description": text or _describe_fact(fact)}


def _describe_fact(fact: type[Fact] | None) -> str:
    if fact is None:
        return ""
    docstring = fact.__doc__ if "__doc__" in vars(fact) and fact.__doc__ else ""
    return f"{docstring.strip()}\n\nRoles that may state it: {', '.join(sorted(fact.stated_by_roles))}.".strip()


def _single_fact_endpoint(stream: Stream, model: type[Fact]) -> Callable[..., Any]:
    build_model(model)
    body: Any = model
    if stream.subject == "study":

        async def record_study_fact(
            request: Request,
            headers: FactHeaders,
            study: StudyIdPath,
            fact: body,
            dry_run: DryRun = False,
        ) -> Response:
            return await record_facts(request, headers, study=study, stream=study, facts=[("", fact)], dry_run=dry_run)

        return require_roles(model.stated_by_roles)(record_study_fact)

    async def record_participant_fact(
        request: Request,
        headers: FactHeaders,
        study: StudyIdPath,
        participant_id: ParticipantIdPath,
        fact: body,
        dry_run: DryRun = False,
    ) -> Response:
        return await record_facts(
            request, headers, study=study, stream=participant_id, facts=[("", fact)], dry_run=dry_run
        )

    return require_roles(model.stated_by_roles)(record_participant_fact)


def _batch_endpoint(stream: Stream) -> Callable[..., Any]:
    list_model, object_model = batch_models(stream, "Facts")
    batch_model: Any = Annotated[object_model, Tag("object")] | Annotated[list_model, Tag("list")]

    async def record_batch(
        request: Request,
        headers: FactHeaders,
        study: StudyIdPath,
        participant_id: ParticipantIdPath,
        batch: Annotated[batch_model, Discriminator(batch_form)],
        dry_run: DryRun = False,
    ) -> Response:
        facts = facts_with_pointers(batch)
        return await record_facts(request, headers, study=study, stream=participant_id, facts=facts, dry_run=dry_run)

    return require_roles(role for fact in stream.facts.values() for role in fact.stated_by_roles)(record_batch)


def batch_form(body: object) -> str:
    """Returns "list" for a list of facts, and "object" for `{"facts": […]}`."""
    return "list" if isinstance(body, list) else "object"


def facts_with_pointers(batch: Any) -> list[tuple[str, Fact]]:
    """Returns the facts of a batch in either form, each with its pointer into the body."""
    base, typed_facts = ("", batch) if isinstance(batch, list) else ("/facts", batch.facts)
    return [(f"{base}/{index}/data", typed_fact.data) for index, typed_fact in enumerate(typed_facts)]


def batch_models(stream: Stream, name: str) -> tuple[Any, type[FactPart]]:
    """Returns the two forms of a batch: a list of `{type, data}`, and a model `name` of `{"facts": […]}`."""
    entry: Any = fact_union(stream.facts.values())
    list_model: Any = Annotated[list[entry], Field(min_length=1, max_length=MAX_BATCH_FACTS)]
    model = make_class(name, FactPart, facts=(list_model, Field(description="Facts, each with its type.")))
    build_model(model)
    return list_model, model
