"""Rows of the table "Every fact": what single forms show, fix and lead on to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.reference.study import subject
from shared.testing.builders import facts
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.form_browser import FormBrowser, Page, form_browser, form_of, pages_of
from tests.api.support.study import StudyUnderTest, open_study
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def administrator(study: StudyUnderTest) -> Iterator[FormBrowser]:
    with form_browser(study, "administrator") as browser:
        yield browser


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    """A participant whose index course ended on 2024-02-29."""
    course = (facts.radiotherapy_started("2024-02-01"), facts.radiotherapy_completed("2024-02-29"))
    participant_id = study.enroll_at("rome", facts.lesion_registered(), *course)
    assert study.record_fact(participant_id, toxicity.serious_event_reported(grade=3)).status_code == 201
    return study.wait_until_known(participant_id)


def study_form(study: StudyUnderTest, type_name: str) -> str:
    return f"{pages_of(study)}/facts/{type_name}"


def tick(page: Page, name: str, value: str) -> None:
    page.fill({name: value})


def test_grant_is_revoked_by_one_choice_among_those_that_stand(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    member = subject(study.study_id, "monitor", None)
    page = administrator.open(study_form(study, "study.member_revoked"))
    assert "Coordinator, site rome" in page.text
    refused = administrator.press(page, "record")
    assert (refused.status, "Choose one of these." in refused.text) == (422, True)
    tick(refused, "form:preset", f"monitor||{member}")
    checked = administrator.press(refused, "check")
    assert "Nothing is wrong" in checked.text
    recorded = administrator.press(checked, "record")
    assert (recorded.status, member in recorded.text) == (200, True)
    assert f"monitor||{member}" not in administrator.open(study_form(study, "study.member_revoked")).choices(
        "form:preset"
    )
    assert study.get("", "monitor").status_code == 404


def test_grant_is_a_repeat_only_while_it_holds(study: StudyUnderTest, administrator: FormBrowser) -> None:
    """Revoked and granted again, twice over: nothing asks whether an equal fact that ended happened twice."""
    member = f"temp@{study.study_id}"
    for _ in range(2):
        page = administrator.open(study_form(study, "study.member_granted"))
        page.fill({"member": member, "role": "monitor"})
        assert administrator.press(page, "record").status == 200
        page = administrator.open(study_form(study, "study.member_granted"))
        page.fill({"member": member, "role": "monitor"})
        repeated = administrator.press(page, "record")
        assert (repeated.status, "An equal fact stands already" in repeated.text) == (422, True)
        page = administrator.open(study_form(study, "study.member_revoked"))
        tick(page, "form:preset", f"monitor||{member}")
        assert administrator.press(page, "record").status == 200


def test_role_is_granted_with_a_sentence_about_what_it_may_do(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    page = administrator.open(study_form(study, "study.member_granted"))
    assert "Auditor: sees participants and who read them, and records nothing" in page.text


def test_closing_of_a_site_tells_how_many_participants_are_there(
    study: StudyUnderTest, administrator: FormBrowser, participant_id: str
) -> None:
    text = administrator.open(study_form(study, "study.site_closed")).text
    assert "Milan (milan), with 0 participants" in text
    assert "Rome (rome), with 1 participant" in text


def test_amendment_asks_for_itself_first_keeps_the_schedule_and_shows_what_differs(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    page = administrator.open(study_form(study, "study.protocol_amended"))
    names = [control["name"] for control in page.parser.controls if not control["name"].startswith("form:")]
    assert names[:3] == ["amendment", "effective_on", "reason"]
    fixed = {control["name"]: control["tag"] for control in page.parser.controls}
    assert fixed["protocol.follow_up.every_months"] == fixed["protocol.follow_up.anchor_policy"] == "hidden"
    page.fill({"amendment": "A1", "effective_on": "2026-05-01", "reason": "Experience.", "protocol.minimum_age": "21"})
    checked = administrator.press(page, "check")
    assert "Minimum age 18 21" in checked.text
    assert "Visits that follow" in checked.text
    refused = administrator.press(checked, "remove", "protocol.criteria.0")
    assert "histology" not in [value for name, value in refused.values if name.startswith("protocol.criteria")]


def test_opening_finds_the_terms_of_the_checklist_in_the_chosen_dictionary(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    page = administrator.press(administrator.open("/enrollment/studies/new"), "add", "protocol.toxicity.checklist")
    page.fill({"protocol.toxicity.dictionary": "ctcae-5.0", "protocol.toxicity.checklist.0": "nausea"})
    page_with_terms = administrator.press(page, "find", "protocol.toxicity.checklist.0")
    terms = page_with_terms.choices("protocol.toxicity.checklist.0")
    assert terms
    assert all(term.startswith("5.0:") for term in terms)
    assert len(page_with_terms.choices("protocol.reminders.steps")) == 3
    windows = administrator.press(page_with_terms, "add", "protocol.follow_up.window_days")
    assert "protocol.follow_up.window_days.7.before" in windows.names


def test_country_is_chosen_by_its_name_and_its_zones_come_first(
    study: StudyUnderTest, administrator: FormBrowser
) -> None:
    page = administrator.open(study_form(study, "study.site_activated"))
    assert '<option value="NO">Norway</option>' in page.response.text
    page.fill({"country": "NO"})
    options = administrator.press(page, "check").response.text.partition('id="f-time_zone-list"')[2]
    assert options.index('"Europe/Oslo"') < options.index('"Africa/Abidjan"')


def test_forms_about_visits_offer_them_with_their_dates(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    for type_name in ("followup.recorded", "followup.visit_missed"):
        page = rome.open(form_of(study, participant_id, type_name, "followup"))
        assert "Visit 1: 2024-05-29, window 2024-05-15 to 2024-06-12" in page.text
        assert "course_id" not in page.names
    missed = rome.record(
        form_of(study, participant_id, "followup.visit_missed", "followup"),
        visit="1",
        declared_on="2024-09-20",
        reason_code="too_ill",
    )
    assert missed.status == 200
    again = rome.open(form_of(study, participant_id, "followup.visit_missed", "followup"))
    assert "Visit 1:" not in again.text
    booked = rome.open(form_of(study, participant_id, "visit.scheduled", "followup"))
    assert "Visit 1:" not in booked.text


def test_report_of_an_event_shows_what_stands(study: StudyUnderTest, rome: FormBrowser, participant_id: str) -> None:
    page = rome.open(form_of(study, participant_id, "toxicity.serious_event_updated", "toxicity"))
    assert "At present: 3." in page.text
    assert "At present: Not recovered." in page.text


def test_death_without_a_known_day_is_recorded_by_a_box(study: StudyUnderTest, rome: FormBrowser) -> None:
    participant_id = study.wait_until_known(study.enroll_at("rome"))
    page = rome.open(form_of(study, participant_id, "participant.died", "followup"))
    page.fill({"cause": "unknown", "presumed": "true", "died_on": "2024-03"})
    box = next(c for c in page.parser.controls if c.get("name") == "died_on" and c["tag"] == "checkbox")
    box["checked"] = ""
    refused = rome.press(page, "record")
    assert (refused.status, "two different values" in refused.text) == (422, True)
    refused.fill({"died_on": ""})
    refused.fill({"died_on": ["null"]})
    recorded = rome.press(refused, "record")
    assert recorded.status == 200, recorded.text
    assert "Not known" in recorded.text


def test_recorded_fact_leads_to_pages_that_wait_for_it(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W3: otherwise the next page lacks what was recorded a moment ago, and people type it again."""
    fields = {"kind": "node", "body_site": "neck", "found_on": "2024-01"}
    page = rome.record(form_of(study, participant_id, "lesion.registered"), **fields)
    timeline = page.parser.links["See it on the timeline"]
    assert "?after=enrollment%3A" in timeline
    timeline_page = rome.open(timeline)
    assert timeline_page.status == 200
    assert str(page.response.url).rpartition("/")[2] in timeline_page.response.text
    assert "is not shown here yet" not in timeline_page.text
    hub = rome.open(f"{pages_of(study)}/participants/{participant_id}")
    version = study.get(f"participants/{participant_id}").json()["version"]
    for service in ("toxicity", "followup"):
        address = f"{pages_of(study, service)}/participants/{participant_id}?after=enrollment={version}"
        assert address in hub.parser.addresses
        assert rome.open(address).status == 200
    for after in ("enrollment:x", "analytics:1", "enrollment=3"):
        assert rome.open(f"{timeline.partition('?')[0]}?after={after}").status == 422


def test_page_says_that_a_fact_is_not_shown_yet(study: StudyUnderTest, rome: FormBrowser, participant_id: str) -> None:
    page = rome.open(f"/analytics/studies/{study.study_id}/participants/{participant_id}?after=followup:999")
    assert (page.status, "is not shown here yet" in page.text) == (200, True)


@pytest.mark.parametrize(
    ("type_name", "sentence"),
    [
        ("radiotherapy.completed", "A target that is left empty was treated as prescribed."),
        ("radiotherapy.discontinued", "A target that is left empty got as much as the course had given."),
        (
            "participant.transferred",
            "Site that follows the participant from then on. Yours no longer sees this participant.",
        ),
    ],
)
def test_form_says_what_an_empty_target_and_a_transfer_mean(
    study: StudyUnderTest, rome: FormBrowser, type_name: str, sentence: str
) -> None:
    participant_id = study.enroll_at("rome", facts.lesion_registered(), facts.radiotherapy_started("2024-02-01"))
    assert sentence in rome.open(form_of(study, participant_id, type_name)).text
