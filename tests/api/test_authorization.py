"""Authorization over HTTP: every role, and callers without a role, at every kind of endpoint."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID

import asyncpg
import httpx
import pytest

from infra.reference.study import subject
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.contracts.study import StudyOpened
from shared.kernel.fact import Stream
from shared.kernel.ids import new_participant_id
from shared.postgres.statements import compose_statement
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.study import (
    ALL_USERS,
    EXAMPLE_BODIES,
    STUDY_WIDE_READERS,
    TIMEOUT_SECONDS,
    StudyUnderTest,
    body,
    demo_environment,
    find_event_id,
    is_indistinguishable,
    open_study,
    split_user,
    users_of_site,
)
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    """A study with a data cut, which readers see."""
    with open_study(demo) as study:
        assert study.record_study_fact(facts.cut_taken()).status_code == 201
        yield study


@pytest.fixture(scope="module")
def rome_participant(study: StudyUnderTest) -> str:
    """A participant at Rome, known to every service."""
    return study.wait_until_known(study.enroll_at("rome", facts.lesion_registered(), facts.radiotherapy_started()))


def users_who_may_state(by: frozenset[str], site: str | None) -> set[str]:
    """Callers that these roles allow to record a fact about the study (None) or about a participant of the site."""
    return {user for user in ALL_USERS if split_user(user)[0] in by and split_user(user)[1] in (None, site)}


AUTHORIZED_STATUSES = {200, 422}
"""Statuses of an authorized request. A rule may still refuse the fact."""


@pytest.mark.parametrize("user", ALL_USERS)
def test_study_fact_can_be_recorded_only_by_its_roles(study: StudyUnderTest, user: str) -> None:
    for name, fact in STUDY.facts.items():
        if fact is not StudyOpened:
            response = study.post(f"facts/{name}?dry_run=true", EXAMPLE_BODIES[name], user)
            expected_statuses = (
                AUTHORIZED_STATUSES if user in users_who_may_state(fact.stated_by_roles, None) else {403}
            )
            assert response.status_code in expected_statuses, (name, response.text)


@pytest.mark.parametrize("user", ALL_USERS)
def test_participant_fact_can_be_recorded_only_by_its_roles_at_that_site(
    study: StudyUnderTest, rome_participant: str, user: str
) -> None:
    """A caller who sees the participant or has no suitable role gets 403; staff of another site gets 404."""
    correction = facts.correction(
        UUID(find_event_id(study, rome_participant, "lesion.registered")), facts.lesion_registered("L1", 3)
    )
    for name, fact in PARTICIPANT.facts.items():
        content = body(correction) if name == "record.corrected" else EXAMPLE_BODIES[name]
        response = study.post(f"participants/{rome_participant}/facts/{name}?dry_run=true", content, user)
        is_foreign = split_user(user)[1] == "milan" and split_user(user)[0] in fact.stated_by_roles
        expected_statuses = (
            {404}
            if is_foreign
            else AUTHORIZED_STATUSES
            if user in users_who_may_state(fact.stated_by_roles, "rome")
            else {403}
        )
        assert response.status_code in expected_statuses, (name, user, response.text)


@pytest.mark.parametrize("stream", [TOXICITY, FOLLOWUP], ids=lambda stream: stream.service)
def test_toxicity_and_follow_up_facts_need_their_roles_at_the_participants_site(
    study: StudyUnderTest, rome_participant: str, stream: Stream
) -> None:
    """Staff of another site get the same response as for an unknown participant: it may arrive later."""
    first_fact = {"toxicity": toxicity.toxicity_assessed(2), "followup": followup.follow_up_recorded(2)}[stream.service]
    assert study.record_fact(rome_participant, first_fact).status_code == 201
    void = {
        "event_id": find_event_id(study, rome_participant, first_fact.type_name, stream.service),
        "reason_code": "typing_error",
    }
    for user in ALL_USERS:
        for name, fact in stream.facts.items():
            content = {**void, "replacement": None} if name == "record.corrected" else EXAMPLE_BODIES[name]
            response = study.send(
                study.address(f"participants/{rome_participant}/facts/{name}?dry_run=true", stream.service),
                content,
                user,
            )
            is_foreign = split_user(user)[1] == "milan" and split_user(user)[0] in fact.stated_by_roles
            expected_statuses = (
                {409}
                if is_foreign
                else AUTHORIZED_STATUSES
                if user in users_who_may_state(fact.stated_by_roles, "rome")
                else {403}
            )
            assert response.status_code in expected_statuses, (name, user, response.text)


@pytest.mark.parametrize("user", ALL_USERS)
def test_batch_can_be_recorded_only_by_who_may_record_each_fact(
    study: StudyUnderTest, rome_participant: str, user: str
) -> None:
    batch = [
        {"type": "lesion.registered", "data": body(facts.lesion_registered("L7"))},
        {"type": "participant.transferred", "data": body(facts.participant_transferred("milan", 3))},
    ]
    response = study.post(f"participants/{rome_participant}/facts?dry_run=true", batch, user)
    expected_status = {"site@rome": 200, "site@milan": 404}.get(user, 403)
    assert response.status_code == expected_status, response.text


@pytest.mark.parametrize("user", ALL_USERS)
def test_participant_is_screened_by_site_staff_or_the_study_coordinator(study: StudyUnderTest, user: str) -> None:
    response = study.post("participants?dry_run=true", body(facts.participant_screened()), user)
    assert response.status_code == (200 if user in {*users_of_site("rome"), "coordinator"} else 403), response.text


READS: dict[str, tuple[str, str, set[str]]] = {
    # what: service, path ({} is the participant's number), who may read it
    "the study": ("enrollment", "", set(ALL_USERS)),
    "participants": ("enrollment", "participants", STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan")),
    "a participant": ("enrollment", "participants/{}", STUDY_WIDE_READERS | users_of_site("rome")),
    "a history": ("enrollment", "participants/{}/history", STUDY_WIDE_READERS | users_of_site("rome")),
    "the feed of facts": ("enrollment", "facts", STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan")),
    "participants, of toxicity": (
        "toxicity",
        "participants",
        STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan"),
    ),
    "a participant, of toxicity": ("toxicity", "participants/{}", STUDY_WIDE_READERS | users_of_site("rome")),
    "a history, of toxicity": ("toxicity", "participants/{}/history", STUDY_WIDE_READERS | users_of_site("rome")),
    "the feed of facts, of toxicity": (
        "toxicity",
        "facts",
        STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan"),
    ),
    "participants, of follow-up": (
        "followup",
        "participants",
        STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan"),
    ),
    "a participant, of follow-up": ("followup", "participants/{}", STUDY_WIDE_READERS | users_of_site("rome")),
    "a history, of follow-up": ("followup", "participants/{}/history", STUDY_WIDE_READERS | users_of_site("rome")),
    "the feed of facts, of follow-up": (
        "followup",
        "facts",
        STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan"),
    ),
    "exports": ("enrollment", "exports", {"administrator", "investigator", "auditor"}),
    "the position": ("analytics", "position", set(ALL_USERS)),
    "the list of figures": ("analytics", "figures", set(ALL_USERS)),
    "a figure": ("analytics", "figures/flow.json", set(ALL_USERS)),
    "a table": ("analytics", "figures/accrual.csv", set(ALL_USERS)),
    "a picture": ("analytics", "figures/flow.svg", set(ALL_USERS)),
    "treatments": (
        "analytics",
        "figures/treatments.json",
        STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan"),
    ),
    "swimmer": (
        "analytics",
        "figures/swimmer.json",
        STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan"),
    ),
    "queries": ("analytics", "queries.json", STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan")),
    "worklist": ("analytics", "worklist.json", STUDY_WIDE_READERS | users_of_site("rome") | users_of_site("milan")),
}


@pytest.mark.parametrize("resource", READS)
def test_each_role_reads_only_its_documented_resources(
    study: StudyUnderTest, rome_participant: str, resource: str
) -> None:
    service, path, readers = READS[resource]
    study.wait_for_analytics()
    for user in ALL_USERS:
        response = study.http.get(
            study.address(path.format(rome_participant), service), headers=study.authorization(user)
        )
        is_foreign = "{}" in path and split_user(user)[1] == "milan"
        assert response.status_code == (200 if user in readers else 404 if is_foreign else 403), (user, response.text)


def test_live_stream_is_open_to_every_member_and_to_nobody_else(study: StudyUnderTest) -> None:
    study.wait_for_analytics()
    for user in (*ALL_USERS, "nobody"):
        with study.http.stream(
            "GET", study.address("live", "analytics"), headers=study.authorization(user)
        ) as response:
            assert response.status_code == (200 if user in ALL_USERS else 404)


def test_site_reads_only_its_own_participants(study: StudyUnderTest, rome_participant: str) -> None:
    milanese = study.enroll_at("milan", facts.lesion_registered(), facts.radiotherapy_started())
    study.wait_for_analytics()
    for site, own_number, foreign_number in (
        ("rome", rome_participant, milanese),
        ("milan", milanese, rome_participant),
    ):
        for user in users_of_site(site):
            row_lists = [study.get(path, user).json()["rows"] for path in ("participants", "facts")]
            row_lists.append(study.get_analytics("figures/treatments.json", user).json()["targets"])
            row_lists.append(study.get_analytics("figures/swimmer.json", user).json()["lanes"])
            for rows in row_lists:
                participant_ids = {row["participant_id"] for row in rows}
                assert own_number in participant_ids
                assert foreign_number not in participant_ids
    for user in STUDY_WIDE_READERS:
        assert {rome_participant, milanese} <= {
            row["participant_id"] for row in study.get("participants", user).json()["rows"]
        }
        assert {rome_participant, milanese} <= {
            row["participant_id"] for row in study.get("facts", user, limit=1000).json()["rows"]
        }


def test_site_filter_reveals_nothing_of_another_site(study: StudyUnderTest, rome_participant: str) -> None:
    study.wait_for_analytics()
    for path in ("participants", "facts"):
        existing_site, unknown_site = (study.get(path, "site@milan", site=site) for site in ("rome", "nowhere"))
        assert existing_site.status_code == 403
        assert is_indistinguishable(existing_site, unknown_site)
    for figure in ("flow", "treatments", "swimmer"):
        existing_site, unknown_site = (
            study.get_analytics(f"figures/{figure}.json", "site@milan", site=site) for site in ("rome", "nowhere")
        )
        assert existing_site.status_code == 403
        assert is_indistinguishable(existing_site, unknown_site)


def test_foreign_and_unknown_participants_are_indistinguishable(study: StudyUnderTest, rome_participant: str) -> None:
    unknown_participant_id = new_participant_id()
    for path in ("participants/{}", "participants/{}/history"):
        foreign_response, unknown_response = (
            study.get(path.format(participant_id), "site@milan")
            for participant_id in (rome_participant, unknown_participant_id)
        )
        assert foreign_response.status_code == 404
        assert is_indistinguishable(foreign_response, unknown_response)
    for dry in ("", "?dry_run=true"):
        for headers in (
            {},
            {"Idempotency_Key": find_event_id(study, rome_participant, "participant.enrolled")},
            {"If_Match": '"7"'},
        ):
            foreign_response, unknown_response = (
                study.post(
                    f"participants/{participant_id}/facts/lesion.registered{dry}",
                    EXAMPLE_BODIES["lesion.registered"],
                    "site@milan",
                    **headers,
                )
                for participant_id in (rome_participant, unknown_participant_id)
            )
            assert foreign_response.status_code == 404
            assert is_indistinguishable(foreign_response, unknown_response)


def outsider_responses(study: StudyUnderTest) -> Iterator[tuple[str, httpx.Response]]:
    """Yields the responses to a caller without a grant: of a study, of another one, and of two that do not exist."""
    member_headers, participant_id = study.authorization("site@rome"), new_participant_id()
    outsider_headers = {"Authorization": f"Bearer {study.demo.token('investigator', study='atc-rt')}"}
    for headers, study_id in (
        (outsider_headers, study.study_id),
        (member_headers, "no-such-study"),
        (member_headers, "atc-rt"),
        (member_headers, "X Y"),
    ):
        enrollment, analytics = (f"/{service}/v1/studies/{study_id}" for service in ("enrollment", "analytics"))
        for path in ("", "/participants", f"/participants/{participant_id}", "/facts"):
            yield path, study.http.get(enrollment + path, headers=headers)
        for path, fact in ((f"/participants/{participant_id}", "participant.enrolled"), ("", "study.site_closed")):
            yield path, study.http.post(f"{enrollment}{path}/facts/{fact}", json=EXAMPLE_BODIES[fact], headers=headers)
        for path in ("/position", "/figures", "/figures/flow.json", "/figures/treatments.csv", "/live"):
            yield path, study.http.get(analytics + path, headers=headers)


def test_foreign_and_unknown_studies_are_indistinguishable(study: StudyUnderTest) -> None:
    responses = list(outsider_responses(study))
    for path, response in responses:
        assert response.status_code == 404, path
        assert is_indistinguishable(response, responses[0][1]), path


def test_revoked_grant_ends_at_once_in_enrollment_and_soon_in_analytics(
    study: StudyUnderTest, rome_participant: str
) -> None:
    member = subject(study.study_id, "once", "rome")
    assert study.record_study_fact(facts.member_granted(member, "site", "rome")).status_code == 201
    study.wait_for_analytics()

    def request_statuses() -> list[int]:
        lesion = f"participants/{rome_participant}/facts/lesion.registered?dry_run=true"
        responses = [
            study.get("participants", "once@rome"),
            study.post(lesion, EXAMPLE_BODIES["lesion.registered"], "once@rome"),
            study.get_analytics("figures/flow.json", "once@rome"),
        ]
        return [response.status_code for response in responses]

    assert request_statuses() == [200, 200, 200]
    assert study.record_study_fact(facts.member_revoked(member, "site", "rome")).status_code == 201
    assert request_statuses()[:2] == [404, 404]
    study.wait_for_analytics()
    assert request_statuses() == [404, 404, 404]


def with_deadline(lines: Iterator[str]) -> Iterator[str]:
    """Pings come every 15 s, if nothing else does."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    for line in lines:
        assert time.monotonic() < deadline, "the stream goes on"
        yield line


