"""The reference pages list every member of every fact: type, values, meaning, and whether it is required."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest

from services.analytics.__main__ import SERVICE_PROCESS as ANALYTICS
from services.enrollment.__main__ import SERVICE_PROCESS as ENROLLMENT
from services.followup.__main__ import SERVICE_PROCESS as FOLLOWUP
from services.toxicity.__main__ import SERVICE_PROCESS as TOXICITY
from shared.contracts.catalogue import STREAMS
from shared.settings import Settings
from shared.web.api_reference_page import render_page

SERVICES = {process.name: process for process in (ENROLLMENT, TOXICITY, FOLLOWUP, ANALYTICS)}
FACTS = [
    pytest.param(stream.service, stream.subject, fact, id=f"{stream.service} {name}")
    for stream in STREAMS
    for name, fact in stream.facts.items()
    if name != "study.opened"
]


class ReferencePageParser(HTMLParser):
    """Collects ids, links to ids, tables below each heading, and elements that were not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.open: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self._section = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        attribute_values = dict(attributes)
        if attribute_values.get("id"):
            self._section = str(attribute_values["id"])
            self.ids.append(self._section)
        if str(attribute_values.get("href")).startswith("#"):
            self.links.add(str(attribute_values["href"])[1:])
        if tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        if tag in ("th", "td"):
            self.rows[self._section][-1].append("")
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"th", "td"} & set(self.open):
            self.rows[self._section][-1][-1] += data


@cache
def openapi_document(service: str) -> dict[str, Any]:
    return SERVICES[service].create_app(Settings()).openapi()


@cache
def reference_page(service: str) -> str:
    return render_page(openapi_document(service), "docs.css")


@cache
def parse_page(service: str) -> ReferencePageParser:
    parser = ReferencePageParser()
    parser.feed(reference_page(service))
    return parser


@pytest.mark.parametrize("service", SERVICES)
def test_page_is_well_formed_without_scripts_and_broken_links(service: str) -> None:
    parser = parse_page(service)
    assert parser.open == []
    assert "<script" not in reference_page(service)
    assert len(set(parser.ids)) == len(parser.ids)
    assert parser.links <= set(parser.ids)


@pytest.mark.parametrize(("service", "subject", "fact"), FACTS)
def test_every_member_of_a_fact_is_listed(service: str, subject: str, fact: Any) -> None:
    within = "" if subject == "study" else "-participants-participant_id"
    rows = parse_page(service).rows[f"POST--{service}-v1-studies-study_id{within}-facts-{fact.type_name}"]
    assert rows[0] == ["Member", "Type", "Required", "Values", "Meaning"]
    assert [row[0] for row in rows[1:]] == list(fact.model_fields)
    for name, kind, required, _, meaning in rows[1:]:
        assert kind, name
        assert kind != "any"
        assert required == ("yes" if fact.model_fields[name].is_required() else "no")
        assert meaning, f"write what {fact.__name__}.{name} means, as a string below the member"


def test_values_and_bounds_are_listed() -> None:
    rows = {row[0]: row for row in parse_page("enrollment").rows["LesionRegistered"]}
    assert rows["kind"][3] == "primary, node, metastasis"
    assert rows["size_mm"][1:4] == ["number or null", "no", "more than 0; at most 1000"]
    assert rows["found_on"][1].startswith("date: YYYY-MM-DD, or YYYY-MM or YYYY")
    screened = {row[0]: row for row in parse_page("enrollment").rows["Screened"]}
    assert "sealed: shown to the own site only" in screened["local_reference"][3]


def test_descriptions_of_facts_are_sentences() -> None:
    models = {fact for stream in STREAMS for fact in stream.facts.values()}
    texts = {
        text
        for fact in models
        for text in (fact.__doc__, *(member.description for member in fact.model_fields.values()))
    }
    assert [text for text in texts if text and not re.match(r"(?s)[A-Z`].*[.]$", text.strip())] == []


@pytest.mark.parametrize("service", SERVICES)
def test_page_lists_every_operation(service: str) -> None:
    page = reference_page(service)
    for path, methods in openapi_document(service)["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in page


def test_settings_of_members_are_no_facts() -> None:
    before, _, settings = reference_page("analytics").rpartition("<h2>Changing settings</h2>")
    for method in ("PUT", "DELETE"):
        assert f"{method} /analytics/v1/studies/{{study_id}}/subscription<" in settings
        assert f"{method} /analytics/v1/studies/{{study_id}}/subscription<" not in before
    assert "Recording facts" not in before
