"""Forms of single facts: what they offer, how they read what people type, and the data that they begin with."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from shared.terminology.ctcae import load_dictionary
from shared.testing.builders import facts
from tests.api.support.form_browser import FormBrowser, form_browser, form_of, pages_of
from tests.api.support.study import StudyUnderTest, open_study
from tests.demo import OPENER, Demo

OPENING = {
    "title": "A study",
    "ethics_approval": "EC 1",
    "protocol.criteria.0.id": "histology",
    "protocol.criteria.0.text": "Histology.",
    "protocol.criteria.0.kind": "inclusion",
    "protocol.consent_versions.0.version": "1.0",
    "protocol.consent_versions.0.valid_from": "2024-01-01",
    "protocol.toxicity.dictionary": "ctcae-5.0",
}
"""Answers to everything that the form of a new study requires, but for the study's id."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CHECKLIST = ("3.0:0150", "3.0:0114")


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    plan = {"dictionary": "ctcae-3.0", "checklist": list(CHECKLIST)}
    with open_study(demo, toxicity=plan, symptoms=["pain"]) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    extra_facts = (facts.lesion_registered(), facts.radiotherapy_started(1, "RT1", facts.target("T1", "L1")))
    return study.wait_until_known(study.enroll_at("rome", *extra_facts))


