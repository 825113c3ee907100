"""The followup service: how participants fare after treatment."""

from __future__ import annotations

from fastapi import FastAPI

from services.followup import gate, rules
from services.followup.visit_pages import visit_page_routes
from shared.contracts.catalogue import FOLLOWUP
from shared.contracts.problem_types import declared_problem_types
from shared.eventstore.stream_policy import StreamPolicies
from shared.inbox.participant_registry.stream_policy import ForeignParticipantPolicy
from shared.settings import Settings
from shared.ui.forms.app import create_form_app
from shared.ui.forms.routes import Forms
from shared.web.export_log_routes import export_routes, read_log_routes
from shared.web.fact_routes import fact_routes
from shared.web.read_routes import read_routes
from shared.web.service import service_resources
from shared.web.traffic import Traffic

PARTICIPANT_PATH = "/followup/v1/studies/{study_id}/participants/{participant_id}"
PROBLEM_TYPES = declared_problem_types(rules, gate)
"""The problem types of this service's rules and gates."""


def create_app(settings: Settings, *, traffic: Traffic | None = None) -> FastAPI:
    resources = service_resources(
        "followup",
        settings,
        lambda clock, _: StreamPolicies(ForeignParticipantPolicy(clock, rules.objections, gate.FollowUpGate)),
    )
    logs = [export_routes("followup"), read_log_routes("followup")]
    forms = Forms("followup")
    routes = [fact_routes(FOLLOWUP, PARTICIPANT_PATH), read_routes("followup"), *logs, visit_page_routes(forms)]
    return create_form_app("followup", resources, routes, settings, forms=forms, streams=[FOLLOWUP], traffic=traffic)
