"""Who may do what, tried from outside: every role at every kind of endpoint, and everybody who is none of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID

import asyncpg
import httpx
import pytest

from infra.reference.study import subject
from shared.contracts.catalogue import FOLLOWUP, PARTICIPANT, STUDY, TOXICITY
from shared.contracts.study import Opened
from shared.kernel.fact import Stream
from shared.kernel.ids import new_participant_id
from shared.testing import facts
from shared.testing import followup_facts as followup
from shared.testing import toxicity_facts as toxicity
from tests.api.own_study import (
    EVERYBODY,
    PATIENCE,
    SAID,
    WHOLE,
    OwnStudy,
    alike,
    body,
    environment,
    event_of,
    of_site,
    own_study,
    role_and_site,
)
from tests.demo import Demo


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture(scope="module")
def roman(study: OwnStudy) -> str:
    """A participant at Rome, known to every service."""
    return study.known_everywhere(study.at_site("rome", facts.lesion(), facts.course()))


def may_state(by: frozenset[str], site: str | None) -> set[str]:
    """Who of everybody may state a fact by these roles: of the study as a whole (None), or of somebody at the site."""
    return {who for who in EVERYBODY if role_and_site(who)[0] in by and role_and_site(who)[1] in (None, site)}


JUDGED = {200, 422}
"""What somebody is answered who may state a fact: whether it stands is another question."""


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_fact_of_the_study_is_stated_by_its_roles_and_nobody_else(study: OwnStudy, who: str) -> None:
    for name, fact in STUDY.facts.items():
        if fact is not Opened:
            answer = study.post(f"facts/{name}?dry_run=true", SAID[name], who)
            due = JUDGED if who in may_state(fact.by, None) else {403}
            assert answer.status_code in due, (name, answer.text)


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_fact_of_a_participant_is_stated_by_its_roles_at_that_site(study: OwnStudy, roman: str, who: str) -> None:
    """Who sees the participant, or has no role to state this at all, is told so; another site's staff sees nobody."""
    correction = facts.correction(UUID(event_of(study, roman, "lesion.registered")), facts.lesion("L1", 3))
    for name, fact in PARTICIPANT.facts.items():
        said = body(correction) if name == "record.corrected" else SAID[name]
        answer = study.post(f"participants/{roman}/facts/{name}?dry_run=true", said, who)
        elsewhere = role_and_site(who)[1] == "milan" and role_and_site(who)[0] in fact.by
        due = {404} if elsewhere else JUDGED if who in may_state(fact.by, "rome") else {403}
        assert answer.status_code in due, (name, who, answer.text)


@pytest.mark.parametrize("stream", [TOXICITY, FOLLOWUP], ids=lambda stream: stream.service)
def test_a_fact_of_somebody_registered_elsewhere_is_stated_by_its_roles_at_that_site(
    study: OwnStudy, roman: str, stream: Stream
) -> None:
    """Another site's staff is told what it would be told of nobody: that may be on its way."""
    first = {"toxicity": toxicity.assessed(2), "followup": followup.contact(2)}[stream.service]
    assert study.state(roman, first).status_code == 201
    void = {"event_id": event_of(study, roman, first.type_name, stream.service), "reason_code": "typing_error"}
    for who in EVERYBODY:
        for name, fact in stream.facts.items():
            said = {**void, "replacement": None} if name == "record.corrected" else SAID[name]
            answer = study.send(
                study.address(f"participants/{roman}/facts/{name}?dry_run=true", stream.service), said, who
            )
            elsewhere = role_and_site(who)[1] == "milan" and role_and_site(who)[0] in fact.by
            due = {409} if elsewhere else JUDGED if who in may_state(fact.by, "rome") else {403}
            assert answer.status_code in due, (name, who, answer.text)


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_batch_is_stated_by_who_may_state_all_of_it(study: OwnStudy, roman: str, who: str) -> None:
    batch = [{"type": "lesion.registered", "data": body(facts.lesion("L7"))}, {"type": "participant.transferred",
             "data": body(facts.transferred("milan", 3))}]  # fmt: skip
    answer = study.post(f"participants/{roman}/facts?dry_run=true", batch, who)
    due = {"site@rome": 200, "site@milan": 404}.get(who, 403)
    assert answer.status_code == due, answer.text


@pytest.mark.parametrize("who", EVERYBODY)
def test_somebody_is_screened_at_a_site_by_its_own_staff_or_the_study_coordinator(study: OwnStudy, who: str) -> None:
    answer = study.post("participants?dry_run=true", body(facts.screened()), who)
    assert answer.status_code == (200 if who in {*of_site("rome"), "coordinator"} else 403), answer.text


