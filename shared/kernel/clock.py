"""The only place that reads the time.

Times of recording, tokens and leases use the real time. A study's *today* decides what is due and what is in the
future. It can be frozen or shifted, so that a study of the past can be shown as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from shared.kernel.zones import zone_rules

_STUDY_PATTERN = re.compile(r"[a-z0-9-]*")


def real_time() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """The real time, and each study's today: frozen (a date) or shifted (days). The study '' means all others."""

    frozen_or_shifted: Mapping[str, date | timedelta] = field(default_factory=dict)
    now: Callable[[], datetime] = real_time

    @classmethod
    def parse(cls, setting: str) -> Clock:
        """Reads a setting: `2025-01-31`, `+3`, or `atc-rt=2025-01-31,demo-live=+0`. Raises ValueError."""
        settings: dict[str, date | timedelta] = {}
        for part in filter(None, (part.strip() for part in setting.split(","))):
            study, _, value = part.rpartition("=")
            if not _STUDY_PATTERN.fullmatch(study):
                raise ValueError("settings of studies are separated by commas: atc-rt=2025-01-31,demo-live=+0")
            settings[study] = timedelta(days=int(value)) if value[:1] in "+-" else date.fromisoformat(value)
        return cls(settings)

    def today(self, study_id: str, zone: str = "UTC") -> date:
        """The calendar day at a site of that time zone (an IANA name)."""
        return self.day(study_id, self.now(), zone)

    def day(self, study_id: str, timestamp: datetime, zone: str = "UTC") -> date:
        """The study's calendar day at that moment."""
        setting = self.frozen_or_shifted.get(study_id, self.frozen_or_shifted.get("", timedelta()))
        return setting if isinstance(setting, date) else timestamp.astimezone(zone_rules(zone)).date() + setting
