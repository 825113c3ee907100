"""Times by the clock of a site: `2024-03-07 09:30` in the site's time zone, as RFC 3339 with the offset."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from shared.kernel.errors import Fault
from shared.kernel.timestamps import parse_timestamp
from shared.kernel.zones import zone_rules

_LOCAL_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{1,2}:[0-9]{2})(:[0-9]{2})?")
_NO_SUCH_TIME = Fault(
    "schema-no-such-time",
    "This time does not exist at the site: the clocks were set forward, or the calendar has no such day. Check it.",
)
_TWICE = Fault(
    "schema-time-exists-twice",
    "This time exists twice at the site, because the clocks were set back. Choose which of the two is meant.",
)

_NO_TIME = Fault("schema-time", "Give the day and the time by the clock of the site, as YYYY-MM-DD HH:MM.")


def possible_times(text: str, zone: str) -> list[str] | None:
    """Returns the times that a text may mean at the site: none, one, or two; None for a text of another form."""
    match = _LOCAL_TIME.fullmatch(text.strip())
    if match is None:
        return None
    try:
        local = datetime.fromisoformat(f"{match[1]}T{match[2].zfill(5)}{match[3] or ':00'}")
    except ValueError:
        return []
    rules = zone_rules(zone)
    candidates = [local.replace(tzinfo=rules, fold=fold) for fold in (0, 1)]
    existing = [time for time in candidates if time.astimezone(UTC).astimezone(rules).replace(tzinfo=None) == local]
    return list(dict.fromkeys(time.isoformat() for time in existing))


def resolve_time(texts: Sequence[str], zone: str) -> str | Fault:
    """Returns the time that a field means; a fault for no time, one that does not exist, or of which two exist."""
    time_text = next((text for text in texts if possible_times(text, zone) is not None), "")
    if not time_text:
        return texts[-1].strip() if describe_time(texts[-1], zone) else _NO_TIME
    times = possible_times(time_text, zone) or []
    selection = [time for time in times if time in texts] or times
    if not times:
        return _NO_SUCH_TIME
    return selection[0] if len(selection) == 1 else _TWICE


def describe_time(text: str, zone: str) -> str:
    """Returns a time by the clock of the site, with its zone; an empty text for what is no time."""
    times = possible_times(text, zone)
    try:
        timestamp = parse_timestamp(times[0] if times else text.strip())
    except ValueError:
        return ""
    return write_site_time(timestamp, zone)


def write_site_time(instant: datetime, zone: str) -> str:
    """Returns an instant by the clock of a site, with its zone: `2024-03-07 09:30 Europe/Rome`.

    In the hour that a clock repeats the offset says which is meant: `2024-10-27 02:30 (+02:00) Europe/Rome`.
    """
    local = instant.astimezone(zone_rules(zone))
    is_repeated = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    offset = f" ({local.isoformat()[-6:]})" if is_repeated else ""
    return f"{local:%Y-%m-%d %H:%M}{offset} {zone}"