READS: dict[str, tuple[str, str, set[str]]] = {
    # what: service, path ({} is the participant's number), who may read it
    "the study": ("enrollment", "", set(EVERYBODY)),
    "participants": ("enrollment", "participants", WHOLE | of_site("rome") | of_site("milan")),
    "a participant": ("enrollment", "participants/{}", WHOLE | of_site("rome")),
    "a history": ("enrollment", "participants/{}/history", WHOLE | of_site("rome")),
    "the feed of facts": ("enrollment", "facts", WHOLE | of_site("rome") | of_site("milan")),
    "participants, of toxicity": ("toxicity", "participants", WHOLE | of_site("rome") | of_site("milan")),
    "a participant, of toxicity": ("toxicity", "participants/{}", WHOLE | of_site("rome")),
    "a history, of toxicity": ("toxicity", "participants/{}/history", WHOLE | of_site("rome")),
    "the feed of facts, of toxicity": ("toxicity", "facts", WHOLE | of_site("rome") | of_site("milan")),
    "participants, of follow-up": ("followup", "participants", WHOLE | of_site("rome") | of_site("milan")),
    "a participant, of follow-up": ("followup", "participants/{}", WHOLE | of_site("rome")),
    "a history, of follow-up": ("followup", "participants/{}/history", WHOLE | of_site("rome")),
    "the feed of facts, of follow-up": ("followup", "facts", WHOLE | of_site("rome") | of_site("milan")),
    "exports": ("enrollment", "exports", {"administrator", "investigator", "auditor"}),
    "the position": ("analytics", "position", set(EVERYBODY)),
    "the list of figures": ("analytics", "figures", set(EVERYBODY)),
    "a figure": ("analytics", "figures/flow.json", set(EVERYBODY)),
    "a table": ("analytics", "figures/accrual.csv", set(EVERYBODY)),
    "a picture": ("analytics", "figures/flow.svg", set(EVERYBODY)),
    "treatments": ("analytics", "figures/treatments.json", WHOLE | of_site("rome") | of_site("milan")),
    "queries": ("analytics", "queries.json", WHOLE | of_site("rome") | of_site("milan")),
}


@pytest.mark.parametrize("what", READS)
def test_each_role_reads_what_is_for_it(study: OwnStudy, roman: str, what: str) -> None:
    service, path, readers = READS[what]
    study.position()
    for who in EVERYBODY:
        answer = study.http.get(study.address(path.format(roman), service), headers=study.bearer(who))
        unseen = "{}" in path and role_and_site(who)[1] == "milan"
        assert answer.status_code == (200 if who in readers else 404 if unseen else 403), (who, answer.text)


def test_every_grant_opens_the_live_stream_and_nobody_else(study: OwnStudy) -> None:
    study.position()
    for who in (*EVERYBODY, "nobody"):
        with study.http.stream("GET", study.address("live", "analytics"), headers=study.bearer(who)) as answer:
            assert answer.status_code == (200 if who in EVERYBODY else 404)


def test_a_site_reads_its_own_participants_only(study: OwnStudy, roman: str) -> None:
    milanese = study.at_site("milan", facts.lesion(), facts.course())
    study.position()
    for site, own, foreign in (("rome", roman, milanese), ("milan", milanese, roman)):
        for who in of_site(site):
            read = [study.get(path, who).json()["rows"] for path in ("participants", "facts")]
            read.append(study.read("figures/treatments.json", who).json()["targets"])
            for rows in read:
                numbers = {row["participant_id"] for row in rows}
                assert own in numbers
                assert foreign not in numbers
    for who in WHOLE:
        assert {roman, milanese} <= {row["participant_id"] for row in study.get("participants", who).json()["rows"]}
        assert {roman, milanese} <= {
            row["participant_id"] for row in study.get("facts", who, limit=1000).json()["rows"]
        }


def test_naming_another_site_in_the_query_shows_nothing_of_it(study: OwnStudy, roman: str) -> None:
    study.position()
    for path in ("participants", "facts"):
        there, nowhere = (study.get(path, "site@milan", site=site) for site in ("rome", "nowhere"))
        assert there.status_code == 403
        assert alike(there, nowhere)
    for figure in ("flow", "treatments"):
        there, nowhere = (study.read(f"figures/{figure}.json", "site@milan", site=site) for site in ("rome", "nowhere"))
        assert there.status_code == 403
        assert alike(there, nowhere)


def test_a_participant_of_another_site_and_nobody_at_all_look_the_same(study: OwnStudy, roman: str) -> None:
    nobody = new_participant_id()
    for path in ("participants/{}", "participants/{}/history"):
        unseen, absent = (study.get(path.format(number), "site@milan") for number in (roman, nobody))
        assert unseen.status_code == 404
        assert alike(unseen, absent)
    for dry in ("", "?dry_run=true"):
        for headers in ({}, {"Idempotency_Key": event_of(study, roman, "participant.enrolled")}, {"If_Match": '"7"'}):
            unseen, absent = (
                study.post(f"participants/{number}/facts/lesion.registered{dry}", SAID["lesion.registered"],
                           "site@milan", **headers) for number in (roman, nobody)
            )  # fmt: skip
            assert unseen.status_code == 404
            assert alike(unseen, absent)


