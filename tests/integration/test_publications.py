"""Publications over HTTP: what readers of a study see of it, and what they are refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.analytics.figures.registry import FIGURES
from shared.contracts.event import Event
from shared.kernel.fact import Fact
from shared.testing.builders import facts
from shared.testing.builders.participant_history import ParticipantHistory
from tests.conftest import Database
from tests.integration.support.analytics_app import TODAY, AnalyticsStudy, open_analytics_study

FIRST_CUT, SECOND_CUT = "2024-06-15", "2024-12-31"
DIVISIONS: tuple[dict[str, str], ...] = (
    {"by": "sex"},
    {"by": "stage"},
    {"by": "site"},
    {"by": "subset"},
    {"site": "rome"},
)


@pytest.fixture
async def study(analytics_database: Database, tmp_path: Path, study_id: str) -> AsyncIterator[AnalyticsStudy]:
    """A study of three sites without participants."""
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        await study.project([study.study.record(facts.site_activated("paris"))])
        yield study


async def enroll(study: AnalyticsStudy, *on: str, site: str = "rome", sex: str = "female") -> list[ParticipantHistory]:
    """Enrolls a participant at the site on each of the days."""
    screening = facts.participant_screened(site_id=site, sex=sex)
    return [await study.add_participant(site, screening, facts.participant_enrolled(day)) for day in on]


async def take_cut(study: AnalyticsStudy, name: str, on: str) -> int:
    """Returns the position of the cut."""
    await study.project([study.study.record(facts.cut_taken(name, on))])
    return study.position


async def add(study: AnalyticsStudy, participant: ParticipantHistory, fact: Fact) -> Event:
    event = participant.record(fact)
    await study.project([event])
    return event


async def figure(study: AnalyticsStudy, name: str, **params: Any) -> dict[str, Any]:
    answer = await study.get(f"figures/{name}.json", "reader", **params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def cohort_page(study: AnalyticsStudy, user: str, **params: Any) -> httpx.Response:
    address = f"/analytics/studies/{study.study_id}"
    return await study.http.get(address, params=params, headers=study.authorization(user))


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"]


async def test_nothing_is_published_before_the_first_cut(study: AnalyticsStudy) -> None:
    await enroll(study, "2024-03-01")
    for path in ("position", "figures/flow.json", "figures/accrual.svg"):
        assert problem(await study.get(path, "reader")) == (404, "/problems/nothing-published")
    assert (await study.get("figures", "reader")).status_code == 200
    page = await cohort_page(study, "reader")
    assert (page.status_code, "Nothing of this study has been published yet" in page.text) == (404, True)


async def test_readers_see_the_cut_taken_last_or_the_one_they_name(study: AnalyticsStudy) -> None:
    await enroll(study, "2024-03-01", "2024-04-01")
    first = await take_cut(study, "first", FIRST_CUT)
    await enroll(study, "2024-07-01", "2025-01-01")
    second = await take_cut(study, "second", SECOND_CUT)
    await enroll(study, "2024-08-01")
    position = (await study.get("position", "reader")).json()
    assert position["position"] == second
    flows = [await figure(study, "flow", **params) for params in ({}, {"at": "cut:first"})]
    assert [(flow["position"], flow["cut"], flow["enrolled"]) for flow in flows] == [
        (second, SECOND_CUT, 3),
        (first, FIRST_CUT, 2),
    ]
    assert [flow["publication"] for flow in flows] == [
        {"cut": "second", "edition": "second"},
        {"cut": "first", "edition": "first"},
    ]
    assert position["recorded_at"] == flows[0]["recorded_at"].replace("+00:00", "Z")
    assert problem(await study.get("figures/flow.json", "reader", at="cut:third")) == (404, "/problems/not-found")
    assert (await study.get("position")).json()["position"] == study.position
    assert "publication" not in (await study.get("figures/flow.json", at="cut:first")).json()


async def test_readers_are_refused_any_other_state_and_any_other_address(study: AnalyticsStudy) -> None:
    (participant,) = await enroll(study, "2024-03-01")
    await take_cut(study, "first", FIRST_CUT)
    parameters: tuple[dict[str, Any], ...] = (
        {"at": study.position},
        {"at": "1"},
        {"at": "first"},
        {"cut": FIRST_CUT},
        {"as_of": "2024-06-15T00:00:00Z"},
        {"at": "cut:first", "cut": FIRST_CUT},
    )
    lists = ("queries.json", "participants.json", "worklist.json", "operations.json", "reads")
    timeline = f"participants/{participant.participant_id}/timeline.json"
    rows = ("figures/treatments.json", "figures/treatments.csv", "figures/swimmer.json", "figures/swimmer.svg")
    answers = [await study.get("figures/flow.json", "reader", **params) for params in parameters]
    answers += [await study.get(path, "reader") for path in (*lists, *rows, timeline)]
    assert {problem(answer) for answer in answers} == {(403, "/problems/readers-see-cuts")}
    for path in ("participants", "queries", "worklist", "operations", f"participants/{participant.participant_id}"):
        page = await study.get_page(path, "reader")
        assert (page.status_code, "Readers see what the study has published" in page.text) == (403, True), path
    assert problem(await study.get("figures/flow.json", "reader", epoch="00000000-0000-0000-0000-000000000000")) == (
        410,
        "/problems/position-gone",
    )


async def test_refusal_of_a_division_does_not_tell_which_group_is_small(study: AnalyticsStudy) -> None:
    for site, sex, count in (("rome", "female", 9), ("milan", "male", 6), ("paris", "female", 4)):
        await enroll(study, *["2024-03-01"] * count, site=site, sex=sex)
    await take_cut(study, "first", FIRST_CUT)
    small = [
        ("accrual", params) for params in ({"by": "site"}, *({"site": site} for site in ("rome", "milan", "paris")))
    ]
    undivided = [("flow", params) for params in DIVISIONS]
    combined = [("accrual", {"by": "sex", "site": "rome"}), ("accrual", {"subset": "stereotactic", "by": "sex"})]
    answers = [
        await study.get(f"figures/{name}.{kind}", "reader", **params)
        for name, params in (*small, *undivided, *combined)
        for kind in ("json", "csv", "svg")
    ]
    assert {problem(answer) for answer in answers} == {(403, "/problems/small-groups")}
    assert len({answer.content for answer in answers}) == 1
    by_sex = await figure(study, "accrual", by="sex")
    assert {group["name"]: group["enrolled"] for group in by_sex["groups"]} == {"female": 13, "male": 6}
    by_stage = await figure(study, "accrual", by="stage")
    assert {group["name"]: group["enrolled"] for group in by_stage["groups"] if group["enrolled"]} == {
        "not_reported": 19
    }
    forest = await figure(study, "hazard-ratios")
    assert (forest["rows"], forest["reason"]) == ([], "not_published")


@pytest.mark.parametrize("empty_sites", [(), ("paris",)])
async def test_participants_of_two_sites_are_not_divided_by_site(
    analytics_database: Database, tmp_path: Path, study_id: str, empty_sites: tuple[str, ...]
) -> None:
    async with open_analytics_study(analytics_database, tmp_path, study_id) as study:
        await study.project([study.study.record(facts.site_activated(site)) for site in empty_sites])
        for site in ("rome", "milan"):
            await enroll(study, *["2024-03-01"] * 8, site=site, sex="male" if site == "rome" else "female")
        await take_cut(study, "first", FIRST_CUT)
        for params in ({"by": "site"}, {"site": "rome"}):
            assert problem(await study.get("figures/accrual.json", "reader", **params)) == (
                403,
                "/problems/small-groups",
            )
        assert len((await figure(study, "accrual", by="sex"))["groups"]) == 2


async def test_part_of_the_study_is_one_group_of_the_published_division(study: AnalyticsStudy) -> None:
    for site in ("rome", "milan", "paris"):
        await enroll(study, *["2024-03-01"] * 5, "2024-04-04", site=site)
    await take_cut(study, "first", FIRST_CUT)
    divided = await figure(study, "accrual", by="site")
    narrowed = await figure(study, "accrual", site="milan")
    (milan,) = [group for group in divided["groups"] if group["name"] == "milan"]
    assert narrowed["groups"] == [{**milan, "name": "all"}]
    assert milan["curve"] == [{"on": FIRST_CUT, "cumulative": 6}]
    assert narrowed["parameters"] == {"site": "milan", "subset": "all"}
    assert problem(await study.get("figures/accrual.json", "reader", site="nowhere")) == (422, "/problems/parameter")
    caption = (await study.get("figures/accrual.svg", "reader", site="milan")).text
    assert "site milan; in the whole study 0 imputed dates, 0 participants excluded" in caption


async def test_accrual_of_readers_has_ends_of_months(study: AnalyticsStudy) -> None:
    await enroll(study, *["2024-02-10"] * 5, "2024-03-11", *["2024-04-12"] * 4, "2024-06-13")
    await take_cut(study, "first", FIRST_CUT)
    (group,) = (await figure(study, "accrual"))["groups"]
    assert group["curve"] == [{"on": "2024-02-29", "cumulative": 5}, {"on": FIRST_CUT, "cumulative": 11}]
    table = (await study.get("figures/accrual.csv", "reader")).text
    assert table.splitlines()[1:] == ["all,2024-02-29,5,5", f"all,{FIRST_CUT},6,11"]
    for kind in ("json", "csv", "svg"):
        text = (await study.get(f"figures/accrual.{kind}", "reader")).text
        assert not [day for day in ("2024-02-10", "2024-03-11", "2024-04-12", "2024-06-13") if day in text]


async def test_division_is_published_anew_once_enough_participants_came(study: AnalyticsStudy) -> None:
    await enroll(study, *["2024-03-01"] * 6, sex="female")
    await enroll(study, *["2024-03-01"] * 7, sex="male")
    await take_cut(study, "first", FIRST_CUT)
    before = await study.get("figures/accrual.json", "reader", by="sex")
    await enroll(study, *["2024-04-01"] * 4, sex="male")
    await take_cut(study, "second", SECOND_CUT)
    held_back = await figure(study, "accrual", by="sex")
    assert held_back["publication"] == {"cut": "second", "edition": "first"}
    assert {**held_back, "publication": None} == {**before.json(), "publication": None}
    assert held_back["cut"] == FIRST_CUT
    assert (await figure(study, "accrual"))["groups"][0]["enrolled"] == 17
    await enroll(study, "2024-04-01", sex="male")
    await take_cut(study, "third", SECOND_CUT)
    renewed = await figure(study, "accrual", by="sex")
    assert renewed["publication"] == {"cut": "third", "edition": "third"}
    assert {group["name"]: group["enrolled"] for group in renewed["groups"]} == {"female": 6, "male": 12}
    assert (await figure(study, "accrual", by="sex", at="cut:second")) == held_back


@pytest.mark.parametrize("leaves", [facts.participant_voided(), facts.consent_withdrawn("2024-12-01", "data_use")])
async def test_division_is_refused_once_one_of_its_participants_is_excluded(
    study: AnalyticsStudy, leaves: Fact
) -> None:
    first, *_ = await enroll(study, *["2024-03-01"] * 8)
    await enroll(study, *["2024-03-01"] * 8, sex="male")
    await take_cut(study, "first", FIRST_CUT)
    assert len((await figure(study, "accrual", by="sex"))["groups"]) == 2
    await add(study, first, leaves)
    assert problem(await study.get("figures/accrual.json", "reader", by="sex")) == (403, "/problems/small-groups")
    whole = await figure(study, "accrual")
    assert (whole["groups"][0]["enrolled"], whole["left_out"]) == (15, 1)
    await take_cut(study, "second", SECOND_CUT)
    assert problem(await study.get("figures/accrual.json", "reader", by="sex")) == (403, "/problems/small-groups")
    await enroll(study, *["2024-04-01"] * 4)
    await take_cut(study, "third", SECOND_CUT)
    renewed = await figure(study, "accrual", by="sex")
    assert {group["name"]: group["enrolled"] for group in renewed["groups"]} == {"female": 11, "male": 8}


async def test_page_of_a_reader_shows_the_publication_and_nothing_else(study: AnalyticsStudy) -> None:
    await enroll(study, *["2024-03-01"] * 8)
    first = await take_cut(study, "first", FIRST_CUT)
    await take_cut(study, "second", SECOND_CUT)
    page = (await cohort_page(study, "reader", at="cut:first")).text
    assert (
        "Publication <b data-publication>first</b>: the figures of the study as of its data cut-off 2024-06-15" in page
    )
    assert (
        f'data-live="cut" data-src="/analytics/studies/{study.study_id}?at=cut%3Afirst" data-version="{first}"' in page
    )
    assert 'data-events="cut"' in page
    assert f'href="/analytics/studies/{study.study_id}?at=cut%3Asecond">second (2024-12-31)</a>' in page
    assert page.count("<figure ") == sum(not figure.DISCLOSURE.person_level for figure in FIGURES.values())
    assert 'data-live="flow"' not in page
    assert "/figures/treatments." not in page
    for path in ("participants", "queries", "operations"):
        assert f"/analytics/studies/{study.study_id}/{path}" not in page
    fragment = (await study.get_page("figures/flow", "reader")).text
    assert "publication second" in fragment
    assert "data-live" not in fragment
    assert 'data-live="flow"' in (await cohort_page(study, "investigator")).text


async def test_answer_of_a_reader_does_not_depend_on_later_facts(study: AnalyticsStudy) -> None:
    await enroll(study, *["2024-03-01"] * 8)
    await take_cut(study, "first", FIRST_CUT)
    files = [f"figures/{name}.{kind}" for name in ("flow", "accrual") for kind in ("json", "csv", "svg")]
    before = [(await study.get(path, "reader")).content for path in (*files, "position")]
    (participant,) = await enroll(study, TODAY)
    await add(study, participant, facts.lesion_registered())
    assert [(await study.get(path, "reader")).content for path in (*files, "position")] == before


def offered_states(page: httpx.Response) -> list[str]:
    return re.findall(r'<option value="([^"]*)"', page.text)


async def test_page_leads_to_data_cuts_and_months_and_that_of_a_reader_to_data_cuts_alone(
    study: AnalyticsStudy,
) -> None:
    (participant,) = await enroll(study, "2024-05-01")
    second = [await take_cut(study, name, "2024-06-30") for name in ("first", "second")][1]
    later = participant.record(facts.radiotherapy_started(0), recorded_at=datetime(2024, 4, 30, 23, 59, tzinfo=UTC))
    await study.project([later])
    cuts = ["cut:second", "cut:first"]
    latest = await cohort_page(study, "investigator", at="")
    assert offered_states(latest) == ["", *cuts, str(study.position), "1"]
    assert re.search(r'<option value="" data-order="\d+" selected>Latest</option>', latest.text)
    assert f'data-version="{study.position}"' in latest.text
    earlier = await cohort_page(study, "investigator", at=str(second), by="sex")
    assert '<input type="hidden" name="by" value="sex">' in earlier.text
    for_reader = await cohort_page(study, "reader")
    assert offered_states(for_reader) == cuts
    assert re.search(r'<option value="cut:second" data-order="\d+" selected>', for_reader.text)
    headline = f"/analytics/studies/{study.study_id}/headline"
    fragment = await study.http.get(headline, headers=study.authorization("reader"))
    assert '<b data-number="flow-enrolled">1</b> enrolled' in fragment.text
    assert "data-live" not in fragment.text
