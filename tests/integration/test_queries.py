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
from services.analytics.deriver.deriver import Deriver
from shared.contracts.event import Event
from shared.kernel.clock import Clock, real_time
from shared.kernel.fact import Fact
from shared.settings import Settings
from shared.terminology.ctcae import TermNames
from shared.testing.builders import facts
from shared.testing.builders.events import EventStream
from shared.testing.builders.follow_up_facts import follow_up_recorded, participant_died, query_explained
from shared.testing.builders.messages import as_messages
from shared.testing.builders.participant_history import ParticipantHistory
from shared.testing.builders.toxicity_facts import finding, toxicity_assessed
from tests.conftest import Database, PostgresServer
from tests.integration.support.analytics_database import own_analytics_database, project_messages

ROLES = {
    "investigator": None,
    "coordinator": None,
    "monitor": None,
    "auditor": None,
    "reader": None,
    "administrator": None,
    "site": "rome",
    "coordinator@milan": "milan",
}
QUERY_FIELDS = {"query_key", "rule", "participant_id", "site_id", "event_ids", "text", "since"}


@pytest.fixture(scope="module")
async def own_database(postgres: PostgresServer, databases: Mapping[str, str]) -> AsyncIterator[Database]:
    async with own_analytics_database(postgres) as database:
        yield database


@pytest.fixture(scope="module")
async def client(own_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AnalyticsClient]:
    issuer = Issuer.load(tmp_path_factory.mktemp("issuer"))
    settings = Settings(
        jwks=str(issuer.jwks),
        analytics_app_url=own_database.urls["app"],
        analytics_system_url=own_database.urls["system"],
        plain_http=True,
        data=Path("nowhere"),
    )
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as http,
    ):
        yield AnalyticsClient(own_database, http, issuer)


@dataclass
class AnalyticsClient:
    database: Database
    http: httpx.AsyncClient
    issuer: Issuer

    async def get(self, path: str, user: str, **params: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.issuer.token(user, now=real_time())}"} if user else {}
        return await self.http.get(path, params=params, headers=headers)

    async def project(self, *histories: EventStream | ParticipantHistory) -> None:
        events = [event for history in histories for event in history.events]
        await project_messages(self.database.system, as_messages(events))
        deriver = Deriver(self.database.system, TermNames(), Clock())
        for study_id in await deriver.studies():
            await deriver.derive_study(study_id)


def enrolled_participant(study_id: str, site: str, *facts_: Fact) -> ParticipantHistory:
    """Returns the history of a participant who is enrolled at a site with a baseline, and then `facts_`."""
    history = ParticipantHistory(study_id, site_id=site)
    history.record(
        facts.participant_screened(site_id=site),
        facts.consent_signed(),
        facts.participant_enrolled(),
        facts.baseline_recorded(),
        *facts_,
    )
    return history


@dataclass
class QueryStudy:
    client: AnalyticsClient
    study_id: str

    async def get(self, user: str = "investigator", **params: Any) -> httpx.Response:
        return await self.client.get(f"/analytics/v1/studies/{self.study_id}/queries.json", user, **params)

    async def rows(self, user: str = "investigator", **params: Any) -> list[dict[str, Any]]:
        response = await self.get(user, **params)
        assert response.status_code == 200, response.text
        return list(response.json()["rows"])

    async def get_page(self, user: str = "investigator", **params: Any) -> httpx.Response:
        return await self.client.get(f"/analytics/studies/{self.study_id}/queries", user, **params)

    async def project_fact(self, history: ParticipantHistory, fact: Fact) -> Event:
        event = history.record(fact)
        await self.client.project(history)
        return event


@pytest.fixture
async def study(client: AnalyticsClient) -> QueryStudy:
    study_id = f"own-{secrets.token_hex(6)}"
    study_stream = EventStream(study_id, study_id)
    study_stream.record(facts.study_opened(), facts.site_activated("rome"), facts.site_activated("milan"))
    for name, site in ROLES.items():
        study_stream.record(facts.member_granted(name, name.partition("@")[0], site))
    await client.project(study_stream)
    return QueryStudy(client, study_id)


