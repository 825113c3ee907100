"""Forms guard what is easily lost: an hour that exists twice, a form older than the session, and left-out answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.testing.builders import facts
from shared.web.authentication import SESSION
from shared.web.cookies import Cookies
from tests.api.support.form_browser import FormBrowser, form_of, pages_of, recorded_types, sign_in
from tests.api.support.lesion_form import open_lesion_form
from tests.api.support.study import ROME_USER, StudyUnderTest, find_event_id, open_study
from tests.demo import Demo

MEBIBYTE = 1 << 20
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def participant_id(study: StudyUnderTest) -> str:
    return study.wait_until_known(study.enroll_at("rome", facts.lesion_registered("L0")))


@pytest.mark.parametrize("offset", ["+02:00", "+01:00"])
def test_time_that_exists_twice_at_the_site_is_recorded_as_the_one_that_is_chosen(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, offset: str
) -> None:
    """F14: the 24-hour rule hangs on it. Nothing is chosen beforehand."""
    page = rome.open(form_of(study, participant_id, "toxicity.serious_event_reported", "toxicity"))
    page.fill({"aware_at": "2024-10-27 02:30", "term": "3.0:0207", "grade": "3", "onset_on": "2024-10-26"})
    page.fill({"seriousness": ["hospitalisation"], "narrative": "Admitted.", "outcome": "RECOVERED/RESOLVED"})
    refused = rome.press(page, "record")
    assert (refused.status, "exists twice" in refused.text) == (422, True)
    assert refused.choices("aware_at") == [f"2024-10-27T02:30:00{zone_offset}" for zone_offset in ("+02:00", "+01:00")]
    assert refused.value("aware_at") == "2024-10-27 02:30"
    for control in refused.parser.controls:
        if control.get("value") == f"2024-10-27T02:30:00{offset}":
            control["checked"] = ""
    recorded = rome.press(refused, "record")
    assert (recorded.status, f"2024-10-27 02:30 ({offset}) Europe/Rome" in recorded.text) == (200, True)
    rows = study.get_from("toxicity", f"participants/{participant_id}").json()["facts"]
    assert [row["data"]["aware_at"] for row in rows] == [f"2024-10-27T02:30:00{offset}"]


def test_token_of_the_browser_holds_in_every_service_and_after_another_sign_in(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W5: a form that was open before the sign-in is recorded after it."""
    page = open_lesion_form(study, rome, participant_id)
    other = rome.open(form_of(study, participant_id, "disease.progressed", "followup"))
    assert page.value("form:csrf") == other.value("form:csrf") != ""
    rome.http.cookies.delete(Cookies(plain_http=True, port=study.demo.port).name(SESSION))
    sign_in(rome.http, study, ROME_USER)
    assert rome.press(page, "record").status == 200
    assert recorded_types(study, participant_id).count("lesion.registered") == 2


def test_form_of_more_than_a_mebibyte_is_refused_and_records_nothing(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    page = open_lesion_form(study, rome, participant_id)
    for size, is_too_long in ((MEBIBYTE, False), (MEBIBYTE + 1, True)):
        content = b"a=" + b"x" * (size - 2)  # no form of Quartal, so the shorter one is refused too
        refused = rome.http.post(page.parser.action, content=content, headers=FORM)
        assert (refused.status_code == 413) == is_too_long
        assert (refused.is_client_error, b"xxx" in refused.content) == (True, False)
    assert recorded_types(study, participant_id).count("lesion.registered") == 1


def test_answer_that_a_correction_leaves_out_is_marked_at_its_row(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """F7."""
    event_id = find_event_id(study, participant_id, "participant.screened")
    page = rome.open(f"{pages_of(study)}/participants/{participant_id}/corrections/{event_id}")
    name = "replacement.data.criteria.histology"
    assert page.value(name) == "met"
    for control in page.parser.controls:
        if control.get("name") == name:
            control.pop("checked", None)
            control["value"] = "" if control["tag"] == "select" else control["value"]
    page.fill({"reason_code": "typing_error"})
    refused = rome.press(page, "record", "restate")
    assert refused.status == 422
    assert f'id="f-{name.replace(".", "-")}-errors"' in refused.response.text
    assert 'id="f-replacement-data-criteria-errors"' not in refused.response.text
