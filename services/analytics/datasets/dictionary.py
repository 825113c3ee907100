"""The data dictionary: every column of every data set in words, as a page and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from services.analytics.datasets.column import NamedColumn
from services.analytics.datasets.csv_format import write_csv
from services.analytics.datasets.data_set import DataSet

_HEADER = ["SET", "COLUMN", "LABEL", "TYPE", "LENGTH", "KEY", "REQUIRED", "SOURCE", "DERIVATION", "CODES"]
_STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{border-top:1px solid #999;padding:.3rem .5rem;text-align:left;"
    "vertical-align:top}td:first-child{font-family:monospace}"
)


def dictionary_csv(data_sets: Sequence[DataSet]) -> bytes:
    """Returns the dictionary as a table."""
    return write_csv(
        _HEADER,
        [
            [
                data_set.name,
                column.name,
                column.declaration.label,
                column.data_type,
                column.length,
                _key(data_set, column),
                "Y" if column.is_required else "N",
                column.declaration.source,
                column.declaration.derivation,
                _codes(column),
            ]
            for data_set in data_sets
            for column in data_set.columns
        ],
    )


def _key(data_set: DataSet, column: NamedColumn) -> int | None:
    return data_set.keys.index(column.name) + 1 if column.name in data_set.keys else None


def _codes(column: NamedColumn) -> str:
    return "; ".join(f"{code} = {words}" for code, words in (column.declaration.codes or {}).items())


def dictionary_page(data_sets: Sequence[DataSet], study_id: str) -> bytes:
    """Returns the dictionary as an HTML page that stands alone."""
    title = f"Data dictionary of {escape(study_id)}"
    sections = "\n".join(_section(data_set) for data_set in data_sets)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{sections}\n</body>\n</html>\n"
    ).encode()


def _section(data_set: DataSet) -> str:
    rows = "\n".join(_row(column) for column in data_set.columns)
    return (
        f'<h2 id="{data_set.file_name}">{data_set.name}: {escape(data_set.label)}</h2>\n'
        f"<p>{escape(data_set.structure)}. Key: {', '.join(data_set.keys)}.</p>\n"
        '<table>\n<thead><tr><th scope="col">Column</th><th scope="col">Label</th><th scope="col">Type</th>'
        f'<th scope="col">Derivation</th><th scope="col">Values</th></tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>'
    )


def _row(column: NamedColumn) -> str:
    texts = (column.declaration.label, column.data_type, column.declaration.derivation, _codes(column))
    cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
    return f"<tr><td>{column.name}</td>{cells}</tr>"
