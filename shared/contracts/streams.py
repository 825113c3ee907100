"""The streams: the facts that each service records, about a study or about a participant."""

from __future__ import annotations

from shared.kernel.fact import Stream

STUDY = Stream("enrollment", "study", correctable=False)
PARTICIPANT = Stream("enrollment", "participant")
TOXICITY = Stream("toxicity", "participant")
FOLLOWUP = Stream("followup", "participant")
MAX_BATCH_FACTS = 200
"""Facts that one request may record together."""
