"""Participation status in the words of clinical research, the same on pages and in figures."""

from __future__ import annotations

from collections.abc import Mapping

PARTICIPATION_STATUS_LABELS: Mapping[str, str] = {
    "screening": "In screening",
    "consented": "Consented",
    "screen_failed": "Screen failure",
    "enrolled": "Enrolled",
    "in_follow_up": "In follow-up",
    "awaiting_treatment": "Awaiting treatment",
    "completed": "Follow-up completed",
    "died": "Died",
    "withdrawn": "Withdrawn",
    "lost": "Lost to follow-up",
}
"""The label of every status of `cohort/participation_status.py`."""


def describe_participation_status(code: str) -> str:
    """Returns the label of a status as it reads within a sentence: `lost to follow-up`."""
    label = PARTICIPATION_STATUS_LABELS[code]
    return label[0].lower() + label[1:]
