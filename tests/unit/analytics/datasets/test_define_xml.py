"""Define-XML is valid by the schema of the standard, and describes every column."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import odmlib
import pytest
from xmlschema import XMLSchema

from services.analytics.datasets.define_xml import to_define_xml
from services.analytics.datasets.registry import DATA_SETS
from tests.unit.analytics.datasets.support import RECORDED_AT

SCHEMA = Path(odmlib.__file__).parent / "schemas/define/2.1/define2-1-0.xsd"
ODM = {"": "http://www.cdisc.org/ns/odm/v1.3", "def": "http://www.cdisc.org/ns/def/v2.1"}


@cache
def schema() -> XMLSchema:
    return XMLSchema(str(SCHEMA), allow="local")


def document() -> str:
    return to_define_xml(DATA_SETS, "atc", RECORDED_AT).decode()


def test_document_is_valid_by_the_schema() -> None:
    assert [error.reason for error in schema().iter_errors(document())] == []


@pytest.mark.parametrize(
    ("part", "damage"),
    [
        ('Name="BASIC DATA STRUCTURE"', 'Name="BANANA"'),
        ('def:DefineVersion="2.1.0"', ""),
        ('DataType="integer"', 'DataType="whole"'),
    ],
)
def test_schema_finds_damage(part: str, damage: str) -> None:
    assert part in document()
    assert [*schema().iter_errors(document().replace(part, damage))]


def test_every_column_is_defined_once_and_every_reference_leads_somewhere() -> None:
    root = ElementTree.fromstring(document())  # noqa: S314 - our own document
    items = [item.attrib["OID"] for item in root.iterfind(".//ItemDef", ODM)]
    assert items == [f"IT.{data_set.name}.{column.name}" for data_set in DATA_SETS for column in data_set.columns]
    assert [reference.attrib["ItemOID"] for reference in root.iterfind(".//ItemRef", ODM)] == items
    for reference, definition, attribute in (
        ("ItemRef", "MethodDef", "MethodOID"),
        ("CodeListRef", "CodeList", "CodeListOID"),
    ):
        needed = {part.attrib[attribute] for part in root.iterfind(f".//{reference}", ODM) if attribute in part.attrib}
        assert needed == {part.attrib["OID"] for part in root.iterfind(f".//{definition}", ODM)}
        assert needed
