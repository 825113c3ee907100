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
def zone_rules(name: str) -> ZoneInfo:
    """Returns the rules of a zone from the package, or the machine's own for a zone that the package does not have."""
    if name not in _zone_names():
        return ZoneInfo(name)
    with files("tzdata.zoneinfo").joinpath(name).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


@cache
def place_zones() -> frozenset[str]:
    """Returns the names of all zones of places."""
    listed_zones = {row[2] for table in ("zone.tab", "zone1970.tab") for row in _table_rows(table)}
    linked_zones = {name for name in _zone_names() if _link_target(name) in listed_zones}
    return frozenset(name for name in listed_zones | linked_zones if name.partition("/")[0] in _AREAS)


@cache
def country_codes() -> frozenset[str]:
    """Returns the alpha-2 codes of ISO 3166-1."""
    return frozenset(row[0] for row in _table_rows("iso3166.tab"))


@cache
def country_names() -> dict[str, str]:
    """Returns the English names of countries by their codes."""
    return {row[0]: row[1] for row in _table_rows("iso3166.tab")}


@cache
def zones_of_country(code: str) -> tuple[str, ...]:
    """Returns the zones of places that the table lists for a country, in its order."""
    return tuple(row[2] for row in _table_rows("zone.tab") if row[0] == code and row[2] in place_zones())


def suggest_zone(name: str) -> str | None:
    """Returns the zone of a place that is probably meant: the name in the right case, or the target of a link."""
    exact_name = _names_by_lower_case().get(name.lower(), name)
    if exact_name in place_zones():
        return exact_name
    target = _link_target(exact_name)
    return target if "/" in exact_name and target in place_zones() else None


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


@cache
def _names_by_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in _zone_names()}


@cache
def _links() -> dict[str, str]:
    rows = (line.split() for line in _read_table("tzdata.zi").splitlines() if line.startswith("L "))
    return {name: target for _, target, name in rows}


def _link_target(name: str) -> str:
    while name in _links():
        name = _links()[name]
    return name


def _table_rows(table: str) -> Iterator[list[str]]:
    return (line.split("\t") for line in _read_table(table).splitlines() if line and not line.startswith("#"))


def _read_table(table: str) -> str:
    return files("tzdata").joinpath("zoneinfo", table).read_text("utf-8")
