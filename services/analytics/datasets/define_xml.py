"""The metadata of all data sets as CDISC Define-XML 2.1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from services.analytics.datasets.column import DataType, NamedColumn
from services.analytics.datasets.data_set import DataSet
from services.analytics.datasets.identifiers import (
    METADATA_OID,
    ORIGINATOR,
    file_oid,
    item_group_oid,
    item_oid,
    study_oid,
    utc_text,
)
from shared.version import VERSION

_ODM, _DEFINE = "http://www.cdisc.org/ns/odm/v1.3", "http://www.cdisc.org/ns/def/v2.1"
_XLINK, _XML = "http://www.w3.org/1999/xlink", "http://www.w3.org/XML/1998/namespace"
_STANDARD = "STD.ADAMIG"
_DATA_TYPES: dict[DataType, str] = {"string": "text", "integer": "integer", "float": "float", "date": "date"}
_TIME_TO_EVENT = ("ADTTE", "ADTTEL")
_SIGNIFICANT_DIGITS = "17"

for prefix, namespace in (("", _ODM), ("def", _DEFINE), ("xlink", _XLINK)):
    register_namespace(prefix, namespace)


def to_define_xml(data_sets: Sequence[DataSet], study_id: str, recorded_at: datetime) -> bytes:
    """Returns the file. `recorded_at`: the time by which everything in the data sets had been recorded."""
    root = Element(
        _odm("ODM"),
        {
            "FileType": "Snapshot",
            "FileOID": file_oid(study_id, "DEFINE"),
            "ODMVersion": "1.3.2",
            "CreationDateTime": utc_text(recorded_at),
            "AsOfDateTime": utc_text(recorded_at),
            "Originator": ORIGINATOR,
            "SourceSystem": ORIGINATOR,
            "SourceSystemVersion": VERSION,
            _def("Context"): "Other",
        },
    )
    study = SubElement(root, _odm("Study"), OID=study_oid(study_id))
    variables = SubElement(study, _odm("GlobalVariables"))
    SubElement(variables, _odm("StudyName")).text = study_id
    SubElement(variables, _odm("StudyDescription")).text = f"Analysis data sets of the study {study_id}, ADaM-shaped"
    SubElement(variables, _odm("ProtocolName")).text = study_id
    _add_metadata(study, data_sets, study_id)
    indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode").encode() + b"\n"


def _odm(name: str) -> str:
    return f"{{{_ODM}}}{name}"


def _def(name: str) -> str:
    return f"{{{_DEFINE}}}{name}"


def _add_metadata(study: Element, data_sets: Sequence[DataSet], study_id: str) -> None:
    version = SubElement(
        study,
        _odm("MetaDataVersion"),
        {
            "OID": METADATA_OID,
            "Name": f"Data sets of {study_id}",
            "Description": "ADaM-shaped: race and arm are not collected, and CTCAE is not MedDRA.",
            _def("DefineVersion"): "2.1.0",
        },
    )
    standards = SubElement(version, _def("Standards"))
    SubElement(standards, _def("Standard"), OID=_STANDARD, Name="ADaMIG", Type="IG", Version="1.3", Status="Final")
    for data_set in data_sets:
        _add_item_group(version, data_set)
    for data_set in data_sets:
        for column in data_set.columns:
            _add_item(version, data_set, column)
    for data_set in data_sets:
        for column in _columns_with(data_set, has_codes=True):
            _add_code_list(version, data_set, column)
    for data_set in data_sets:
        for column in _columns_with(data_set, has_codes=None):
            _add_method(version, data_set, column)


def _columns_with(data_set: DataSet, *, has_codes: bool | None) -> Iterable[NamedColumn]:
    """Yields the columns with codes, or with a derivation if `has_codes` is None."""
    for column in data_set.columns:
        if column.declaration.codes if has_codes else column.declaration.source == "Derived":
            yield column


def _add_item_group(version: Element, data_set: DataSet) -> None:
    group = SubElement(
        version,
        _odm("ItemGroupDef"),
        {
            "OID": item_group_oid(data_set.name),
            "Name": data_set.name,
            "Repeating": "No" if data_set.data_class.startswith("SUBJECT LEVEL") else "Yes",
            "IsReferenceData": "No",
            "SASDatasetName": data_set.name,
            "Purpose": "Analysis",
            _def("Structure"): data_set.structure,
            _def("StandardOID"): _STANDARD,
            _def("ArchiveLocationID"): f"LF.{data_set.name}",
        },
    )
    _add_description(group, data_set.label)
    for number, column in enumerate(data_set.columns, start=1):
        reference = {
            "ItemOID": item_oid(data_set.name, column.name),
            "OrderNumber": str(number),
            "Mandatory": "Yes" if column.is_required else "No",
        }
        if column.name in data_set.keys:
            reference["KeySequence"] = str(data_set.keys.index(column.name) + 1)
        if column.declaration.source == "Derived":
            reference["MethodOID"] = _method_oid(data_set, column)
        SubElement(group, _odm("ItemRef"), reference)
    data_class = SubElement(group, _def("Class"), Name=data_set.data_class)
    if data_set.name in _TIME_TO_EVENT:
        SubElement(data_class, _def("SubClass"), Name="TIME-TO-EVENT")
    file_name = f"{data_set.file_name}.json"
    leaf = SubElement(group, _def("leaf"), {"ID": f"LF.{data_set.name}", f"{{{_XLINK}}}href": file_name})
    SubElement(leaf, _def("title")).text = file_name


def _add_description(parent: Element, text: str) -> None:
    translated = SubElement(SubElement(parent, _odm("Description")), _odm("TranslatedText"), {f"{{{_XML}}}lang": "en"})
    translated.text = text


def _add_item(version: Element, data_set: DataSet, column: NamedColumn) -> None:
    attributes = {
        "OID": item_oid(data_set.name, column.name),
        "Name": column.name,
        "SASFieldName": column.name,
        "DataType": _DATA_TYPES[column.data_type],
    }
    if column.data_type != "date":
        attributes["Length"] = str(column.length)
    if column.data_type == "float":
        attributes["SignificantDigits"] = _SIGNIFICANT_DIGITS
    item = SubElement(version, _odm("ItemDef"), attributes)
    _add_description(item, column.declaration.label)
    if column.declaration.codes:
        SubElement(item, _odm("CodeListRef"), CodeListOID=_code_list_oid(data_set, column))
    origin = SubElement(item, _def("Origin"), Type=column.declaration.source, Source=_origin_source(column))
    if column.declaration.source != "Derived":
        _add_description(origin, column.declaration.derivation)


def _origin_source(column: NamedColumn) -> str:
    return "Investigator" if column.declaration.source == "Collected" else "Sponsor"


def _code_list_oid(data_set: DataSet, column: NamedColumn) -> str:
    return f"CL.{data_set.name}.{column.name}"


def _add_code_list(version: Element, data_set: DataSet, column: NamedColumn) -> None:
    data_type = "text" if column.data_type == "string" else column.data_type
    attributes = {"OID": _code_list_oid(data_set, column), "Name": f"{data_set.name} {column.name}"}
    codes = SubElement(version, _odm("CodeList"), attributes | {"DataType": data_type, _def("IsNonStandard"): "Yes"})
    for code, words in (column.declaration.codes or {}).items():
        item = SubElement(codes, _odm("CodeListItem"), CodedValue=str(code))
        decode = SubElement(item, _odm("Decode"))
        SubElement(decode, _odm("TranslatedText"), {f"{{{_XML}}}lang": "en"}).text = words


def _method_oid(data_set: DataSet, column: NamedColumn) -> str:
    return f"MT.{data_set.name}.{column.name}"


def _add_method(version: Element, data_set: DataSet, column: NamedColumn) -> None:
    name = f"Derivation of {data_set.name}.{column.name}"
    method = SubElement(version, _odm("MethodDef"), OID=_method_oid(data_set, column), Name=name, Type="Computation")
    _add_description(method, column.declaration.derivation)
