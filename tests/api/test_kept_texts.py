"""A correction by somebody who does not read the site's texts keeps them: required ones too, by API and by form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.testing.builders import facts
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.form_browser import form_browser, pages_of
from tests.api.support.study import StudyUnderTest, find_event_id, open_study
from tests.demo import Demo

NARRATIVE, STAGE, WAIVER, REASON = (f"Zq{name}Xw" for name in ("Narrative", "Stage", "Waiver", "Reason"))
SECRETS = (NARRATIVE, STAGE, WAIVER, REASON)
KEPT = None


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def participant_id(study: StudyUnderTest) -> str:
    """A participant at Rome with texts that must be stated."""
    baseline = facts.baseline_recorded(tnm={"t": {"not_reported": STAGE}, "n": "N1b", "m": "M1"})
    criteria = {"histology": "met", "rt-indicated": "waived"}
    participant_id = study.enroll_at("rome", baseline, criteria=criteria, waivers={"rt-indicated": WAIVER})
    for fact in (
        toxicity.serious_event_reported(narrative=NARRATIVE),
        toxicity.toxicity_assessed(5, toxicity.finding(grade=None, not_graded=REASON)),
    ):
        assert study.record_fact(participant_id, fact).status_code == 201
    return participant_id


def published(study: StudyUnderTest, participant_id: str, type_name: str, service: str, user: str) -> dict[str, Any]:
    rows = study.get_from(service, f"participants/{participant_id}", user).json()["facts"]
    return next(row["data"] for row in rows if row["type"] == type_name)


def correct(
    study: StudyUnderTest, participant_id: str, type_name: str, service: str, user: str, **changes: Any
) -> tuple[int, dict[str, Any]]:
    """Restates a fact as the user reads it, with changes. Returns the status and the response."""
    data = {**published(study, participant_id, type_name, service, user), **changes}
    correction = {
        "event_id": find_event_id(study, participant_id, type_name, service, "investigator"),
        "reason_code": "source_corrected",
        "replacement": {"type": type_name, "data": data},
    }
    path = f"participants/{participant_id}/facts/record.corrected"
    response = study.post(path, correction, user, service)
    return response.status_code, response.json()


@pytest.mark.parametrize("user", ["investigator", "coordinator"])
@pytest.mark.parametrize(
    ("type_name", "service", "changes", "secret"),
    [
        ("toxicity.serious_event_reported", "toxicity", {"grade": 4, "narrative": KEPT}, NARRATIVE),
        ("toxicity.assessed", "toxicity", {"checklist_complete": False}, REASON),
        ("participant.baseline_recorded", "enrollment", {"histology": "8140/3"}, STAGE),
        ("participant.screened", "enrollment", {"birth_year": 1951}, WAIVER),
    ],
)
def test_fact_is_restated_as_it_is_published_and_the_text_stays(
    study: StudyUnderTest,
    participant_id: str,
    user: str,
    type_name: str,
    service: str,
    changes: dict[str, Any],
    secret: str,
) -> None:
    """F11."""
    status, answer = correct(study, participant_id, type_name, service, user, **changes)
    assert status == 201, answer
    after = published(study, participant_id, type_name, service, "site@rome")
    assert secret in str(after)
    assert {name: after[name] for name in changes if changes[name] is not KEPT} == {
        name: value for name, value in changes.items() if value is not KEPT
    }


@pytest.mark.parametrize("user", ["site@rome", "investigator"])
def test_text_that_is_given_replaces_the_recorded_one(study: StudyUnderTest, participant_id: str, user: str) -> None:
    status, answer = correct(
        study, participant_id, "toxicity.serious_event_reported", "toxicity", user, narrative="Written anew."
    )
    assert status == 201, answer
    after = published(study, participant_id, "toxicity.serious_event_reported", "toxicity", "site@rome")
    assert after["narrative"] == "Written anew."


def test_text_that_nobody_may_keep_is_missing(study: StudyUnderTest, participant_id: str) -> None:
    """F11: the site reads its texts and repeats them; a text in a new place was never recorded."""
    type_name = "toxicity.serious_event_reported"
    status, answer = correct(study, participant_id, type_name, "toxicity", "site@rome", narrative=KEPT)
    assert (status, answer["errors"][0]["code"]) == (422, "text-missing")
    assert answer["errors"][0]["pointer"] == "/replacement/data/narrative"
    tnm = {"t": {"not_reported": KEPT}, "n": {"not_reported": KEPT}, "m": "M1", "edition": "8"}
    type_name = "participant.baseline_recorded"
    status, answer = correct(study, participant_id, type_name, "enrollment", "investigator", tnm=tnm)
    assert (status, [error["pointer"] for error in answer["errors"]]) == (
        422,
        ["/replacement/data/tnm/n/not_reported"],
    )


def test_new_fact_is_never_recorded_without_its_text(study: StudyUnderTest, participant_id: str) -> None:
    report = {**published(study, participant_id, "toxicity.serious_event_reported", "toxicity", "investigator")}
    path = f"participants/{participant_id}/facts/toxicity.serious_event_reported"
    for user in ("site@rome", "coordinator"):
        response = study.post(path, {**report, "serious_event_id": "SAE2"}, user, "toxicity")
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == "/narrative"


def test_text_of_the_former_site_is_not_kept_by_the_present_one(study: StudyUnderTest, participant_id: str) -> None:
    assert study.record_fact(participant_id, facts.participant_transferred("milan", 9)).status_code == 201
    study.wait_until_known(participant_id)
    type_name = "toxicity.serious_event_reported"
    for user in ("site@milan", "investigator"):
        status, answer = correct(study, participant_id, type_name, "toxicity", user, grade=4)
        assert (status, answer["errors"][0]["code"]) == (422, "text-missing")


def test_form_keeps_texts_that_the_corrector_does_not_see(study: StudyUnderTest, participant_id: str) -> None:
    """F11: a box that is ticked keeps the text; without it the form asks for another."""
    event_id = find_event_id(study, participant_id, "toxicity.serious_event_reported", "toxicity")
    address = f"{pages_of(study, 'toxicity')}/participants/{participant_id}/corrections/{event_id}"
    with form_browser(study, "coordinator") as browser:
        page = browser.open(address)
        assert "kept with the site" in page.text
        assert not [secret for secret in SECRETS if secret in page.response.text]
        page.fill({"reason_code": "typing_error", "replacement.data.grade": "4"})
        narrative = next(c for c in page.parser.controls if c.get("name") == "replacement.data.narrative")
        del narrative["checked"]
        refused = browser.press(page, "record", "restate")
        assert refused.status == 422
        assert 'id="f-replacement-data-narrative-errors"' in refused.response.text
        refused.fill({"replacement.data.narrative": ["null"]})
        assert browser.press(refused, "record", "restate").status == 200
    after = published(study, participant_id, "toxicity.serious_event_reported", "toxicity", "site@rome")
    assert (after["grade"], after["narrative"]) == (4, NARRATIVE)


@pytest.mark.parametrize(
    ("type_name", "changes", "has_secret"),
    [
        ("participant.screened", {"birth_year": "1951"}, True),
        ("participant.screened", {"criteria.rt-indicated": "met", "waivers.rt-indicated": []}, False),
        ("participant.baseline_recorded", {"histology": "8140/3"}, True),
        ("participant.baseline_recorded", {"tnm.t": "T4b", "tnm.t.not_reported": []}, False),
    ],
)
def test_form_keeps_or_drops_texts_of_waivers_and_of_values_that_are_not_known(
    study: StudyUnderTest, participant_id: str, type_name: str, changes: dict[str, Any], has_secret: bool
) -> None:
    event_id = find_event_id(study, participant_id, type_name)
    address = f"{pages_of(study)}/participants/{participant_id}/corrections/{event_id}"
    with form_browser(study, "investigator") as browser:
        page = browser.open(address)
        page.fill({"reason_code": "typing_error"})
        page.fill({f"replacement.data.{name}": value for name, value in changes.items()})
        recorded = browser.press(page, "record", "restate")
        assert recorded.status == 200, recorded.text
    after = str(published(study, participant_id, type_name, "enrollment", "site@rome"))
    assert (WAIVER in after or STAGE in after) == has_secret
