"""Toxicity and follow-up as documented: facts of participants whom they know from enrollment's events alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.contracts.catalogue import FOLLOWUP, TOXICITY
from shared.kernel.fact import Fact
from shared.kernel.ids import new_participant_id
from shared.kernel.sealed_text import extract_texts, insert_texts
from shared.testing.builders import facts
from shared.testing.builders import follow_up_facts as followup
from shared.testing.builders import toxicity_facts as toxicity
from tests.api.support.study import (
    ROME_USER,
    StudyUnderTest,
    batch_entry,
    body,
    demo_environment,
    find_event_id,
    is_indistinguishable,
    open_study,
    wait_until,
)
from tests.conftest import read_topic
from tests.demo import Demo

SERVICES = ("toxicity", "followup")
PLAIN_FACT_BY_SERVICE: dict[str, Fact] = {
    "toxicity": toxicity.toxicity_assessed(3, toxicity.finding()),
    "followup": followup.follow_up_recorded(3),
}
"""An unremarkable fact of each."""


@pytest.fixture(scope="module")
def study(demo: Demo) -> Iterator[StudyUnderTest]:
    with open_study(demo) as study:
        yield study


@pytest.fixture
def rome_participant(study: StudyUnderTest) -> str:
    """A participant at Rome in every service, with a lesion, a course and a line of systemic therapy."""
    return study.wait_until_known(
        study.enroll_at(
            "rome", facts.lesion_registered(), facts.radiotherapy_started(), facts.systemic_therapy_started()
        )
    )


def fact_path(study: StudyUnderTest, service: str, participant_id: str) -> str:
    return study.address(f"participants/{participant_id}/facts/{PLAIN_FACT_BY_SERVICE[service].type_name}", service)


ATTRIBUTION = toxicity.attributions("course:RT1", "line:S1")
ALL_FACTS: dict[str, list[Fact]] = {
    "toxicity": [
        toxicity.toxicity_assessed(
            3, toxicity.finding(attribution=ATTRIBUTION), toxicity.finding("3.0:0699", None), course_id="RT1"
        ),
        toxicity.serious_event_reported("SAE1", 4),
        toxicity.serious_event_updated("SAE1"),
        toxicity.serious_event_resolved("SAE1"),
    ],
    "followup": [
        followup.follow_up_recorded(3, "L1", course_id="RT1"),
        followup.visit_missed(90),
        followup.disease_progressed(40, "L1"),
        followup.vital_status_confirmed(50),
        followup.lost_to_follow_up(70),
        followup.follow_up_resumed(80),
        followup.query_explained(),
        followup.visit_scheduled(9000),
        followup.reminder_snoozed(),
        followup.reminder_acknowledged(),
        followup.participant_died(90),
    ],
}


@pytest.mark.parametrize("service", SERVICES)
def test_every_fact_of_the_service_is_recorded_in_order_and_returned_as_sent(
    study: StudyUnderTest, rome_participant: str, service: str
) -> None:
    for version, fact in enumerate(ALL_FACTS[service], 1):
        response = study.record_fact(rome_participant, fact)
        assert response.status_code == 201, response.text
        assert response.json()["version"] == version
        assert (response.headers["ETag"], response.headers["Quartal-Version"]) == (
            f'"{version}"',
            f"{service}={version}",
        )
    events = study.get_from(service, f"participants/{rome_participant}/history").json()["events"]
    assert [event["type"] for event in events] == [fact.type_name for fact in ALL_FACTS[service]]
    assert [event["data"] for event in events] == [full_content(fact) for fact in ALL_FACTS[service]]
    declared = {"toxicity": TOXICITY, "followup": FOLLOWUP}[service].declared_facts
    assert {fact.type_name for fact in ALL_FACTS[service]} == set(declared)


def full_content(fact: Fact) -> dict[str, Any]:
    """Content as the participant's site reads it: omitted members are null, sealed texts are in clear."""
    return dict(insert_texts(fact.model_dump(mode="json"), dict(extract_texts(fact))))


@pytest.mark.parametrize("service", SERVICES)
def test_batch_is_recorded_entirely_or_not_at_all(study: StudyUnderTest, rome_participant: str, service: str) -> None:
    address, valid_entry = (
        study.address(f"participants/{rome_participant}/facts", service),
        batch_entry(PLAIN_FACT_BY_SERVICE[service]),
    )
    invalid_entry = {
        "type": PLAIN_FACT_BY_SERVICE[service].type_name,
        "data": {**valid_entry["data"], "course_id": "RT9"},
    }
    after = {"Quartal-After": "enrollment=6"}
    refused = study.http.post(
        address, json=[valid_entry, invalid_entry], headers={**study.authorization(ROME_USER), **after}
    )
    assert (refused.status_code, [fault["pointer"] for fault in refused.json()["errors"]]) == (
        422,
        ["/1/data/course_id"],
    )
    assert study.get_from(service, f"participants/{rome_participant}").json()["version"] == 0
    recorded = study.send(address, [valid_entry, valid_entry])
    assert (recorded.status_code, len(recorded.json()["event_ids"]), recorded.json()["version"]) == (201, 2, 2)