async def test_query_opens_and_closes_as_facts_of_all_services_arrive(study: QueryStudy) -> None:
    participant = enrolled_participant(study.study_id, "rome")
    event = participant.record(toxicity_assessed(40, finding(grade=5)))
    await study.client.project(participant)
    (row,) = await study.rows()
    assert set(row) == QUERY_FIELDS
    assert (row["rule"], row["participant_id"], row["site_id"]) == (
        "grade_5_without_death",
        participant.participant_id,
        "rome",
    )
    assert (row["event_ids"], row["since"]) == ([str(event.event_id)], event.recorded_at.date().isoformat())
    death = await study.project_fact(participant, participant_died(41))
    assert await study.rows() == []
    participant.void(death)
    await study.client.project(participant)
    assert await study.rows() == [row]


async def test_explanation_closes_a_query_and_voiding_it_reopens_the_query(study: QueryStudy) -> None:
    participant = enrolled_participant(study.study_id, "rome")
    participant.record(participant_died(None))
    await study.client.project(participant)
    (row,) = await study.rows()
    explanation, stray_explanation = (
        participant.record(query_explained(row["query_key"])),
        participant.record(query_explained("f" * 64)),
    )
    await study.client.project(participant)
    assert await study.rows() == []
    rows = {row["query_key"]: row for row in await study.rows(state="explained")}
    assert rows[row["query_key"]] == {**row, "explained_by": [str(explanation.event_id)]}
    assert (rows["f" * 64]["rule"], rows["f" * 64]["explained_by"]) == (None, [str(stray_explanation.event_id)])
    participant.void(explanation)
    await study.client.project(participant)
    assert await study.rows() == [row]
    assert len(await study.rows(state="all")) == 2


async def test_queries_are_visible_to_those_who_may_see_the_participants(study: QueryStudy) -> None:
    participants = [enrolled_participant(study.study_id, site) for site in ("rome", "milan")]
    for participant in participants:
        participant.record(participant_died(None))
    await study.client.project(*participants)
    for user in ("investigator", "coordinator", "monitor", "auditor"):
        assert {row["site_id"] for row in await study.rows(user)} == {"rome", "milan"}
        assert {row["site_id"] for row in await study.rows(user, site="milan")} == {"milan"}
    assert [row["participant_id"] for row in await study.rows("site")] == [participants[0].participant_id]
    assert [row["participant_id"] for row in await study.rows("coordinator@milan")] == [participants[1].participant_id]
    assert (await study.get("site", site="milan")).status_code == 403
    for user in ("reader", "administrator"):
        assert ((await study.get(user)).status_code, (await study.get_page(user)).status_code) == (403, 403)
    assert ((await study.get("stranger")).status_code, (await study.get("")).status_code) == (404, 401)


async def test_queries_follow_a_transferred_participant_to_the_next_site(study: QueryStudy) -> None:
    participant = enrolled_participant(study.study_id, "rome")
    participant.record(participant_died(None))
    await study.client.project(participant)
    assert len(await study.rows("site")) == 1
    await study.project_fact(participant, facts.participant_transferred("milan", 5))
    assert await study.rows("site") == []
    assert [row["site_id"] for row in await study.rows("coordinator@milan")] == ["milan"]


@pytest.mark.parametrize(
    "leaves", [facts.participant_voided(), facts.consent_withdrawn(9, "data_use")], ids=["voided", "data use"]
)
async def test_excluded_participants_have_no_queries(study: QueryStudy, leaves: Fact) -> None:
    participant = enrolled_participant(study.study_id, "rome")
    participant.record(participant_died(None))
    await study.client.project(participant)
    assert len(await study.rows()) == 1
    await study.project_fact(participant, leaves)
    assert await study.rows(state="all") == []


