"""The toxicity service: adverse events of participants, by CTCAE."""

from __future__ import annotations

from fastapi import FastAPI

from services.toxicity import ctcae_api, gate, rules
from shared.contracts.catalogue import TOXICITY
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

PARTICIPANT_PATH = "/toxicity/v1/studies/{study_id}/participants/{participant_id}"
PROBLEM_TYPES = declared_problem_types(rules, gate)
"""The problem types of this service's rules and gates."""


def create_app(settings: Settings, *, traffic: Traffic | None = None) -> FastAPI:
    resources = service_resources(
        "toxicity",
        settings,
        lambda clock, _: StreamPolicies(ForeignParticipantPolicy(clock, rules.objections, gate.ToxicityGate)),
    )
    routes = [
        fact_routes(TOXICITY, PARTICIPANT_PATH),
        read_routes("toxicity"),
        export_routes("toxicity"),
        read_log_routes("toxicity"),
        ctcae_api.routes,
    ]
    return create_form_app(
        "toxicity", resources, routes, settings, forms=Forms("toxicity"), streams=[TOXICITY], traffic=traffic
    )