@pytest.mark.parametrize("service", SERVICES)
def test_idempotent_request_is_recorded_once_and_a_dry_run_never(
    study: StudyUnderTest, rome_participant: str, service: str
) -> None:
    address, content = fact_path(study, service, rome_participant), body(PLAIN_FACT_BY_SERVICE[service])
    dry_run = study.send(f"{address}?dry_run=true", content, Idempotency_Key="k")
    assert (dry_run.status_code, dry_run.json()["version"]) == (200, 1)
    first, repeated = (study.send(address, content, Idempotency_Key="k") for _ in range(2))
    assert first.status_code == repeated.status_code == 201
    assert first.json() == repeated.json()
    other = study.send(address, {**content, "visit": 2}, Idempotency_Key="k")
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert study.send(address, content, If_Match='"4"').status_code == 412


@pytest.mark.parametrize("service", SERVICES)
def test_unknown_and_foreign_participants_get_the_same_not_known_yet_response(
    study: StudyUnderTest, rome_participant: str, service: str
) -> None:
    content, unknown_participant_id = body(PLAIN_FACT_BY_SERVICE[service]), new_participant_id()
    foreign_response, unknown_response = (
        study.send(fact_path(study, service, participant_id), content, "site@milan")
        for participant_id in (rome_participant, unknown_participant_id)
    )
    assert (foreign_response.status_code, foreign_response.headers["Retry-After"]) == (409, "1")
    assert foreign_response.json()["type"] == "/problems/not-known-yet"
    assert is_indistinguishable(foreign_response, unknown_response)
    outsider_response = study.send(fact_path(study, service, rome_participant), content, "nobody")
    other_study_response = study.http.post(
        f"/{service}/v1/studies/no-such-study/participants/{rome_participant}/facts/{PLAIN_FACT_BY_SERVICE[service].type_name}",
        json=content,
        headers=study.authorization(ROME_USER),
    )
    assert is_indistinguishable(foreign_response, outsider_response)
    assert is_indistinguishable(foreign_response, other_study_response)


@pytest.mark.parametrize("service", SERVICES)
def test_request_with_a_prerequisite_waits_for_it_and_then_gets_a_final_response(
    study: StudyUnderTest, service: str
) -> None:
    content = {**body(PLAIN_FACT_BY_SERVICE[service]), "course_id": "RT1"}
    participant_id = study.enroll_at("rome")
    started = study.record_fact(participant_id, facts.radiotherapy_started())
    after = started.headers["Quartal-Version"]
    address = fact_path(study, service, participant_id)
    assert study.send(address, content, Quartal_After=after).status_code == 201
    final_refusal = study.send(address, {**content, "course_id": "RT9"}, Quartal_After=after)
    assert (final_refusal.status_code, final_refusal.json()["errors"][0]["pointer"]) == (422, "/course_id")
    without_prerequisite = study.send(address, {**content, "course_id": "RT9"})
    assert (without_prerequisite.status_code, without_prerequisite.json()["errors"][0]["pointer"]) == (
        409,
        "/course_id",
    )
    future_prerequisite = study.send(address, content, Quartal_After="enrollment=99")
    assert future_prerequisite.json()["type"] == "/problems/not-known-yet"
    assert study.send(address, content, Quartal_After="toxicity=1").status_code == 422


def test_malformed_participant_number_is_rejected_by_every_service(study: StudyUnderTest) -> None:
    for service in SERVICES:
        response = study.send(fact_path(study, service, "K7F2-9QXA-4"), body(PLAIN_FACT_BY_SERVICE[service]))
        assert response.json()["type"] == "/problems/bad-participant-number"


@pytest.mark.parametrize("service", SERVICES)
def test_transferred_participant_and_all_facts_belong_to_the_new_site(
    study: StudyUnderTest, rome_participant: str, service: str
) -> None:
    assert study.record_fact(rome_participant, PLAIN_FACT_BY_SERVICE[service]).status_code == 201
    assert study.record_fact(rome_participant, facts.participant_transferred("milan", 5)).status_code == 201
    participant_path = f"participants/{rome_participant}"
    wait_until(
        lambda: study.get_from(service, participant_path, "site@milan").status_code == 200,
        "the new site sees the participant",
    )
    assert study.get_from(service, participant_path, ROME_USER).status_code == 404
    assert (
        study.send(fact_path(study, service, rome_participant), body(PLAIN_FACT_BY_SERVICE[service])).status_code == 409
    )
    assert study.record_fact(rome_participant, PLAIN_FACT_BY_SERVICE[service], "site@milan").status_code == 201
    assert [fact["version"] for fact in _feed_rows(study, service, "site@milan", rome_participant)] == [
        2
    ]  # stated there
    events = study.get_from(service, f"{participant_path}/history", "site@milan").json()["events"]
    assert [event["recorded_by"].partition(".")[0] for event in events] == ["site@rome", "site@milan"]


