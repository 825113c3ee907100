"""Every read of rows about single participants is recorded in the read log."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi.routing import APIRoute

from services.analytics.app import create_app as analytics
from services.enrollment.app import create_app as enrollment
from services.followup.app import create_app as followup
from services.toxicity.app import create_app as toxicity
from shared.settings import Settings
from shared.web.read_logging import is_read_logged
from shared.web.route_classes import BoundedRoute, CheckedRoute

READS_WITHOUT_PARTICIPANTS = {
    "/enrollment/v1/studies/{study_id}",
    "/enrollment/studies/{study_id}",
    *(f"/{service}/v1/studies/{{study_id}}/exports" for service in ("enrollment", "toxicity", "followup")),
    *(f"/{service}/v1/studies/{{study_id}}/reads" for service in ("enrollment", "toxicity", "followup", "analytics")),
    "/analytics/v1/studies/{study_id}/position",
    "/analytics/v1/studies/{study_id}/figures",
    "/analytics/v1/studies/{study_id}/documents",
    "/analytics/v1/studies/{study_id}/live",
    "/analytics/studies/{study_id}/data-cuts",
    "/analytics/v1/studies/{study_id}/literature.{kind}",
    "/analytics/studies/{study_id}/literature",
    "/analytics/v1/studies/{study_id}/subscription",
    "/analytics/v1/studies/{study_id}/subscription/digest",
    "/analytics/v1/studies/{study_id}/subscription/calendar",
    "/analytics/studies/{study_id}/subscription",
    "/analytics/v1/studies/{study_id}/dead-addresses",
}
"""Reads of a study that return no participant. All other reads of a study are logged."""


def api_routes() -> Iterator[APIRoute]:
    for create_app in (enrollment, toxicity, followup, analytics):
        yield from (route for route in create_app(Settings()).routes if isinstance(route, APIRoute))


def is_study_read(route: APIRoute) -> bool:
    records_facts = "POST" in (route.methods or ()) and "facts" in route.tags
    return "{study_id}" in route.path and not records_facts


def test_every_study_read_is_logged_or_shows_no_participant() -> None:
    reads = [route for route in api_routes() if is_study_read(route)]
    assert {route.path for route in reads if not is_read_logged(route.endpoint)} == READS_WITHOUT_PARTICIPANTS
    assert len([route for route in reads if is_read_logged(route.endpoint)]) >= 20


def test_only_routes_that_write_the_log_are_declared_as_logged() -> None:
    """A route of another class would ignore the declaration."""
    logged = [route for route in api_routes() if is_read_logged(route.endpoint)]
    assert all(isinstance(route, CheckedRoute | BoundedRoute) for route in logged)