def test_assessment_offers_the_checklist_and_finds_other_terms_by_words(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """F10: terms of the checklist stand in rows, others are found by words, and only a chosen one is recorded."""
    page = rome.open(form_of(study, participant_id, "toxicity.assessed", "toxicity"))
    assert [page.value(f"findings.{row}.term") for row in (0, 1)] == list(CHECKLIST)
    page.fill({"assessed_on": "2024-02-20", "timepoint": "during_rt", "checklist_complete": "true"})
    page.fill({"findings.0.grade": "2"})
    page = rome.press(page, "add", "findings")
    page.fill({"findings.2.term": "nausea", "findings.2.grade": "1"})
    refused = rome.press(page, "record")
    assert refused.status == 422
    assert "3.0:0207" in refused.choices("findings.2.term")
    assert len(refused.choices("findings.2.term")) <= 20
    for control in refused.parser.controls:
        if control.get("name") == "findings.2.term" and control.get("value") == "3.0:0207":
            control["checked"] = ""
    recorded = rome.press(refused, "record")
    assert recorded.status == 200, recorded.text
    assert "Nausea" in recorded.text
    rows = study.get_from("toxicity", f"participants/{participant_id}").json()["facts"]
    findings = next(row["data"]["findings"] for row in rows if row["type"] == "toxicity.assessed")
    assert [(finding["term"], finding["grade"]) for finding in findings] == [("3.0:0150", 2), ("3.0:0207", 1)]


def test_assessment_of_200_terms_is_a_form_of_1200_fields(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """F13."""
    page = rome.open(form_of(study, participant_id, "toxicity.assessed", "toxicity"))
    own = [(name, value) for name, value in page.values if name.startswith("form:") and name != "form:offered"]
    fields = [("assessed_on", "2024-02-25"), ("timepoint", "during_rt"), ("checklist_complete", "false")]
    for row, term in enumerate(list(load_dictionary("ctcae-3.0").terms)[:200]):
        members = {"term": term, "grade": "0", "not_graded": "", "onset_on": "2024-02"}
        causes = {"attribution.0.to": "course:RT1", "attribution.0.level": "unrelated"}
        fields += [(f"findings.{row}.{name}", value) for name, value in {**members, **causes}.items()]
    assert len(fields) > 1200
    content = urlencode([*own, *fields, ("record", "1")])
    response = rome.http.post(page.parser.action, content=content, headers=FORM)
    assert response.status_code == 303, response.text
    rows = [(f"findings.{row}.grade", "0") for row in range(1000)]
    refused = rome.http.post(page.parser.action, content=urlencode([*own, *rows, ("record", "1")]), headers=FORM)
    assert refused.status_code == 422


def test_serious_event_is_reported_by_the_clock_of_the_site(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    """F14."""
    page = rome.open(form_of(study, participant_id, "toxicity.serious_event_reported", "toxicity"))
    assert page.value("serious_event_id") == "SAE1"
    page.fill({"aware_at": "2024-03-07 09:30", "term": "3.0:0207", "grade": "3", "onset_on": "2024-03-06"})
    page.fill({"seriousness": ["hospitalisation"], "narrative": "Admitted.", "outcome": "RECOVERED/RESOLVED"})
    recorded = rome.press(page, "record")
    assert recorded.status == 200, recorded.text
    rows = study.get_from("toxicity", f"participants/{participant_id}").json()["facts"]
    report = next(row["data"] for row in rows if row["type"] == "toxicity.serious_event_reported")
    assert report["aware_at"].startswith("2024-03-07T09:30:00+01:00")


def test_change_of_a_prescription_begins_with_the_prescription_in_force(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    page = rome.open(form_of(study, participant_id, "radiotherapy.prescription_changed"))
    assert (page.value("targets.0.target_id"), page.value("targets.0.lesion_ids")) == ("T1", "L1")
    assert page.value("targets.0.total_dose_cgy")


@pytest.mark.parametrize("birth_year", ["1950", "born 1950"])
def test_unanswered_criterion_is_marked_at_its_row(study: StudyUnderTest, rome: FormBrowser, birth_year: str) -> None:
    """F7: also where the class objects to something else, before the protocol is compared."""
    page = rome.open(f"{pages_of(study)}/participants/new")
    page.fill({"screened_on": "2024-02-01", "sex": "male", "birth_year": birth_year, "criteria.histology": "met"})
    refused = rome.press(page, "record")
    assert refused.status == 422
    assert 'id="f-criteria-rt-indicated-errors"' in refused.response.text
    assert 'id="f-criteria-histology-errors"' not in refused.response.text
    assert 'id="f-criteria-errors"' not in refused.response.text


def test_amendment_begins_with_the_protocol_in_force_and_needs_what_has_no_default(study: StudyUnderTest) -> None:
    with form_browser(study, "administrator") as administrator:
        page = administrator.open(f"{pages_of(study)}/facts/study.protocol_amended")
        assert page.value("protocol.toxicity.checklist.0") == CHECKLIST[0]
        page.fill({"amendment": "A1", "effective_on": "2024-05-01", "reason": "Experience."})
        page.fill({"protocol.minimum_age": "21"})
        recorded = administrator.press(page, "record")
        assert recorded.status == 200, recorded.text
        assert "21" in recorded.text


def test_study_is_opened_by_a_form(demo: Demo, study: StudyUnderTest) -> None:
    study_id = f"own-{secrets.token_hex(6)}"
    opened = StudyUnderTest(demo, study.http, study_id)
    with form_browser(opened, "administrator") as administrator:
        page = administrator.open("/enrollment/studies/new")
        assert page.status == 200, page.text
        page = administrator.press(page, "add", "protocol.criteria")
        page.fill({"study_id": study_id} | OPENING)
        recorded = administrator.press(page, "record")
        assert recorded.status == 200, recorded.text
        assert "Opening of a study" in recorded.text
        assert administrator.open(f"/enrollment/studies/{study_id}/facts/study.site_activated").status == 200
        page.fill({"title": "Another title"})
        again = administrator.press(page, "record")
        assert (again.status, again.value("title")) == (409, "Another title")
        assert re.search(r"recorded at \d{4}-\d\d-\d\d \d\d:\d\d UTC as title A study\.", again.text), again.text
        assert str(recorded.response.url).endswith(again.parser.links["What this form recorded"])


def test_form_that_has_opened_a_study_opens_no_other_one(study: StudyUnderTest) -> None:
    """W2: the id of another study is another body under a used key."""
    study_id = f"own-{secrets.token_hex(6)}"
    other_id = f"{study_id}-2"
    with form_browser(study, OPENER) as administrator:
        page = administrator.press(administrator.open("/enrollment/studies/new"), "add", "protocol.criteria")
        page.fill({"study_id": study_id} | OPENING)
        recorded = administrator.press(page, "record")
        assert recorded.status == 200, recorded.text
        page.fill({"study_id": other_id})
        again = administrator.press(page, "record")
        assert (again.status, again.value("study_id")) == (409, other_id)
        assert "What you changed since then is a correction." in again.text
        assert str(recorded.response.url).endswith(again.parser.links["What this form recorded"])
        checked = administrator.press(page, "check")
        assert (checked.status, "What you changed since then is a correction." in checked.text) == (200, True)
        assert administrator.open(f"/enrollment/studies/{other_id}/facts/study.site_activated").status == 404


def test_study_is_not_opened_by_others(study: StudyUnderTest, rome: FormBrowser) -> None:
    assert rome.open("/enrollment/studies/new").status == 403


def test_id_that_is_the_address_of_the_form_is_no_id_of_a_study(study: StudyUnderTest) -> None:
    """Its page would be the form for a new study."""
    with form_browser(study, OPENER) as administrator:
        page = administrator.open("/enrollment/studies/new")
        page.fill({**OPENING, "study_id": "new"})
        refused = administrator.press(page, "record")
        assert refused.status == 422
        assert "This id stands in the address of the form for a new study." in refused.text
        assert 'id="f-study_id-errors"' in refused.response.text


def test_id_under_which_a_person_may_open_no_study_is_refused_at_its_field(demo: Demo, study: StudyUnderTest) -> None:
    """The whole protocol is typed by then: a page without the form would lose it."""
    with form_browser(study, "administrator") as administrator:
        page = administrator.open("/enrollment/studies/new")
        page.fill({**OPENING, "study_id": f"not-{study.study_id}"})
        for button, status in (("check", 200), ("record", 422)):
            answer = administrator.press(page, button)
            assert (answer.status, answer.value("title")) == (status, "A study")
            assert 'id="f-study_id-errors"' in answer.response.text
            assert "The operators of this installation grant that" in answer.text


def test_day_under_another_protocol_changes_the_questions_and_keeps_the_answers(demo: Demo) -> None:
    """F9: after a round trip the form asks what the protocol of the typed day asks, and says so."""
    with open_study(demo) as study:
        amended = facts.protocol_amended("2024-06-01", facts.protocol(("histology", "age-limit")), "A1")
        assert study.record_study_fact(amended).status_code == 201
        with form_browser(study, "site@rome") as rome:
            page = rome.open(f"{pages_of(study)}/participants/new")
            assert {"criteria.histology", "criteria.age-limit"} <= page.names
            page.fill({"screened_on": "2024-02-01", "sex": "male", "birth_year": "1950"})
            page.fill({"criteria.histology": "met", "criteria.age-limit": "met"})
            earlier = rome.press(page, "check")
            assert "the questions changed" in earlier.text
            assert earlier.value("criteria.histology") == "met"
            assert earlier.choices("criteria.rt-indicated")
            assert not earlier.choices("criteria.age-limit")
            earlier.fill({"screened_on": "2024-07-01"})
            later = rome.press(earlier, "check")
            assert "the questions changed" in later.text
            assert later.value("criteria.age-limit") == "met"
            later.fill({"screened_on": "2024-02-01", "criteria.histology": "not_met"})
            back = rome.press(later, "check")
            back.fill({"criteria.rt-indicated": "met"})
            recorded = rome.press(back, "record")
            assert recorded.status == 200, recorded.text
            assert "age-limit" not in recorded.text


def test_consent_form_is_offered_with_its_validity_whatever_the_day(study: StudyUnderTest, rome: FormBrowser) -> None:
    """F9: somebody who cannot choose the form that was signed would choose a wrong one."""
    participant_id = study.enroll_at("rome")
    page = rome.open(f"{form_of(study, participant_id, 'participant.consented')}?signed_on=2024-02-01")
    assert page.choices("form_version") == ["2.1", "3.0"]
    assert "3.0, from 2024-06-01" in page.text
