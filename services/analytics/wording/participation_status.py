"""Participation status in the words of clinical research."""

from __future__ import annotations

from services.analytics.wording.phrasing import humanize

_DESCRIPTIONS = {
    "screening": "in screening",
    "screen_failed": "screen failure",
    "lost": "lost to follow-up",
    "withdrawn": "consent withdrawn",
}


def describe_participation_status(code: str) -> str:
    return _DESCRIPTIONS.get(code, humanize(code))
