"""Pages of rows about single participants: the rows that a request selects, and the cursor of the next page. Pure.

Rows are in the order of whole numbers, their keys, and within one key of the participants' numbers; without keys they
are in the order of the participants alone. A cursor names the last row of a page by its key, its participant and its
number among the rows of both. It is valid for one list alone: that of a study, figure, position, data cut-off and
filters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from services.analytics.snapshot.columns import Column
from shared.kernel.errors import parameter_error
from shared.kernel.patterns import NEXT_SENTENCE

PAGE_SIZE, MAX_PAGE_SIZE = 200, 1000
"""Rows of a page, unless the request has a `limit`, and its highest value."""
MAX_PAGE_NUMBER = 1_000_000
_DIGEST_LENGTH = 16


class RowPage(BaseModel):
    """The rows of the answer among all rows of the selected participants, which are counted from 1."""

    model_config = ConfigDict(frozen=True)

    first: int = Field(description="number of the first row")
    rows: int = Field(description="rows in this answer")
    total: int = Field(description="rows of all pages")

    @property
    def last(self) -> int:
        """The number of the last row."""
        return self.first + self.rows - 1


@dataclass(frozen=True, slots=True)
class SelectedRows:
    """The rows of a page. `places`: their places in the list. `next`: the cursor of the next page; None: the last."""

    places: slice
    page: RowPage
    next: str | None


@dataclass(frozen=True, slots=True)
class PageSelector:
    """Selects the rows of a page; by default all rows.

    `limit`: rows of a page; None: all. `number`: which page, from 1. `participant_id` and `ordinal`, in its stead: the
    last row of the page before, with its `key`. `list_digest`: identifies the list in cursors.
    """

    limit: int | None = None
    number: int = 1
    participant_id: str = ""
    ordinal: int = 0
    list_digest: str = ""
    key: int = 0

    def select(self, participant_ids: Column, keys: Column | None = None) -> SelectedRows:
        """Returns the page of a list, whose rows have these participants, sorted. Past its end it is the last page.

        `keys`: by which the list is sorted, before the participants; None: by the participants alone.
        """
        total = len(participant_ids)
        limit = self.limit or max(total, 1)
        keys = np.zeros(total, dtype=np.int64) if keys is None else keys
        first = self._first_row(participant_ids, keys, limit)
        stop = min(first + limit, total)
        return SelectedRows(
            places=slice(first, stop),
            page=RowPage(first=first + 1, rows=stop - first, total=total),
            next=self._cursor_after(participant_ids, keys, stop - 1) if stop < total else None,
        )

    def _first_row(self, participant_ids: Column, keys: Column, limit: int) -> int:
        if not self.participant_id:
            last_page = max(len(participant_ids) - 1, 0) // limit
            return min(self.number - 1, last_page) * limit
        name, has_key = self.participant_id.encode(), keys == self.key
        first = int(np.sum((keys < self.key) | (has_key & (participant_ids < name))))
        return first + min(self.ordinal, int(np.sum(has_key & (participant_ids == name))))

    def _cursor_after(self, participant_ids: Column, keys: Column, last: int) -> str:
        name, key = bytes(participant_ids[last]), int(keys[last])
        ordinal = int(np.sum((participant_ids[: last + 1] == name) & (keys[: last + 1] == key)))
        return ".".join([name.decode(), str(ordinal), *([str(key)] if key else []), self.list_digest])


ALL_ROWS = PageSelector()


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The parameters that select a page: `after` is the cursor that ended the page before. `all_rows`: no page."""

    after: str = ""
    number: int = 1
    limit: int = PAGE_SIZE
    all_rows: bool = False

    def selector(self, list_parts: Iterable[str]) -> PageSelector:
        """Returns the selector in the list that these parts identify. Raises RequestRejected for a foreign cursor."""
        if self.all_rows:
            return ALL_ROWS
        digest = sha256("\n".join(list_parts).encode()).hexdigest()[:_DIGEST_LENGTH]
        if not self.after:
            return PageSelector(self.limit, self.number, list_digest=digest)
        if self.number > 1:
            raise parameter_error("page", "Give `page` or `after`, but not both.")
        participant_id, ordinal, *key, list_digest = self.after.split(".")
        if list_digest != digest:
            raise parameter_error(
                "after", f"{NEXT_SENTENCE} Give that page's position (`at`), data cut-off (`cut`) and filters too."
            )
        return PageSelector(self.limit, 1, participant_id, int(ordinal), digest, int(key[0]) if key else 0)


FIRST_PAGE = PageRequest()