def _feed_rows(study: StudyUnderTest, service: str, user: str, participant_id: str) -> list[dict[str, Any]]:
    rows = study.get_from(service, "facts", user, limit=1000).json()["rows"]
    return [row for row in rows if row["participant_id"] == participant_id]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("closing", "code"),
    [(facts.participant_voided(), "participant-voided"), (facts.consent_withdrawn(3), "after-withdrawal")],
)
def test_closure_in_enrollment_refuses_new_facts_but_allows_corrections(
    study: StudyUnderTest, rome_participant: str, service: str, closing: Fact, code: str
) -> None:
    event_id = study.record_fact(rome_participant, PLAIN_FACT_BY_SERVICE[service]).json()["event_id"]
    after = study.record_fact(rome_participant, closing).headers["Quartal-Version"]
    later_fact: Fact = {"toxicity": toxicity.toxicity_assessed(4), "followup": followup.follow_up_recorded(4)}[service]
    refused = study.record_fact(rome_participant, later_fact, Quartal_After=after)
    assert [fault["code"] for fault in refused.json()["errors"]] == [code]
    void = {"event_id": event_id, "reason_code": "entered_in_error", "replacement": None}
    corrections = study.address(f"participants/{rome_participant}/facts/record.corrected", service)
    assert study.send(corrections, void, Quartal_After=after).status_code == 201


def test_after_withdrawal_only_deaths_and_consented_registry_facts_are_accepted(study: StudyUnderTest) -> None:
    registry_consent = facts.consent_signed(options={"data_use": True, "registry": True})
    for consent, registry_status in ((facts.consent_signed(), 422), (registry_consent, 201)):
        participant_id = study.register(facts.participant_screened(), consent, facts.participant_enrolled())
        after = study.record_fact(participant_id, facts.consent_withdrawn(3)).headers["Quartal-Version"]
        for fact, expected_status in (
            (followup.vital_status_confirmed(9, "registry"), registry_status),
            (followup.vital_status_confirmed(9, "clinic"), 422),
            (followup.follow_up_recorded(9), 422),
            (followup.follow_up_recorded(3), 201),
            (followup.participant_died(9), 201),
        ):
            assert study.record_fact(participant_id, fact, Quartal_After=after).status_code == expected_status, fact


@pytest.mark.parametrize("service", SERVICES)
def test_enrollment_only_filters_are_rejected_by_other_services(study: StudyUnderTest, service: str) -> None:
    for params in ({"status": "enrolled"}, {"local_reference": "MRN-1"}):
        response = study.get_from(service, "participants", ROME_USER, **params)
        assert (response.status_code, response.json()["type"]) == (422, "/problems/parameter")


SECRET = "Zq-nobody-else-reads-this"
SEALED: dict[str, Fact] = {
    "toxicity": toxicity.toxicity_assessed(3, toxicity.finding(grade=None, not_graded=SECRET)),
    "followup": followup.follow_up_recorded(3, note=SECRET),
}


@pytest.mark.parametrize("service", SERVICES)
async def test_free_text_is_visible_only_to_its_own_site(
    study: StudyUnderTest, rome_participant: str, service: str
) -> None:
    assert study.record_fact(rome_participant, SEALED[service]).status_code == 201
    for path in (f"participants/{rome_participant}", f"participants/{rome_participant}/history", "facts?limit=1000"):
        for user, is_visible in (
            (ROME_USER, True),
            ("coordinator@rome", True),
            ("investigator", False),
            ("coordinator", False),
        ):
            assert (SECRET in study.get_from(service, path, user).text) is is_visible, (path, user)
    study.wait_for_analytics()
    records = await read_topic(demo_environment(study.demo)["KAFKA_BOOTSTRAP"], f"quartal.{service}.v1")
    participant_records = [
        record for record in records if record.key == f"{study.study_id}/{rome_participant}".encode()
    ]
    assert participant_records
    assert not any(SECRET.encode() in (record.value or b"") for record in participant_records)


@pytest.mark.parametrize("service", SERVICES)
def test_corrected_fact_keeps_its_original_content_in_the_history(
    study: StudyUnderTest, rome_participant: str, service: str
) -> None:
    first = study.record_fact(rome_participant, PLAIN_FACT_BY_SERVICE[service]).json()["event_id"]
    other = {"toxicity": toxicity.toxicity_assessed(5), "followup": followup.follow_up_recorded(5)}[service]
    correction_body = {"event_id": first, "reason_code": "source_corrected", "replacement": batch_entry(other)}
    address = study.address(f"participants/{rome_participant}/facts/record.corrected", service)
    response = study.send(address, correction_body, "investigator")
    assert response.status_code == 201, response.text
    original, correction = study.get_from(service, f"participants/{rome_participant}/history", "monitor").json()[
        "events"
    ]
    assert (original["event_id"], original["standing"], original["corrected_by"]) == (
        first,
        True,
        correction["event_id"],
    )
    assert original["data"] == full_content(PLAIN_FACT_BY_SERVICE[service])
    assert correction["recorded_by"].startswith("investigator@")
    (current_fact,) = study.get_from(service, f"participants/{rome_participant}").json()["facts"]
    assert current_fact["data"] == full_content(other)
    assert find_event_id(study, rome_participant, "record.corrected", service) == correction["event_id"]