def test_open_stream_ends_when_its_readers_grant_is_revoked(study: StudyUnderTest, rome_participant: str) -> None:
    member = subject(study.study_id, "watching", "rome")
    assert study.record_study_fact(facts.member_granted(member, "site", "rome")).status_code == 201
    study.wait_for_analytics()
    headers = study.authorization("watching@rome")
    with study.http.stream("GET", study.address("live", "analytics"), headers=headers) as stream:
        lines = with_deadline(stream.iter_lines())
        assert study.record_fact(rome_participant, facts.lesion_registered("L-watched")).status_code == 201
        position = f"data: {study.wait_for_analytics()}"
        assert position in lines, "a fact of a participant is told, and ends nothing"
        assert study.record_study_fact(facts.member_revoked(member, "site", "rome")).status_code == 201
        remaining_lines = list(lines)
    assert f"data: {study.wait_for_analytics()}" not in remaining_lines


TABLES_BY_SERVICE = {"ENROLLMENT": ("streams", "events"), "ANALYTICS": ("fact", "journal")}
SUBJECT_COLUMNS = {"streams": "stream_id", "events": "stream_id", "fact": "subject", "journal": "subject"}


@pytest.mark.parametrize("service", TABLES_BY_SERVICE)
async def test_database_shows_a_site_only_its_own_rows(
    study: StudyUnderTest, rome_participant: str, service: str
) -> None:
    study.wait_for_analytics()
    connection = await asyncpg.connect(demo_environment(study.demo)[f"QUARTAL_{service}_APP_URL"])
    try:
        for table in TABLES_BY_SERVICE[service]:
            count = compose_statement(
                "select count(*) from {table} where {subject} = $1", table=table, subject=SUBJECT_COLUMNS[table]
            )
            for study_scope, site, is_visible in SCOPES:
                async with connection.transaction():
                    await connection.execute(
                        "select set_config('quartal.study', $1, true), set_config('quartal.site', $2, true)",
                        study.study_id if study_scope == "own" else study_scope,
                        site,
                    )
                    assert (await connection.fetchval(count, rome_participant) > 0) is is_visible, (
                        table,
                        study_scope,
                        site,
                    )
            assert await connection.fetchval(count, rome_participant) == 0
    finally:
        await connection.close()


SCOPES = [
    ("own", "rome", True),
    ("own", "*", True),
    ("own", "milan", False),
    ("own", "", False),
    ("atc-rt", "*", False),
    ("", "*", False),
]
