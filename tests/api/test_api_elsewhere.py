"""Toxicity and follow-up as documented: facts of participants whom enrollment registers, and known from Kafka alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.contracts.catalogue import FOLLOWUP, TOXICITY
from shared.contracts.enrollment import Consented
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.kernel.sealed import revealed, texts
from shared.testing import facts
from shared.testing import followup_facts as followup
from shared.testing import toxicity_facts as toxicity
from tests.api.own_study import (
    SITE,
    OwnStudy,
    alike,
    body,
    entry,
    environment,
    event_of,
    own_study,
    waiting_for,
)
from tests.conftest import everything_in
from tests.demo import Demo

SERVICES = ("toxicity", "followup")
PLAIN: dict[str, Fact] = {"toxicity": toxicity.assessed(3, toxicity.finding()), "followup": followup.contact(3)}
"""An unremarkable fact of each."""


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[OwnStudy]:
    with own_study(demo) as opened:
        yield opened


@pytest.fixture
def roman(study: OwnStudy) -> str:
    """Somebody at Rome whom every service knows, with a lesion, a course and a line."""
    return study.known_everywhere(study.at_site("rome", facts.lesion(), facts.course(), facts.line()))


def stated_at(study: OwnStudy, service: str, number: str) -> str:
    return study.address(f"participants/{number}/facts/{PLAIN[service].type_name}", service)


DUE = toxicity.due_to("course:RT1", "line:S1")
EVERY: dict[str, list[Fact]] = {
    "toxicity": [
        toxicity.assessed(
            3, toxicity.finding(attribution=DUE), toxicity.finding("3.0:0699", None), course_id="RT1"
        ),
        toxicity.serious("SAE1", 4), toxicity.serious_updated("SAE1"), toxicity.serious_resolved("SAE1"),
    ],
    "followup": [
        followup.contact(3, "L1", course_id="RT1"), followup.missed(90), followup.progressed(40, "L1"),
        followup.alive(50), followup.lost(70), followup.resumed(80), followup.explained(), followup.snoozed(),
        followup.acknowledged(), followup.died(90),
    ],
}  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_every_fact_of_the_service_is_recorded_in_order_and_shown_to_its_site_as_it_was_said(
    study: OwnStudy, roman: str, service: str
) -> None:
    for version, fact in enumerate(EVERY[service], 1):
        answer = study.state(roman, fact)
        assert answer.status_code == 201, answer.text
        assert answer.json()["version"] == version
        assert (answer.headers["ETag"], answer.headers["Quartal-Version"]) == (f'"{version}"', f"{service}={version}")
    events = study.of(service, f"participants/{roman}/history").json()["events"]
    assert [event["type"] for event in events] == [fact.type_name for fact in EVERY[service]]
    assert [event["data"] for event in events] == [whole(fact) for fact in EVERY[service]]
    declared = {"toxicity": TOXICITY, "followup": FOLLOWUP}[service].declared
    assert {fact.type_name for fact in EVERY[service]} == set(declared)


def whole(fact: Fact) -> dict[str, Any]:
    """As its own site reads it: what was left out is null, sealed texts are in the clear."""
    return dict(revealed(fact.model_dump(mode="json"), dict(texts(fact))))


@pytest.mark.parametrize("service", SERVICES)
def test_a_batch_is_recorded_whole_or_not_at_all(study: OwnStudy, roman: str, service: str) -> None:
    address, good = study.address(f"participants/{roman}/facts", service), entry(PLAIN[service])
    bad = {"type": PLAIN[service].type_name, "data": {**good["data"], "course_id": "RT9"}}
    after = {"Quartal-After": "enrollment=6"}
    refused = study.http.post(address, json=[good, bad], headers={**study.bearer(SITE), **after})
    assert (refused.status_code, [each["pointer"] for each in refused.json()["errors"]]) == (422, ["/1/data/course_id"])
    assert study.of(service, f"participants/{roman}").json()["version"] == 0
    kept = study.send(address, [good, good])
    assert (kept.status_code, len(kept.json()["event_ids"]), kept.json()["version"]) == (201, 2, 2)


@pytest.mark.parametrize("service", SERVICES)
def test_a_statement_under_one_key_is_recorded_once_and_a_dry_run_never(
    study: OwnStudy, roman: str, service: str
) -> None:
    address, said = stated_at(study, service, roman), body(PLAIN[service])
    tried = study.send(f"{address}?dry_run=true", said, Idempotency_Key="k")
    assert (tried.status_code, tried.json()["version"]) == (200, 1)
    first, again = (study.send(address, said, Idempotency_Key="k") for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    other = study.send(address, {**said, "visit": 2}, Idempotency_Key="k")
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert study.send(address, said, If_Match='"4"').status_code == 412


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_not_known_here_may_be_on_its_way_and_another_sites_people_are_no_exception(
    study: OwnStudy, roman: str, service: str
) -> None:
    said, nobody = body(PLAIN[service]), new_participant_id()
    unseen, absent = (study.send(stated_at(study, service, number), said, "site@milan") for number in (roman, nobody))
    assert (unseen.status_code, unseen.headers["Retry-After"]) == (409, "1")
    assert unseen.json()["type"] == "/problems/not-known-yet"
    assert alike(unseen, absent)
    stranger = study.send(stated_at(study, service, roman), said, "nobody")
    elsewhere = study.http.post(
        f"/{service}/v1/studies/no-such-study/participants/{roman}/facts/{PLAIN[service].type_name}", json=said,
        headers=study.bearer(SITE),
    )  # fmt: skip
    assert alike(unseen, stranger)
    assert alike(unseen, elsewhere)


@pytest.mark.parametrize("service", SERVICES)
def test_who_says_what_a_statement_comes_after_is_waited_for_and_then_told_for_good(
    study: OwnStudy, service: str
) -> None:
    said = {**body(PLAIN[service]), "course_id": "RT1"}
    number = study.at_site("rome")
    started = study.state(number, facts.course())
    after = started.headers["Quartal-Version"]
    address = stated_at(study, service, number)
    assert study.send(address, said, Quartal_After=after).status_code == 201
    never = study.send(address, {**said, "course_id": "RT9"}, Quartal_After=after)
    assert (never.status_code, never.json()["errors"][0]["pointer"]) == (422, "/course_id")
    early = study.send(address, {**said, "course_id": "RT9"})
    assert (early.status_code, early.json()["errors"][0]["pointer"]) == (409, "/course_id")
    ahead = study.send(address, said, Quartal_After="enrollment=99")
    assert ahead.json()["type"] == "/problems/not-known-yet"
    assert study.send(address, said, Quartal_After="toxicity=1").status_code == 422


def test_a_bad_number_of_a_participant_is_caught_everywhere(study: OwnStudy) -> None:
    for service in SERVICES:
        answer = study.send(stated_at(study, service, "K7F2-9QXA-4"), body(PLAIN[service]))
        assert answer.json()["type"] == "/problems/bad-participant-number"


@pytest.mark.parametrize("service", SERVICES)
def test_a_transfer_takes_the_participant_with_all_facts_to_the_other_site(
    study: OwnStudy, roman: str, service: str
) -> None:
    assert study.state(roman, PLAIN[service]).status_code == 201
    assert study.state(roman, facts.transferred("milan", 5)).status_code == 201
    one = f"participants/{roman}"
    waiting_for(lambda: study.of(service, one, "site@milan").status_code == 200, "the new site sees the participant")
    assert study.of(service, one, SITE).status_code == 404
    assert study.send(stated_at(study, service, roman), body(PLAIN[service])).status_code == 409
    assert study.state(roman, PLAIN[service], "site@milan").status_code == 201
    assert [fact["version"] for fact in _fed(study, service, "site@milan", roman)] == [2]  # stated there
    events = study.of(service, f"{one}/history", "site@milan").json()["events"]
    assert [event["recorded_by"].partition(".")[0] for event in events] == ["site@rome", "site@milan"]


def _fed(study: OwnStudy, service: str, who: str, number: str) -> list[dict[str, Any]]:
    rows = study.of(service, "facts", who, limit=1000).json()["rows"]
    return [row for row in rows if row["participant_id"] == number]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("closing", "code"), [(facts.voided(), "participant-voided"), (facts.withdrawn(3), "after-withdrawal")]
)
def test_a_door_closed_in_enrollment_is_closed_here_but_not_for_mending(
    study: OwnStudy, roman: str, service: str, closing: Fact, code: str
) -> None:
    first = study.state(roman, PLAIN[service]).json()["event_id"]
    after = study.state(roman, closing).headers["Quartal-Version"]
    later: Fact = {"toxicity": toxicity.assessed(4), "followup": followup.contact(4)}[service]
    refused = study.state(roman, later, Quartal_After=after)
    assert [each["code"] for each in refused.json()["errors"]] == [code]
    void = {"event_id": first, "reason_code": "entered_in_error", "replacement": None}
    corrections = study.address(f"participants/{roman}/facts/record.corrected", service)
    assert study.send(corrections, void, Quartal_After=after).status_code == 201


def test_after_a_withdrawal_only_death_and_what_registries_say_is_stated(study: OwnStudy) -> None:
    options = {"data_use": True, "registry": True}
    asked = Consented.model_validate({**facts.consented().model_dump(mode="json"), "options": options})
    for consent, registry in ((facts.consented(), 422), (asked, 201)):
        number = study.participant(facts.screened(), consent, facts.enrolled())
        after = study.state(number, facts.withdrawn(3)).headers["Quartal-Version"]
        for fact, due in (
            (followup.alive(9, "registry"), registry), (followup.alive(9, "clinic"), 422), (followup.contact(9), 422),
            (followup.contact(3), 201), (followup.died(9), 201),
        ):  # fmt: skip
            assert study.state(number, fact, Quartal_After=after).status_code == due, fact


@pytest.mark.parametrize("service", SERVICES)
def test_what_only_enrollment_knows_of_participants_is_not_asked_here(study: OwnStudy, service: str) -> None:
    for asked in ({"status": "enrolled"}, {"local_reference": "MRN-1"}):
        answer = study.of(service, "participants", SITE, **asked)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/parameter")


SECRET = "Zq-nobody-else-reads-this"
SEALED: dict[str, Fact] = {
    "toxicity": toxicity.assessed(3, toxicity.finding(grade=None, not_graded=SECRET)),
    "followup": followup.contact(3, note=SECRET),
}


@pytest.mark.parametrize("service", SERVICES)
async def test_free_text_is_read_by_its_own_site_alone(study: OwnStudy, roman: str, service: str) -> None:
    assert study.state(roman, SEALED[service]).status_code == 201
    for path in (f"participants/{roman}", f"participants/{roman}/history", "facts?limit=1000"):
        for who, reads in ((SITE, True), ("coordinator@rome", True), ("investigator", False), ("coordinator", False)):
            assert (SECRET in study.of(service, path, who).text) is reads, (path, who)
    study.position()
    records = await everything_in(environment(study.demo)["KAFKA_BOOTSTRAP"], f"quartal.{service}.v1")
    own = [record for record in records if record.key == f"{study.study_id}/{roman}".encode()]
    assert own
    assert not any(SECRET.encode() in (record.value or b"") for record in own)


@pytest.mark.parametrize("service", SERVICES)
def test_a_corrected_fact_keeps_its_first_words_in_the_history(study: OwnStudy, roman: str, service: str) -> None:
    first = study.state(roman, PLAIN[service]).json()["event_id"]
    other = {"toxicity": toxicity.assessed(5), "followup": followup.contact(5)}[service]
    restate = {"event_id": first, "reason_code": "source_corrected", "replacement": entry(other)}
    address = study.address(f"participants/{roman}/facts/record.corrected", service)
    corrected = study.send(address, restate, "investigator")
    assert corrected.status_code == 201, corrected.text
    said, mended = study.of(service, f"participants/{roman}/history", "monitor").json()["events"]
    assert (said["event_id"], said["standing"], said["corrected_by"]) == (first, True, mended["event_id"])
    assert said["data"] == whole(PLAIN[service])
    assert mended["recorded_by"].startswith("investigator@")
    (standing,) = study.of(service, f"participants/{roman}").json()["facts"]
    assert standing["data"] == whole(other)
    assert event_of(study, roman, "record.corrected", service) == mended["event_id"]
