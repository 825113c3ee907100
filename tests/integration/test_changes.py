"""The changes of a study since a data cut or a position, over HTTP."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.event import Event
from shared.testing.builders import facts
from shared.testing.builders.follow_up_facts import follow_up_recorded, participant_died
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.analytics_app import AnalyticsStudy, open_analytics_study
from tests.integration.support.sealing import take_sealed_cut

CUT, CUT_ON = "cut:interim", "2024-12-31"
ENROLLED = facts.ENROLLMENT_FACTS[1:]


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def enroll(study: AnalyticsStudy, site: str) -> ParticipantHistory:
    return await study.add_participant(site, facts.participant_screened(site_id=site), *ENROLLED)


async def record(study: AnalyticsStudy, *events: Event) -> None:
    await study.project(events)


async def changes(study: AnalyticsStudy, member: str = "investigator", since: str = CUT) -> Any:
    answer = await study.get("changes.json", member, since=since)
    assert answer.status_code == 200, answer.text
    return answer.json()


def changed_facts(answer: Any) -> list[tuple[str, str, str | None]]:
    return [(fact["change"], fact["type"], fact["participant_id"]) for fact in answer["facts"]]


def headline(answer: Any, figure: str, name: str) -> tuple[str | None, str | None]:
    (number,) = [number for number in answer["numbers"] if (number["figure"], number["name"]) == (figure, name)]
    return number["before"], number["after"]


async def change_everything(study: AnalyticsStudy) -> dict[str, str]:
    """Takes a cut, and then changes the record in every way. Returns the participants by what happens to them."""
    corrected, voided, leaving = [await enroll(study, "rome") for _ in range(3)]
    death = corrected.record(participant_died(100))
    contact = voided.record(follow_up_recorded(50))
    await record(study, death, contact)
    await take_sealed_cut(study, "interim", CUT_ON)
    await record(study, corrected.correct(death, participant_died(110)), voided.void(contact))
    passing = voided.record(follow_up_recorded(60))
    await record(study, passing, voided.void(passing))
    await record(study, leaving.record(facts.consent_withdrawn("2024-12-01", "data_use")))
    coming = await enroll(study, "milan")
    histories = {"corrected": corrected, "voided": voided, "leaving": leaving, "coming": coming}
    return {name: history.participant_id for name, history in histories.items()}


async def test_changes_are_facts_participants_and_headline_numbers(study: AnalyticsStudy) -> None:
    names = await change_everything(study)
    answer = await changes(study)
    assert changed_facts(answer) == [
        ("corrected", "participant.died", names["corrected"]),
        ("voided", "followup.recorded", names["voided"]),
        *(("added", fact.type_name, names["coming"]) for fact in facts.ENROLLMENT_FACTS),
    ]
    assert answer["counts"] == {"added": 3, "corrected": 1, "voided": 1}
    assert (answer["participants_in"], answer["participants_out"]) == ([names["coming"]], [names["leaving"]])
    assert headline(answer, "flow", "enrolled") == ("3", "3")
    assert (answer["before"]["cut"], answer["after"]["position"]) == (CUT_ON, study.position)


async def test_sites_see_changes_of_their_own_participants(study: AnalyticsStudy) -> None:
    names = await change_everything(study)
    rome, milan = [await changes(study, f"site@{site}") for site in ("rome", "milan")]
    assert (rome["participants_in"], rome["participants_out"]) == ([], [names["leaving"]])
    assert (milan["participants_in"], milan["participants_out"]) == ([names["coming"]], [])
    assert {fact["participant_id"] for fact in rome["facts"]} == {names["corrected"], names["voided"]}
    assert {fact["participant_id"] for fact in milan["facts"]} == {names["coming"]}
    assert headline(rome, "flow", "enrolled") == ("3", "2")
    assert headline(milan, "flow", "enrolled") == ("0", "1")


async def test_nothing_has_changed_since_the_newest_position(study: AnalyticsStudy) -> None:
    await change_everything(study)
    answer = await changes(study, since=str(study.position))
    assert (answer["facts"], answer["participants_in"], answer["participants_out"]) == ([], [], [])
    assert all(number["before"] == number["after"] for number in answer["numbers"] if number["figure"] == "flow")


async def test_participants_before_are_those_whom_the_numbers_before_count(study: AnalyticsStudy) -> None:
    """A sealed cut keeps who has left since; numbers at a position are computed anew, without them."""
    names = await change_everything(study)
    sealed_at = (await changes(study))["before"]["position"]
    for since, before, leaving in ((CUT, "3", [names["leaving"]]), (str(sealed_at), "2", [])):
        answer = await changes(study, since=since)
        assert headline(answer, "flow", "screened") == (before, "3"), since
        assert (answer["participants_in"], answer["participants_out"]) == ([names["coming"]], leaving), since
        came, left = len(answer["participants_in"]), len(answer["participants_out"])
        assert int(before) + came - left == 3, since


async def test_everything_is_new_since_position_0(study: AnalyticsStudy) -> None:
    participant = await enroll(study, "rome")
    answer = await changes(study, since="0")
    assert answer["counts"] == {"added": study.position, "corrected": 0, "voided": 0}
    assert answer["participants_in"] == [participant.participant_id]


async def test_table_has_what_the_answer_has(study: AnalyticsStudy) -> None:
    await change_everything(study)
    answer = await changes(study)
    table = list(csv.DictReader(StringIO((await study.get("changes.csv", since=CUT)).text)))
    assert [row["event_id"] for row in table if row["part"] == "fact"] == [fact["event_id"] for fact in answer["facts"]]
    assert [row["participant_id"] for row in table if (row["part"], row["change"]) == ("participant", "out")] == answer[
        "participants_out"
    ]
    numbers = [(row["figure"], row["name"], row["before"], row["after"]) for row in table if row["part"] == "number"]
    assert numbers == [
        (number["figure"], number["name"], number["before"] or "", number["after"] or "")
        for number in answer["numbers"]
    ]


async def test_readers_strangers_and_unknown_states_are_refused(study: AnalyticsStudy) -> None:
    await change_everything(study)
    requests: list[tuple[str, dict[str, str], int, str]] = [
        ("reader", {"since": CUT}, 403, "/problems/readers-see-cuts"),
        ("stranger", {"since": CUT}, 404, "/problems/not-found"),
        ("investigator", {"since": "cut:never"}, 404, "/problems/not-found"),
        ("investigator", {"since": "interim"}, 422, "/problems/schema"),
        ("investigator", {"since": str(study.position + 1)}, 422, "/problems/parameter"),
        ("investigator", {}, 422, "/problems/schema"),
    ]
    for member, params, status, problem in requests:
        answer = await study.get("changes.json", member, **params)
        assert (answer.status_code, answer.json()["type"]) == (status, problem), (member, params)
    assert (await study.get("changes.svg", since=CUT)).status_code == 404


async def test_page_shows_the_changes(study: AnalyticsStudy) -> None:
    names = await change_everything(study)
    page = await study.get_page("changes", since=CUT)
    assert page.status_code == 200
    for name, value in (("added", 3), ("corrected", 1), ("voided", 1), ("in", 1), ("out", 1)):
        assert f'data-number="{name}">{value}<' in page.text
    assert names["coming"] in page.text
    assert "Changes since data cut interim" in page.text
    assert (await study.get_page("changes", "reader", since=CUT)).status_code == 403
    assert (await study.get_page("changes", since="nonsense")).status_code == 422
