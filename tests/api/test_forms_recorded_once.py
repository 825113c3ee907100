"""A form records once: double clicks, two tabs, Back and reload, and persons who were screened already."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from shared.testing.builders import facts
from tests.api.support.clock import write_days
from tests.api.support.form_browser import FormBrowser, form_browser, form_of, pages_of, recorded_types
from tests.api.support.lesion_form import SCREENING, lesion_facts, open_lesion_form
from tests.api.support.study import StudyUnderTest, find_event_id, open_study
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def participant_id(study: StudyUnderTest) -> str:
    return study.enroll_at("rome")


def test_double_click_records_once_and_both_lead_to_the_same_page(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    page = open_lesion_form(study, rome, participant_id)
    first, second = rome.press(page, "record"), rome.press(page, "record")
    assert first.response.url == second.response.url
    assert len(lesion_facts(study, participant_id)) == 1


def test_form_that_was_recorded_and_changed_leads_to_what_it_recorded(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W2: Back, another value, Record. The change is not lost, and not recorded as a second fact."""
    page = open_lesion_form(study, rome, participant_id)
    recorded = rome.press(page, "record")
    page.fill({"body_site": "liver"})
    again = rome.press(page, "record")
    assert again.status == 409
    assert again.value("body_site") == "liver"
    sentence = r"recorded at \d{4}-\d\d-\d\d \d\d:\d\d Europe/Rome as body site Lung\. What you changed since"
    assert re.search(sentence, again.text)
    assert str(recorded.response.url).endswith(
        next(link for text, link in again.parser.links.items() if text.startswith("What this form recorded"))
    )
    assert [lesion["body_site"] for lesion in lesion_facts(study, participant_id)] == ["lung"]


def test_second_tab_shows_what_was_recorded_meanwhile(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W3."""
    first = open_lesion_form(study, rome, participant_id)
    second = open_lesion_form(study, rome, participant_id, lesion_id="L2", body_site="liver")
    assert rome.press(first, "record").status == 200
    stale = rome.press(second, "record")
    assert stale.status == 412
    assert "Tumor lesion" in " ".join(stale.parser.links)
    assert stale.value("body_site") == "liver"
    assert rome.press(stale, "record").status == 200
    assert [lesion["body_site"] for lesion in lesion_facts(study, participant_id)] == ["lung", "liver"]


def test_two_tabs_at_once_record_one_fact_and_show_it_to_the_other_tab(
    study: StudyUnderTest, rome: FormBrowser
) -> None:
    """W3: also where the record changed after the slower tab's request had read it."""
    for _ in range(5):
        number = study.enroll_at("rome")
        tabs = [
            open_lesion_form(study, rome, number, lesion_id=lesion_id, body_site=body_site)
            for lesion_id, body_site in (("L1", "lung"), ("L2", "liver"))
        ]
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(lambda tab: rome.press(tab, "record"), tabs))
        assert sorted(answer.status for answer in answers) == [200, 412]
        stale = next(answer for answer in answers if answer.status == 412)
        assert "Tumor lesion" in " ".join(stale.parser.links)
        assert rome.press(stale, "record").status == 200
        assert len(lesion_facts(study, number)) == 2


def test_check_of_a_second_tab_shows_what_was_recorded_meanwhile_and_what_is_wrong(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """Nothing is recorded by it, so it answers 200; the objections are those in the present state of the record."""
    first, second = (open_lesion_form(study, rome, participant_id, body_site=site) for site in ("lung", "liver"))
    assert rome.press(first, "record").status == 200
    checked = rome.press(second, "check")
    assert (checked.status, "Since you opened this page" in checked.text) == (200, True)
    assert checked.response.text.count('id="f-lesion_id-errors"') == 1
    assert rome.press(second, "record").status == 412
    assert len(lesion_facts(study, participant_id)) == 1


def test_check_of_what_another_service_does_not_know_yet_answers_200(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    study.wait_until_known(participant_id)
    page = rome.open(f"{form_of(study, participant_id, 'disease.progressed', 'followup')}?lesion_id=L9")
    page.fill({"detected_on": "2024-05-01", "kind": "local", "basis": "imaging"})
    for button, status in (("check", 200), ("record", 409)):
        answer = rome.press(page, button)
        assert (answer.status, "not here yet" in answer.text) == (status, True), answer.text
        assert 'id="f-lesion_id-errors"' in answer.response.text


def test_screening_that_is_sent_many_times_at_once_is_recorded_once_and_asks_nothing(
    study: StudyUnderTest, rome: FormBrowser
) -> None:
    """A double click is no other person of the same sex and year of birth."""
    for birth_year in range(1901, 1906):
        page = rome.open(f"{pages_of(study)}/participants/new")
        page.fill({**SCREENING, "birth_year": str(birth_year)})
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _, page=page: rome.press(page, "record"), range(8)))
        assert {answer.status for answer in answers} == {200}
        assert len({str(answer.response.url) for answer in answers}) == 1


