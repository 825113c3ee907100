"""Data sets as CDISC Dataset-JSON 1.1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime

from services.analytics.datasets.column import NamedColumn
from services.analytics.datasets.data_set import DataSet, Record
from services.analytics.datasets.identifiers import (
    DEFINE_FILE,
    METADATA_OID,
    ORIGINATOR,
    file_oid,
    item_group_oid,
    item_oid,
    study_oid,
    utc_text,
)
from shared.version import VERSION


def to_dataset_json(data_set: DataSet, records: Sequence[Record], study_id: str, recorded_at: datetime) -> bytes:
    """Returns the file of a data set. `recorded_at`: the time by which everything in it had been recorded.

    A missing value is null. Dates are texts. The file is the same whenever it is made: its time is `recorded_at`.
    """
    time = utc_text(recorded_at)
    beginning = {
        "datasetJSONCreationDateTime": time,
        "datasetJSONVersion": "1.1.0",
        "fileOID": file_oid(study_id, data_set.name),
        "dbLastModifiedDateTime": time,
        "originator": ORIGINATOR,
        "sourceSystem": {"name": ORIGINATOR, "version": VERSION},
        "studyOID": study_oid(study_id),
        "metaDataVersionOID": METADATA_OID,
        "metaDataRef": DEFINE_FILE,
        "itemGroupOID": item_group_oid(data_set.name),
        "records": len(records),
        "name": data_set.name,
        "label": data_set.label,
        "columns": [_column(data_set, column) for column in data_set.columns],
    }
    head = json.dumps(beginning, ensure_ascii=False, indent=1).removesuffix("\n}")
    rows = ",\n".join(json.dumps([_value(value) for value in record], ensure_ascii=False) for record in records)
    return f'{head},\n "rows": [\n{rows}\n]}}\n'.encode()


def _column(data_set: DataSet, column: NamedColumn) -> dict[str, object]:
    described: dict[str, object] = {
        "itemOID": item_oid(data_set.name, column.name),
        "name": column.name,
        "label": column.declaration.label,
        "dataType": "double" if column.data_type == "float" else column.data_type,
        "length": column.length,
    }
    if column.name in data_set.keys:
        described["keySequence"] = data_set.keys.index(column.name) + 1
    return described


def _value(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    return None if value == "" else value