def outsiders(study: OwnStudy) -> Iterator[tuple[str, httpx.Response]]:
    """Answers to somebody without a grant there: of the study, of another one, and of two that do not exist."""
    known, number = study.bearer("site@rome"), new_participant_id()
    stranger = {"Authorization": f"Bearer {study.demo.token('investigator', study='atc-rt')}"}
    for headers, study_id in ((stranger, study.study_id), (known, "no-such-study"), (known, "atc-rt"), (known, "X Y")):
        enrollment, analytics = (f"/{service}/v1/studies/{study_id}" for service in ("enrollment", "analytics"))
        for path in ("", "/participants", f"/participants/{number}", "/facts"):
            yield path, study.http.get(enrollment + path, headers=headers)
        for path, fact in ((f"/participants/{number}", "participant.enrolled"), ("", "study.site_closed")):
            yield path, study.http.post(f"{enrollment}{path}/facts/{fact}", json=SAID[fact], headers=headers)
        for path in ("/position", "/figures", "/figures/flow.json", "/figures/treatments.csv", "/live"):
            yield path, study.http.get(analytics + path, headers=headers)


def test_another_study_and_no_study_at_all_look_the_same(study: OwnStudy) -> None:
    answers = list(outsiders(study))
    for path, answer in answers:
        assert answer.status_code == 404, path
        assert alike(answer, answers[0][1]), path


def test_a_revoked_grant_ends_at_once_where_it_is_kept_and_soon_everywhere(study: OwnStudy, roman: str) -> None:
    once = subject(study.study_id, "once", "rome")
    assert study.of_study(facts.granted(once, "site", "rome")).status_code == 201
    study.position()

    def asked() -> list[int]:
        lesion = f"participants/{roman}/facts/lesion.registered?dry_run=true"
        answers = [study.get("participants", "once@rome"), study.post(lesion, SAID["lesion.registered"], "once@rome"),
                   study.read("figures/flow.json", "once@rome")]  # fmt: skip
        return [answer.status_code for answer in answers]

    assert asked() == [200, 200, 200]
    assert study.of_study(facts.revoked(once, "site", "rome")).status_code == 201
    assert asked()[:2] == [404, 404]
    study.position()
    assert asked() == [404, 404, 404]


def bounded(lines: Iterator[str]) -> Iterator[str]:
    """Pings come every 15 s, if nothing else does."""
    end = time.monotonic() + PATIENCE
    for line in lines:
        assert time.monotonic() < end, "the stream goes on"
        yield line


def test_an_open_stream_ends_when_the_grant_of_who_reads_it_is_revoked(study: OwnStudy, roman: str) -> None:
    watching = subject(study.study_id, "watching", "rome")
    assert study.of_study(facts.granted(watching, "site", "rome")).status_code == 201
    study.position()
    headers = study.bearer("watching@rome")
    with study.http.stream("GET", study.address("live", "analytics"), headers=headers) as heard:
        lines = bounded(heard.iter_lines())
        assert study.state(roman, facts.lesion("L-watched")).status_code == 201
        position = f"data: {study.position()}"
        assert position in lines, "a fact of a participant is told, and ends nothing"
        assert study.of_study(facts.revoked(watching, "site", "rome")).status_code == 201
        rest = list(lines)
    assert f"data: {study.position()}" not in rest


TABLES = {"ENROLLMENT": ("streams", "events"), "ANALYTICS": ("fact", "journal")}
SUBJECT = {"streams": "stream_id", "events": "stream_id", "fact": "subject", "journal": "subject"}


@pytest.mark.parametrize("service", TABLES)
async def test_the_database_shows_a_site_its_own_even_where_nobody_asks(
    study: OwnStudy, roman: str, service: str
) -> None:
    study.position()
    connection = await asyncpg.connect(environment(study.demo)[f"QUARTAL_{service}_APP_URL"])
    try:
        for table in TABLES[service]:
            count = f"select count(*) from {table} where {SUBJECT[table]} = $1"  # noqa: S608 - names of our own
            for of, site, seen in SCOPES:
                async with connection.transaction():
                    await connection.execute(
                        "select set_config('quartal.study', $1, true), set_config('quartal.site', $2, true)",
                        study.study_id if of == "own" else of, site,
                    )  # fmt: skip
                    assert (await connection.fetchval(count, roman) > 0) is seen, (table, of, site)
            assert await connection.fetchval(count, roman) == 0
    finally:
        await connection.close()


SCOPES = [("own", "rome", True), ("own", "*", True), ("own", "milan", False), ("own", "", False),
          ("atc-rt", "*", False), ("", "*", False)]  # fmt: skip
