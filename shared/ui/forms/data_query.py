"""The data query that a form answers: its sentence, which analytics alone can say.

The key of a data query is a digest, so no service can read from it what is asked. The browser asks analytics, and shows
the answer; without JavaScript a link leads there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.contracts.follow_up import QUERY_KEY, QueryExplained
from shared.ui.forms import addresses
from shared.ui.forms.targets import FormTarget


@dataclass(frozen=True, slots=True)
class DataQueryLink:
    """A data query by its key, the list of analytics that has it, and the same list as JSON."""

    key: str
    page_url: str
    json_url: str


def find_data_query(target: FormTarget) -> DataQueryLink | None:
    """Returns the data query that the form explains; None for other forms, and where none is named."""
    is_answer = target.form.model is QueryExplained
    key = target.constants.get("query_key" if is_answer else "replacement.data.query_key", "")
    if not re.fullmatch(QUERY_KEY, key):
        return None
    return DataQueryLink(
        key=key,
        page_url=addresses.data_query_url(target.study_id, target.participant_id, key),
        json_url=addresses.data_queries_json_url(target.study_id, target.participant_id),
    )
