"""The streams: the facts that each service records, about a study or about a participant."""

from __future__ import annotations

from shared.kernel.fact import Stream

STUDY = Stream("enrollment", "study", correctable=False)
PARTICIPANT = Stream("enrollment", "participant")
TOXICITY = Stream("toxicity", "participant")
FOLLOWUP = Stream("followup", "participant")
REMINDERS = Stream("reminders", "participant", correctable=False)
"""The reminders that analytics sends to members. They are published, but no site states them."""
MAX_BATCH_FACTS = 200
"""Facts that one request may record together."""