async def test_query_pages_are_consecutive_and_can_be_filtered(study: QueryStudy) -> None:
    participants = [enrolled_participant(study.study_id, "rome") for _ in range(3)]
    for participant in participants:
        participant.record(participant_died(None))
        participant.record(toxicity_assessed(40, finding(grade=None)))
    await study.client.project(*participants)
    all_rows, paged_rows, after = await study.rows(), list[dict[str, Any]](), ""
    while True:
        page = (await study.get(limit=4, after=after)).json()
        paged_rows, after = [*paged_rows, *page["rows"]], page["next"]
        if after is None:
            break
    assert (len(all_rows), paged_rows) == (6, all_rows)
    assert [(row["participant_id"], row["query_key"]) for row in all_rows] == sorted(
        (row["participant_id"], row["query_key"]) for row in all_rows
    )
    compact_id = participants[0].participant_id.replace("-", "").lower()
    assert {row["rule"] for row in await study.rows(participant=compact_id)} == {"death_without_date", "ungraded_event"}
    ungraded = await study.rows(rule="ungraded_event")
    assert {row["rule"] for row in ungraded} == {"ungraded_event"}
    assert all(row["text"].endswith("no grade for Dysphagia (difficulty swallowing) (3.0:0150).") for row in ungraded)
    assert len(await study.rows(rule="ungraded_event")) == 3


@pytest.mark.parametrize(
    "parameters",
    [{"rule": "none"}, {"state": "closed"}, {"after": "x"}, {"limit": 0}, {"participant": "K7F2"}, {"at": "3"}],
    ids=str,
)
async def test_invalid_query_parameter_is_rejected(study: QueryStudy, parameters: dict[str, Any]) -> None:
    assert (await study.get(**parameters)).status_code == 422


async def test_queries_page_groups_by_site_and_links_to_participants(study: QueryStudy) -> None:
    participants = [enrolled_participant(study.study_id, site) for site in ("rome", "milan")]
    for participant in participants:
        participant.record(follow_up_recorded("2024-06"), participant_died("2024-05", cause="treatment"))
    await study.client.project(*participants)
    rows, page = await study.rows(), await study.get_page()
    assert page.status_code == 200
    for row in rows:
        assert all(text in page.text for text in (row["text"], row["query_key"], row["since"]))
        assert f'href="/analytics/studies/{study.study_id}/participants/{row["participant_id"]}"' in page.text
    assert (
        page.text.index("site-milan") < page.text.index(participants[1].participant_id) < page.text.index("site-rome")
    )
    assert '<h2 id="explain">' in page.text
    assert "Explain this data query</a>" not in page.text, "the link is for members who may explain"
    rome_page = (await study.get_page("site")).text
    assert "Explain this data query</a>" in rome_page
    assert participants[0].participant_id in rome_page
    assert participants[1].participant_id not in rome_page


async def test_a_participant_without_a_page_is_named_on_the_queries_page_but_not_linked(study: QueryStudy) -> None:
    participant = enrolled_participant(study.study_id, "rome")
    participant.record(facts.consent_signed(9, options={"data_use": False}))
    await study.client.project(participant)
    (row,) = await study.rows()
    page = (await study.get_page()).text
    assert row["rule"] == "consent_without_data_use"
    assert participant.participant_id in page
    assert f"/participants/{participant.participant_id}" not in page


async def test_queries_page_redirects_to_sign_in_and_is_linked_from_the_cohort(study: QueryStudy) -> None:
    address = f"/analytics/studies/{study.study_id}"
    redirect = await study.get_page("")
    assert (redirect.status_code, redirect.headers["location"]) == (
        303,
        f"/session?next={address.replace('/', '%2F')}%2Fqueries",
    )
    link = f'href="{address}/queries"'
    assert link in (await study.client.get(address, "investigator")).text
    assert link not in (await study.client.get(address, "reader")).text
