"""A sentence about what a form recorded, for a person who changed its answers and recorded it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.contracts.event import Event
from shared.kernel.fact import Correction, Fact
from shared.ui.forms.fields import Group, fact_fields, replaced_fields
from shared.ui.forms.site_time import write_site_time
from shared.ui.forms.words import KEPT_WITH_THE_SITE, NO_WORDS, WordsOfOffers, describe_changes

MAX_VALUES = 3
"""Values that the sentence names; the page of the fact has them all."""


def describe_recorded(
    event: Event,
    stated: Fact | None,
    zone: str,
    correction_fields: Group | None = None,
    offers: WordsOfOffers = NO_WORDS,
) -> str:
    """Returns when a fact was recorded, and what it says where the present answers differ.

    `stated`: the present answers; None for no answer at all. `correction_fields`: the fields of a correction's form.
    Sealed texts are not repeated.
    """
    recorded = event.stated_fact().fact
    fields = replaced_fields(correction_fields) if correction_fields else fact_fields(type(recorded))
    changes = describe_changes(fields, _content(recorded), _content(stated) if stated else {}, zone, offers)
    named = [change for change in changes if change.before not in ("", KEPT_WITH_THE_SITE)]
    values = [f"{change.label.lower()} {change.before}" for change in named[:MAX_VALUES]]
    more = [f"and {len(named) - MAX_VALUES} more"] if len(named) > MAX_VALUES else []
    values_in_words = f" as {', '.join([*values, *more])}" if values else ""
    return f"recorded at {write_site_time(event.recorded_at, zone)}{values_in_words}"


def _content(fact: Fact) -> Mapping[str, Any]:
    """Returns the content of a fact; of a correction, that of the restated fact, which a void does not have."""
    content = fact.model_dump(mode="json")
    if not isinstance(fact, Correction):
        return content
    return content["replacement"]["data"] if content["replacement"] else {}
