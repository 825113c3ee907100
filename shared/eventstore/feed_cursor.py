"""How far a reader has read a service's events, in the order of recording.

A number cannot say it: events become visible in another order than their numbers were drawn in, and whoever reads
behind a number leaves some out. Two snapshots of the database can: what is visible in the second and was not in the
first is new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

EMPTY_SNAPSHOT = "1:1:"
"""A snapshot in which nothing is visible."""


@dataclass(frozen=True, slots=True)
class FeedCursor:
    """Everything visible in the snapshot `done` was read. `upto`: the snapshot of a backlog that is being read, and
    `last_seq` how far; empty and 0 between two backlogs. `database` is the one in which the snapshots mean something.
    """

    read_until: str = EMPTY_SNAPSHOT
    backlog_until: str = ""
    last_seq: int = 0
    database: str = ""

    @property
    def latest(self) -> str:
        return self.backlog_until or self.read_until

    def in_backlog(self, snapshot: str, database: str) -> FeedCursor:
        """The same in a backlog: the one that is being read, or what is visible in this snapshot."""
        return self if self.backlog_until else replace(self, backlog_until=snapshot, database=database)

    def after_row(self, last_seq: int) -> FeedCursor:
        return replace(self, last_seq=last_seq)

    def at_end(self) -> FeedCursor:
        """The backlog is read."""
        return FeedCursor(read_until=self.backlog_until, database=self.database)


@dataclass(frozen=True, slots=True)
class FeedSnapshot:
    """The snapshot of what is visible now and its database. `follows_previous`: it may follow the previous snapshot."""

    text: str
    database: str
    follows_previous: bool
