"""The terms that a form's script asks for are those that its button finds, and only for members of the study."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from shared.testing.builders import facts
from tests.api.support.form_browser import FormBrowser, form_browser, form_of, pages_of
from tests.api.support.study import StudyUnderTest, open_study
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    """A study with terms of version 3.0, and of version 5.0 from 2024-05-01 on."""
    plan = {"dictionary": "ctcae-3.0", "checklist": []}
    with open_study(demo, toxicity=plan) as study:
        amended = facts.protocol(toxicity={"dictionary": "ctcae-5.0", "checklist": []})
        assert study.record_study_fact(facts.protocol_amended("2024-05-01", amended)).status_code == 201
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    return study.wait_until_known(study.enroll_at("rome", facts.radiotherapy_started()))


def find(browser: FormBrowser, study: StudyUnderTest, **query: str) -> httpx.Response:
    return browser.http.get(f"{pages_of(study, 'toxicity')}/terms", params={"today": "2024-06-01", **query})


@pytest.mark.parametrize("words", ["pain", "naus", "zzz", "neutro", "- /"])
@pytest.mark.parametrize("day", ["2024-03-07", "2024-04", "2024-06-01", "", "soon"])
def test_script_and_button_find_the_same_terms(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, words: str, day: str
) -> None:
    """The day that was typed decides which protocol, and so which dictionary, is meant."""
    page = rome.open(form_of(study, participant_id, "toxicity.serious_event_reported", "toxicity"))
    page.fill({"term": words, "onset_on": day})
    by_button = rome.press(page, "find", "term").choices("term")
    response = find(rome, study, q=words, on=day)
    assert response.status_code == 200, response.text
    assert [row["term"] for row in response.json()["rows"]] == by_button
    assert len(by_button) <= 20
    assert response.headers["cache-control"] == "private, max-age=300"


def test_terms_are_for_members_of_the_study(study: StudyUnderTest, rome: FormBrowser, demo: Demo) -> None:
    with httpx.Client(base_url=demo.url, trust_env=False) as stranger:
        address = f"{pages_of(study, 'toxicity')}/terms"
        assert stranger.get(address, params={"q": "pain", "today": "2024-06-01"}).status_code == 401
    with open_study(demo) as other, form_browser(other, "site@rome") as outsider:
        assert find(outsider, study, q="pain").status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        {"q": "x" * 201},
        {"q": "pain", "on": "2024-01-01 or so"},
        {"q": "pain", "today": "today"},
        {"q": "pain", "limit": "1000"},
        {"q": "pain\x00"},
        {},
    ],
)
def test_bounds_of_the_words_are_kept(study: StudyUnderTest, rome: FormBrowser, query: dict[str, str]) -> None:
    assert find(rome, study, **query).status_code == 422


def test_checklist_of_a_new_study_has_terms_of_the_chosen_dictionary(study: StudyUnderTest) -> None:
    with form_browser(study, "administrator") as administrator:
        for dictionary in ("ctcae-3.0", "ctcae-5.0"):
            query = {"q": "nausea", "today": "2024-06-01", "dictionary": dictionary}
            rows = administrator.http.get("/enrollment/studies/new/terms", params=query).json()["rows"]
            assert rows
            assert all(row["term"].startswith(dictionary.removeprefix("ctcae-")) for row in rows)
