"""The followup service: for now it knows, from Kafka, the studies and participants of which it will take facts."""

from __future__ import annotations

from fastapi import FastAPI

from shared.settings import Settings
from shared.web.waiting import create_waiting_app


def create_app(settings: Settings) -> FastAPI:
    return create_waiting_app("followup", settings)
