"""Values that are no values, over HTTP: what is refused, where it points, and what is taken that looks alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.contracts.follow_up import VitalStatusConfirmed
from shared.kernel.clock import Clock
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.import_files import run_quartal
from tests.api.support.study import StudyUnderTest, body, open_study
from tests.demo import Demo

ADMINISTRATOR = "administrator"
SITE_IN_WINDHOEK = {
    "site_id": "windhoek",
    "name": "Windhoek",
    "country": "NA",
    "time_zone": "Africa/Windhoek",
    "on": "2020-12-01",
}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo, toxicity={"dictionary": "ctcae-5.0"}) as study:
        yield study


def error_set(response: httpx.Response, *echoes: str) -> set[tuple[str, str]]:
    assert response.status_code == 422, response.text
    assert not any(echo in response.text for echo in echoes)
    return {(error["code"], error["pointer"]) for error in response.json()["errors"]}


def try_activate_site(study: StudyUnderTest, **changes: Any) -> httpx.Response:
    return study.post("facts/study.site_activated?dry_run=true", {**SITE_IN_WINDHOEK, **changes}, ADMINISTRATOR)


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
def test_site_needs_a_real_time_zone_country_and_name(
    study: StudyUnderTest, changes: dict[str, str], code: str, pointer: str
) -> None:
    response = try_activate_site(study, **changes)
    assert error_set(response) == {(code, pointer)}
    kind = response.json()["type"]
    assert study.http.get(kind).status_code == 200
    if "windhoek" in changes.get("time_zone", ""):
        assert "such as Africa/Windhoek" in response.json()["errors"][0]["message"]


def test_local_time_zone_of_a_machine_is_rejected(study: StudyUnderTest) -> None:
    (refused,) = error_set(try_activate_site(study, time_zone="localtime"))
    assert refused in {("zone-of-no-place", "/time_zone"), ("schema-value-error", "/time_zone")}


def test_country_code_na_and_a_renamed_time_zone_are_accepted(study: StudyUnderTest, tmp_path: Path) -> None:
    assert study.post("facts/study.site_activated", SITE_IN_WINDHOEK, ADMINISTRATOR).status_code == 201
    site_in_kyiv = {**SITE_IN_WINDHOEK, "site_id": "kyiv", "country": "UA", "time_zone": "Europe/Kiev"}
    assert study.post("facts/study.site_activated", site_in_kyiv, ADMINISTRATOR).status_code == 201
    sites_by_id = {
        fact["data"]["site_id"]: fact["data"]
        for fact in study.get("", ADMINISTRATOR).json()["facts"]
        if fact["type"] == "study.site_activated"
    }
    assert (sites_by_id["windhoek"]["country"], sites_by_id["kyiv"]["time_zone"]) == ("NA", "Europe/Kiev")
    table = tmp_path / "sites.csv"
    table.write_text(
        "type,site_id,name,country,time_zone,on\nstudy.site_activated,swakop,Swakop,NA,Africa/Windhoek,2020-12-01\n",
        "utf-8",
    )
    imported = run_quartal(study.demo, "import", str(table), "--study", study.study_id)
    assert imported.code == 0, imported.stdout + imported.stderr
    sites = [fact["data"] for fact in study.get("", ADMINISTRATOR).json()["facts"]]
    assert [site["country"] for site in sites if site.get("site_id") == "swakop" and "country" in site] == ["NA"]


def test_gene_name_converted_to_a_date_is_rejected_everywhere(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome")
    damaged_fact = facts.baseline_recorded(molecular_findings=[{"gene": "12-Sep", "result": "detected"}])
    for suffix in ("", "?dry_run=true"):
        path = f"participants/{participant_id}/facts/participant.baseline_recorded{suffix}"
        assert error_set(study.post(path, body(damaged_fact)), "12-Sep") == {
            ("spreadsheet-date", "/molecular_findings/0/gene")
        }
    batch = [{"type": damaged_fact.type_name, "data": body(damaged_fact)}]
    response = study.post(f"participants/{participant_id}/facts", batch)
    assert error_set(response) == {("spreadsheet-date", "/0/data/molecular_findings/0/gene")}
    assert error_set(study.record_fact(participant_id, facts.lesion_registered("1-Mar"))) == {
        ("spreadsheet-date", "/lesion_id")
    }
    assert study.record_fact(participant_id, facts.lesion_registered("1-2")).status_code == 201


def test_duplicate_list_entries_are_rejected_by_every_service(study: StudyUnderTest) -> None:
    participant_id = study.wait_until_known(study.enroll_at("rome"))
    pain = {"symptom": "neck-pain", "change": "worse"}
    assert error_set(study.record_fact(participant_id, followup.follow_up_recorded(3, symptoms=[pain, pain]))) == {
        ("listed-twice", "/symptoms/1")
    }
    event = toxicity.serious_event_reported(term="5.0:0001", seriousness=["important", "important"])
    assert ("listed-twice", "/seriousness/1") in error_set(study.record_fact(participant_id, event))
    circle = facts.radiotherapy_started(1, "RT1", facts.target("A", boost_of="B"), facts.target("B", boost_of="A"))
    assert error_set(study.record_fact(participant_id, circle)) == {
        ("boost-circle", "/targets/0/boost_of"),
        ("boost-circle", "/targets/1/boost_of"),
    }


def test_participant_cannot_be_a_duplicate_of_itself_or_of_its_duplicate(study: StudyUnderTest) -> None:
    first, second, foreign = study.enroll_at("rome"), study.enroll_at("rome"), study.enroll_at("milan")
    own_response = study.record_fact(first, facts.participant_voided("duplicate", first))
    assert error_set(own_response) == {("duplicate-of-itself", "/duplicate_of")}
    unknown = "0000-0000-0"
    responses = [
        study.record_fact(first, facts.participant_voided("duplicate", participant_id))
        for participant_id in (foreign, unknown)
    ]
    assert responses[0].content == responses[1].content
    assert error_set(responses[0], foreign) == {("no-such-participant", "/duplicate_of")}
    assert study.record_fact(second, facts.participant_voided("duplicate", first)).status_code == 201
    assert error_set(study.record_fact(first, facts.participant_voided("duplicate", second))) == {
        ("duplicate-circle", "/duplicate_of")
    }
    assert study.record_fact(first, facts.participant_voided("duplicate", foreign), "coordinator").status_code == 201


def test_local_reference_is_matched_in_any_unicode_form(study: StudyUnderTest) -> None:
    participant_id = study.enroll_at("rome", local_reference="M\u00dcLLER-07")
    repeated = study.post("participants", body(facts.participant_screened(local_reference="MU\u0308LLER-07")))
    assert (repeated.status_code, repeated.json()["type"]) == (409, "/problems/already-registered")
    assert study.record_fact(participant_id, facts.procedure_performed()).status_code == 201
    for reference, code in (
        ("7" * 201, "reference-too-long"),
        ("4.71E+09", "rounded-number"),
        ("47\u200b11", "not-one-line"),
    ):
        refused = study.post("participants", body(facts.participant_screened(local_reference=reference)))
        assert error_set(refused, reference) == {(code, "/local_reference")}
    assert study.post("participants", body(facts.participant_screened(local_reference="7" * 200))).status_code == 201


def test_today_is_decided_in_the_time_zone_of_the_site(study: StudyUnderTest) -> None:
    for site, country, zone in (("kiritimati", "KI", "Pacific/Kiritimati"), ("niue", "NU", "Pacific/Niue")):
        site_fact = {**SITE_IN_WINDHOEK, "site_id": site, "country": country, "time_zone": zone}
        assert study.post("facts/study.site_activated", site_fact, ADMINISTRATOR).status_code == 201
        today = Clock().today(study.study_id, zone)
        for days, status in ((0, 200), (2, 422)):
            screening = facts.participant_screened((today + timedelta(days=days)).isoformat(), site_id=site)
            response = study.post("participants?dry_run=true", body(screening), "coordinator")
            assert response.status_code == status, response.text


@pytest.mark.parametrize("version", ["3.0", "4.03", "5.0", "6.0"])
@pytest.mark.parametrize(
    "sought",
    ["diarrhoea", "oesophagitis", "anaemia", "haemorrhage", "oedema", "dyspnoea", "leucopenia", "low platelets"],
)
def test_terms_are_found_by_alternative_spellings(study: StudyUnderTest, version: str, sought: str) -> None:
    response = study.http.get(
        f"/toxicity/v1/dictionaries/ctcae-{version}/terms", params={"q": sought}, headers=study.authorization("reader")
    )
    assert response.json()["rows"]


def test_impossible_dates_are_rejected_by_import_and_api(study: StudyUnderTest, tmp_path: Path) -> None:
    participant_id = study.wait_until_known(study.enroll_at("rome"))
    tomorrow = (Clock().today(study.study_id, "Europe/Rome") + timedelta(days=1)).isoformat()
    invalid_dates = ("2023-02-29", "2024-02-31", "2024-15-03", tomorrow)
    for day in invalid_dates:
        content = {"alive_on": day, "source": "clinic"}
        response = study.post(
            f"participants/{participant_id}/facts/vital_status.confirmed", content, service="followup"
        )
        assert {pointer for _, pointer in error_set(response, day)} == {"/alive_on"}
    table = tmp_path / "alive.csv"
    rows = [f"vital_status.confirmed,{participant_id},{day},clinic" for day in ("2024-02-29", *invalid_dates)]
    table.write_text("\n".join(["type,participant,alive_on,source", *rows]) + "\n", "utf-8")
    for options in (["--dry-run"], []):
        imported = run_quartal(study.demo, "import", str(table), "--study", study.study_id, *options)
        assert imported.code == 1, imported.stdout + imported.stderr
        assert not any(day in imported.stdout + imported.stderr for day in invalid_dates)
    events = study.get_from("followup", f"participants/{participant_id}/history").json()["events"]
    kind = VitalStatusConfirmed.type_name
    assert [event["data"]["alive_on"] for event in events if event["type"] == kind] == ["2024-02-29"]
