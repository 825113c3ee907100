"""The followup service: how participants fare after treatment."""

from __future__ import annotations

from fastapi import FastAPI

from services.followup import contact, gate
from shared.contracts.catalogue import FOLLOWUP
from shared.gate import doors
from shared.gate import study as studies
from shared.inbox.registry.judgement import RegisteredElsewhere
from shared.settings import Settings
from shared.web.app import create_service_app
from shared.web.exports import export_routes
from shared.web.reading import reading_routes
from shared.web.routes import fact_routes
from shared.web.service import service_start

PARTICIPANT = "/followup/v1/studies/{study_id}/participants/{participant_id}"
RULES = (contact, gate, doors, studies)
"""Modules that object, of which the problem types are read off."""


def create_app(settings: Settings) -> FastAPI:
    start = service_start(
        "followup", settings, lambda clock, _: {False: RegisteredElsewhere(clock, contact.objections, gate.World)}
    )
    routes = [fact_routes(FOLLOWUP, PARTICIPANT), reading_routes("followup"), export_routes("followup")]
    return create_service_app("followup", "Quartal followup", start, routes, settings)
