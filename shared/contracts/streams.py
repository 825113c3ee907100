"""The streams: the facts that each service records, about a study or about a participant."""

from __future__ import annotations

from shared.kernel.fact import Stream

STUDY = Stream("enrollment", "study", correctable=False)
PARTICIPANT = Stream("enrollment", "participant")
TOXICITY = Stream("toxicity", "participant")
FOLLOWUP = Stream("followup", "participant")
REMINDERS = Stream("reminders", "participant", correctable=False)
"""What analytics sends to members. It is published, but no fact that a site states."""
MAX_BATCH_FACTS = 200
"""Facts that one request may record together."""
