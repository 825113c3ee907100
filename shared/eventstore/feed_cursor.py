"""The position of a reader in a service's events, as a snapshot of the database.

The number of the last event read is not enough: transactions commit in another order than they draw numbers, so a
reader that continues after a number misses events. Events that are visible in a later snapshot and not in the earlier
one are new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

EMPTY_SNAPSHOT = "1:1:"
"""A snapshot in which nothing is visible."""


@dataclass(frozen=True, slots=True)
class FeedCursor:
    """The position of a reader: everything that is visible in the snapshot `read_until` has been read.

    `backlog_until`: the snapshot up to which a backlog is being read; '' between two backlogs. `last_seq`: the number
    of the last event read from that backlog, or 0. `database`: the database to which the snapshots belong.
    """

    read_until: str = EMPTY_SNAPSHOT
    backlog_until: str = ""
    last_seq: int = 0
    database: str = ""

    @property
    def latest(self) -> str:
        return self.backlog_until or self.read_until

    def in_backlog(self, snapshot: str, database: str) -> FeedCursor:
        """Returns the cursor within a backlog: the current one, or a new one up to this snapshot."""
        return self if self.backlog_until else replace(self, backlog_until=snapshot, database=database)

    def after_row(self, last_seq: int) -> FeedCursor:
        return replace(self, last_seq=last_seq)

    def at_end(self) -> FeedCursor:
        """Returns the cursor after the end of the backlog."""
        return FeedCursor(read_until=self.backlog_until, database=self.database)


@dataclass(frozen=True, slots=True)
class FeedSnapshot:
    """The snapshot of what is visible now and its database. `follows_previous`: it may follow the previous snapshot."""

    text: str
    database: str
    follows_previous: bool
