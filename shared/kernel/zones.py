"""Time zones and countries, read from the tables of the pinned tzdata package, never from this machine's own.

A zone of a place is an IANA name `Area/City` that tzdata's tables list by country, or a link to one: Europe/Kiev is
Europe/Kyiv. `EST`, `Etc/GMT+5`, `UTC` and `Factory` are the zone of no place, `US/Eastern` only names one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

_AREAS = frozenset(
    {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)


@cache
def zone(name: str) -> ZoneInfo:
    """Rules of the zone, by the package; a zone that only this machine has, and that was recorded, by the machine."""
    if name not in _names():
        return ZoneInfo(name)
    with files("tzdata.zoneinfo").joinpath(name).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


@cache
def places() -> frozenset[str]:
    """Every zone that is the zone of a place."""
    listed = {row[2] for table in ("zone.tab", "zone1970.tab") for row in _rows(table)}
    linked = {name for name in _names() if _target(name) in listed}
    return frozenset(name for name in listed | linked if name.partition("/")[0] in _AREAS)


@cache
def countries() -> frozenset[str]:
    """The alpha-2 codes of ISO 3166-1."""
    return frozenset(row[0] for row in _rows("iso3166.tab"))


def suggestion(name: str) -> str | None:
    """The zone of a place that is probably meant: the same in the right case, or the place that a link leads to."""
    right = _by_lower_case().get(name.lower(), name)
    if right in places():
        return right
    target = _target(right)
    return target if "/" in right and target in places() else None


@cache
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@cache
def _by_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in _names()}


@cache
def _links() -> dict[str, str]:
    rows = (line.split() for line in _text("tzdata.zi").splitlines() if line.startswith("L "))
    return {name: target for _, target, name in rows}


def _target(name: str) -> str:
    while name in _links():
        name = _links()[name]
    return name


def _rows(table: str) -> Iterator[list[str]]:
    return (line.split("\t") for line in _text(table).splitlines() if line and not line.startswith("#"))


def _text(table: str) -> str:
    return files("tzdata").joinpath("zoneinfo", table).read_text("utf-8")