def test_reference_in_use_leads_the_sites_staff_to_its_participant_and_nobody_else(
    study: StudyUnderTest, rome: FormBrowser
) -> None:
    """W3: 409 with a link. A coordinator of the whole study, who may not state references, learns nothing."""
    number = study.register(facts.participant_screened(local_reference="Zq-55"))
    address = f"{pages_of(study)}/participants/new"
    page = rome.open(address)
    page.fill({**SCREENING, "birth_year": "1935", "local_reference": "zq-55"})
    for button, status in (("check", 200), ("record", 409)):
        answer = rome.press(page, button)
        assert (answer.status, answer.value("local_reference")) == (status, "zq-55")
        assert 'id="f-local_reference-errors"' in answer.response.text
        assert answer.parser.links[f"Participant {number}"] == f"{pages_of(study)}/participants/{number}"
        assert rome.open(answer.parser.links["Find a participant by the number at the site"]).status == 200
    reads = study.get("reads", "auditor", limit=1000).json()["rows"]
    assert [row["rows"] for row in reads if row["what"] == "search"] == [1, 1]
    with form_browser(study, "coordinator") as coordinator:
        page = coordinator.open(address)
        page.fill({**SCREENING, "site_id": "rome", "birth_year": "1936", "local_reference": "zq-55"})
        for button in ("check", "record"):
            answer = coordinator.press(page, button)
            assert (number in answer.text, "uses this reference" in answer.text) == (False, False)


