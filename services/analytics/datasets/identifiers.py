"""The identifiers by which the files of an archive of data sets name each other."""

from __future__ import annotations

from datetime import UTC, datetime

ORIGINATOR = "Quartal"
METADATA_OID = "MDV.QUARTAL.1"
DEFINE_FILE = "define.xml"


def study_oid(study_id: str) -> str:
    return f"STUDY.{study_id}"


def file_oid(study_id: str, name: str) -> str:
    return f"{study_oid(study_id)}.{name}"


def item_group_oid(data_set: str) -> str:
    return f"IG.{data_set}"


def item_oid(data_set: str, column: str) -> str:
    return f"IT.{data_set}.{column}"


def utc_text(time: datetime) -> str:
    """Returns a time in seconds, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
