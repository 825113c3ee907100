"""The worklist over HTTP: what is due at each site, for who may see it, and how facts move entries."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.analytics.schedule import api
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as follow_up
from tests.conftest import Database
from tests.integration.support.analytics_app import TODAY, AnalyticsStudy, open_analytics_study
from tests.integration.support.worklist import (
    ALL_STATES,
    DUE,
    LATER,
    OPENING,
    OVERDUE,
    add,
    enrolled,
    listed,
    page_text,
    participants,
    read_worklist,
    state_fact,
    void_last,
)


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


async def test_coordinator_reads_what_is_overdue_due_and_opening(study: AnalyticsStudy) -> None:
    opening, due, overdue = [await add(study, ended_on) for ended_on in (OPENING, DUE, OVERDUE)]
    await add(study, LATER)
    document = await read_worklist(study)
    assert list(document) == ["position", "on", "next", "rows", "no_schedule"]
    assert (document["position"], document["on"], document["next"]) == (study.position, TODAY, None)
    assert [(row["participant_id"], row["state"]) for row in document["rows"]] == [
        (overdue.participant_id, "overdue"),
        (due.participant_id, "due"),
        (opening.participant_id, "planned"),
    ]
    assert document["no_schedule"] == []
    first = document["rows"][0]
    assert first == {
        "participant_id": overdue.participant_id,
        "site_id": "rome",
        "visit": 1,
        "course_id": None,
        "target": "2025-01-15",
        "opens": "2025-01-01",
        "closes": "2025-01-29",
        "slot_ends": "2025-03-31",
        "state": "overdue",
        "reason": None,
        "days": -16,
        "scheduled_on": None,
        "declared": None,
        "last_contact": None,
        "next_step": {"step": "overdue", "day": "2025-01-31"},
        "open_queries": first["open_queries"],
    }


async def test_row_has_the_appointment_for_the_visit(study: AnalyticsStudy) -> None:
    history = await add(study, DUE, follow_up.visit_scheduled("2025-02-10", 1))
    (row,) = (await read_worklist(study))["rows"]
    assert row["scheduled_on"] == "2025-02-10"
    await void_last(study, history)
    (row,) = (await read_worklist(study))["rows"]
    assert row["scheduled_on"] is None


async def test_row_has_last_contact_declared_contact_and_open_queries(study: AnalyticsStudy) -> None:
    contacts = [
        follow_up.follow_up_recorded("2024-11-02"),
        follow_up.follow_up_recorded("2024-12-30", visit=1),
        follow_up.follow_up_recorded("2025-01-20", mode="registry"),
    ]
    history = await add(study, OVERDUE, *contacts)
    queries = (await study.get("queries.json", participant=history.participant_id)).json()["rows"]
    (row,) = (await read_worklist(study))["rows"]
    assert queries
    assert (row["last_contact"], row["declared"], row["open_queries"]) == ("2024-12-30", "2024-12-30", len(queries))


@pytest.mark.parametrize(
    ("stated", "states"),
    [
        ((), {"planned": [2, 3, 4, 5, 6, 7, 8], "overdue": [1]}),
        ((follow_up.follow_up_recorded("2025-01-29"),), {"planned": [2, 3, 4, 5, 6, 7, 8], "done": [1]}),
        ((follow_up.follow_up_recorded("2025-01-30"),), {"planned": [2, 3, 4, 5, 6, 7, 8], "done_late": [1]}),
        ((follow_up.visit_missed("2025-01-30", 1),), {"planned": [2, 3, 4, 5, 6, 7, 8], "missed": [1]}),
        ((follow_up.participant_died("2025-01-10"),), {"not_applicable": [8, 7, 6, 5, 4, 3, 2, 1]}),
    ],
    ids=["nothing recorded", "in the window", "late", "declared missed", "died"],
)
async def test_visits_are_listed_under_their_states(
    study: AnalyticsStudy, stated: Sequence[Fact], states: dict[str, list[int]]
) -> None:
    history = await add(study, OVERDUE, *stated)
    for state in ALL_STATES:
        expected = [(history.participant_id, visit, state) for visit in states.get(state, [])]
        assert await listed(study, state=state) == expected
    all_states = await listed(study, state=ALL_STATES, participant=history.participant_id)
    assert sorted(visit for _, visit, _ in all_states) == list(range(1, 9))


async def test_reason_is_given_for_what_is_not_applicable_or_declared_missed(study: AnalyticsStudy) -> None:
    await add(study, OVERDUE, follow_up.visit_missed("2025-01-30", 1))
    await add(study, OVERDUE, follow_up.participant_died("2025-01-10"))
    reasons = {
        state: {row["reason"] for row in (await read_worklist(study, state=state))["rows"]}
        for state in ("missed", "not_applicable")
    }
    assert reasons == {"missed": {"declared_missed"}, "not_applicable": {"died"}}


async def test_pages_are_consecutive_whatever_their_size(study: AnalyticsStudy) -> None:
    for ended_on in (OVERDUE, DUE, OPENING, OVERDUE, "2024-01-15"):
        await add(study, ended_on)
        await study.add_participant("milan", *enrolled("milan"))
    await add(study, "2024-01-15", follow_up.follow_up_recorded("2024-04-20"))
    for params in ({}, {"state": ALL_STATES}, {"site": "milan"}, {"state": ["done", "missed"]}):
        whole = await read_worklist(study, **params)
        for limit in (1, 3, 7):
            rows, no_schedule, after, pages = list[Any](), list[Any](), "", 0
            while after is not None:
                page = await read_worklist(study, limit=limit, after=after, **params)
                assert len(page["rows"]) + len(page["no_schedule"]) <= limit
                rows, no_schedule, after, pages = (
                    [*rows, *page["rows"]],
                    [*no_schedule, *page["no_schedule"]],
                    page["next"],
                    pages + 1,
                )
            assert (rows, no_schedule) == (whole["rows"], whole["no_schedule"])
            assert pages == -(-(len(rows) + len(no_schedule)) // limit)


async def test_members_see_the_participants_of_their_sites(study: AnalyticsStudy) -> None:
    rome, milan = await add(study, OVERDUE), await add(study, DUE, site="milan")
    both = {rome.participant_id, milan.participant_id}
    for user in ("investigator", "coordinator", "monitor", "auditor"):
        assert await participants(study, user) == both
        assert await participants(study, user, site="milan") == {milan.participant_id}
    for role in ("site", "coordinator"):
        assert await participants(study, f"{role}@rome") == {rome.participant_id}
        assert await participants(study, f"{role}@rome", participant=milan.participant_id) == set()
        assert await participants(study, f"{role}@milan", state=ALL_STATES) == {milan.participant_id}
    assert (await study.get("worklist.json", "site@rome", site="milan")).status_code == 403
    for path in ("worklist.json", "worklist.csv", "worklist.ics"):
        for user in ("administrator", "reader"):
            assert (await study.get(path, user)).status_code == 403
        assert (await study.get(path, "stranger")).status_code == 404
    assert (await study.get("worklist.json", "reader")).json()["type"] == "/problems/readers-see-cuts"


async def test_member_of_two_sites_reads_one_list_in_order(study: AnalyticsStudy) -> None:
    study.study.record(facts.member_granted(f"site@rome.{study.study_id}", "site", "milan"))
    await study.project(study.study.events[-1:])
    ended = [(DUE, "rome"), (OVERDUE, "milan"), (OVERDUE, "rome"), (DUE, "milan")]
    for ended_on, site in ended:
        await add(study, ended_on, site=site)
    first = await read_worklist(study, "site@rome", limit=3)
    second = await read_worklist(study, "site@rome", limit=3, after=first["next"])
    assert [row["state"] for row in (*first["rows"], *second["rows"])] == ["overdue", "overdue", "due", "due"]
    assert [*first["rows"], *second["rows"]] == (await read_worklist(study))["rows"]


async def test_transferred_participant_moves_to_the_list_of_the_new_site(study: AnalyticsStudy) -> None:
    history = await add(study, OVERDUE)
    waiting = await study.add_participant("rome", *enrolled())
    for moved in (history, waiting):
        await state_fact(study, moved, facts.participant_transferred("milan", "2025-01-20"))
    old, new = [await read_worklist(study, f"coordinator@{site}") for site in ("rome", "milan")]
    assert (old["rows"], old["no_schedule"]) == ([], [])
    assert [(row["participant_id"], row["site_id"]) for row in new["rows"]] == [(history.participant_id, "milan")]
    assert [row["participant_id"] for row in new["no_schedule"]] == [waiting.participant_id]
    assert await participants(study, "site@rome", participant=history.participant_id, state=ALL_STATES) == set()
    for moved in (history, waiting):
        await void_last(study, moved)
    assert await participants(study, "coordinator@rome") == {history.participant_id}
    assert await participants(study, "coordinator@milan") == set()


LEAVING = {
    "death": follow_up.participant_died("2025-01-20"),
    "death without a date": follow_up.participant_died(None),
    "withdrawal of consent": facts.consent_withdrawn("2025-01-20"),
    "withdrawal of the use of data": facts.consent_withdrawn("2025-01-20", "data_use"),
    "loss to follow-up": follow_up.lost_to_follow_up("2025-01-20"),
    "voided participant": facts.participant_voided(),
}


@pytest.mark.parametrize("fact", LEAVING.values(), ids=LEAVING.keys())
async def test_who_leaves_follow_up_leaves_the_list_and_comes_back_if_that_is_voided(
    study: AnalyticsStudy, fact: Fact
) -> None:
    history, waiting = await add(study, OVERDUE), await study.add_participant("rome", *enrolled())
    await add(study, DUE)
    before = await read_worklist(study)
    assert [row["state"] for row in before["rows"]] == ["overdue", "due"]
    assert [row["participant_id"] for row in before["no_schedule"]] == [waiting.participant_id]
    for leaver in (history, waiting):
        await state_fact(study, leaver, fact)
    after = await read_worklist(study)
    assert [row["state"] for row in after["rows"]] == ["due"]
    assert after["no_schedule"] == []
    for leaver in (history, waiting):
        await void_last(study, leaver)
    again = await read_worklist(study)
    assert (again["rows"], again["no_schedule"]) == (before["rows"], before["no_schedule"])


async def test_another_day_is_read_with_all_facts_whatever_their_date(study: AnalyticsStudy) -> None:
    history = await add(study, OVERDUE, follow_up.follow_up_recorded("2025-04-10"))
    waiting = await study.add_participant("rome", *enrolled())
    for on, expected in {
        "2024-12-17": [],
        "2024-12-18": [(1, "planned", 28)],
        "2025-01-01": [(1, "due", 14)],
        "2025-01-29": [(1, "due", -14)],
        "2025-01-30": [(1, "overdue", -15)],
        "2025-03-31": [(1, "overdue", -75)],
        "2025-04-01": [],
        "2025-06-30": [(3, "planned", 15)],
    }.items():
        document = await read_worklist(study, on=on)
        assert document["on"] == on
        assert [(row["visit"], row["state"], row["days"]) for row in document["rows"]] == expected, on
        assert [row["participant_id"] for row in document["no_schedule"]] == [waiting.participant_id]
    assert await listed(study, on="2025-04-01", state="missed") == [(history.participant_id, 1, "missed")]


async def test_each_site_has_the_day_of_its_time_zone(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    """The clock shows 21:30 UTC on 2026-04-17: it is the 18th in Nairobi, and still the 17th in Rome."""
    clock, zones = f"{study_id}=2026-04-17T21:30:00Z", {"rome": "Africa/Nairobi", "milan": "Europe/Rome"}
    async with open_analytics_study(analytics_database, tmp_path, study_id, clock=clock, zones=zones) as study:
        nairobi, milan = await add(study, "2026-02-02"), await add(study, "2026-02-02", site="milan")
        assert await listed(study) == [(nairobi.participant_id, 1, "due"), (milan.participant_id, 1, "planned")]
        documents = [await read_worklist(study, f"site@{site}") for site in ("rome", "milan")]
        assert [(document["on"], document["rows"][0]["days"]) for document in documents] == [
            ("2026-04-18", 14),
            ("2026-04-17", 15),
        ]
        assert await listed(study, "site@rome", on="2026-04-18") == [(nairobi.participant_id, 1, "due")]
        assert await listed(study, "site@rome", on="2026-04-17") == [(nairobi.participant_id, 1, "planned")]


async def test_course_is_named_in_a_study_with_a_schedule_for_each_course(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    opened = facts.study_opened(facts.protocol(follow_up={"anchor_policy": "per_course"}))
    async with open_analytics_study(analytics_database, tmp_path, study_id, opened=opened) as study:
        second = facts.radiotherapy_started("2024-10-20", "RT2", index=False)
        await add(study, OVERDUE, second, facts.radiotherapy_completed("2024-11-05", "RT2"))
        rows = (await read_worklist(study))["rows"]
    assert [(row["course_id"], row["visit"], row["state"]) for row in rows] == [
        ("RT1", 1, "overdue"),
        ("RT2", 1, "due"),
    ]


async def test_visit_stays_overdue_while_later_courses_move_the_next_one(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    opened = facts.study_opened(facts.protocol(follow_up={"anchor_policy": "latest"}))
    clock = f"{study_id}=2025-08-15"
    async with open_analytics_study(analytics_database, tmp_path, study_id, opened=opened, clock=clock) as study:
        later_courses = [
            fact
            for name, ended_on in (("RT2", "2025-03-25"), ("RT3", "2025-06-05"))
            for fact in (
                facts.radiotherapy_started(ended_on, name, index=False),
                facts.radiotherapy_completed(ended_on, name),
            )
        ]
        await add(study, OVERDUE, *later_courses)
        first, second = (await read_worklist(study))["rows"]
    assert (first["visit"], first["state"], first["closes"]) == (1, "overdue", "2025-01-29")
    assert first["slot_ends"] == "2025-08-21"
    assert (second["visit"], second["state"], second["opens"]) == (2, "planned", "2025-08-22")


@pytest.mark.parametrize(
    "parameters",
    [
        {"state": "closed"},
        {"state": ["due", "open"]},
        {"site": "nowhere"},
        {"site": ""},
        {"site": ["rome", "milan"]},
        {"on": "tomorrow"},
        {"on": "2025-02-30"},
        {"on": "2025-02"},
        {"on": "9999-12-31"},
        {"after": "x"},
        {"after": "overdue.2025-02-30.K7F2-9QXA-3.1"},
        {"after": "late.2025-01-29.K7F2-9QXA-3.1"},
        {"after": "overdue.2025-01-29.K7F2-9QXA-3.9999999999"},
        {"limit": 0},
        {"limit": 1001},
        {"participant": "K7F2"},
        {"cut": "2025-01-31"},
    ],
    ids=str,
)
async def test_invalid_parameter_is_refused(study: AnalyticsStudy, parameters: dict[str, Any]) -> None:
    response = await study.get("worklist.json", **parameters)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")


async def test_first_and_last_day_can_be_asked_for(study: AnalyticsStudy) -> None:
    await add(study, OVERDUE)
    assert await listed(study, on="1900-01-01") == await listed(study, on="2100-12-31") == []


async def test_study_without_sites_has_an_empty_list(
    analytics_database: Database, tmp_path: Path, study_id: str
) -> None:
    async with open_analytics_study(analytics_database, tmp_path, study_id, zones={}) as study:
        document = await read_worklist(study)
        assert "Nothing to do" in await page_text(study)
    assert (document["rows"], document["no_schedule"], document["on"]) == ([], [], TODAY)


async def test_table_has_the_whole_list(study: AnalyticsStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    visits = [await add(study, ended_on) for ended_on in (OVERDUE, DUE)]
    waiting = await study.add_participant("rome", *enrolled())
    response = await study.get("worklist.csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert f"{study.study_id}_worklist_{TODAY}_position-{study.position}.csv" in response.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(response.text)))
    ids = [history.participant_id for history in (*visits, waiting)]
    assert [(row["participant_id"], row["state"]) for row in rows] == list(
        zip(ids, ("overdue", "due", "no_schedule"), strict=True)
    )
    assert (rows[0]["days"], rows[0]["closes"], rows[0]["next_step_on"], rows[2]["enrolled_on"]) == (
        "-16",
        "2025-01-29",
        TODAY,
        "2024-09-01",
    )
    monkeypatch.setattr(api, "MAX_TABLE_ENTRIES", 2)
    refusal = await study.get("worklist.csv")
    assert (refusal.status_code, refusal.json()["type"]) == (422, "/problems/parameter")


async def test_list_waits_until_rows_of_an_earlier_version_are_derived_again(study: AnalyticsStudy) -> None:
    history = await add(study, OVERDUE)
    await study.database.system.execute("update derived_study set derivation_version = derivation_version - 1")
    refusals = [await study.get(f"worklist.{kind}") for kind in ("json", "csv", "ics")]
    page = await study.get_page("worklist")
    for response in (*refusals, page):
        assert (response.status_code, response.headers["retry-after"]) == (503, "10")
        assert history.participant_id not in response.text
    assert {refusal.json()["type"] for refusal in refusals} == {"/problems/being-prepared"}
    assert "This list is being prepared" in page.text
    await study.project([])
    assert await participants(study) == {history.participant_id}
