"""Corrections by hand, the pages that find a participant, and the page of what a person recorded today."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.form_browser import FormBrowser, form_browser, form_of, pages_of, recorded_types
from tests.api.support.study import StudyUnderTest, find_event_id, open_study
from tests.demo import Demo

SECRET = "Zq-sealed-detail-Xw"
REFERENCE = "Zq 4711 Xw"


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def participant_id(study: StudyUnderTest) -> str:
    procedure = facts.procedure_performed(detail=f"{SECRET}\nsecond line")
    return study.enroll_at("rome", facts.lesion_registered(size_mm=12.5), procedure)


def correction_of(study: StudyUnderTest, participant_id: str, type_name: str) -> str:
    event_id = find_event_id(study, participant_id, type_name)
    return f"{pages_of(study)}/participants/{participant_id}/corrections/{event_id}"


def current(study: StudyUnderTest, participant_id: str, type_name: str) -> list[dict[str, Any]]:
    rows = study.get(f"participants/{participant_id}").json()["facts"]
    return [row["data"] for row in rows if row["type"] == type_name]


def test_correction_restates_the_whole_fact_and_changes_what_was_changed(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    before = current(study, participant_id, "lesion.registered")[0]
    page = rome.open(correction_of(study, participant_id, "lesion.registered"))
    assert page.value("replacement.data.size_mm") == "12.5"
    page.fill({"reason_code": "typing_error", "replacement.data.size_mm": "21,5"})
    page = rome.press(page, "check")
    assert "Field Was Will be Size 12.5 mm 21.5 mm" in page.text
    corrected = rome.press(page, "record", "restate")
    assert corrected.status == 200
    assert "21.5 mm" in corrected.text
    assert current(study, participant_id, "lesion.registered") == [{**before, "size_mm": 21.5}]


def test_correction_lists_no_text_whose_line_breaks_alone_are_written_otherwise(
    study: StudyUnderTest, rome: FormBrowser
) -> None:
    """F12: a client of the interface may have sent CRLF, and the form reads every break as LF."""
    participant_id = study.enroll_at("rome", facts.procedure_performed(detail="First line\r\nsecond line"))
    page = rome.open(correction_of(study, participant_id, "procedure.performed"))
    page.fill({"reason_code": "typing_error", "replacement.data.performed_on": "2024-02-03"})
    checked = rome.press(page, "check")
    table = checked.response.text.partition("<tbody>")[2].partition("</tbody>")[0]
    assert ("2024-02-03" in table, "second line" in table) == (True, False), table


def test_correction_of_a_grade_leaves_the_narrative_as_recorded(study: StudyUnderTest, rome: FormBrowser) -> None:
    """F12: the browser writes the line breaks of the narrative anew, and its reader changed none of them."""
    participant_id, narrative = study.enroll_at("rome"), "Admitted.\r\nFever since noon.\rSecond paragraph."
    report = toxicity.serious_event_reported(narrative=narrative)
    assert study.record_fact(participant_id, report).status_code == 201
    event_id = find_event_id(study, participant_id, report.type_name, "toxicity")
    page = rome.open(f"{pages_of(study, 'toxicity')}/participants/{participant_id}/corrections/{event_id}")
    page.fill({"reason_code": "typing_error", "replacement.data.grade": "4"})
    assert rome.press(page, "record", "restate").status == 200
    rows = study.get_from("toxicity", f"participants/{participant_id}").json()["facts"]
    assert [(row["data"]["grade"], row["data"]["narrative"]) for row in rows] == [(4, narrative)]


def test_correction_of_a_one_line_text_keeps_its_line_break(study: StudyUnderTest, rome: FormBrowser) -> None:
    participant_id, reason = study.enroll_at("rome"), "Not asked.\r\nSee the letter."
    assessment = toxicity.toxicity_assessed(0, toxicity.finding(grade=None, not_graded=reason))
    assert study.record_fact(participant_id, assessment).status_code == 201
    event_id = find_event_id(study, participant_id, assessment.type_name, "toxicity")
    page = rome.open(f"{pages_of(study, 'toxicity')}/participants/{participant_id}/corrections/{event_id}")
    page.fill({"reason_code": "typing_error", "replacement.data.checklist_complete": "false"})
    assert rome.press(page, "record", "restate").status == 200
    rows = study.get_from("toxicity", f"participants/{participant_id}").json()["facts"]
    assert [row["data"]["findings"][0]["not_graded"] for row in rows] == [reason]


def test_correction_of_an_answer_shows_the_key_of_its_data_query_and_does_not_ask_for_it(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    answer = followup.query_explained()
    assert study.record_fact(participant_id, answer).status_code == 201
    event_id = find_event_id(study, participant_id, answer.type_name, "followup")
    page = rome.open(f"{pages_of(study, 'followup')}/participants/{participant_id}/corrections/{event_id}")
    (key,) = [control for control in page.parser.controls if control.get("name") == "replacement.data.query_key"]
    assert (key["tag"], key["value"], answer.query_key in page.text) == ("hidden", answer.query_key, True)
    assert "See the data query in its list" in page.text
    page.fill({"reason_code": "typing_error", "replacement.data.reason": "The scan was read twice."})
    assert rome.press(page, "record", "restate").status == 200


@pytest.mark.parametrize("service", ["enrollment", "toxicity", "followup"])
def test_link_to_what_was_recorded_today_leads_to_the_same_service(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, service: str
) -> None:
    page = rome.open(f"{pages_of(study, service)}/participants/{study.wait_until_known(participant_id)}")
    assert page.parser.links["Recorded today"] == f"{pages_of(study, service)}/recorded"


def test_correction_keeps_a_text_of_several_lines_unchanged(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """F12."""
    page = rome.open(correction_of(study, participant_id, "procedure.performed"))
    page.fill({"reason_code": "source_corrected", "replacement.data.kind": "surgery"})
    rome.press(page, "record", "restate")
    (procedure,) = current(study, participant_id, "procedure.performed")
    assert (procedure["kind"], procedure["detail"]) == ("surgery", f"{SECRET}\nsecond line")


def test_coordinator_of_the_study_corrects_without_seeing_the_sites_texts(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """F11, for a text that the class lets be absent."""
    with form_browser(study, "coordinator") as coordinator:
        page = coordinator.open(correction_of(study, participant_id, "procedure.performed"))
        assert SECRET not in page.response.text
        assert "Leave this empty to keep it." in page.text
        page.fill({"reason_code": "typing_error", "replacement.data.kind": "surgery"})
        assert coordinator.press(page, "record", "restate").status == 200
    (procedure,) = current(study, participant_id, "procedure.performed")
    assert (procedure["kind"], procedure["detail"]) == ("surgery", f"{SECRET}\nsecond line")


def test_fact_is_voided_and_reinstated(study: StudyUnderTest, rome: FormBrowser, participant_id: str) -> None:
    address = correction_of(study, participant_id, "lesion.registered")
    page = rome.open(address)
    page.fill({"reason_code": "entered_in_error", "replacement.data.found_on": "no date"})
    voided = rome.press(page, "record", "void")
    assert re.search(
        r"This fact is void\. Voided \d{4}-\d\d-\d\d \d\d:\d\d Europe/Rome; this was its content\.", voided.text
    )
    assert "Corrected" not in voided.text
    assert current(study, participant_id, "lesion.registered") == []
    page = rome.open(address)
    assert [button for button in page.parser.buttons if button[0] == "record"] == [("record", "restate")]
    page.fill({"reason_code": "other"})
    assert "This fact is void." not in rome.press(page, "record", "restate").text
    assert len(current(study, participant_id, "lesion.registered")) == 1


def test_correction_without_a_reason_is_refused_at_its_field(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    page = rome.open(correction_of(study, participant_id, "lesion.registered"))
    page.fill({"replacement.data.found_on": "03/2024"})
    for value in ("restate", "void"):
        refused = rome.press(page, "record", value)
        assert refused.status == 422
        assert 'id="f-reason_code-errors"' in refused.response.text
        assert ('id="f-replacement-data-found_on-errors"' in refused.response.text) == (value == "restate")
    assert "record.corrected" not in recorded_types(study, participant_id)


@pytest.mark.parametrize(("user", "status"), [("site@milan", 404), ("monitor", 403), ("reader", 404)])
def test_correction_of_another_site_is_404_and_of_another_role_403(
    study: StudyUnderTest, participant_id: str, user: str, status: int
) -> None:
    address = correction_of(study, participant_id, "lesion.registered")
    with form_browser(study, user) as browser:
        assert browser.open(address).status in {status, 403 if user == "reader" else status}


def test_correction_of_an_unknown_event_is_404(study: StudyUnderTest, rome: FormBrowser, participant_id: str) -> None:
    base = f"{pages_of(study)}/participants/{participant_id}"
    unknown = "018f3c5e-7a10-7cc1-b4a5-9a1d6b0c2f11"
    assert rome.open(f"{base}/corrections/{unknown}").status == 404
    assert rome.open(f"{base}/events/{unknown}").status == 404


def test_recorded_page_lists_what_the_caller_recorded_that_day_with_links_to_correct_it(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    page = rome.open(rome.open(f"{pages_of(study)}/participants/{participant_id}").parser.links["Recorded today"])
    assert page.status == 200
    assert f"{pages_of(study, 'followup')}/recorded?on=" in page.parser.links["Follow-up"]
    assert participant_id in page.text
    assert correction_of(study, participant_id, "lesion.registered") in page.parser.addresses
    assert participant_id not in rome.open(f"{pages_of(study)}/recorded?on=2024-01-01").text
    for user in ("coordinator@rome", "site@milan"):
        with form_browser(study, user) as other:
            assert participant_id not in other.open(f"{pages_of(study)}/recorded").text


def test_participants_are_listed_with_the_sites_own_numbers_for_the_site_alone(
    study: StudyUnderTest, rome: FormBrowser
) -> None:
    participant_id = study.enroll_at("rome", local_reference=REFERENCE)
    address = f"{pages_of(study)}/participants"
    texts = {}
    for user in ("site@rome", "coordinator", "site@milan"):
        with form_browser(study, user) as browser:
            texts[user] = browser.open(address).text
    assert {user: (participant_id in text, REFERENCE in text) for user, text in texts.items()} == {
        "site@rome": (True, True),
        "coordinator": (True, False),
        "site@milan": (False, False),
    }
    for typed in ({"number": participant_id.lower().replace("-", "")}, {"local_reference": f" {REFERENCE.lower()} "}):
        page = rome.open(f"{address}/find")
        page.fill(typed)
        next_page = rome.press(page, "find")
        assert str(next_page.response.url).endswith(f"/participants/{participant_id}")
    page = rome.open(f"{address}/find")
    page.fill({"number": "K7F2-9QXA-4"})
    missing = rome.press(page, "find")
    assert (missing.status, missing.value("number")) == (422, "K7F2-9QXA-4")


def test_page_of_a_participant_has_the_forms_that_the_caller_may_use(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    hub = f"{pages_of(study)}/participants/{participant_id}"
    page = rome.open(hub)
    assert form_of(study, participant_id, "lesion.registered") in page.parser.addresses
    with form_browser(study, "monitor") as monitor:
        assert not [link for link in monitor.open(hub).parser.addresses if "/facts/" in link]
    study.wait_until_known(participant_id)
    assert "Nothing was recorded here yet" in rome.open(hub.replace("/enrollment/", "/followup/")).text


def test_facts_of_the_study_are_recorded_by_its_administrator(study: StudyUnderTest, rome: FormBrowser) -> None:
    address = f"{pages_of(study)}/facts/study.site_activated"
    assert rome.open(address).status == 403
    with form_browser(study, "administrator") as administrator:
        page = administrator.open(address)
        page.fill({"site_id": "oslo", "name": "Oslo", "country": "NO", "time_zone": "Europe/Oslo", "on": "2024-01-01"})
        assert "Europe/Oslo" in administrator.press(page, "record").text
        assert "Activation of a site" in administrator.open(f"{pages_of(study)}/recorded").text


def test_times_of_recording_are_by_the_clock_of_the_site(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """F14: a coordinator compares them with the clock on the wall, not with Greenwich."""
    history = study.get(f"participants/{participant_id}/history").json()["events"]
    (event,) = [event for event in history if event["type"] == "participant.enrolled"]
    recorded_at = datetime.fromisoformat(event["recorded_at"]).astimezone(ZoneInfo("Europe/Rome"))
    time = f"{recorded_at:%Y-%m-%d %H:%M} Europe/Rome"
    event_page = rome.open(f"{pages_of(study)}/participants/{participant_id}/events/{event['event_id']}")
    assert f"Recorded {time} by" in event_page.text
    page = rome.open(f"{pages_of(study)}/recorded")
    assert (time in page.text, "UTC" in page.text) == (True, False)