def test_fact_that_stands_already_asks_for_one_more_click(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W3: after Back, an empty form with a new key is filled in again."""
    fields = {"performed_on": "2024-03-01", "kind": "biopsy", "body_site": "lung"}
    address = form_of(study, participant_id, "procedure.performed")
    assert rome.record(address, **fields).status == 200
    again = rome.record(address, **fields)
    assert again.status == 422
    assert "An equal fact stands already" in again.text
    assert rome.press(again, "record").status == 200
    assert recorded_types(study, participant_id).count("procedure.performed") == 2


def test_nobody_is_asked_about_an_equal_fact_that_can_stand_only_once(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    fields = {"lesion_id": "A", "kind": "metastasis", "body_site": "lung", "found_on": "2024-03-01"}
    address = form_of(study, participant_id, "lesion.registered")
    assert rome.record(address, **fields).status == 200
    again = rome.record(address, **fields)
    assert (again.status, "already. Give another one." in again.text) == (422, True)
    assert "An equal fact stands already" not in again.text


def test_person_who_may_have_been_screened_already_is_asked_about(study: StudyUnderTest, rome: FormBrowser) -> None:
    """W3: a new participant has no record whose version could tell; two colleagues may enter the same person."""
    address = f"{pages_of(study)}/participants/new"
    screening = {name.replace(".", "__"): value for name, value in SCREENING.items()}
    twin = {**screening, "birth_year": "1931"}
    first = rome.record(address, **twin)
    assert first.status == 200, first.text
    with form_browser(study, "coordinator@rome") as colleague:
        question = colleague.record(address, **twin)
        assert (question.status, "Record again only if this is another person" in question.text) == (422, True)
        assert colleague.record(address, **{**twin, "birth_year": "1932"}).status == 200
        assert colleague.press(question, "record").status == 200
    with form_browser(study, "site@milan") as milan:
        assert milan.record(address, **twin).status == 200


def test_person_who_was_screened_that_day_is_asked_about_whenever_it_was_recorded(demo: Demo) -> None:
    """W3: the day is the one of the screening. A correction may have given it; a person of another sex is another."""
    with open_study(demo) as study, form_browser(study, "coordinator@rome") as colleague:
        screening = {name.replace(".", "__"): value for name, value in SCREENING.items()}
        for birth_year in (1941, 1951):
            study.register(facts.participant_screened("2024-02-01", birth_year=birth_year, sex="female"))
        corrected = study.register(facts.participant_screened("2024-02-02", birth_year=1961, sex="female"))
        event_id = find_event_id(study, corrected, "participant.screened")
        restated = facts.participant_screened("2024-02-01", birth_year=1961, sex="female")
        assert study.record_fact(corrected, facts.correction(UUID(event_id), restated)).status_code == 201
        write_days(demo, study.study_id, 1)
        answers = [
            colleague.record(f"{pages_of(study)}/participants/new", **{**screening, **changes}).status
            for changes in (
                {"birth_year": "1941"},
                {"birth_year": "1951", "sex": "male"},
                {"birth_year": "1951", "screened_on": "2024-02-02"},
                {"birth_year": "1952"},
                {"birth_year": "1961"},
                {"birth_year": "1961", "screened_on": "2024-02-02"},
            )
        ]
        assert answers == [422, 200, 200, 200, 422, 200]


def test_double_click_screens_one_participant_and_a_change_leads_to_the_participant(
    study: StudyUnderTest, rome: FormBrowser
) -> None:
    """W2, W3: the question about a person who was screened already is not asked about the click itself."""
    page = rome.open(f"{pages_of(study)}/participants/new")
    page.fill({**SCREENING, "birth_year": "1933"})
    first, second = rome.press(page, "record"), rome.press(page, "record")
    assert first.response.url == second.response.url
    page.fill({"birth_year": "1934"})
    changed = rome.press(page, "record")
    assert changed.status == 409
    assert str(first.response.url).endswith(
        next(link for text, link in changed.parser.links.items() if text.startswith("What this form recorded"))
    )


def test_reload_after_add_or_a_refusal_records_nothing(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W7: the browser asks to send the form again; only `record` records, and once under its key."""
    page = rome.open(form_of(study, participant_id, "systemic_therapy.started"))
    page.fill({"on": "2024-02-10", "setting": "palliative", "agents.0.name": "Carboplatin"})
    for _ in range(2):
        assert rome.press(page, "add", "agents").status == 200
        assert rome.press(page, "check").status == 200
    page.fill({"on": "10.2.2024"})
    for _ in range(2):
        assert rome.press(page, "record").status == 422
    assert "systemic_therapy.started" not in recorded_types(study, participant_id)
    again = rome.open(form_of(study, participant_id, "systemic_therapy.started"))
    assert again.value("form:key") != page.value("form:key")
    assert again.value("agents.0.name") == ""


def test_question_about_one_equal_fact_is_no_answer_about_another(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """W3: the click "Record again" is about the answers that the question was asked about."""
    address = form_of(study, participant_id, "procedure.performed")
    for day in ("2024-03-01", "2024-03-02"):
        assert rome.record(address, performed_on=day, kind="biopsy", body_site="lung").status == 200
    question = rome.record(address, performed_on="2024-03-01", kind="biopsy", body_site="lung")
    assert question.status == 422
    question.fill({"performed_on": "2024-03-02"})
    second = rome.press(question, "record")
    assert (second.status, "An equal fact stands already" in second.text) == (422, True)
    assert recorded_types(study, participant_id).count("procedure.performed") == 2
    assert rome.press(second, "record").status == 200
    assert recorded_types(study, participant_id).count("procedure.performed") == 3


def test_check_of_a_screening_that_was_recorded_says_so(study: StudyUnderTest, rome: FormBrowser) -> None:
    """W2: Record, Back, Check. The reference is that of the person whom this very form screened."""
    page = rome.open(f"{pages_of(study)}/participants/new")
    page.fill({**SCREENING, "birth_year": "1937", "local_reference": "Zq-56"})
    recorded = rome.press(page, "record")
    assert recorded.status == 200, recorded.text
    checked = rome.press(page, "check")
    assert (checked.status, "This form was recorded at" in checked.text) == (200, True)
    assert not re.search("Nothing was recorded yet|uses this reference", checked.text)
    assert str(recorded.response.url).endswith(checked.parser.links["What this form recorded"])
    page.fill({"birth_year": "1938"})
    changed = rome.press(page, "check")
    assert (changed.status, "What you changed since then is a correction" in changed.text) == (200, True)


def test_screening_under_a_used_key_at_another_site_records_nothing(study: StudyUnderTest) -> None:
    """W2: a coordinator of the whole study screens at Rome, goes back, and chooses Milan."""
    count_before = len(study.get("participants", "coordinator", limit=1000).json()["rows"])
    with form_browser(study, "coordinator") as coordinator:
        page = coordinator.open(f"{pages_of(study)}/participants/new")
        page.fill({**SCREENING, "site_id": "rome", "birth_year": "1939"})
        recorded = coordinator.press(page, "record")
        assert recorded.status == 200, recorded.text
        page.fill({"site_id": "milan"})
        again = coordinator.press(page, "record")
        assert (again.status, again.value("site_id")) == (409, "milan")
        assert str(recorded.response.url).endswith(again.parser.links["What this form recorded"])
    assert len(study.get("participants", "coordinator", limit=1000).json()["rows"]) == count_before + 1
