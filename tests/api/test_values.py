"""Values that are no values, over HTTP: what is refused, where it points, and what is taken that looks alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.contracts.followup import VitalStatusConfirmed
from shared.kernel.clock import Clock
from shared.testing import facts
from shared.testing import followup_facts as followup
from shared.testing import toxicity_facts as toxicity
from tests.api.files import quartal
from tests.api.own_study import OwnStudy, body, own_study
from tests.demo import Demo

ADMINISTRATOR = "administrator"
WINDHOEK = {
    "site_id": "windhoek", "name": "Windhoek", "country": "NA", "time_zone": "Africa/Windhoek", "on": "2020-12-01",
}  # fmt: skip


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo, toxicity={"dictionary": "ctcae-5.0"}) as opened:
        yield opened


def errors(answer: httpx.Response, *echoes: str) -> set[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    assert not any(each in answer.text for each in echoes)
    return {(error["code"], error["pointer"]) for error in answer.json()["errors"]}


def activated(study: OwnStudy, **changes: Any) -> httpx.Response:
    return study.post("facts/study.site_activated?dry_run=true", {**WINDHOEK, **changes}, ADMINISTRATOR)


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"time_zone": "Factory"}, "zone-of-no-place", "/time_zone"),
        ({"time_zone": "EST"}, "zone-of-no-place", "/time_zone"),
        ({"time_zone": "Etc/GMT+5"}, "zone-of-no-place", "/time_zone"),
        ({"time_zone": "africa/windhoek"}, "schema-value-error", "/time_zone"),
        ({"country": "UK"}, "no-such-country", "/country"),
        ({"name": "North\r\nBcc: x@example.org"}, "not-one-line", "/name"),
        ({"name": "A\u202eB"}, "not-one-line", "/name"),
        ({"name": "North =?UTF-8?Q?=0A?=Bcc: x"}, "encoded-word", "/name"),
    ],
)
def test_a_site_is_at_a_place_and_has_a_name(study: OwnStudy, changes: dict[str, str], code: str, pointer: str) -> None:
    answer = activated(study, **changes)
    assert errors(answer) == {(code, pointer)}
    kind = answer.json()["type"]
    assert study.http.get(kind).status_code == 200
    if "windhoek" in changes.get("time_zone", ""):
        assert "such as Africa/Windhoek" in answer.json()["errors"][0]["message"]


def test_the_local_zone_of_a_machine_is_no_place(study: OwnStudy) -> None:
    (refused,) = errors(activated(study, time_zone="localtime"))
    assert refused in {("zone-of-no-place", "/time_zone"), ("schema-value-error", "/time_zone")}


def test_namibia_is_a_country_and_a_renamed_zone_a_place(study: OwnStudy, tmp_path: Path) -> None:
    assert study.post("facts/study.site_activated", WINDHOEK, ADMINISTRATOR).status_code == 201
    kiev = {**WINDHOEK, "site_id": "kyiv", "country": "UA", "time_zone": "Europe/Kiev"}
    assert study.post("facts/study.site_activated", kiev, ADMINISTRATOR).status_code == 201
    shown = {fact["data"]["site_id"]: fact["data"] for fact in study.get("", ADMINISTRATOR).json()["facts"]
             if fact["type"] == "study.site_activated"}  # fmt: skip
    assert (shown["windhoek"]["country"], shown["kyiv"]["time_zone"]) == ("NA", "Europe/Kiev")
    table = tmp_path / "sites.csv"
    table.write_text(
        "type,site_id,name,country,time_zone,on\nstudy.site_activated,swakop,Swakop,NA,Africa/Windhoek,2020-12-01\n",
        "utf-8",
    )
    brought = quartal(study.demo, "import", str(table), "--study", study.study_id)
    assert brought.code == 0, brought.out + brought.err
    sites = [fact["data"] for fact in study.get("", ADMINISTRATOR).json()["facts"]]
    assert [each["country"] for each in sites if each.get("site_id") == "swakop" and "country" in each] == ["NA"]


def test_a_gene_that_became_a_date_is_refused_by_every_way_in(study: OwnStudy) -> None:
    number = study.at_site("rome")
    spoilt = facts.baseline(molecular_findings=[{"gene": "12-Sep", "result": "detected"}])
    for suffix in ("", "?dry_run=true"):
        path = f"participants/{number}/facts/participant.baseline_recorded{suffix}"
        assert errors(study.post(path, body(spoilt)), "12-Sep") == {("spreadsheet-date", "/molecular_findings/0/gene")}
    batch = [{"type": spoilt.type_name, "data": body(spoilt)}]
    answer = study.post(f"participants/{number}/facts", batch)
    assert errors(answer) == {("spreadsheet-date", "/0/data/molecular_findings/0/gene")}
    assert errors(study.state(number, facts.lesion("1-Mar"))) == {("spreadsheet-date", "/lesion_id")}
    assert study.state(number, facts.lesion("1-2")).status_code == 201


def test_what_is_named_twice_is_refused_in_every_service(study: OwnStudy) -> None:
    number = study.known_everywhere(study.at_site("rome"))
    pain = {"symptom": "neck-pain", "change": "worse"}
    assert errors(study.state(number, followup.contact(3, symptoms=[pain, pain]))) == {("listed-twice", "/symptoms/1")}
    event = toxicity.serious(term="5.0:0001", seriousness=["important", "important"])
    assert ("listed-twice", "/seriousness/1") in errors(study.state(number, event))
    circle = facts.course(1, "RT1", facts.target("A", boost_of="B"), facts.target("B", boost_of="A"))
    assert errors(study.state(number, circle)) == {
        ("boost-circle", "/targets/0/boost_of"), ("boost-circle", "/targets/1/boost_of"),
    }  # fmt: skip


def test_a_record_is_no_duplicate_of_itself_nor_of_its_duplicate(study: OwnStudy) -> None:
    first, second, foreign = study.at_site("rome"), study.at_site("rome"), study.at_site("milan")
    itself = study.state(first, facts.voided("duplicate", first))
    assert errors(itself) == {("duplicate-of-itself", "/duplicate_of")}
    unknown = "0000-0000-0"
    answers = [study.state(first, facts.voided("duplicate", number)) for number in (foreign, unknown)]
    assert answers[0].content == answers[1].content
    assert errors(answers[0], foreign) == {("no-such-participant", "/duplicate_of")}
    assert study.state(second, facts.voided("duplicate", first)).status_code == 201
    assert errors(study.state(first, facts.voided("duplicate", second))) == {("duplicate-circle", "/duplicate_of")}
    assert study.state(first, facts.voided("duplicate", foreign), "coordinator").status_code == 201


def test_one_person_is_found_however_the_reference_is_composed(study: OwnStudy) -> None:
    number = study.at_site("rome", local_reference="M\u00dcLLER-07")
    again = study.post("participants", body(facts.screened(local_reference="MU\u0308LLER-07")))
    assert (again.status_code, again.json()["type"]) == (409, "/problems/already-registered")
    assert study.state(number, facts.procedure()).status_code == 201
    for reference, code in (
        ("7" * 201, "reference-too-long"),
        ("4.71E+09", "rounded-number"),
        ("47\u200b11", "not-one-line"),
    ):
        refused = study.post("participants", body(facts.screened(local_reference=reference)))
        assert errors(refused, reference) == {(code, "/local_reference")}
    assert study.post("participants", body(facts.screened(local_reference="7" * 200))).status_code == 201


def test_a_day_has_come_where_the_site_is(study: OwnStudy) -> None:
    for site, country, zone in (("kiritimati", "KI", "Pacific/Kiritimati"), ("niue", "NU", "Pacific/Niue")):
        place = {**WINDHOEK, "site_id": site, "country": country, "time_zone": zone}
        assert study.post("facts/study.site_activated", place, ADMINISTRATOR).status_code == 201
        today = Clock().today(study.study_id, zone)
        for days, status in ((0, 200), (2, 422)):
            stated = facts.screened((today + timedelta(days=days)).isoformat(), site_id=site)
            answer = study.post("participants?dry_run=true", body(stated), "coordinator")
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize("version", ["3.0", "4.03", "5.0", "6.0"])
@pytest.mark.parametrize(
    "sought",
    ["diarrhoea", "oesophagitis", "anaemia", "haemorrhage", "oedema", "dyspnoea", "leucopenia", "low platelets"],
)
def test_terms_are_found_by_other_spellings(study: OwnStudy, version: str, sought: str) -> None:
    answer = study.http.get(
        f"/toxicity/v1/dictionaries/ctcae-{version}/terms", params={"q": sought}, headers=study.bearer("reader")
    )
    assert answer.json()["rows"]


def test_days_that_do_not_exist_are_refused_by_import_and_api_alike(study: OwnStudy, tmp_path: Path) -> None:
    number = study.known_everywhere(study.at_site("rome"))
    tomorrow = (Clock().today(study.study_id, "Europe/Rome") + timedelta(days=1)).isoformat()
    wrong = ("2023-02-29", "2024-02-31", "2024-15-03", tomorrow)
    for day in wrong:
        said = {"alive_on": day, "source": "clinic"}
        answer = study.post(f"participants/{number}/facts/vital_status.confirmed", said, service="followup")
        assert {pointer for _, pointer in errors(answer, day)} == {"/alive_on"}
    table = tmp_path / "alive.csv"
    rows = [f"vital_status.confirmed,{number},{day},clinic" for day in ("2024-02-29", *wrong)]
    table.write_text("\n".join(["type,participant,alive_on,source", *rows]) + "\n", "utf-8")
    for tried in (["--dry-run"], []):
        brought = quartal(study.demo, "import", str(table), "--study", study.study_id, *tried)
        assert brought.code == 1, brought.out + brought.err
        assert not any(day in brought.out + brought.err for day in wrong)
    events = study.of("followup", f"participants/{number}/history").json()["events"]
    kind = VitalStatusConfirmed.type_name
    assert [event["data"]["alive_on"] for event in events if event["type"] == kind] == ["2024-02-29"]
