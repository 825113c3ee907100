"""A participant's timeline over HTTP: who may read it, as of when, and what is not told apart."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from shared.contracts.enrollment import Voided
from shared.kernel.ids import new_participant_id
from shared.testing import facts
from tests.conftest import Database
from tests.integration.lives import SITES, STAFF, TODAY, WIDE, Told, published_case, stated, told_study
from tests.integration.stated import FIRST, Telling, enrolled, screened, transferred

ALL_SITES = ("investigator", "coordinator", "monitor", "auditor")
NONE = ("administrator", "reader")


@pytest.fixture
async def told(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[Told]:
    async with told_study(analytics_database, tmp_path, study_id) as study:
        yield study


def same(one: httpx.Response, other: httpx.Response) -> bool:
    return (one.status_code, one.content, one.headers) == (other.status_code, other.content, other.headers)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_a_timeline_tells_the_facts_of_every_service(told: Told, number: int) -> None:
    case = published_case(number)
    life = await told.life("north", *case)
    answer = await told.read(f"participants/{life.number}/timeline.json")
    said = answer.json()
    assert (said["study_id"], said["participant_id"], said["site_id"]) == (told.study_id, life.number, "north")
    assert (said["position"], said["today"]) == (told.projected, TODAY)
    assert {entry["service"] for entry in said["entries"]} == {"enrollment", "toxicity", "followup"}
    assert len(said["entries"]) == len(case)
    assert "PUBLISHED" not in answer.text


async def test_who_sees_participants_reads_it_and_nobody_else(told: Told) -> None:
    lives = {site: await told.life(site, screened(site), enrolled()) for site in SITES}
    for site, life in lives.items():
        path = f"participants/{life.number}/timeline.json"
        statuses = {who: (await told.read(path, who)).status_code for who in (*WIDE, *STAFF)}
        own = {f"site@{site}", f"coordinator@{site}"}
        assert statuses == {
            who: 200 if who in ALL_SITES or who in own else 403 if who in NONE else 404 for who in statuses
        }
        assert (await told.read(path, "stranger")).status_code == 404
        assert (await told.http.get(f"/analytics/v1/studies/{told.study_id}/{path}")).status_code == 401


async def test_another_sites_an_unknown_and_a_voided_participant_have_one_answer(told: Told) -> None:
    hidden = [
        (await told.life("south", screened("south"))).number,
        new_participant_id(),
        (await told.life("north", screened(), Voided(reason="entered_in_error"))).number,
        (await told.life("north", screened(), facts.withdrawn(3, "data_use"))).number,
        (await told.life("north", enrolled())).number,  # nobody has screened them yet
    ]
    for kind in ("json", "svg"):
        first, *others = [await told.read(f"participants/{number}/timeline.{kind}", "site@north") for number in hidden]
        assert first.status_code == 404
        assert all(same(first, other) for other in others)
    for number in hidden[1:]:
        assert (await told.read(f"participants/{number}/timeline.json", "investigator")).status_code == 404


async def test_a_number_with_a_typing_error_is_told_as_such(told: Told) -> None:
    life = await told.life("north", screened())
    wrong = life.number[:-1] + ("0" if life.number[-1] != "0" else "1")
    for number in (wrong, "P1"):
        answer = await told.read(f"participants/{number}/timeline.json")
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (422, "bad-participant-number")
    written_otherwise = life.number.lower().replace("-", "")
    assert (await told.read(f"participants/{written_otherwise}/timeline.json")).status_code == 200


async def test_the_site_that_follows_the_participant_now_sees_it_whole_and_the_old_one_no_more(told: Told) -> None:
    life = await told.life("north", *published_case(2), transferred("south", "2023-02-01"))
    path = f"participants/{life.number}/timeline.json"
    assert (await told.read(path, "site@north")).status_code == 404
    said = (await told.read(path, "site@south")).json()
    assert (said["site_id"], len(said["entries"])) == ("south", len(published_case(2)) + 1)


async def test_a_correction_shows_what_stands_and_the_past_shows_what_stood(told: Told) -> None:
    life = await told.life("north", screened(), enrolled("2024-02-09"))
    stream, before = life.stream("enrollment"), told.projected
    event = stream.events[1]
    path = f"participants/{life.number}/timeline.json"

    async def enrolment(at: int | None = None) -> list[tuple[str, bool]]:
        asked = {} if at is None else {"at": str(at)}
        entries = (await told.read(path, **asked)).json()["entries"]
        return [(entry["on"], entry["corrected"]) for entry in entries if entry["type"] == "participant.enrolled"]

    await told.project([stream.correct(event, enrolled("2024-02-12"))])
    await told.project([stream.correct(event, None)])
    assert await enrolment() == []
    assert await enrolment(at=before + 1) == [("2024-02-12", True)]
    assert await enrolment(at=before) == [("2024-02-09", False)]
    assert (await told.read(path, at=1)).status_code == 404  # the study was opened, and nobody was screened yet
    assert (await told.read(path, at=told.projected + 1)).status_code == 422
    assert (await told.read(path, unheard_of="1")).status_code == 422
    epoch = {"epoch": "00000000-0000-0000-0000-000000000000"}
    assert (await told.read(path, **epoch)).status_code == 410


async def test_it_can_be_read_as_of_a_time(told: Told) -> None:
    life = await told.life("north", screened(), enrolled())
    path = f"participants/{life.number}/timeline.json"
    early, late = (FIRST + timedelta(minutes=1)).isoformat(), (FIRST + timedelta(days=1)).isoformat()
    assert len((await told.read(path, as_of=late)).json()["entries"]) == 2
    assert (await told.read(path, as_of=early)).status_code == 404


async def test_the_picture_stands_alone(told: Told) -> None:
    life = await told.life("north", *published_case(4))
    answer = await told.read(f"participants/{life.number}/timeline.svg", "site@north")
    assert answer.headers["content-type"] == "image/svg+xml"
    root = ElementTree.fromstring(answer.content)  # noqa: S314 - our own answer
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for kind in ("pdf", "csv", "json.svg"):
        assert (await told.read(f"participants/{life.number}/timeline.{kind}")).status_code == 404


async def test_the_list_names_those_whom_one_may_see_and_leads_to_each(told: Told) -> None:
    lives = {site: await told.life(site, screened(site), enrolled()) for site in SITES}
    gone = await told.life("north", screened(), Voided(reason="duplicate"))
    north = (await told.page("participants", "site@north")).text
    link = f'href="/analytics/studies/{told.study_id}/participants/{lives["north"].number}"'
    assert link in north
    assert lives["south"].number not in north
    whole = (await told.page("participants")).text
    assert all(life.number in whole for life in lives.values())
    assert gone.number not in whole
    assert (await told.page("participants", "reader")).status_code == 403
    assert (await told.page("participants", "stranger")).status_code == 404
    last = max(life.number for life in lives.values())
    assert "There are no participants after" in (await told.page("participants", after=max(last, gone.number))).text


async def test_a_long_list_goes_on_after_its_last_number(told: Told) -> None:
    lives = [Telling(told.study_id) for _ in range(201)]
    await told.project([life.tell(screened()) for life in lives])
    numbers = sorted(life.stream_id for life in lives)
    first = (await told.page("participants")).text
    assert (numbers[199] in first, numbers[200] in first) == (True, False)
    assert f'<a href="?after={numbers[199]}">' in first
    second = (await told.page("participants", after=numbers[199])).text
    assert numbers[200] in second
    assert 'href="?after=' not in second


async def test_the_page_shows_the_swim_lane_above_the_list_and_says_what_it_is_of(told: Told) -> None:
    life = await told.life("north", *published_case(3))
    answer = await told.page(f"participants/{life.number}", "site@north")
    html = answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html)
    assert html.index("<svg") < html.index('<ol class="events"')
    titles = re.findall(r'<p class="what">([^<]*[^<\s])', html)
    said = (await told.read(f"participants/{life.number}/timeline.json")).json()
    assert titles == [entry["title"] for entry in said["entries"]]
    assert f"Position {told.projected}." in html
    for way in ("", "/participants", "/queries"):
        assert f'href="/analytics/studies/{told.study_id}{way}"' in html
    fragment = (await told.page(f"participants/{life.number}/timeline", "site@north")).text
    assert fragment.strip() in html


async def test_a_page_of_a_past_position_stays_at_it(told: Told) -> None:
    life = await told.life("north", screened(), enrolled())
    at = told.projected - 1
    html = (await told.page(f"participants/{life.number}", at=at)).text
    assert f'data-src="/analytics/studies/{told.study_id}/participants/{life.number}/timeline?at={at}"' in html
    assert f"timeline.json?at={at}" in html
    assert "Enrolled" not in html


@pytest.mark.parametrize(("who", "status"), [("site@south", 404), ("reader", 403), ("stranger", 404)])
async def test_who_may_not_see_a_participant_is_told_so_on_a_page(told: Told, who: str, status: int) -> None:
    life = await told.life("north", screened())
    answer = await told.page(f"participants/{life.number}", who)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert life.number not in answer.text
    elsewhere = await told.http.get(f"/analytics/studies/{told.study_id}/participants/{life.number}")
    assert (elsewhere.status_code, elsewhere.headers["location"].partition("?")[0]) == (303, "/session")


async def test_the_cohort_page_leads_to_participants_only_who_may_see_them(told: Told) -> None:
    await told.life("north", screened(), enrolled())
    link = f'href="/analytics/studies/{told.study_id}/participants"'
    for who, leads in (("site@north", True), ("monitor", True), ("reader", False)):
        html = (await told.http.get(f"/analytics/studies/{told.study_id}", headers=told.bearer(who))).text
        assert (link in html) is leads


async def test_toxicity_terms_are_told_by_their_names(told: Told) -> None:
    found = {"term": "3.0:0150", "grade": 2}
    said = {"assessed_on": "2024-03-01", "timepoint": "during_rt", "findings": [found], "checklist_complete": False}
    life = await told.life("north", screened(), stated("toxicity", "toxicity.assessed", **said))
    entries = (await told.read(f"participants/{life.number}/timeline.json")).json()["entries"]
    assert entries[-1]["title"] == "Toxicity: Dysphagia (difficulty swallowing) (3.0:0150) grade 2"
    assert entries[-1]["findings"][0]["name"] == "Dysphagia (difficulty swallowing)"
