"""The toxicity service: adverse events of participants, by CTCAE."""

from __future__ import annotations

from fastapi import FastAPI

from services.toxicity import assessment, dictionaries_api, gate
from shared.contracts.catalogue import TOXICITY
from shared.gate import doors, lists, texts
from shared.gate import study as studies
from shared.inbox.registry.judgement import ForeignParticipantPolicy
from shared.settings import Settings
from shared.web.app import create_service_app
from shared.web.exports import export_routes, read_log_routes
from shared.web.reading import read_routes
from shared.web.routes import fact_routes
from shared.web.service import service_lifespan

PARTICIPANT_PATH = "/toxicity/v1/studies/{study_id}/participants/{participant_id}"
PROBLEM_MODULES = (assessment, gate, doors, studies, texts, lists)
"""Modules that object, of which the problem types are read off."""


def create_app(settings: Settings) -> FastAPI:
    start = service_lifespan(
        "toxicity",
        settings,
        lambda clock, _: {False: ForeignParticipantPolicy(clock, assessment.objections, gate.ToxicityGate)},
    )
    routes = [
        fact_routes(TOXICITY, PARTICIPANT_PATH),
        read_routes("toxicity"),
        export_routes("toxicity"),
        read_log_routes("toxicity"),
        dictionaries_api.routes,
    ]
    return create_service_app("toxicity", "Quartal toxicity", start, routes, settings)
