"""Queries over HTTP, and their page: facts of three services are projected as they come from Kafka, then read."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.issuer import Issuer
from services.analytics.app import create_app
from shared.contracts.event import Event
from shared.kernel.clock import real_time
from shared.kernel.fact import Fact
from shared.settings import Settings
from shared.testing import facts
from tests.conftest import Database, PostgresServer
from tests.integration.analytics import analytics_of_its_own, apply
from tests.integration.stated import Telling, arrived
from tests.unit.analytics.stories import assessed, contact, died, explained, finding

ROLES = {"investigator": None, "coordinator": None, "monitor": None, "auditor": None, "reader": None,
         "administrator": None, "site": "rome", "coordinator@milan": "milan"}  # fmt: skip
SEVEN = {"query_key", "rule", "participant_id", "site_id", "event_ids", "text", "since"}


@pytest.fixture(scope="module")
async def own(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with analytics_of_its_own(postgres) as database:
        yield database


@pytest.fixture(scope="module")
async def web(own: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Web]:
    issuer = Issuer.load(tmp_path_factory.mktemp("issuer"))
    settings = Settings(
        jwks=str(issuer.jwks), analytics_app_url=own.urls["app"], analytics_system_url=own.urls["system"],
        plain_http=True, data=Path("nowhere"),
    )  # fmt: skip
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http,
    ):
        yield Web(own, http, issuer)


@dataclass
class Web:
    database: Database
    http: httpx.AsyncClient
    issuer: Issuer

    async def get(self, path: str, who: str, **params: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.issuer.token(who, now=real_time())}"} if who else {}
        return await self.http.get(path, params=params, headers=headers)

    async def know(self, *tellings: Telling) -> None:
        await apply(self.database.system, arrived([event for telling in tellings for event in telling.events]))


class Person:
    """A participant at a site, told by the three services."""

    def __init__(self, study_id: str, site: str, *told: Fact) -> None:
        self.enrollment = Telling(study_id, site=site)
        self.number = self.enrollment.stream_id
        self.toxicity = Telling(study_id, self.number, "toxicity", site)
        self.followup = Telling(study_id, self.number, "followup", site)
        self.enrollment.tell(facts.screened(site_id=site), facts.consented(), facts.enrolled(), facts.baseline(), *told)

    @property
    def all(self) -> tuple[Telling, ...]:
        return tuple(telling for telling in (self.enrollment, self.toxicity, self.followup) if telling.events)


@dataclass
class Study:
    web: Web
    study_id: str

    async def read(self, who: str = "investigator", **asked: Any) -> httpx.Response:
        return await self.web.get(f"/analytics/v1/studies/{self.study_id}/queries.json", who, **asked)

    async def rows(self, who: str = "investigator", **asked: Any) -> list[dict[str, Any]]:
        answer = await self.read(who, **asked)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["rows"])

    async def page(self, who: str = "investigator", **asked: Any) -> httpx.Response:
        return await self.web.get(f"/analytics/studies/{self.study_id}/queries", who, **asked)

    async def tell(self, telling: Telling, fact: Fact) -> Event:
        event = telling.tell(fact)
        await self.web.know(telling)
        return event


@pytest.fixture
async def study(web: Web) -> Study:
    told = Telling(f"own-{secrets.token_hex(6)}", site=None)
    told.stream_id = told.study_id
    told.tell(facts.opened(), facts.site_activated("rome"), facts.site_activated("milan"))
    for name, site in ROLES.items():
        told.tell(facts.granted(name, name.partition("@")[0], site))
    await web.know(told)
    return Study(web, told.study_id)


async def test_a_query_opens_and_closes_as_facts_of_all_services_arrive(study: Study) -> None:
    one = Person(study.study_id, "rome")
    event = one.toxicity.tell(assessed(40, "follow_up", finding(5)))
    await study.web.know(*one.all)
    (row,) = await study.rows()
    assert set(row) == SEVEN
    assert (row["rule"], row["participant_id"], row["site_id"]) == ("grade_5_without_death", one.number, "rome")
    assert (row["event_ids"], row["since"]) == ([str(event.event_id)], event.recorded_at.date().isoformat())
    death = await study.tell(one.followup, died(41))
    assert await study.rows() == []
    one.followup.correct(death, None)
    await study.web.know(one.followup)
    assert await study.rows() == [row]


async def test_an_explanation_takes_a_query_from_the_list_and_voiding_it_brings_it_back(study: Study) -> None:
    one = Person(study.study_id, "rome")
    one.followup.tell(died(None))
    await study.web.know(*one.all)
    (row,) = await study.rows()
    said, stray = one.followup.tell(explained(row["query_key"])), one.followup.tell(explained("f" * 64))
    await study.web.know(one.followup)
    assert await study.rows() == []
    rows = {each["query_key"]: each for each in await study.rows(state="explained")}
    assert rows[row["query_key"]] == {**row, "explained_by": [str(said.event_id)]}
    assert (rows["f" * 64]["rule"], rows["f" * 64]["explained_by"]) == (None, [str(stray.event_id)])
    one.followup.correct(said, None)
    await study.web.know(one.followup)
    assert await study.rows() == [row]
    assert len(await study.rows(state="all")) == 2


async def test_queries_are_seen_by_who_sees_the_participants(study: Study) -> None:
    people = [Person(study.study_id, site) for site in ("rome", "milan")]
    for one in people:
        one.followup.tell(died(None))
    await study.web.know(*(telling for one in people for telling in one.all))
    for who in ("investigator", "coordinator", "monitor", "auditor"):
        assert {row["site_id"] for row in await study.rows(who)} == {"rome", "milan"}
        assert {row["site_id"] for row in await study.rows(who, site="milan")} == {"milan"}
    assert [row["participant_id"] for row in await study.rows("site")] == [people[0].number]
    assert [row["participant_id"] for row in await study.rows("coordinator@milan")] == [people[1].number]
    assert (await study.read("site", site="milan")).status_code == 403
    for who in ("reader", "administrator"):
        assert ((await study.read(who)).status_code, (await study.page(who)).status_code) == (403, 403)
    assert ((await study.read("stranger")).status_code, (await study.read("")).status_code) == (404, 401)


async def test_queries_follow_a_participant_to_the_next_site(study: Study) -> None:
    one = Person(study.study_id, "rome")
    one.followup.tell(died(None))
    await study.web.know(*one.all)
    assert len(await study.rows("site")) == 1
    await study.tell(one.enrollment, facts.transferred("milan", 5))
    assert await study.rows("site") == []
    assert [row["site_id"] for row in await study.rows("coordinator@milan")] == ["milan"]


@pytest.mark.parametrize("leaves", [facts.voided(), facts.withdrawn(9, "data_use")], ids=["voided", "data use"])
async def test_nothing_is_asked_about_who_may_not_be_used(study: Study, leaves: Fact) -> None:
    one = Person(study.study_id, "rome")
    one.followup.tell(died(None))
    await study.web.know(*one.all)
    assert len(await study.rows()) == 1
    await study.tell(one.enrollment, leaves)
    assert await study.rows(state="all") == []


async def test_pages_of_rows_follow_one_another_and_are_narrowed(study: Study) -> None:
    people = [Person(study.study_id, "rome") for _ in range(3)]
    for one in people:
        one.followup.tell(died(None))
        one.toxicity.tell(assessed(40, "follow_up", finding(None)))
    await study.web.know(*(telling for one in people for telling in one.all))
    whole, paged, after = await study.rows(), list[dict[str, Any]](), ""
    while True:
        answer = (await study.read(limit=4, after=after)).json()
        paged, after = [*paged, *answer["rows"]], answer["next"]
        if after is None:
            break
    assert (len(whole), paged) == (6, whole)
    assert [(row["participant_id"], row["query_key"]) for row in whole] == sorted(
        (row["participant_id"], row["query_key"]) for row in whole
    )
    number = people[0].number.replace("-", "").lower()
    assert {row["rule"] for row in await study.rows(participant=number)} == {"death_without_date", "ungraded_event"}
    ungraded = await study.rows(rule="ungraded_event")
    assert {row["rule"] for row in ungraded} == {"ungraded_event"}
    assert all(row["text"].endswith("no grade for Dysphagia (difficulty swallowing) (3.0:0150).") for row in ungraded)
    assert len(await study.rows(rule="ungraded_event")) == 3


@pytest.mark.parametrize(
    "asked",
    [{"rule": "none"}, {"state": "closed"}, {"after": "x"}, {"limit": 0}, {"participant": "K7F2"}, {"at": "3"}],
    ids=str,
)
async def test_a_parameter_that_there_is_not_is_refused(study: Study, asked: dict[str, Any]) -> None:
    assert (await study.read(**asked)).status_code == 422


async def test_the_page_lists_queries_by_site_and_leads_to_the_participants(study: Study) -> None:
    people = [Person(study.study_id, site) for site in ("rome", "milan")]
    for one in people:
        one.followup.tell(contact("2024-06"), died("2024-05", "treatment"))
    await study.web.know(*(telling for one in people for telling in one.all))
    rows, answer = await study.rows(), await study.page()
    assert answer.status_code == 200
    for row in rows:
        assert all(said in answer.text for said in (row["text"], row["query_key"], row["since"]))
        assert f'href="/analytics/studies/{study.study_id}/participants/{row["participant_id"]}"' in answer.text
    assert answer.text.index("site-milan") < answer.text.index(people[1].number) < answer.text.index("site-rome")
    assert "query.explained" in answer.text
    of_rome = (await study.page("site")).text
    assert people[0].number in of_rome
    assert people[1].number not in of_rome


async def test_the_page_sends_who_is_not_signed_in_to_the_form_and_the_cohort_leads_to_it(study: Study) -> None:
    address = f"/analytics/studies/{study.study_id}"
    away = await study.page("")
    assert (away.status_code, away.headers["location"]) == (
        303,
        f"/session?next={address.replace('/', '%2F')}%2Fqueries",
    )
    link = f'href="{address}/queries"'
    assert link in (await study.web.get(address, "investigator")).text
    assert link not in (await study.web.get(address, "reader")).text
