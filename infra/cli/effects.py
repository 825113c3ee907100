"""What each consumer does with an event: the effects that its worker has, for commands that apply what waited."""

from __future__ import annotations

from collections.abc import Mapping

from services.analytics.projection.journal import project
from shared.inbox.apply import Effect
from shared.inbox.registry.effect import register

EFFECTS: Mapping[str, Effect] = {"toxicity": register, "followup": register, "analytics": project}
