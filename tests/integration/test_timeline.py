"""A participant's timeline over HTTP: who may read it, at which position, and which refusals are the same."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from shared.kernel.ids import new_participant_id
from shared.testing.builders import facts
from shared.testing.builders.events import FIRST_RECORDED_AT, EventStream
from shared.testing.builders.facts import participant_enrolled, participant_screened, participant_transferred
from shared.testing.builders.toxicity_facts import finding, toxicity_assessed
from tests.conftest import Database
from tests.integration.support.analytics_app import (
    SITE_USERS,
    SITES,
    STUDY_WIDE_ROLES,
    TODAY,
    AnalyticsStudy,
    open_analytics_study,
)
from tests.svg import parse_svg
from tests.unit.analytics.published_cases import published_case_facts

STUDY_WIDE_READERS = ("investigator", "coordinator", "monitor", "auditor")
ROLES_WITHOUT_PARTICIPANTS = ("administrator", "reader")


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        yield study


def is_same_response(first: httpx.Response, second: httpx.Response) -> bool:
    return (first.status_code, first.content, first.headers) == (second.status_code, second.content, second.headers)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_timeline_shows_the_facts_of_every_service(study: AnalyticsStudy, number: int) -> None:
    case = published_case_facts(number)
    participant = await study.add_participant("rome", *case)
    response = await study.get(f"participants/{participant.participant_id}/timeline.json")
    timeline = response.json()
    assert (timeline["study_id"], timeline["participant_id"], timeline["site_id"]) == (
        study.study_id,
        participant.participant_id,
        "rome",
    )
    assert (timeline["position"], timeline["today"]) == (study.position, TODAY)
    assert {entry["service"] for entry in timeline["entries"]} == {"enrollment", "toxicity", "followup"}
    assert len(timeline["entries"]) == len(case)
    assert "PUBLISHED" not in response.text


async def test_timeline_is_readable_only_by_those_who_may_see_the_participant(study: AnalyticsStudy) -> None:
    participants = {
        site: await study.add_participant(site, participant_screened(site_id=site), participant_enrolled())
        for site in SITES
    }
    for site, participant in participants.items():
        path = f"participants/{participant.participant_id}/timeline.json"
        statuses = {user: (await study.get(path, user)).status_code for user in (*STUDY_WIDE_ROLES, *SITE_USERS)}
        site_users = {f"site@{site}", f"coordinator@{site}"}
        assert statuses == {
            user: 200
            if user in STUDY_WIDE_READERS or user in site_users
            else 403
            if user in ROLES_WITHOUT_PARTICIPANTS
            else 404
            for user in statuses
        }
        assert (await study.get(path, "stranger")).status_code == 404
        assert (await study.http.get(f"/analytics/v1/studies/{study.study_id}/{path}")).status_code == 401


async def test_foreign_unknown_and_excluded_participants_get_the_same_404(study: AnalyticsStudy) -> None:
    hidden_ids = [
        (await study.add_participant("milan", participant_screened(site_id="milan"))).participant_id,
        new_participant_id(),
        (await study.add_participant("rome", participant_screened(), facts.participant_voided())).participant_id,
        (
            await study.add_participant("rome", participant_screened(), facts.consent_withdrawn(3, "data_use"))
        ).participant_id,
        (await study.add_participant("rome", participant_enrolled())).participant_id,  # nobody has screened them yet
    ]
    for extension in ("json", "svg"):
        first_response, *other_responses = [
            await study.get(f"participants/{participant_id}/timeline.{extension}", "site@rome")
            for participant_id in hidden_ids
        ]
        assert first_response.status_code == 404
        assert all(is_same_response(first_response, other) for other in other_responses)
    for participant_id in hidden_ids[1:]:
        assert (await study.get(f"participants/{participant_id}/timeline.json", "investigator")).status_code == 404


async def test_mistyped_participant_number_is_422_and_its_format_is_flexible(study: AnalyticsStudy) -> None:
    participant = await study.add_participant("rome", participant_screened())
    mistyped = participant.participant_id[:-1] + ("0" if participant.participant_id[-1] != "0" else "1")
    for participant_id in (mistyped, "P1"):
        response = await study.get(f"participants/{participant_id}/timeline.json")
        assert (response.status_code, response.json()["type"].rpartition("/")[2]) == (422, "bad-participant-number")
    reformatted = participant.participant_id.lower().replace("-", "")
    assert (await study.get(f"participants/{reformatted}/timeline.json")).status_code == 200


async def test_transferred_participant_is_visible_only_to_the_new_site(study: AnalyticsStudy) -> None:
    participant = await study.add_participant(
        "rome", *published_case_facts(2), participant_transferred("milan", "2023-02-01")
    )
    path = f"participants/{participant.participant_id}/timeline.json"
    assert (await study.get(path, "site@rome")).status_code == 404
    timeline = (await study.get(path, "site@milan")).json()
    assert (timeline["site_id"], len(timeline["entries"])) == ("milan", len(published_case_facts(2)) + 1)


async def test_timeline_shows_corrected_facts_and_past_positions_show_earlier_ones(study: AnalyticsStudy) -> None:
    participant = await study.add_participant("rome", participant_screened(), participant_enrolled("2024-02-09"))
    event, before = participant.events[1], study.position
    path = f"participants/{participant.participant_id}/timeline.json"

    async def enrollment_entries(position: int | None = None) -> list[tuple[str, bool]]:
        params = {} if position is None else {"at": str(position)}
        entries = (await study.get(path, **params)).json()["entries"]
        return [(entry["on"], entry["corrected"]) for entry in entries if entry["type"] == "participant.enrolled"]

    await study.project([participant.correct(event, participant_enrolled("2024-02-12"))])
    await study.project([participant.void(event)])
    assert await enrollment_entries() == []
    assert await enrollment_entries(position=before + 1) == [("2024-02-12", True)]
    assert await enrollment_entries(position=before) == [("2024-02-09", False)]
    assert (await study.get(path, at=1)).status_code == 404  # the study was opened, and nobody was screened yet
    assert (await study.get(path, at=study.position + 1)).status_code == 422
    assert (await study.get(path, unheard_of="1")).status_code == 422
    epoch = {"epoch": "00000000-0000-0000-0000-000000000000"}
    assert (await study.get(path, **epoch)).status_code == 410


async def test_timeline_can_be_read_as_of_a_time(study: AnalyticsStudy) -> None:
    participant = await study.add_participant("rome", participant_screened(), participant_enrolled())
    path = f"participants/{participant.participant_id}/timeline.json"
    early_time, late_time = (
        (FIRST_RECORDED_AT + timedelta(minutes=1)).isoformat(),
        (FIRST_RECORDED_AT + timedelta(days=1)).isoformat(),
    )
    assert len((await study.get(path, as_of=late_time)).json()["entries"]) == 2
    assert (await study.get(path, as_of=early_time)).status_code == 404


async def test_timeline_svg_is_a_standalone_document(study: AnalyticsStudy) -> None:
    participant = await study.add_participant("rome", *published_case_facts(4))
    response = await study.get(f"participants/{participant.participant_id}/timeline.svg", "site@rome")
    assert response.headers["content-type"] == "image/svg+xml"
    root = parse_svg(response.content)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for extension in ("pdf", "csv", "json.svg"):
        assert (await study.get(f"participants/{participant.participant_id}/timeline.{extension}")).status_code == 404


async def test_participant_list_links_to_each_visible_participant(study: AnalyticsStudy) -> None:
    participants = {
        site: await study.add_participant(site, participant_screened(site_id=site), participant_enrolled())
        for site in SITES
    }
    voided = await study.add_participant("rome", participant_screened(), facts.participant_voided("duplicate"))
    rome_page = (await study.get_page("participants", "site@rome")).text
    link = f'href="/analytics/studies/{study.study_id}/participants/{participants["rome"].participant_id}"'
    assert link in rome_page
    assert participants["milan"].participant_id not in rome_page
    full_page = (await study.get_page("participants")).text
    assert all(participant.participant_id in full_page for participant in participants.values())
    assert voided.participant_id not in full_page
    assert (await study.get_page("participants", "reader")).status_code == 403
    assert (await study.get_page("participants", "stranger")).status_code == 404
    last = max(participant.participant_id for participant in participants.values())
    assert (
        "There are no participants after"
        in (await study.get_page("participants", after=max(last, voided.participant_id))).text
    )


async def test_long_participant_list_is_paged_by_number(study: AnalyticsStudy) -> None:
    streams = [EventStream(study.study_id) for _ in range(201)]
    await study.project([stream.record(participant_screened()) for stream in streams])
    participant_ids = sorted(stream.stream_id for stream in streams)
    first = (await study.get_page("participants")).text
    assert (participant_ids[199] in first, participant_ids[200] in first) == (True, False)
    assert f'<a href="?after={participant_ids[199]}">' in first
    second = (await study.get_page("participants", after=participant_ids[199])).text
    assert participant_ids[200] in second
    assert 'href="?after=' not in second


async def test_timeline_page_shows_the_swim_lane_above_the_events_with_their_titles(study: AnalyticsStudy) -> None:
    participant = await study.add_participant("rome", *published_case_facts(3))
    response = await study.get_page(f"participants/{participant.participant_id}", "site@rome")
    html = response.text
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html)
    assert html.index("<svg") < html.index('<ol class="events"')
    titles = re.findall(r'<p class="fact-title">([^<]*[^<\s])', html)
    timeline = (await study.get(f"participants/{participant.participant_id}/timeline.json")).json()
    assert titles == [entry["title"] for entry in timeline["entries"]]
    assert f"Position {study.position}." in html
    for page_path in ("", "/participants", "/queries"):
        assert f'href="/analytics/studies/{study.study_id}{page_path}"' in html
    fragment = (await study.get_page(f"participants/{participant.participant_id}/timeline", "site@rome")).text
    assert fragment.strip() in html


async def test_page_of_a_past_position_keeps_that_position(study: AnalyticsStudy) -> None:
    participant = await study.add_participant("rome", participant_screened(), participant_enrolled())
    position = study.position - 1
    html = (await study.get_page(f"participants/{participant.participant_id}", at=position)).text
    assert (
        f'data-src="/analytics/studies/{study.study_id}/participants/{participant.participant_id}/timeline?at={position}"'
        in html
    )
    assert f"timeline.json?at={position}" in html
    assert "Enrolled" not in html


@pytest.mark.parametrize(("user", "status"), [("site@milan", 404), ("reader", 403), ("stranger", 404)])
async def test_participant_page_is_refused_as_html_to_those_who_may_not_see_it(
    study: AnalyticsStudy, user: str, status: int
) -> None:
    participant = await study.add_participant("rome", participant_screened())
    response = await study.get_page(f"participants/{participant.participant_id}", user)
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert participant.participant_id not in response.text
    anonymous = await study.http.get(f"/analytics/studies/{study.study_id}/participants/{participant.participant_id}")
    assert (anonymous.status_code, anonymous.headers["location"].partition("?")[0]) == (303, "/session")


async def test_cohort_page_links_to_participants_only_for_those_who_may_see_them(study: AnalyticsStudy) -> None:
    await study.add_participant("rome", participant_screened(), participant_enrolled())
    link = f'href="/analytics/studies/{study.study_id}/participants"'
    for user, is_linked in (("site@rome", True), ("monitor", True), ("reader", False)):
        html = (await study.http.get(f"/analytics/studies/{study.study_id}", headers=study.authorization(user))).text
        assert (link in html) is is_linked


async def test_toxicity_terms_are_shown_by_name(study: AnalyticsStudy) -> None:
    assessment = toxicity_assessed("2024-03-01", finding(grade=2), checklist_complete=False)
    participant = await study.add_participant("rome", participant_screened(), assessment)
    entries = (await study.get(f"participants/{participant.participant_id}/timeline.json")).json()["entries"]
    assert entries[-1]["title"] == "Toxicity: Dysphagia (difficulty swallowing) (3.0:0150) grade 2"
    assert entries[-1]["findings"][0]["name"] == "Dysphagia (difficulty swallowing)"
