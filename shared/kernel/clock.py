"""The only place that reads the time.

Times of recording, tokens and leases use the real time. A study's *today* decides what is due and what is in the
future. It can be frozen or shifted, so that a study of the past can be shown as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from shared.kernel.timestamps import parse_timestamp
from shared.kernel.zones import zone_rules

_STUDY_PATTERN = re.compile(r"[a-z0-9-]*")
ClockSetting = date | datetime | timedelta
"""A frozen day, the same at every site; a frozen instant, at which each site has its own day; or a shift in days."""


def real_time() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Clock:
    """The real time, and each study's today: frozen (a date or an instant) or shifted (days). The study '' means all
    others.

    `advanced_days` returns the days by which studies are advanced beyond that, at the moment of the call.
    """

    frozen_or_shifted: Mapping[str, ClockSetting] = field(default_factory=dict)
    now: Callable[[], datetime] = real_time
    advanced_days: Callable[[], Mapping[str, int]] = dict

    @classmethod
    def parse(cls, setting: str, advanced_days: Callable[[], Mapping[str, int]] = dict) -> Clock:
        """Reads a setting: `2025-01-31`, `2025-01-31T08:00:00+01:00`, `+3`, or one for each study, separated by commas:
        `atc-rt=2025-01-31,demo-live=+0`. Raises ValueError.
        """
        settings: dict[str, ClockSetting] = {}
        for part in filter(None, (part.strip() for part in setting.split(","))):
            study, _, value = part.rpartition("=")
            if not _STUDY_PATTERN.fullmatch(study):
                raise ValueError("settings of studies are separated by commas: atc-rt=2025-01-31,demo-live=+0")
            settings[study] = _parse_value(value)
        return cls(settings, advanced_days=advanced_days)

    def today(self, study_id: str, zone: str = "UTC") -> date:
        """The calendar day at a site of that time zone (an IANA name)."""
        return self.day(study_id, self.now(), zone)

    def day(self, study_id: str, timestamp: datetime, zone: str = "UTC") -> date:
        """The study's calendar day at that moment."""
        advance = self._advance(study_id)
        match self._setting(study_id):
            case datetime() as instant:
                return instant.astimezone(zone_rules(zone)).date() + advance
            case date() as day:
                return day + advance
            case timedelta() as shift:
                return timestamp.astimezone(zone_rules(zone)).date() + shift + advance

    def instant(self, study_id: str) -> datetime | None:
        """The instant that decides the hour at a study's sites; None for a study that is frozen on a day.

        It is the real time unless the study is frozen at an instant. A shift in days changes no hour.
        """
        match self._setting(study_id):
            case datetime() as instant:
                return instant + self._advance(study_id)
            case date():
                return None
            case timedelta():
                return self.now()

    def is_frozen(self, study_id: str) -> bool:
        """Returns whether no time passes in the study."""
        return not isinstance(self._setting(study_id), timedelta)

    def _setting(self, study_id: str) -> ClockSetting:
        return self.frozen_or_shifted.get(study_id, self.frozen_or_shifted.get("", timedelta()))

    def _advance(self, study_id: str) -> timedelta:
        return timedelta(days=self.advanced_days().get(study_id, 0))


def _parse_value(value: str) -> ClockSetting:
    if value[:1] in "+-":
        return timedelta(days=int(value))
    return parse_timestamp(value) if "T" in value.upper() else date.fromisoformat(value)
