"""A visit beyond the study's plan is refused alike for every fact that names one, by the interface and by forms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.form_browser import FormBrowser, form_of, pages_of
from tests.api.support.study import StudyUnderTest, open_study, service_for
from tests.demo import Demo

LAST_VISIT = 8
MESSAGE = "The study plans the visits 1 to 8. Give the number of one of them."
FACTS: tuple[Fact, ...] = (
    followup.follow_up_recorded(95, visit=LAST_VISIT + 1),
    followup.visit_missed(95, LAST_VISIT + 1),
    followup.visit_scheduled(95, LAST_VISIT + 1),
    followup.reminder_snoozed(None, LAST_VISIT + 1),
    followup.reminder_acknowledged(None, LAST_VISIT + 1),
    toxicity.toxicity_assessed(95, toxicity.finding(), visit=LAST_VISIT + 1),
)


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture(scope="module")
def participant_id(study: StudyUnderTest) -> str:
    """A participant whose visits have dates."""
    treatment = (facts.lesion_registered(), facts.radiotherapy_started(0), facts.radiotherapy_completed())
    return study.wait_until_known(study.enroll_at("rome", *treatment))


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.type_name)
def test_visit_beyond_the_plan_is_refused_by_a_problem_document_and_records_nothing(
    study: StudyUnderTest, participant_id: str, fact: Fact
) -> None:
    response = study.record_fact(participant_id, fact)
    problem = response.json()
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert (problem["type"], problem["errors"][0]["pointer"]) == ("/problems/no-such-visit", "/visit")
    assert problem["title"] == problem["errors"][0]["message"] == MESSAGE
    assert study.get_from(service_for(fact), f"participants/{participant_id}/history").json().get("events", []) == []


@pytest.mark.parametrize("fact", FACTS[2:5], ids=lambda fact: fact.type_name)
def test_form_that_a_link_opened_for_a_visit_beyond_the_plan_says_so(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str, fact: Fact
) -> None:
    page = rome.open(f"{form_of(study, participant_id, fact.type_name, 'followup')}?visit={LAST_VISIT + 1}")
    if "on" in page.names:
        page.fill({"on": facts.day(95)})
    refused = rome.press(page, "record")
    assert (refused.status, MESSAGE in refused.text) == (422, True)


def test_page_of_several_visits_says_which_one_is_beyond_the_plan(
    study: StudyUnderTest, rome: FormBrowser, participant_id: str
) -> None:
    visits = "&".join(f"visit={participant_id}.{number}" for number in (LAST_VISIT, LAST_VISIT + 1))
    page = rome.open(f"{pages_of(study, 'followup')}/visits/reminder.acknowledged?{visits}")
    refused = rome.press(page, "record")
    assert (refused.status, refused.text.count(MESSAGE)) == (422, 2)
